# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A commit that is new to the fleet: checked, planned, held against limits and windows, and applied."""

from __future__ import annotations

import datetime as dt

from ansible_collections.strata.fleet.plugins.module_utils import clock
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError
from ansible_collections.strata.fleet.plugins.plugin_utils import gate, windows
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import decide, outcome
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.cycle import Cycle, look, look_again, say, tell_unseen
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.decide import Target
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.ledger import Data, commit_of
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.repository import SHORT, Trust
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.undo import (
    find_harm,
    finish_apply,
    go_back,
    prove,
    say_undoing,
    undo,
)


class Waits(Exception):
    """It is not the time."""


def advance(cycle: Cycle, target: Target) -> bool:
    """Apply a commit that is new to the fleet, or tell in a dry run what that would do.

    Returns whether that was the end of it; it is not where the commit is refused or has to wait.
    """
    commit, ledger = target.commit, cycle.ledger
    if target.resumed and ledger.applying and ledger.applying["undoes"]:
        if cycle.dry:
            cycle.remark(outcome.PLANNED, say_undoing(cycle, ledger.applying))
        else:
            go_back(cycle, ledger.applying)
        return True
    try:
        check(cycle, commit)
        look(cycle, commit)
        if not target.resumed:
            pass_gates(cycle, commit)
    except BadInput as error:
        cycle.remark(outcome.REFUSED, f"{commit[:SHORT]}: {error.message}")
        # What the fleet is kept as has nothing to do with what a dry run was asked.
        return cycle.dry
    except Waits as wait:
        cycle.remark(outcome.WAITING, f"{commit[:SHORT]}: {wait}")
        return cycle.dry
    if cycle.dry:
        cycle.remark(outcome.PLANNED, f"{commit[:SHORT]} {decide.say_plan(cycle.plan)}")
        tell_unseen(cycle)
        return True
    if not ledger.applying or not target.resumed:
        find_way_back(cycle)
        ledger.applying = begin_apply(cycle, commit)
        cycle.remember()
    apply(cycle, ledger.applying)
    return True


def check(cycle: Cycle, commit: str) -> None:
    """Raise BadInput where the inventory of a commit is wrong in itself. No node is asked."""
    played = cycle.play("check", commit)
    if played.code:
        raise BadInput(f"The inventory is refused:\n{played.say()}")


def pass_gates(cycle: Cycle, commit: str) -> None:
    """Raise BadInput where a commit would change too much at once, Waits outside of maintenance windows."""
    settings, rows = cycle.settings, cycle.plan["appliances"]
    rows = [*rows, *decide.find_abandoned(cycle.plan, (cycle.ledger.applied or {}).get("places", {}))]
    allowed = decide.read_allowances(cycle.repository.allowances(commit))
    exceeded = decide.weigh(rows, len(rows), {**settings.limits, **allowed})
    if exceeded:
        raise BadInput(
            f"{'; '.join(exceeded)}. If that is meant, let a signed commit say so in the last line of its message, "
            "such as 'Strata-Limit: remove=5'"
        )
    now = dt.datetime.now(dt.UTC)
    if not windows.is_open(settings.windows, now):
        begin = gate.say_time(windows.next_opening(settings.windows, now))
        raise Waits(f"no maintenance window is open; the next one begins {begin}")


def find_way_back(cycle: Cycle) -> None:
    """Where nothing is remembered, count what the branch was before as good, if it is what the fleet is, and well.

    A pipeline cannot tell: that commit may have been refused, undone or passed over. So whether somebody signed it who
    may, and how the fleet is, is looked at before the fleet is changed.
    """
    settings, ledger, before = cycle.settings, cycle.ledger, cycle.before
    if ledger.good or not before:
        return
    seen = cycle.plan, cycle.commit
    try:
        cycle.repository.verify(before, Trust(settings.allowed_signers, settings.gpg_keys))
        look(cycle, before)
        reason = decide.doubt(cycle.plan, settings.threshold)
    except (BadInput, ContentError) as error:
        reason = error.message
    cycle.plan, cycle.commit = seen
    if reason:
        say(f"There is no way back to {before[:SHORT]}: {reason}")
    else:
        ledger.good = {"commit": before, "at": clock.now()}


def begin_apply(cycle: Cycle, commit: str) -> Data:
    """Return the entry of what is about to be applied.

    As long as what was applied before is not known to be good, how the fleet was is how it was before that.
    """
    ledger, plan = cycle.ledger, cycle.plan
    is_proven = commit_of(ledger.applied) == commit_of(ledger.good)
    unproven = ledger.applying or (None if is_proven else ledger.applied) or {}
    return {
        "commit": commit,
        "at": clock.now(),
        "health": {**decide.health_of(plan), **unproven.get("health", {})},
        "versions": {**decide.versions_of(plan), **unproven.get("versions", {})},
        "undoes": "",
    }


def apply(cycle: Cycle, entry: Data) -> None:
    """Apply a commit, look at the fleet, and undo the commit where it did harm."""
    commit, ledger = entry["commit"], cycle.ledger
    played = cycle.play("site", commit, deploy_prune=cycle.settings.prune)
    look_again(cycle, commit)
    reason = find_harm(cycle, entry)
    if reason:
        undo(cycle, entry, reason)
    elif played.code:
        cycle.remark(
            outcome.FAILED, f"{commit[:SHORT]} could not be applied in full, and is tried again:\n{played.say()}"
        )
    else:
        ledger.applied, ledger.applying = finish_apply(cycle, entry), None
        cycle.remark(outcome.APPLIED, f"{commit[:SHORT]} is what the fleet runs")
        prove(cycle)
    cycle.remember()
