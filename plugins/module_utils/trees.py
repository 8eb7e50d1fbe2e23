# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing checkouts of one version with each other."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def find_difference(layer: Path, fresh: Path) -> Path | None:
    """Return the first path at which a layer is not what a fresh checkout of the same version is, None where it is."""
    wanted, found = ({entry.name: entry for entry in os.scandir(folder)} for folder in (fresh, layer))
    for name in sorted(wanted.keys() | found.keys()):
        place = layer / name
        if name not in wanted or name not in found:
            return place
        one, other = (entry.stat(follow_symlinks=False) for entry in (wanted[name], found[name]))
        if not is_same(one, other):
            return place
        deeper = find_difference(place, fresh / name) if stat.S_ISDIR(one.st_mode) else None
        if deeper:
            return deeper
    return None


def is_same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether these are one file (a hard link to the repository's), or folders or empty files that look alike."""
    if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino):
        return True
    kinds = {stat.S_IFMT(one.st_mode), stat.S_IFMT(other.st_mode)}
    if kinds != {stat.S_IFDIR} and (kinds != {stat.S_IFREG} or one.st_size or other.st_size):
        return False
    return (one.st_mode, one.st_uid, one.st_gid) == (other.st_mode, other.st_uid, other.st_gid)
