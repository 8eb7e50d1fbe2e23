# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the files on a node are the declared ones: layers as they were signed, config as rendered, roots empty.

Nothing is written: ``ostree fsck`` leaves marks in the repository that it checks, so it is given one of links.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import command, skeleton
from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError

LISTED = re.compile(
    r"(?P<kind>[-dl])0?(?P<mode>[0-7]+) +(?P<uid>\d+) +(?P<gid>\d+) +\d+ (?P<checksum>[0-9a-f]{64})"
    r"(?: [0-9a-f]{64})? (?P<path>/.*)"
)
CHECKSUM = re.compile(r"[0-9a-f]{64}")
FOLDER_MODES = {"root": 0o700, "tmp": 0o1777}
Fault = tuple[str, str]  # a path, and what is wrong with it


class Entry(t.NamedTuple):
    """A file, folder or link of a version."""

    kind: str
    mode: int
    uid: int
    gid: int
    checksum: str


class Audit(t.NamedTuple):
    """What reading a whole repository found: damaged or missing objects by checksum, and ostree's own words."""

    damaged: t.AbstractSet[str]
    said: str


def audit(repo: Path) -> Audit:
    """Read every object of the repository again and compare it with its checksum."""
    with tempfile.TemporaryDirectory(prefix="strata-") as folder:
        for name in ("config", "objects", "refs"):
            Path(folder, name).symlink_to(repo / name)
        shutil.copytree(repo / "state", Path(folder, "state"))
        Path(folder, "tmp").mkdir()
        try:
            command.run(["ostree", f"--repo={folder}", "fsck", "--all", "--quiet"])
        except CommandError as error:
            said = str(error.facts.get("stderr", error.message))
            return Audit(frozenset(CHECKSUM.findall(said)), said.strip())
    return Audit(frozenset(), "")


def list_entries(repo: Path, commit: str) -> dict[str, Entry]:
    """Return what a version consists of, by path ('/' is its top). Raises CommandError where that cannot be read."""
    entries = {}
    listed = command.run(["ostree", f"--repo={repo}", "ls", "--recursive", "--checksum", commit])
    for line in listed.splitlines():
        found = LISTED.fullmatch(line)
        if found:
            path = found["path"].partition(" -> ")[0] if found["kind"] == "l" else found["path"]
            numbers = int(found["mode"], 8), int(found["uid"]), int(found["gid"])
            entries[path] = Entry(found["kind"], *numbers, found["checksum"])
    return entries


def find_layer_faults(
    repo: Path, folder: Path, entries: t.Mapping[str, Entry], damaged: t.Container[str]
) -> list[Fault]:
    """Return what of a checked-out version is not as it was signed; ``damaged`` as ``audit`` found it.

    A file is the repository's own, by a hard link; ``audit`` has read its content.
    """
    faults = [(path, "was changed") for path, entry in entries.items() if entry.checksum in damaged]
    known = {path for path, _fault in faults}
    seen = {"/"}
    for path in _walk(folder, "/", entries):
        seen.add(path)
        if path not in entries:
            faults.append((path, "was added"))
        elif path not in known and not _is_as_listed(repo, folder / path.lstrip("/"), entries[path]):
            faults.append((path, "was replaced, or its mode or owner was changed"))
    missing = (path for path in entries.keys() - seen - known if os.path.dirname(path) in seen)  # noqa: PTH120  text
    return sorted([*faults, *((path, "was removed") for path in missing)])


def _walk(folder: Path, below: str, entries: t.Mapping[str, Entry]) -> t.Iterator[str]:
    """Give every path below a folder; of a folder that is not listed only itself."""
    for found in os.scandir(folder):
        path = f"{below.rstrip('/')}/{found.name}"
        yield path
        if path in entries and found.is_dir(follow_symlinks=False):
            yield from _walk(folder / found.name, path, entries)


def _is_as_listed(repo: Path, place: Path, entry: Entry) -> bool:
    state = place.lstat()
    if entry.kind != "d":
        stored = (repo / "objects" / entry.checksum[:2] / f"{entry.checksum[2:]}.file").lstat()
        if os.path.samestat(state, stored):
            return True
        if state.st_size or stored.st_size or not stat.S_ISREG(state.st_mode):
            return False  # only empty files are not hard-linked
    is_kind = stat.S_ISDIR(state.st_mode) if entry.kind == "d" else entry.kind == "-"
    return is_kind and (stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid) == (entry.mode, entry.uid, entry.gid)


def find_root_faults(root: Path, mapped: t.Iterable[str]) -> list[Fault]:
    """Return what an instance's root has and the skeleton has not.

    Empty folders are no fault: the engine leaves them where something is or was ``mapped``.
    """
    owner = root.lstat()
    links = {f"/{name}": f"usr/{name}" for name in skeleton.LINKS}
    folders = {f"/{name}": FOLDER_MODES.get(name, 0o755) for name in (*skeleton.FOLDERS, "tmp")}
    points = {str(parent) for path in mapped for parent in (Path(path), *Path(path).parents)}
    faults = [(path, "was removed") for path in links.keys() | folders if not os.path.lexists(f"{root}{path}")]
    for path, found in _strangers(root, "/", {*folders, *points}):
        if not found.is_symlink() or str(Path(found).readlink()) != links.get(path):
            faults.append((path, "is there, and should not be"))
    for path, mode in folders.items():
        state = Path(f"{root}{path}").lstat() if os.path.lexists(f"{root}{path}") else None
        if state and not stat.S_ISDIR(state.st_mode):
            continue  # among the strangers
        if state and (stat.S_IMODE(state.st_mode), state.st_uid, state.st_gid) != (mode, owner.st_uid, owner.st_gid):
            faults.append((path, "has another mode or owner"))
    return sorted(faults)


def _strangers(folder: Path, below: str, known: t.Container[str]) -> t.Iterator[tuple[str, os.DirEntry[str]]]:
    """Give everything but folders; of a folder that is not ``known`` only itself, and only where it is not empty."""
    for found in os.scandir(folder):
        path = f"{below.rstrip('/')}/{found.name}"
        if not found.is_dir(follow_symlinks=False):
            yield path, found
        elif path in known:
            yield from _strangers(folder / found.name, path, known)
        elif next(_strangers(Path(found.path), path, ()), None):
            yield path, found
