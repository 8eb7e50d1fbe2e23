# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apply, for a patch or a rollback: each appliance to its new composition, or back to the one that it came from."""

from __future__ import annotations

import concurrent.futures
import functools
import threading
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import clock, health, history, marks
from ansible_collections.strata.fleet.plugins.module_utils.apply import Node, carry_out
from ansible_collections.strata.fleet.plugins.module_utils.errors import (
    EngineError,
    StrataError,
    Unhealthy,
    Unreachable,
)
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition, Step, Swap
from ansible_collections.strata.fleet.plugins.module_utils.swap_plan import ROLLBACK
from ansible_collections.strata.fleet.plugins.module_utils.watch import Watch

PATCHED, REVERTED, ROLLED_BACK, FAILED, SKIPPED = "patched", "reverted", "rolled_back", "failed", "skipped"
MOST_AT_ONCE = 200  # appliances that settle at the same time
PATIENCE = 60  # seconds for an engine that went away to be back
ON_STATE = ("snapshot_volume", "restore_volume")

Outcome = dict[str, t.Any]


class Shared:
    """What the swaps of one call share: slots for those that stop and start, and the goals that failed in it."""

    def __init__(self, parallel: int) -> None:
        self.slots = threading.Semaphore(parallel)
        self.failed: dict[tuple[str, str], str] = {}


class Run:
    """One swap under way: the actions that were ``done``, and whether it still holds a slot."""

    def __init__(self, node: Node, shared: Shared, swap: Swap) -> None:
        self.node = node
        self.shared = shared
        self.swap = swap
        self.done: list[Step] = []
        self._has_slot = True

    def leave_slot(self) -> None:
        """Let another appliance begin: this one only has to stay healthy, or to get back as soon as it can."""
        if self._has_slot:
            self._has_slot = False
            self.shared.slots.release()

    def did(self, *actions: str) -> bool:
        """Whether one of these was done."""
        return any(step.action in actions for step in self.done)

    def carry_out(self, step: Step) -> None:
        """Do a step. Raises StrataError, whatever went wrong: the appliance has to get back in any case."""
        if step.action == "settle":
            self.leave_slot()
        try:
            carry_out(self.node, step)
        except OSError as error:
            raise StrataError(f"Appliance {step.appliance}: could not {step.sentence}: {error}") from error
        self.done.append(step)

    def go(self) -> tuple[str, str]:
        """Return how it ended, and why not as it should."""
        for step in self.swap.forward:
            try:
                self.carry_out(step)
            except StrataError as error:
                return self.go_back(step, error)
        if self.swap.undoes:
            return ROLLED_BACK, "a run that was cut off had begun this, and now the version is not to be tried any more"
        if self.swap.purpose != ROLLBACK:
            return PATCHED, ""
        if self.swap.leaves:
            remember_as_bad(self.node, self.swap, self.swap.leaves, "rolled back on request")
        return REVERTED, ""

    def go_back(self, failed: Step, error: StrataError) -> tuple[str, str]:
        """Return what became of the way back, which begins where the way there ended."""
        self.leave_slot()
        reason = error.message
        is_at_fault = self.swap.came_from[:2] != self.swap.item.composition[:2]
        if isinstance(error, Unhealthy) and is_at_fault:
            self.fail_goal(reason)
        if isinstance(error, Unreachable) and not engine_is_back(self.node):
            return FAILED, reason
        if not self.swap.touched and not self.did("begin_swap"):
            return ROLLED_BACK, reason  # nothing was touched
        if not self.swap.back:
            return FAILED, reason
        touched_state = self.swap.touched or self.did("start", "restore_volume")
        for step in self.swap.back:
            try:
                if touched_state or step.action not in ON_STATE:
                    self.carry_out(step)
            except StrataError as another:
                return FAILED, f"{reason}\nGoing back failed as well: {another.message}"
        if failed.action == "start" and is_at_fault:
            self.fail_goal(reason)  # only now that another version was seen to start here
        return ROLLED_BACK, reason

    def fail_goal(self, reason: str) -> None:
        """Remember that the version is to blame, for other appliances of this call and for later ones."""
        self.shared.failed[self.swap.item.composition.commits] = self.swap.appliance
        remember_as_bad(self.node, self.swap, self.swap.item.composition, reason)


