# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apply, for a drill: copies out of backups, up to the app's own health check, and away again."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import time
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import (
    apply,
    backup_marks,
    backup_moment,
    clock,
    config_layer,
    marks,
    store_needs,
)
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, EngineError, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.model import Step
from ansible_collections.strata.fleet.plugins.module_utils.restore_plan import READS, RESTORED, RESTORING, Order
from ansible_collections.strata.fleet.plugins.module_utils.restoring import Library

UP = ("start", "end_restore", "wait_healthy")
PROVEN, FAILED = "proven", "failed"

Outcome = dict[str, t.Any]
Body = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Drill:
    """One copy: what becomes of it, and the steps there. ``keep``: it stays for a look."""

    order: Order
    steps: t.Sequence[Step]
    keep: bool


class Means(t.NamedTuple):
    """What drills work with: the node, the repositories, and the turn that they take with other runs on the node."""

    node: apply.Node
    library: Library
    turn: backup_moment.Node


def run_all(drills: t.Sequence[Drill], means: Means, parallel: int) -> list[Outcome]:
    """Return what became of each, up to ``parallel`` at once. Every copy is removed, whatever happened."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=parallel) as pool:
        return list(pool.map(lambda drill: run_one(drill, means), drills))


def run_one(drill: Drill, means: Means) -> Outcome:
    """Return what became of one drill, and remember it."""
    node = means.node
    begun, reason = time.monotonic(), ""
    try:
        store_needs.require(node.store, drill.order.appliance, drill.order.item.composition)
        go(drill.steps, means)
    except (StrataError, OSError) as error:
        reason = str(error)
    seconds = round(time.monotonic() - begun, 1)
    outcome = describe(drill.order, seconds, reason)
    if not drill.keep:
        try:
            remove_copy(node, drill.order.appliance)
        except StrataError as error:
            left = f"The copy {drill.order.appliance} could not be removed: {error.message}"
            outcome |= {"outcome": FAILED, "reason": f"{reason} {left}".strip()}
    note(node, outcome)
    return outcome


def go(steps: t.Sequence[Step], means: Means) -> None:
    """Do the steps. Other runs are kept off only while the copy is made: one could take its config for a leftover."""
    reads = [step for step in steps if step.action in READS]
    up = [step for step in steps if step.action in UP]
    for step in reads:
        means.library.do(means.node, step)
    with backup_moment.alone(means.turn):
        for step in steps:
            if step not in reads and step not in up:
                means.library.do(means.node, step)
    for step in up:
        means.library.do(means.node, step)


def describe(order: Order, seconds: float, reason: str) -> Outcome:
    """Return what became of a drill, as modules and reports have it."""
    return {
        "appliance": order.record.appliance,
        "copy": order.appliance,
        "repository": order.repository,
        "snapshot": order.snapshot,
        "made": order.record.made,
        "outcome": FAILED if reason else PROVEN,
        "seconds": seconds,
        "bytes": sum(order.record.volumes[volume].used for volume in order.volumes),
        "reason": reason,
    }


def fault(appliance: str, reason: str) -> Outcome:
    """Return the outcome of a drill that could not even begin."""
    empty = dict.fromkeys(("copy", "repository", "snapshot", "made"), "")
    return {"appliance": appliance, **empty, "outcome": FAILED, "seconds": 0.0, "bytes": 0, "reason": reason}


def note(node: apply.Node, outcome: Outcome) -> None:
    """Have the node remember a drill: a backup counts as good only after one."""
    proof = backup_marks.Proof(
        outcome["snapshot"], clock.now(), outcome["seconds"], outcome["bytes"], outcome["reason"]
    )
    backup_marks.note_drill(node.store, outcome["appliance"], proof)


def find_leftovers(node: apply.Node, names: t.Collection[str], network: str) -> list[str]:
    """Return the copies of these names of which anything is there: those of a run that was killed, or were kept.

    Raises BadInput for what has such a name and is no copy: nobody asked to have it removed.
    """
    bodies = {body["name"]: body for body in node.engine.instances() if body["name"] in names}
    volumes = [each for each in node.engine.volume_names(node.pool) if each.partition(".")[0] in names]
    restored = {each: node.engine.volume(node.pool, each)["config"].get(RESTORED, "") for each in volumes}
    strangers = find_strangers(bodies, restored, network)
    if strangers:
        raise BadInput("\n".join(strangers))
    return [name for name in names if name in bodies or any(each.startswith(f"{name}.") for each in volumes)]


def find_strangers(bodies: t.Mapping[str, Body], restored: t.Mapping[str, str], network: str) -> list[str]:
    """Return a sentence for everything that has a copy's name and is none. Pure.

    All cards of a copy are on the ``network`` of copies. Without an instance, its volumes are those that came out of a
    backup (``restored``, '' for one that did not) or were about to.
    """
    strangers = []
    for name, body in bodies.items():
        cards = [device["network"] for device in body["devices"].values() if device["type"] == "nic"]
        if not cards or set(cards) != {network}:
            strangers.append(
                f"Instance {name} has the name under which a backup is tried out, and is no copy: rename it."
            )
    for volume, backup in restored.items():
        if volume.partition(".")[0] not in bodies and not backup and not volume.endswith(RESTORING):
            strangers.append(
                f"Volume {volume} has the name that a copy's would have, and did not come out of a backup. See whose "
                "state it is; a drill does not delete it."
            )
    return strangers


def remove_copy(node: apply.Node, name: str) -> None:
    """Remove a copy with everything that belongs to it. What is gone already is fine."""
    if node.engine.find(f"/instances/{name}"):
        _stop(node, name)
        node.engine.delete(f"/instances/{name}")
    marks.remove(node.store, name)
    for volume in node.engine.volume_names(node.pool):
        if volume.startswith(f"{name}."):
            node.engine.delete(f"/storage-pools/{node.pool}/volumes/custom/{volume}")
    # Its config layer holds the site's secrets.
    layers = config_layer.list_layers(node.store).get(name, set())
    if layers:
        config_layer.remove(node.store, name, layers)


def _stop(node: apply.Node, name: str) -> None:
    """Stop a copy without asking: nobody needs what it would still write."""
    with contextlib.suppress(EngineError):
        node.engine.kill(name)
