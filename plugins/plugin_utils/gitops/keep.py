# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With no new commit: the fleet is kept as the one says that was applied."""

from __future__ import annotations

from ansible_collections.strata.fleet.plugins.module_utils import clock
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import decide, outcome
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.cycle import Cycle, look, look_again, say, tell_unseen
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.ledger import Data, commit_of
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.repository import SHORT
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.undo import find_harm, prove, undo
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import say_some


def keep(cycle: Cycle, commit: str) -> None:
    """See that the fleet is as the applied commit says, and undo what is not, where policy says so."""
    ledger, settings = cycle.ledger, cycle.settings
    age = clock.age(ledger.content_at)
    deep = bool(settings.content_every) and (age is None or age >= settings.content_every)
    try:
        look(cycle, commit, deep=deep)
    except BadInput as error:
        cycle.remark(outcome.FAILED, f"{commit[:SHORT]}, which is applied: {error.message}")
        return
    if deep:
        ledger.content_at = clock.now()
    if ledger.applied and commit not in (commit_of(ledger.good), commit_of(ledger.bad)):
        reason = find_harm(cycle, ledger.applied)
        if reason and cycle.dry:
            cycle.remark(outcome.PLANNED, f"{commit[:SHORT]}, which is applied, would be undone: {reason}")
            return
        if reason:
            undo(cycle, ledger.applied, reason)
            cycle.remember()
            return
        prove(cycle)
    if not cycle.dry:
        mend(cycle, commit)
    drifted = decide.find_drift(cycle.plan)
    if drifted:
        names = say_some([row["name"] for row in drifted], decide.SHOWN)
        cycle.remark(outcome.DRIFTED, f"not as {commit[:SHORT]} says: {names}")
    tell_unseen(cycle)
    loose = decide.find_loose(cycle.plan)
    if loose:
        cycle.remark(outcome.DRIFTED, "\n".join(loose))


def mend(cycle: Cycle, commit: str) -> None:
    """Undo the drift that may be undone, and look again. More of it than the limits allow is left to a person."""
    drifted = decide.find_drift(cycle.plan)
    deployed, removed = decide.choose_mended(drifted)
    rows = [row for row in drifted if row["name"] in (*deployed, *removed)]
    exceeded = decide.weigh(rows, len(cycle.plan["appliances"]), cycle.settings.limits)
    if exceeded:
        cycle.remark(outcome.DRIFTED, f"drift is not undone: {'; '.join(exceeded)}")
        deployed, removed = [], []
    mended = [*deployed, *removed]
    nodes = decide.choose_mended_nodes(cycle.plan)
    if nodes and not mended:
        deployed = decide.choose_carrier(cycle.plan)
    if not deployed and not removed:
        return
    say(f"Drift is undone: {say_some([*mended, *nodes], decide.SHOWN)}")
    plays: list[tuple[str, Data]] = [("deploy", {"store_only": deployed})] if deployed else []
    plays += [("remove", {"remove": ",".join(removed)})] if removed else []
    for playbook, variables in plays:
        played = cycle.play(playbook, commit, **variables)
        if played.code:
            cycle.remark(outcome.FAILED, f"drift could not be undone:\n{played.say()}")
    look_again(cycle, commit)
    cycle.mended = sorted(set(mended) - {row["name"] for row in decide.find_drift(cycle.plan)})