def run_swaps(swaps: t.Sequence[Swap], node: Node, parallel: int) -> dict[str, Outcome]:
    """Carry the swaps out, up to ``parallel`` at once, and return what became of each, by appliance.

    An outcome has the keys appliance, purpose, outcome (patched, reverted, rolled_back, failed, skipped), from, to,
    started, ended (ISO 8601, UTC), interruption (seconds, None where it could not be measured), reason, state (kept,
    restored), restored (the snapshot that was brought back) and snapshot. One is skipped when its goal has just failed.
    """
    shared = Shared(parallel)
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(len(swaps), MOST_AT_ONCE) or 1) as pool:
        outcomes = pool.map(functools.partial(_run_swap, node, shared), swaps)
        return {outcome["appliance"]: outcome for outcome in outcomes}


def _run_swap(node: Node, shared: Shared, swap: Swap) -> Outcome:
    shared.slots.acquire()
    run = Run(node, shared, swap)
    try:
        goal = swap.item.composition.commits
        if goal in shared.failed and not swap.touched:
            reason = f"the same base and app have just failed on {shared.failed[goal]}"
            return _describe(swap, (SKIPPED, reason), clock.now(), None)
        return _watch(run)
    finally:
        run.leave_slot()


def _watch(run: Run) -> Outcome:
    """Return what became of a swap, with how long it interrupted, and have it in the appliance's history."""
    node, swap = run.node, run.swap
    started = swap.started or clock.now()
    watch = Watch(swap.item, _address(node, swap)) if swap.watched else None
    if watch:
        watch.start()
    verdict = run.go()
    outcome = _describe(swap, verdict, started, watch.stop() if watch else None)
    outcome["restored"] = next((step.args["snapshot"] for step in run.done if step.action == "restore_volume"), "")
    outcome["state"] = "restored" if outcome["restored"] else "kept"
    try:
        history.append(node.store, swap.appliance, outcome)
        if outcome["outcome"] != FAILED:
            marks.update(node.store, swap.appliance, swap=None)
    except OSError as error:
        return {**outcome, "outcome": FAILED, "reason": f"{outcome['reason']}\nIt could not be written down: {error}"}
    return outcome


def _describe(swap: Swap, verdict: tuple[str, str], started: str, interruption: float | None) -> Outcome:
    return {
        "appliance": swap.appliance,
        "purpose": swap.purpose,
        "outcome": verdict[0],
        "from": swap.came_from.to_data(),
        "to": swap.goal.to_data(),
        "started": started,
        "ended": clock.now(),
        "interruption": interruption,
        "reason": verdict[1],
        "state": "kept",
        "restored": "",
        "snapshot": swap.snapshot,
    }


def engine_is_back(node: Node) -> bool:
    """Wait for an engine that did not answer."""
    return node.engine.is_back_within(PATIENCE)


def remember_as_bad(node: Node, swap: Swap, composition: Composition, reason: str) -> None:
    """Write down that a combination is not to be tried; of what a rollback left, neither the base nor the app alone."""
    pairs = [(composition.base, composition.app)]
    if swap.leaves:
        _base, app, _config = home = swap.item.composition
        pairs += [(composition.base, app), (home.base, composition.app)]
        pairs = [pair for pair in dict.fromkeys(pairs) if pair != home[:2]]
    found = [
        {
            "base": base.commit,
            "app": app.commit,
            "base_version": f"{base.name} {base.version}",
            "app_version": f"{app.name} {app.version}",
            "reason": reason.partition("\n")[0],
            "at": clock.now(),
        }
        for base, app in pairs
    ]
    known = marks.read(node.store, swap.appliance).get("bad", [])
    new = {(each["base"], each["app"]) for each in found}
    others = [each for each in known if (each["base"], each["app"]) not in new]
    marks.update(node.store, swap.appliance, bad=[*others, *found])


def _address(node: Node, swap: Swap) -> str:
    if swap.item.nics and swap.item.nics[0].address:
        return swap.item.nics[0].address
    try:
        return health.find_address(node.engine, swap.appliance)
    except EngineError:
        return ""
