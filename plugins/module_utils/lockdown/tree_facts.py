# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of one version, or of a config layer, tell: read once, offline, as plain data.

``collect`` says nothing of right or wrong, that is for tree_rules.py. Paths are those that the appliance has.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import typing as t
from pathlib import Path, PurePosixPath

from ansible_collections.strata.fleet.plugins.module_utils import refusals
from ansible_collections.strata.fleet.plugins.module_utils.instance import CONFIG_LAYER
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import (
    accounts_files,
    exposure,
    firewall,
    ruleset,
    shadows,
    units_files,
)
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import APP, BASE, CONFIG

# Where the folders of a layer are seen in an appliance; the rest of an extension is seen where it is mapped.
HOMES: t.Mapping[str, t.Mapping[str, str]] = {
    BASE: {"usr": "/usr", "etc": "/etc"},
    APP: {"sysext/usr": "/usr", "sysext/opt": "/opt", "confext/etc": "/etc"},
    CONFIG: {"etc": "/etc"},
}
ELSEWHERE = {BASE: "/", APP: "/strata/", CONFIG: f"/strata/confext/{CONFIG_LAYER}/"}
# Small files whose text is kept, because rules read them as the appliance would: merged with those of other layers.
KEPT = re.compile(
    r"/etc/(passwd|group|login\.defs|profile|bash\.bashrc|sysctl\.conf|nftables\.conf|systemd/journald\.conf)"
    r"|/etc/profile\.d/[^/]+\.sh"
    r"|/(etc|usr/lib|usr/local/lib)/(sysctl|sysusers|systemd/journald\.conf)\.d/[^/]+\.conf"
    r"|/usr/lib/systemd/journald\.conf"
    r"|/(etc|usr/lib)/strata/[^/]+\.nft|/etc/strata/ports\.d/[^/]+|/etc/nftables\.d/[^/]+"
)
CREDENTIALS = (
    "/etc/credstore/*",
    "/etc/credstore.encrypted/*",
    "/usr/lib/credstore/*",
    "/usr/lib/credstore.encrypted/*",
)
# In a config layer a secret is at home, except where everybody's password would be.
ACCOUNT_FILES = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow")
SHADOW_FILES = ("/etc/shadow", "/etc/gshadow")
CAPABILITY = "security.capability"
USUAL_MODES = (0o644, 0o755)
MOST_PATHS = 50  # of one foreign owner
LARGEST_TEXT = 256 * 1024
Found = dict[str, t.Any]


def collect(kind: str, folder: Path, base: Path | None = None) -> Found:
    """Return the facts of a base, app or config folder. ``base`` is the folder of the base that it is laid over.

    ``entries`` is how many files, folders and links were looked at; ``missing`` are programs that were needed and are
    not installed, whose facts are None.
    """
    found: Found = {
        "kind": kind,
        "name": _name_of(kind, folder),
        "entries": 0,
        "missing": [],
        "setid": {},
        "capable": {},
        "writable": {},
        "nodes": {},
        "secrets": {},
        "hashes": {},
        "owners": {"uid": {}, "gid": {}},
        "modes": {},
        "texts": {},
        "passwords": {},
        "units": {},
        "wants": {},
        "shadows": {},
    }
    for place, entry in _walk(folder, ""):
        found["entries"] += 1
        _look_at(found, kind, _path_of(kind, place), entry, (folder, base))
    if base:
        found["shadows"] = dict(shadows.find(kind, folder, base, HOMES))
    if kind != CONFIG:
        _score(found, kind, folder, base)
    return found


def try_firewall(below: t.Sequence[Found], found: Found) -> None:
    """Note what the packet filter comes to with this layer on top of others, where that can be told."""
    trees = [*below, found]
    if not below or firewall.texts_of([found]) or any(found[key] for key in ("units", "wants")):
        found["tried"] = firewall.try_out(trees)
        if found["tried"] is None:
            found["missing"].append(ruleset.PROGRAM)


def _name_of(kind: str, folder: Path) -> str:
    """Return the name under which systemd merges it, by which it sorts."""
    if kind != APP:
        return CONFIG_LAYER if kind == CONFIG else ""
    releases = sorted(folder.glob("*/*/extension-release.d/extension-release.*"))
    releases += sorted(folder.glob("*/*/*/extension-release.d/extension-release.*"))
    return releases[0].name.removeprefix("extension-release.") if releases else ""


def _walk(folder: Path | str, below: str) -> t.Iterator[tuple[str, os.DirEntry[str]]]:
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        place = f"{below}{entry.name}"
        yield place, entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{place}/")


def _path_of(kind: str, place: str) -> str:
    for home, seen in HOMES[kind].items():
        if place == home or place.startswith(f"{home}/"):
            return seen + place[len(home) :]
    return ELSEWHERE[kind] + place


def _look_at(found: Found, kind: str, path: str, entry: os.DirEntry[str], folders: tuple[Path, Path | None]) -> None:
    state = entry.stat(follow_symlinks=False)
    _note_owner(found["owners"], path, state)
    if stat.S_ISLNK(state.st_mode):
        _keep_link(found, kind, path, str(Path(entry.path).readlink()), folders)
        return
    _note_mode(found, path, state.st_mode)
    if stat.S_ISREG(state.st_mode):
        if capabilities := _capabilities(entry.path):
            found["capable"][path] = capabilities
        if kind != CONFIG or path in ACCOUNT_FILES:
            _look_for_secrets(found, path, entry.path, state.st_size)
        if state.st_size <= LARGEST_TEXT and (path in SHADOW_FILES or is_kept(path)):
            _keep_text(found, path, _text_of(Path(entry.path)))


