# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of state volumes, below the engine's folder: what they take, and whether two are the same."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError

ENGINE = "/var/lib/incus"
BLOCK = 512  # bytes of st_blocks. Source: stat(3type)
CHUNK = 2**20
DEEPEST = 400  # folders in each other; each holds a file descriptor open
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not to wait for a writer where a pipe has taken a file's place.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
        return self._find(f"custom-snapshots/{own}/{self.snapshot}" if self.snapshot else f"custom/{own}")

    def find_snapshots(self) -> Path | None:
        """Return the folder of all snapshots of the volume; None where there is none."""
        return self._find(f"custom-snapshots/{self.project}_{self.volume}")

    def _find(self, part: str) -> Path | None:
        path = Path(f"{engine_root()}{ENGINE}/storage-pools/{self.pool}/{part}")
        return path if path.is_dir() else None


def engine_root() -> str:
    """Return the root as the engine sees it: without systemd it mounts its pools in a namespace of its own."""
    own = _namespace("self")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _command(entry) == "incusd" and _namespace(entry.name) == own:
            return f"/proc/{entry.name}/root"
    return ""


class Entry(t.NamedTuple):
    """Something in a volume: its path there, what the file system says of it, and the open folder that has it."""

    path: str
    state: os.stat_result
    folder: int
    name: str


def measure(root: Path) -> int:
    """Return the bytes that the files below ``root`` take on disk. The appliance may be running meanwhile."""
    with _reading(root):
        return sum(entry.state.st_blocks * BLOCK for entry in _walk(root))


def list_files(root: Path) -> Listing:
    """Return a listing by names, kinds, sizes, times, modes and owners. The folder itself is the engine's."""
    digest, entries, size = hashlib.sha256(), 0, 0
    with _reading(root):
        for path, found, folder, name in _walk(root):
            length = found.st_size if stat.S_ISREG(found.st_mode) else 0
            target = os.readlink(name, dir_fd=folder) if stat.S_ISLNK(found.st_mode) else ""
            facts = (found.st_mode, found.st_uid, found.st_gid, length, found.st_mtime_ns, target)
            digest.update(f"{path}\0{facts}\n".encode(errors="surrogateescape"))
            entries, size = entries + 1, size + length
    return Listing(entries, size, digest.hexdigest())


def read_files(root: Path) -> Listing:
    """Return a listing by names, kinds and content."""
    digest, entries, size = hashlib.sha256(), 0, 0
    with _reading(root):
        for path, found, folder, name in _walk(root):
            kind = stat.S_IFMT(found.st_mode)
            digest.update(f"{path}\0{kind}\0".encode(errors="surrogateescape"))
            if stat.S_ISREG(found.st_mode):
                with os.fdopen(os.open(name, FILE, dir_fd=folder), "rb", buffering=0) as file:
                    while chunk := file.read(CHUNK):
                        digest.update(chunk)
                        size += len(chunk)
            entries += 1
    return Listing(entries, size, digest.hexdigest())


@contextlib.contextmanager
def _reading(root: Path) -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ContentError(f"The volume in {root} cannot be read: {error}", path=str(root)) from error


def _walk(root: Path) -> t.Iterator[Entry]:
    """Give everything below a folder in the order of its names.

    An appliance that runs may remove what is looked at, or put a link in its place: folders are entered from the one
    that has them, and links are not followed. Raises ContentError where folders are nested too deep.
    """
    top = os.open(root, FOLDER)
    way = [(top, "", iter(sorted(os.listdir(top))))]  # noqa: PTH208 - a descriptor is no path
    try:
        while way:
            folder, path, names = way[-1]
            name = next(names, None)
            if name is None:
                os.close(way.pop()[0])
                continue
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                yield Entry(f"{path}/{name}", found, folder, name)
                if stat.S_ISDIR(found.st_mode):
                    way.append(_enter(root, f"{path}/{name}", folder, len(way)))
    finally:
        for folder, _path, _names in way:
            os.close(folder)


def _enter(root: Path, path: str, folder: int, depth: int) -> tuple[int, str, t.Iterator[str]]:
    if depth >= DEEPEST:
        raise ContentError(
            f"The volume in {root} has more than {DEEPEST} folders in each other (below {path[:100]}...): see what the "
            "appliance does there, and remove them",
            path=str(root),
        )
    try:
        inner = os.open(Path(path).name, FOLDER, dir_fd=folder)
    except NotADirectoryError as error:  # a link since then
        raise FileNotFoundError(path) from error
    return inner, path, iter(sorted(os.listdir(inner)))  # noqa: PTH208


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
