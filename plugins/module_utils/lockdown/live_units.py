# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""have: the units that only a running appliance has, in memory. Whoever is root in it can make some.

Source of the folders: systemd.unit(5), "Unit file load path", and systemd.generator(7).
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t
from pathlib import Path

FOLDERS = ("system", "system.control", "system.attached", "transient")
GENERATED = ("generator.early", "generator", "generator.late")
GENERATORS = ("usr/lib/systemd/system-generators", "sysext/usr/lib/systemd/system-generators")
UNITS = ("usr/lib/systemd/system", "sysext/usr/lib/systemd/system")
# Folders in which a link has a unit started, and nothing stands that says what it does.
LINKS = re.compile(r"[^/]+\.(wants|requires|upholds)/[^/]+")
MOST = 200
# What is inside may be a link into the node's own files, and reading marks the time of access.
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME


class Declared(t.NamedTuple):
    """What the layers bring: the text of their generators (programs, some compiled), and the names of their units."""

    generators: bytes
    units: frozenset[str]


def read_declared(layers: t.Iterable[Path]) -> Declared:
    """Return what base and app bring; ``layers`` are their folders on the node."""
    programs: list[bytes] = []
    units: set[str] = set()
    for layer in layers:
        for folder in GENERATORS:
            # A link may lead out of the layer.
            files = sorted((layer / folder).glob("*"))
            programs += [file.read_bytes() for file in files if file.is_file() and not file.is_symlink()]
        units |= {file.name for folder in UNITS for file in (layer / folder).glob("*")}
    return Declared(b"\0".join(programs), frozenset(units))


def is_generated(path: str, declared: Declared) -> bool:
    """Whether a generator makes this: one has the name, and it takes the place of no unit of a layer. Pure.

    ``path`` is below the folder for what is generated. Of a template's instance the generator has the beginning.
    """
    name = path.rpartition("/")[2]
    known = f"{name.partition('@')[0]}@" if "@" in name else name
    if known.encode() not in declared.generators:
        return False
    return bool(LINKS.fullmatch(path)) or ("/" not in path and name not in declared.units)


def read_units(root: str, declared: Declared) -> list[str]:
    """Return the paths of units that nobody declared, as the appliance has them. Its own links are not followed.

    ``root`` is its root as the node sees it. Raises OSError where /run/systemd is not there, or is no folder.
    """
    systemd = _open(root, "run", "systemd")
    try:
        found = [f"/run/systemd/{name}/{path}" for name in FOLDERS for path in _list(systemd, name)]
        for name in GENERATED:
            made = (path for path in _list(systemd, name) if not is_generated(path, declared))
            found += [f"/run/systemd/{name}/{path}" for path in made]
    finally:
        os.close(systemd)
    return sorted(each.rstrip("/") for each in found)


def _open(root: str, *names: str) -> int:
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY)
    for name in names:
        above, folder = folder, -1
        try:
            folder = os.open(name, FOLDER, dir_fd=above)
        finally:
            os.close(above)
    return folder


def _list(parent: int, name: str, depth: int = 2) -> t.Iterator[str]:
    """Give the paths of files below a folder; '' where it is no folder, nothing where there is none."""
    with contextlib.suppress(FileNotFoundError):
        try:
            folder = os.open(name, FOLDER, dir_fd=parent)
        except NotADirectoryError:
            yield ""
            return
        try:
            for number, entry in enumerate(os.scandir(folder)):
                if number == MOST:
                    return
                if depth > 1 and entry.is_dir(follow_symlinks=False):
                    yield from (f"{entry.name}/{below}" for below in _list(folder, entry.name, depth - 1))
                else:
                    yield entry.name
        finally:
            os.close(folder)
