# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""have, for a migration: the two sides of one appliance, and what nodes say before anything is decided."""

from __future__ import annotations

import platform
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import (
    backup_marks,
    have,
    history,
    instance,
    marks,
    migrate,
    migration,
    status,
    volume_files,
)
from ansible_collections.strata.fleet.plugins.module_utils.apply import Node
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import quarantine
from ansible_collections.strata.fleet.plugins.module_utils.migrate_plan import COPIES, Body, Side, volumes_of
from ansible_collections.strata.fleet.plugins.module_utils.steps import identity

MEMORY = Path("/proc/meminfo")

Data = dict[str, t.Any]
Manifest = t.Mapping[str, t.Any]


def read_side(node: Node, name: str, other: str, *, runs: bool) -> Side:
    """Return what is on this node of an appliance that comes from, or goes to, node ``other``.

    Without an instance, all volumes that begin with its name are its own.
    """
    bodies = have.read_bodies(node.engine)
    body = next((each for each in bodies if each["name"] == name), None)
    present = node.engine.volume_names(node.pool)
    own = volumes_of(body) if body else [each for each in present if each.startswith(f"{name}.")]
    snapshots = have.read_snapshots(node.engine, node.pool, [each for each in own if each in present])
    others = [each for each in bodies if each["name"] != name]
    driver, underway = node.engine.pool_driver(node.pool), find_underway(marks.read(node.store, name))
    return Side(name, other, body, snapshots, others, driver, runs, underway)


def find_underway(known: marks.Marks) -> str:
    """Return what an appliance's marks tell of a change that has not ended, '' for none."""
    if known.get("swap"):
        return "a patch or rollback of it has not ended"
    return "a restore of it has not ended" if known.get("restore") else ""


def build_check(body: Body, manifest: Manifest, wanted: t.Mapping[str, t.Any]) -> Data:
    """Return how an instance is seen to be healthy, as the action wait_healthy takes it.

    ``wanted`` has the inventory's ``health`` ({} for the app's own) and ``health_timeout``.
    """
    composition = instance.composition_of(body["config"])
    return {
        "health": wanted["health"] or manifest["health"],
        "timeout": wanted["health_timeout"],
        "mark": identity(composition) if composition else "",
        "address": body["devices"].get("eth0", {}).get("ipv4.address", ""),
        "services": manifest["services"],
    }


def read_node(node: Node) -> Data:
    """Return what decides whether this node can take an appliance."""
    server = node.engine.server()
    space = node.engine.read(f"/storage-pools/{node.pool}/resources")[0]["space"]
    return {
        "architecture": platform.machine(),
        "clustered": bool(server["environment"].get("server_clustered")),
        "driver": node.engine.pool_driver(node.pool),
        "pool_free": int(space["total"]) - int(space["used"]),
        "memory_available": _available_memory(),
    }


def read_appliances(node: Node, names: t.Collection[str]) -> list[Data]:
    """Return what is known here of these appliances; of all where none is named."""
    have.read_bodies(node.engine)  # refuses an engine that was not made ready
    bodies = [body for body in node.engine.instances(with_state=True) if not names or body["name"] in names]
    memory = status.measure_memory(body["state"]["pid"] for body in bodies if body.get("state"))
    present = node.engine.volume_names(node.pool)
    driver = node.engine.pool_driver(node.pool)
    return [
        _describe(node, body, memory, driver, [volume for volume in volumes_of(body) if volume in present])
        for body in sorted(bodies, key=lambda body: str(body["name"]))
    ]


def _describe(node: Node, body: Body, memory: t.Mapping[int, int], driver: str, own: t.Sequence[str]) -> Data:
    name, config = body["name"], body["config"]
    composition = instance.composition_of(config)
    mark, cut = migration.read(config), quarantine.read(config)
    known = marks.read(node.store, name)
    pid = (body.get("state") or {}).get("pid", 0)
    limit = config.get("limits.memory", "0")
    return {
        "name": name,
        "type": body.get("type", "container"),
        "state": body["status"].lower(),
        "base": composition.base._asdict() if composition else None,
        "app": composition.app._asdict() if composition else None,
        "migration": {"role": mark.role, "node": mark.node, "when": mark.when, "reason": mark.reason} if mark else None,
        "quarantine": str(cut) if cut else "",
        "swap": bool(known.get("swap")),
        "restore": known.get("restore"),
        "volumes": {volume: _measure(node, volume) for volume in own},
        "snapshots": {volume: _measure_snapshots(node, volume) for volume in own if driver == COPIES},
        "leftovers": [] if mark else _own_snapshots(node, own),
        "memory": int(limit) if limit.isdigit() and int(limit) else memory.get(pid, 0),
        "hardware": {device: mac for device in body["devices"] if (mac := config.get(f"volatile.{device}.hwaddr"))},
        "previous": config.get(instance.PREVIOUS, ""),
        "bad": known.get("bad", []),
        "history": history.read(node.store, name),
        # What is frozen for a backup is let go by the stop.
        "backups": {key: mark for key, mark in backup_marks.read(node.store, name).items() if key != "frozen"},
    }


def _own_snapshots(node: Node, volumes: t.Iterable[str]) -> list[str]:
    """Return the snapshots that a migration left, as volume/snapshot."""
    return [
        f"{volume}/{each}"
        for volume in volumes
        for each in node.engine.snapshot_names(node.pool, volume)
        if migration.is_own_snapshot(each)
    ]


def _measure(node: Node, volume: str, snapshot: str = "") -> int:
    root = volume_files.Place(node.pool, node.engine.project, volume, snapshot).find()
    return volume_files.measure(root) if root else 0


def _measure_snapshots(node: Node, volume: str) -> int:
    return sum(_measure(node, volume, each) for each in node.engine.snapshot_names(node.pool, volume))


def _available_memory() -> int:
    """Return the bytes that programs can get without swapping. Source: proc_meminfo(5)."""
    lines = (line.split() for line in MEMORY.read_text().splitlines())
    return next((int(line[1]) * 1024 for line in lines if line[0] == "MemAvailable:"), 0)


def listens(node: Node) -> bool:
    """Whether the engine listens for a migration."""
    return bool(migrate.find_listener(node.store))
