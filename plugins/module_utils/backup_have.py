# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""have, for backups: the appliances of a node with their volumes and hooks, and what a killed backup left of them."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import backup_marks, have, marks, migration
from ansible_collections.strata.fleet.plugins.module_utils.backup_plan import SNAPSHOT, Hooks, Present, StateVolume
from ansible_collections.strata.fleet.plugins.module_utils.backup_record import SavedVolume, saved_path
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError
from ansible_collections.strata.fleet.plugins.module_utils.instance import composition_of
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import quarantine
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.sizes import parse_size

STATE = "state-"

Body = t.Mapping[str, t.Any]


class Node(t.NamedTuple):
    """Where to look."""

    engine: Engine
    store: Path
    pool: str


def read(engine: Engine, store: Path, pool: str, names: t.Collection[str]) -> dict[str, Present]:
    """Return the appliances that are there, of these. Raises BadInput where the engine was not made ready."""
    bodies = {body["name"]: body for body in have.read_bodies(engine) if body["name"] in names}
    known = set(engine.volume_names(pool)) if bodies else set()
    return {name: _describe(Node(engine, store, pool), body, known) for name, body in bodies.items()}


def _describe(node: Node, body: Body, known: t.Collection[str]) -> Present:
    engine, store, pool = node
    name, composition = body["name"], composition_of(body["config"])
    if composition is None:
        return Present(body["status"], None)
    manifest = Repo(f"{store}/repo").manifest(composition.app.commit)
    hooks = manifest.get("quiesce", {})
    volumes = tuple(volumes_of(body))
    cut = quarantine.read(body["config"])
    own = marks.read(store, name)
    held = [volume.engine_name for volume in volumes if volume.engine_name in known]
    return Present(
        status=body["status"],
        composition=composition,
        state_schema=manifest.get("state_schema", ""),
        hooks=Hooks(*(tuple(tuple(argv) for argv in hooks.get(kind) or ()) for kind in Hooks._fields)),
        volumes=volumes,
        cut=str(cut) if cut else "",
        is_moving=bool(own.get("swap")),
        restore=own.get("restore"),
        move=migration.read(body["config"]),
        frozen=backup_marks.read(store, name).get("frozen"),
        leftovers=tuple(volume for volume in held if SNAPSHOT in engine.snapshot_names(pool, volume)),
    )


def volumes_of(body: Body) -> list[StateVolume]:
    """Return an instance's state volumes, in the order of their names."""
    return [
        StateVolume(device.removeprefix(STATE), keys["source"], keys["path"])
        for device, keys in sorted(body["devices"].items())
        if device.startswith(STATE)
    ]


def read_saved(engine: Engine, pool: str, volume: StateVolume) -> SavedVolume:
    """Return what a backup says of a volume."""
    config = engine.volume(pool, volume.engine_name)["config"]
    return SavedVolume(
        path=volume.path,
        size=parse_size(config.get("size") or 0),
        used=_read_used(engine, pool, volume.engine_name),
        idmap=config.get("volatile.idmap.last", ""),
        saved=saved_path(volume.name),
    )


def _read_used(engine: Engine, pool: str, volume: str) -> int:
    try:
        state = engine.read(f"/storage-pools/{pool}/volumes/custom/{volume}/state")[0]
    except StrataError:  # a pool without quotas does not know
        return 0
    return int(((state or {}).get("usage") or {}).get("used") or 0)
