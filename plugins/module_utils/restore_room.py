# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""have, for a restore: whether there is room for what comes, beside what is there of it already."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import marks, volume_files
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import DiskFull
from ansible_collections.strata.fleet.plugins.module_utils.instance import volume_name
from ansible_collections.strata.fleet.plugins.module_utils.restore_plan import RESTORED, restoring_name
from ansible_collections.strata.fleet.plugins.module_utils.restoring import volume_folder
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size

ROOM = 64 * 2**20  # left free in the pool, for what else its appliances write meanwhile

Backup = t.Mapping[str, t.Any]


class There(t.NamedTuple):
    """What a pool has. ``restored``: the backup that a volume holds, whole, by its name ('' where it is none).

    ``begun``: the backup that a run was putting in place when it was cut off, by the appliance's name.
    """

    restored: t.Mapping[str, str]
    begun: t.Mapping[str, str]


def read_there(engine: Engine, store: Path, pool: str, names: t.Collection[str]) -> There:
    """Return what there is of the appliances of these names."""
    volumes = [each for each in engine.volume_names(pool) if each.partition(".")[0] in names]
    restored = {each: engine.volume(pool, each)["config"].get(RESTORED, "") for each in volumes}
    return There(restored, {name: marks.read(store, name).get("restore", {}).get("snapshot", "") for name in names})


def bytes_to_come(name: str, backup: Backup, there: There) -> int:
    """Return how many bytes a backup brings for the appliance ``name``, without the volumes that are there, whole."""
    snapshot, volumes = backup["snapshot"], backup["record"]["volumes"]
    return sum(
        volumes[volume]["used"]
        for volume in backup["volumes"]
        if not _is_whole(volume_name(name, volume), snapshot, there, there.begun.get(name, ""))
    )


def leftovers(name: str, backup: Backup, there: There) -> list[str]:
    """Return the volumes that a run deletes first, which another that was cut off left unfinished."""
    names = [restoring_name(volume_name(name, volume)) for volume in backup["volumes"]]
    return [each for each in names if there.restored.get(each, backup["snapshot"]) != backup["snapshot"]]


def _is_whole(volume: str, snapshot: str, there: There, begun: str) -> bool:
    waiting = restoring_name(volume)
    return snapshot in (there.restored.get(waiting), there.restored.get(volume) if begun == snapshot else None)


def measure(engine: Engine, pool: str, volumes: t.Iterable[str]) -> int:
    """Return the bytes that volumes take."""
    total = 0
    for volume in volumes:
        with contextlib.suppress(OSError):  # it goes, or the driver shows no folder
            total += volume_files.measure(volume_folder(engine, pool, volume))
    return total


def free_bytes(engine: Engine, pool: str) -> int:
    """Return how many bytes are free in a pool."""
    space = engine.read(f"/storage-pools/{pool}/resources")[0]["space"]
    return int(space["total"] - space["used"])


def check_room(pool: str, free: int, needed: int, freed: t.Callable[[], int]) -> None:
    """Raise DiskFull where the pool has no room for ``needed`` bytes, even after ``freed`` ones are deleted."""
    if needed and needed + ROOM > free and needed + ROOM > free + freed():
        raise DiskFull(
            f"The pool {pool} needs {format_size(needed)} for what is restored, and {format_size(ROOM)} to spare, but "
            f"only {format_size(free)} are free: release what was moved aside (playbooks/release_aside.yml), make "
            "the pool larger, or restore to another node. Nothing was changed.",
            needed=needed,
            free=free,
        )
