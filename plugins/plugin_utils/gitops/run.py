# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of a cycle.

Whatever kills one, the next finds in the ledger what was begun, and on the nodes what is true, and goes on.
"""

from __future__ import annotations

from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import decide, outcome
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.advance import advance
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.branch import look_at_branch
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.cycle import Cycle
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.keep import keep


def guard(cycle: Cycle) -> None:
    """Run a cycle; what nobody expected is an outcome, too."""
    try:
        run(cycle)
    except (StrataError, OSError) as error:
        cycle.remark(outcome.ERROR, str(error))


def run(cycle: Cycle) -> None:
    """Bring the fleet to what the branch says, or find out why not. Call with the lock held."""
    target = decide.choose(cycle.ledger, look_at_branch(cycle))
    if target and target.is_new and not advance(cycle, target):
        # What was refused or has to wait leaves the fleet on what it was.
        refused, target = target, decide.choose(cycle.ledger, "")
        if target and target.is_new and target.commit != refused.commit:
            advance(cycle, target)
    if target and not target.is_new:
        keep(cycle, target.commit)
