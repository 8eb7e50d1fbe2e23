# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apply, for a patch or a rollback: each appliance to its new composition, or back to the one that it came from."""

from __future__ import annotations

import concurrent.futures
import contextlib
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

PATCHED, REVERTED, ROLLED_BACK, FAILED = "patched", "reverted", "rolled_back", "failed"
MOST_AT_ONCE = 200  # appliances that settle at the same time

Outcome = dict[str, t.Any]


class Slots(t.NamedTuple):
    """How many appliances of a node stop and start at once. One that only settles leaves its slot to another."""

    busy: threading.Semaphore

    @contextlib.contextmanager
    def left(self) -> t.Iterator[None]:
        """Let another go on for a while."""
        self.busy.release()
        try:
            yield
        finally:
            self.busy.acquire()


def run_swaps(swaps: t.Sequence[Swap], node: Node, parallel: int) -> dict[str, Outcome]:
    """Carry the swaps out, up to ``parallel`` at once, and return what became of each, by appliance.

    An outcome has the keys appliance, purpose, outcome (patched, reverted, rolled_back, failed), from, to, started,
    ended (ISO 8601, UTC), interruption (seconds, None where it could not be measured), reason, state (kept, restored)
    and snapshot.
    """
    slots = Slots(threading.Semaphore(parallel))
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(len(swaps), MOST_AT_ONCE) or 1) as pool:
        outcomes = pool.map(functools.partial(_run_swap, node, slots), swaps)
        return {outcome["appliance"]: outcome for outcome in outcomes}


def _run_swap(node: Node, slots: Slots, swap: Swap) -> Outcome:
    with slots.busy:
        started = swap.started or clock.now()
        watch = Watch(swap.item, _address(node, swap)) if swap.watched else None
        if watch:
            watch.start()
        done: list[str] = []
        word, reason = _go(node, slots, swap, done)
        outcome = {
            "appliance": swap.appliance,
            "purpose": swap.purpose,
            "outcome": word,
            "from": swap.came_from.to_data(),
            "to": _goal(node, swap).to_data(),
            "started": started,
            "ended": clock.now(),
            "interruption": watch.stop() if watch else None,
            "reason": reason,
            "state": "restored" if "restore_volume" in done else "kept",
            "snapshot": swap.snapshot,
        }
        history.append(node.store, swap.appliance, outcome)
        if word != FAILED:
            marks.update(node.store, swap.appliance, swap=None)
        return outcome


def _go(node: Node, slots: Slots, swap: Swap, done: list[str]) -> tuple[str, str]:
    """Return how the swap ended, and why it did not as it should; ``done`` takes the actions that were."""
    for step in swap.forward:
        try:
            _carry_out(node, slots, step)
        except Unreachable as error:
            return FAILED, error.message  # the node's fault, and nothing else can be done on it now
        except StrataError as error:
            if isinstance(error, Unhealthy) or step.action == "start":
                _remember_as_bad(node, swap.appliance, swap.item.composition, error.message)
            return _go_back(node, slots, swap, done, error.message)
        done.append(step.action)
    if swap.undoes:
        return ROLLED_BACK, "a run that was cut off had begun this, and now the version is not to be tried any more"
    if swap.purpose != ROLLBACK:
        _forget_as_bad(node, swap.appliance, swap.item.composition)
        return PATCHED, ""
    if swap.came_from[:2] != swap.item.composition[:2]:
        _remember_as_bad(node, swap.appliance, swap.came_from, "rolled back on request")
    return REVERTED, ""


def _go_back(node: Node, slots: Slots, swap: Swap, done: list[str], reason: str) -> tuple[str, str]:
    if not swap.back:
        return FAILED, reason
    for step in swap.back:
        try:
            _carry_out(node, slots, step)
        except StrataError as error:
            return FAILED, f"{reason}\nGoing back failed as well: {error.message}"
        done.append(step.action)
    return ROLLED_BACK, reason


def _carry_out(node: Node, slots: Slots, step: Step) -> None:
    if step.action == "settle":
        with slots.left():
            carry_out(node, step)
    else:
        carry_out(node, step)


def _goal(node: Node, swap: Swap) -> Composition:
    """Return where the swap was to lead: for one that only undoes another, where that one was to lead."""
    mark = marks.read(node.store, swap.appliance).get("swap")
    return Composition.from_data(mark["to"]) if mark and swap.undoes else swap.item.composition


def _remember_as_bad(node: Node, appliance: str, composition: Composition, reason: str) -> None:
    base, app, _config = composition
    found = {
        "base": base.commit,
        "app": app.commit,
        "base_version": f"{base.name} {base.version}",
        "app_version": f"{app.name} {app.version}",
        "reason": reason,
        "at": clock.now(),
    }
    marks.update(node.store, appliance, bad=[*_bad_others(node, appliance, composition), found])


def _forget_as_bad(node: Node, appliance: str, composition: Composition) -> None:
    marks.update(node.store, appliance, bad=_bad_others(node, appliance, composition) or None)


def _bad_others(node: Node, appliance: str, composition: Composition) -> list[dict[str, t.Any]]:
    known = marks.read(node.store, appliance).get("bad", [])
    return [each for each in known if (each["base"], each["app"]) != (composition.base.commit, composition.app.commit)]


def _address(node: Node, swap: Swap) -> str:
    if swap.item.nics and swap.item.nics[0].address:
        return swap.item.nics[0].address
    try:
        return health.find_address(node.engine, swap.appliance)
    except EngineError:
        return ""
