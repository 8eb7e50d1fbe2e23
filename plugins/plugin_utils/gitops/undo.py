# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A commit that did harm is undone: by the commit that was good, and the versions that ran then."""

from __future__ import annotations

import time

from ansible_collections.strata.fleet.plugins.module_utils import clock
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import decide, outcome
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.cycle import Cycle, look_again, say
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.ledger import Data, commit_of
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.repository import SHORT

SECOND_LOOK = 10  # seconds


def find_harm(cycle: Cycle, entry: Data) -> str:
    """Return why a commit that was applied is to be undone, '' where it is not.

    It is looked at twice: an appliance may be about to come back from something that has nothing to do with the commit.
    """
    reason = decide.judge(cycle.plan, entry["health"], cycle.settings.threshold)
    if reason:
        say(f"{entry['commit'][:SHORT]}: {reason}. It is looked at again in {SECOND_LOOK} s")
        time.sleep(SECOND_LOOK)
        look_again(cycle, entry["commit"])
        reason = decide.judge(cycle.plan, entry["health"], cycle.settings.threshold)
    return reason


def undo(cycle: Cycle, harmful: Data, reason: str) -> None:
    """Mark a commit as bad, and apply the last good one again. Without one, the fleet is left as it is."""
    ledger, now, commit = cycle.ledger, clock.now(), harmful["commit"]
    back_to = commit_of(ledger.good)
    ledger.bad = {"commit": commit, "at": now, "reason": reason, "back_to": back_to}
    entry = {"commit": back_to or commit, "at": now, "health": {}, "versions": harmful["versions"], "undoes": commit}
    if back_to:
        ledger.applying = entry
        cycle.remember()
        go_back(cycle, entry)
    else:
        ledger.applied, ledger.applying = entry, None
        cycle.remark(outcome.FAILED, f"{commit[:SHORT]} left the fleet ill, and no commit before it was good: {reason}")


def say_undoing(cycle: Cycle, entry: Data) -> str:
    """Return what ``go_back`` does."""
    reason = (cycle.ledger.bad or {}).get("reason", "")
    return f"{entry['undoes'][:SHORT]} is undone, the fleet goes back to {entry['commit'][:SHORT]}: {reason}"


def go_back(cycle: Cycle, entry: Data) -> None:
    """Apply the commit that was good, without a gate: it was let through before, and what is there now is worse."""
    ledger, commit = cycle.ledger, entry["commit"]
    reason = (ledger.bad or {}).get("reason", "")
    say(say_undoing(cycle, entry))
    played = cycle.play("site", commit, deploy_prune=cycle.settings.prune, store_versions=entry["versions"])
    look_again(cycle, commit)
    if played.code:
        what = (
            f"{entry['undoes'][:SHORT]} is bad, but {commit[:SHORT]} could not be applied in full, and is tried again"
        )
        cycle.remark(outcome.FAILED, f"{what}:\n{played.say()}")
        return
    ledger.applied, ledger.applying = finish_apply(cycle, entry), None
    revert = decide.suggest_revert(entry, cycle.repository.count(commit, entry["undoes"]))
    how = f"was undone, the fleet is back on {commit[:SHORT]}: {reason}"
    cycle.remark(outcome.UNDONE, f"{entry['undoes'][:SHORT]} {how}. To take it out of the branch: {revert}")


def finish_apply(cycle: Cycle, entry: Data) -> Data:
    """Return the entry of what was being applied as what is applied."""
    return {**entry, "at": clock.now(), "places": decide.places_of(cycle.plan)}


def prove(cycle: Cycle) -> None:
    """Count what is applied as good, once it has left the fleet well for long enough."""
    applied = cycle.ledger.applied
    if applied and cycle.plan["appliances"] and (clock.age(applied["at"]) or 0) >= cycle.settings.settle:
        cycle.ledger.good = {"commit": applied["commit"], "at": clock.now()}