def is_kept(path: str) -> bool:
    """Whether rules read this file."""
    return units_files.is_unit_path(path) or KEPT.fullmatch(path) is not None


def _text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _note_mode(found: Found, path: str, kind_and_mode: int) -> None:
    mode = stat.S_IMODE(kind_and_mode)
    is_folder = stat.S_ISDIR(kind_and_mode)
    for is_kind, word in refusals.KINDS_OF_NODES:
        if is_kind(kind_and_mode):
            found["nodes"][path] = word
    if mode & stat.S_IWOTH and not (is_folder and mode & stat.S_ISVTX):
        found["writable"][path] = f"{mode:04o}"
    if mode & (stat.S_ISUID | stat.S_ISGID) and not is_folder:
        found["setid"][path] = f"{mode:04o}"
    if path.startswith("/etc/") or mode not in USUAL_MODES:
        found["modes"][path] = f"{mode:04o}"


def _capabilities(place: str) -> str:
    """Return a file's capabilities in hexadecimal, '' for none: the sets after capabilities(7)'s magic may be empty."""
    if CAPABILITY not in os.listxattr(place, follow_symlinks=False):
        return ""
    value = os.getxattr(place, CAPABILITY, follow_symlinks=False)
    return value.hex() if any(value[4:20]) else ""


def _note_owner(owners: dict[str, dict[str, list[str]]], path: str, state: os.stat_result) -> None:
    for kind, number in (("uid", state.st_uid), ("gid", state.st_gid)):
        if number:
            paths = owners[kind].setdefault(str(number), [])
            if len(paths) < MOST_PATHS:
                paths.append(path)


def _look_for_secrets(found: Found, path: str, place: str, size: int) -> None:
    if any(fnmatch.fnmatchcase(path, pattern) for pattern in CREDENTIALS) and size:
        found["secrets"][path] = "it is a credential"
    elif reason := refusals.secret_in(Path(place), path, size):
        found["hashes" if "password" in reason else "secrets"][path] = reason


def _keep_text(found: Found, path: str, text: str) -> None:
    if units_files.is_unit_path(path):
        found["units"][path] = units_files.read_unit(path, text)
        return
    if path in ("/etc/passwd", *SHADOW_FILES):
        # What is kept is whose password it is, never the password.
        found["passwords"].update({f"{path}:{name}": how for name, how in accounts_files.open_passwords(text).items()})
        text = accounts_files.without_passwords(text)
    if path not in SHADOW_FILES:
        found["texts"][path] = text


def _keep_link(found: Found, kind: str, path: str, target: str, folders: tuple[Path, Path | None]) -> None:
    if units_files.is_link_path(path):
        found["wants"][path] = target
    elif units_files.is_unit_path(path):
        found["units"][path] = units_files.read_link(path, target)
    elif units_files.is_unit_folder(path):
        _keep_linked_folder(found, path, _resolve(kind, path, target, folders))
    elif path in SHADOW_FILES or is_kept(path):
        source = _resolve(kind, path, target, folders)
        _keep_text(found, path, _text_of(source) if source and source.is_file() else "")


def _keep_linked_folder(found: Found, path: str, source: Path | None) -> None:
    """A link in place of a folder of wants or drop-ins: what it leads to counts as if it were there."""
    for place in sorted(source.iterdir()) if source and source.is_dir() else []:
        inner = f"{path}/{place.name}"
        if units_files.is_link_path(inner):
            found["wants"][inner] = place.name
        elif units_files.is_unit_path(inner) and place.is_file() and not place.is_symlink():
            _keep_text(found, inner, _text_of(place))


def _resolve(kind: str, path: str, target: str, folders: tuple[Path, Path | None]) -> Path | None:
    """Return the file of this layer or of the base that a link leads to, None where neither has it."""
    wanted = os.path.normpath(PurePosixPath(path).parent / target)
    folder, base = folders
    for home, seen in HOMES[kind].items():
        inside = folder / home / wanted.removeprefix(f"{seen}/")
        if wanted.startswith(f"{seen}/") and inside.is_file() | inside.is_dir() and not inside.is_symlink():
            return inside
    below = base / wanted.lstrip("/") if base else None
    return below if below and below.exists() and not below.is_symlink() else None


def _score(found: Found, kind: str, folder: Path, base: Path | None) -> None:
    """Have systemd score the services that a base enables, or that an app brings; each by one name."""
    aliases = {name: unit.get("alias") for name, (unit, _number) in units_files.known([found]).items()}
    if kind == BASE:
        wanted = set(units_files.enabled([found]))
    else:
        wanted = {units_files.name_of(path) for path, unit in found["units"].items() if not unit.get("mask")}
    wanted = {name for name in wanted if not aliases.get(name)}
    services = sorted(name for name in wanted if name.endswith(".service") and not name.endswith("@.service"))
    found["exposure"] = exposure.score(services, [*([base] if base else []), folder])
    found["unscored"] = [name for name in services if name not in (found["exposure"] or {})]
    if found["exposure"] is None:
        found["missing"].append(exposure.PROGRAM)
