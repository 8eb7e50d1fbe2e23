# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The config stratum on a node: immutable, digest-named folders that systemd merges over /etc.

<store>/config/<appliance>/<digest>/zz-config/etc/...      what is mapped
<store>/config/<appliance>/<digest>/files.json             what each file is, with secrets left out
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import shutil
import stat
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.instance import CONFIG_LAYER
from ansible_collections.strata.fleet.plugins.module_utils.model import ConfigFile

RELEASE_TEXT = "ID=_any\n"
RELEASE = f"etc/extension-release.d/extension-release.{CONFIG_LAYER}"


def read_key(store: Path) -> bytes:
    """Return the node's own key, or a random one where the store is not there yet.

    Digests are keyed because they stand in the engine's configuration, and the hash of a short secret can be guessed.
    """
    path = store / "config.key"
    return path.read_bytes() if path.exists() else secrets.token_bytes(32)


def make_key(store: Path) -> None:
    """Make the node's key, once."""
    path = store / "config.key"
    if path.exists():
        return
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(32))
    temporary.rename(path)


def describe(files: t.Iterable[ConfigFile], key: bytes) -> dict[str, dict[str, t.Any]]:
    """Return what ``files.json`` holds: by path, a keyed digest of the text and everything that may be shown."""
    return {
        file.path: {
            "digest": _keyed(key, file.text.encode()),
            "shown": file.shown,
            "mode": f"{file.mode:04o}",
            "uid": file.uid,
            "gid": file.gid,
            "on_change": file.on_change,
            "units": list(file.units),
        }
        for file in files
    }


def digest(files: t.Iterable[ConfigFile], key: bytes) -> str:
    """Return the name of the layer that holds exactly these files."""
    return _keyed(key, json.dumps(describe(files, key), sort_keys=True).encode())


def read(store: Path, appliance: str, name: str) -> dict[str, dict[str, t.Any]]:
    """Return the description of a layer, {} where it is not (or not whole) in the store."""
    path = store / "config" / appliance / name / "files.json"
    try:
        return t.cast("dict[str, dict[str, t.Any]]", json.loads(path.read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def write(store: Path, appliance: str, name: str, files: t.Iterable[ConfigFile], key: bytes) -> None:
    """Write a layer whole or not at all; one that is there, but not as it was written, is written anew."""
    target = store / "config" / appliance / name
    if target.exists() and not find_faults(store, appliance, name, key):
        return
    shutil.rmtree(target, ignore_errors=True)
    temporary = target.with_name(f".{name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    root = temporary / CONFIG_LAYER
    files = tuple(files)
    for file in files:
        _write_file(root / file.path.lstrip("/"), file)
    _write_file(root / RELEASE, ConfigFile("", RELEASE_TEXT, "", 0o644, 0, 0, "reboot", ()))
    description = json.dumps(describe(files, key), indent=1, sort_keys=True)
    _write_file(temporary / "files.json", ConfigFile("", description, "", 0o600, 0, 0, "reboot", ()))
    temporary.rename(target)


def find_faults(store: Path, appliance: str, name: str, key: bytes) -> list[tuple[str, str]]:
    """Return what of a layer is not as it was written: a path below it ('' for all of it), and what is wrong there."""
    folder = store / "config" / appliance / name
    if not (folder / "files.json").exists():
        return [("", "was removed")]
    described = read(store, appliance, name)
    if _keyed(key, json.dumps(described, sort_keys=True).encode()) != name:
        return [("files.json", "was changed")]
    root = folder / CONFIG_LAYER
    keys = ("digest", "mode", "uid", "gid")
    wanted = {path.lstrip("/"): tuple(file[key] for key in keys) for path, file in described.items()}
    wanted[RELEASE] = (_keyed(key, RELEASE_TEXT.encode()), "0644", 0, 0)
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_symlink() or not path.is_dir()}
    faults = [(path, "was removed") for path in wanted.keys() - found.keys()]
    faults += [(path, "was added") for path in found.keys() - wanted.keys()]
    faults += [(path, "was changed") for path in found.keys() & wanted if _look_at(found[path], key) != wanted[path]]
    return sorted((f"{CONFIG_LAYER}/{path}", what) for path, what in faults)


def _look_at(path: Path, key: bytes) -> tuple[str, str, int, int]:
    state = path.lstat()
    text = path.read_bytes() if stat.S_ISREG(state.st_mode) else b""
    return _keyed(key, text), f"{stat.S_IMODE(state.st_mode):04o}", state.st_uid, state.st_gid


def list_layers(store: Path) -> dict[str, set[str]]:
    """Return the names of all layers in the store, by appliance; unfinished ones are among them."""
    folders = (store / "config").iterdir() if (store / "config").is_dir() else []
    return {folder.name: {layer.name for layer in folder.iterdir()} for folder in folders}


def remove(store: Path, appliance: str, names: t.Iterable[str]) -> None:
    """Remove layers of an appliance, and its folder with the last of them."""
    folder = store / "config" / appliance
    for name in names:
        shutil.rmtree(folder / name)
    if not any(folder.iterdir()):
        folder.rmdir()


def _write_file(path: Path, file: ConfigFile) -> None:
    missing = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        folder.chmod(0o755)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(file.text)
        opened.flush()
        # Before the folder gets its name, or a power cut could leave a whole-looking layer of empty files.
        os.fsync(opened.fileno())
    os.chown(path, file.uid, file.gid)
    path.chmod(file.mode)


def _keyed(key: bytes, data: bytes) -> str:
    return hmac.new(key, data, hashlib.sha256).hexdigest()[:32]
