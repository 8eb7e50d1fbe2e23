# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The branch's head: fetched, and taken where somebody signed it who may."""

from __future__ import annotations

from ansible_collections.strata.fleet.plugins.module_utils import clock
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError, Unreachable
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import decide, outcome
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import ledger as ledgers
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.cycle import Cycle, say
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.ledger import commit_of
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.repository import SHORT, Trust


def look_at_branch(cycle: Cycle) -> str:
    """Return the branch's head, '' where it may not be taken."""
    ledger, repository = cycle.ledger, cycle.repository
    try:
        head = repository.fetch(cycle.settings.branch)
    except Unreachable as error:
        ledger.unreachable = ledgers.note(ledger.unreachable, error.message, clock.now())
        cycle.remember()
        cycle.remark(outcome.UNREACHABLE, f"{error.message}. It is so since {ledger.unreachable['since']}")
        return commit_of(ledger.accepted)
    ledger.unreachable = None
    if head != commit_of(ledger.seen):
        told = repository.describe(head)
        ledger.seen = {"commit": head, "at": clock.now(), "subject": told.subject, "author": told.author}
        say(f"{cycle.settings.branch} is at {head[:SHORT]}: {ledger.seen['subject']}")
    try:
        accept(cycle, head)
    except ContentError as error:
        cycle.remark(outcome.REFUSED, error.message)
        head = ""
    cycle.remember()
    if ledger.bad and head == ledger.bad["commit"]:
        how = "was undone" if ledger.bad["back_to"] else "left the fleet ill"
        word = outcome.UNDONE if ledger.bad["back_to"] else outcome.FAILED
        cycle.remark(
            word, f"{head[:SHORT]} {how} at {ledger.bad['at']} and is not applied again: {ledger.bad['reason']}"
        )
    return head


def accept(cycle: Cycle, head: str) -> None:
    """Take a head that somebody signed who may. Raises ContentError where nobody did, or history was rewritten."""
    settings, ledger = cycle.settings, cycle.ledger
    is_meant = head == cycle.rewritten
    earlier = commit_of(ledger.accepted) or cycle.before
    if earlier and not is_meant and not cycle.repository.is_ancestor(earlier, head):
        raise ContentError(decide.say_rewritten(earlier, ledger.accepted, head))
    signer = cycle.repository.verify(head, Trust(settings.allowed_signers, settings.gpg_keys))
    if head != commit_of(ledger.accepted):
        ledger.accepted = {"commit": head, "at": clock.now(), "signer": signer}
        say(f"{head[:SHORT]} is signed by {signer}")
