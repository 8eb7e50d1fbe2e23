# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what is mapped of a version is what was signed, as far as that can be told without reading it all again.

Every file must be the store's own by a hard link, with the mode and owner that were signed, and none may be missing or
too many. OSTree gives a file the time 0, so whoever writes to one leaves a mark. One who also sets the time back is
found by reading everything (``content.audit``).
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import content
from ansible_collections.strata.fleet.plugins.module_utils.content import Entry, Fault

KINDS = {"-": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK}
FORMAT = 1
SUFFIX = "entries"


def read_entries(store: Path, commit: str, *, write: bool) -> dict[str, Entry]:
    """Return what a version consists of, by path. That follows from its digest, so it is kept where ``write`` says so.

    Raises CommandError where the version cannot be read.
    """
    file = store / "facts" / f"{FORMAT}-{commit}.{SUFFIX}"
    with contextlib.suppress(OSError, ValueError, TypeError):
        return {path: Entry(*fields) for path, fields in json.loads(file.read_text(encoding="utf-8")).items()}
    entries = content.list_entries(store / "repo", commit)
    if write and entries:
        _write(file, entries)
        _forget(store)
    return entries


def _write(file: Path, entries: t.Mapping[str, Entry]) -> None:
    """Write it whole or not at all. That it could not be kept is no reason to tell less."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = file.with_name(f"{file.name}.{os.getpid()}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            json.dump(entries, opened, separators=(",", ":"))
            opened.flush()
            os.fsync(opened.fileno())
        temporary.rename(file)


def _forget(store: Path) -> None:
    for file in (store / "facts").glob(f"*.{SUFFIX}"):
        number, _dash, commit = file.stem.partition("-")
        if number != str(FORMAT) or not (store / "layers" / commit).is_dir():
            file.unlink(missing_ok=True)


def find_faults(repo: Path, folder: Path, entries: t.Mapping[str, Entry]) -> list[Fault]:
    """Return what of a checked-out version shows that it is not as it was signed, a path and a sentence's end each."""
    faults: list[Fault] = []
    seen = {"/"}
    for path, found in _walk(str(folder), "", entries):
        seen.add(path)
        entry = entries.get(path)
        if entry is None:
            faults.append((path, "was added"))
        elif what := _fault_of(str(repo), found.stat(follow_symlinks=False), entry):
            faults.append((path, what))
    missing = (path for path in entries.keys() - seen if (path.rpartition("/")[0] or "/") in seen)
    return sorted([*faults, *((path, "was removed") for path in missing)])


def _walk(folder: str, below: str, entries: t.Mapping[str, Entry]) -> t.Iterator[tuple[str, os.DirEntry[str]]]:
    """Give every path below a folder; of a folder that is not listed only itself."""
    with os.scandir(folder) as listed:
        for found in listed:
            path = f"{below}/{found.name}"
            yield path, found
            if path in entries and found.is_dir(follow_symlinks=False):
                yield from _walk(found.path, path, entries)


def _fault_of(repo: str, state: os.stat_result, entry: Entry) -> str:
    if stat.S_IFMT(state.st_mode) != KINDS.get(entry.kind):
        return "was replaced"
    if (state.st_uid, state.st_gid) != (entry.uid, entry.gid):
        return "has another owner"
    if entry.kind != "l" and stat.S_IMODE(state.st_mode) != entry.mode:
        return "has another mode"
    # Of an empty file there is nothing to link.
    if entry.kind == "d" or (entry.kind == "-" and not state.st_size and state.st_nlink == 1):
        return ""
    file = f"{repo}/objects/{entry.checksum[:2]}/{entry.checksum[2:]}.file"
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(state, os.lstat(file)):
            return "was written to" if entry.kind == "-" and state.st_mtime_ns else ""
    return "was replaced, or the store does not have it any more"
