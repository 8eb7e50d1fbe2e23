# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of state volumes, below the engine's folder: what they take, and whether two are the same."""

from __future__ import annotations

import hashlib
import os
import stat
import typing as t
from pathlib import Path

ENGINE = "/var/lib/incus"
BLOCK = 512  # bytes of st_blocks. Source: stat(3type)
CHUNK = 2**20


class Listing(t.NamedTuple):
    """How many files there are, how many bytes these are long, and a digest."""

    entries: int
    bytes: int
    digest: str


class Place(t.NamedTuple):
    """Where the engine keeps a volume, or a snapshot of it."""

    pool: str
    project: str
    volume: str
    snapshot: str = ""

    def find(self) -> Path | None:
        """Return its folder; None where the pool's driver has it mounted only while it is used."""
        own = f"{self.project}_{self.volume}"
        part = f"custom-snapshots/{own}/{self.snapshot}" if self.snapshot else f"custom/{own}"
        path = Path(f"{engine_root()}{ENGINE}/storage-pools/{self.pool}/{part}")
        return path if path.is_dir() else None


def engine_root() -> str:
    """Return the root as the engine sees it: without systemd it mounts its pools in a namespace of its own."""
    own = _namespace("self")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _command(entry) == "incusd" and _namespace(entry.name) == own:
            return f"/proc/{entry.name}/root"
    return ""


def measure(root: Path) -> int:
    """Return the bytes that the files below ``root`` take on disk."""
    return sum(found.st_blocks * BLOCK for _path, found in _walk(str(root)))


def list_files(root: Path) -> Listing:
    """Return a listing by names, kinds, sizes, times, modes and owners. The folder itself is the engine's."""
    digest, entries, size = hashlib.sha256(), 0, 0
    for path, found in _walk(str(root)):
        is_file = stat.S_ISREG(found.st_mode)
        length = found.st_size if is_file else 0
        target = Path(path).readlink() if stat.S_ISLNK(found.st_mode) else ""
        facts = (found.st_mode, found.st_uid, found.st_gid, length, found.st_mtime_ns, target)
        digest.update(f"{path[len(str(root)) :]}\0{facts}\n".encode(errors="surrogateescape"))
        entries, size = entries + 1, size + length
    return Listing(entries, size, digest.hexdigest())


def read_files(root: Path) -> Listing:
    """Return a listing by names, kinds and content."""
    digest, entries, size = hashlib.sha256(), 0, 0
    for path, found in _walk(str(root)):
        kind = stat.S_IFMT(found.st_mode)
        digest.update(f"{path[len(str(root)) :]}\0{kind}\0".encode(errors="surrogateescape"))
        if stat.S_ISREG(found.st_mode):
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - names need not be text
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
        entries += 1
    return Listing(entries, size, digest.hexdigest())


def _walk(root: str) -> t.Iterator[tuple[str, os.stat_result]]:
    """Give everything below a folder in the order of its names; links, which an appliance made, are not followed."""
    with os.scandir(root) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    for entry in entries:
        found = entry.stat(follow_symlinks=False)
        yield entry.path, found
        if stat.S_ISDIR(found.st_mode):
            yield from _walk(entry.path)


def _namespace(pid: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


def _command(entry: Path) -> str:
    try:
        return (entry / "comm").read_text().strip()
    except OSError:
        return ""
