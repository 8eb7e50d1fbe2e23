# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of versions, read once for each digest and kept in the store: <store>/facts/FORMAT-COMMIT[-BASE].json.

What is kept follows from the digests alone. It is made anew where a program was missing that is there now.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import config_layer, signatures
from ansible_collections.strata.fleet.plugins.module_utils.instance import CONFIG_LAYER
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import tree_facts
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import APP, BASE, CONFIG, Data
from ansible_collections.strata.fleet.plugins.module_utils.model import ConfigFile
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo

# Raised when tree_facts.py collects something else from the same files.
FORMAT = 3
Trees = dict[str, tree_facts.Found]


def manifest_facts(
    repo: Repo, commit: str, manifest: Data, today: str, names: t.Collection[str] | None = None
) -> dict[str, t.Any]:
    """Return a manifest with ``commit``, ``signers`` and ``age`` in days (None where that cannot be told).

    ``today`` is an ISO date; ``names`` are the signers who are trusted now (None: all whose keys the store has).
    """
    signers = signatures.signers_of(repo, commit, names)
    return {**manifest, "commit": commit, "signers": signers, "age": age_of(manifest.get("built"), today)}


def age_of(built: t.Any, today: str) -> int | None:
    """Return the days since something was built, None where the time is none."""
    try:
        made = dt.datetime.fromisoformat(str(built)).date()
    except ValueError:
        return None
    days = (dt.date.fromisoformat(today) - made).days
    return 0 if days == -1 else days  # somewhere it is still yesterday


def layer_facts(store: Path, manifests: t.Mapping[str, Data], *, write: bool = True) -> Trees:
    """Return the facts of base and app; ``manifests`` have their ``commit``. Without ``write``, nothing is kept.

    A layer that is not in the store has no entries, by which rules know that nothing can be told.
    """
    base = str(manifests[BASE]["commit"])
    found = {BASE: _cached(store, base, "", [], write=write)}
    if APP in manifests:
        found[APP] = _cached(store, str(manifests[APP]["commit"]), base, [found[BASE]], write=write)
    return found


def config_facts(store: Path, appliance: str, digest: str, base: str, layers: Trees) -> tree_facts.Found:
    """Return the facts of a config layer over a base's commit and its ``layer_facts``. A few files: never kept."""
    folder = store / "config" / appliance / digest / CONFIG_LAYER
    if not folder.is_dir():
        return {"kind": CONFIG, "entries": 0}
    found = tree_facts.collect(CONFIG, folder, _folder(store, base))
    tree_facts.try_firewall(list(layers.values()), found)
    return found


def planned_config_facts(files: t.Iterable[ConfigFile], base_folder: Path, layers: Trees) -> tree_facts.Found:
    """Return what ``config_facts`` will be of a config layer that is yet to be written.

    It is written aside for that, as the layer itself will be, for root alone.
    """
    with tempfile.TemporaryDirectory(prefix="strata-") as folder:
        config_layer.write(Path(folder), "planned", "layer", files, b"")
        found = tree_facts.collect(CONFIG, Path(folder, "config/planned/layer", CONFIG_LAYER), base_folder)
    tree_facts.try_firewall(list(layers.values()), found)
    return found


def _folder(store: Path, commit: str) -> Path:
    return store / "layers" / commit


def _cached(store: Path, commit: str, base: str, below: list[tree_facts.Found], *, write: bool) -> tree_facts.Found:
    if not _folder(store, commit).is_dir() or any(not tree["entries"] for tree in below):
        return {"kind": APP if base else BASE, "entries": 0}
    file = store / "facts" / f"{FORMAT}-{commit}{f'-{base}' if base else ''}.json"
    kept = _read(file)
    if kept and not any(map(shutil.which, kept["missing"])):
        return kept
    kind = APP if base else BASE
    found = tree_facts.collect(kind, _folder(store, commit), _folder(store, base) if base else None)
    tree_facts.try_firewall(below, found)
    if write:
        _write(file, found)
    return found


def _read(file: Path) -> tree_facts.Found:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("entries") and "missing" in found else {}


def _write(file: Path, found: tree_facts.Found) -> None:
    """Write it whole or not at all. That it could not be kept is no reason to refuse anything."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            json.dump(found, opened, separators=(",", ":"))
            opened.flush()
            os.fsync(opened.fileno())
        temporary.rename(file)


def forget(store: Path, commits: t.Collection[str]) -> None:
    """Remove the facts of versions that are not among these any more, and of other formats."""
    for file in (store / "facts").glob("*.json"):
        number, *own = file.stem.split("-")
        if number != str(FORMAT) or not set(own) <= set(commits):
            file.unlink(missing_ok=True)
