# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Admission: whether the policy lets an appliance run what was staged for it. Before anything is mapped."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import catalogue, judging, model
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Data, Facts, Verdict

# What only somebody's hand can have done to an instance: a change would wipe the traces away.
TRACES = ("host-paths", "no-nesting", "no-raw-keys", "unprivileged")


class Refused(StrataError):
    """The policy does not allow what was asked for; nothing was changed."""


class Ruling(t.NamedTuple):
    """The verdicts on all appliances, the sentences of refusal, and the appliances that nothing asks anything of."""

    verdicts: list[Verdict]
    refusals: list[str]
    unruled: list[str]


def court_of(lockdown: Data, kind: str, name: str) -> judging.Court | None:
    """Return by what an appliance (``kind`` appliances) or a node (nodes) is judged; None where no policy names it."""
    own = lockdown[kind].get(name)
    if own is None:
        return None
    return judging.Court(
        lockdown["policies"][own["policy"]], lockdown["waivers"], frozenset(own["names"]), lockdown["today"]
    )


def rule_on(every: t.Iterable[Facts], lockdown: Data, repair: t.Collection[str]) -> Ruling:
    """Judge what each appliance would be composed of, and the traces that its instance shows.

    Appliances in ``repair`` were looked into: their traces are no reason to refuse any more.
    """
    verdicts: list[Verdict] = []
    refusals: list[str] = []
    unruled: list[str] = []
    before = catalogue.decided_at(*model.BEFORE_MAPPING)
    traces = [catalogue.RULES[name] for name in TRACES if name in catalogue.RULES]
    for facts in every:
        court = court_of(lockdown, "appliances", facts.appliance)
        if court is None:
            unruled.append(facts.appliance)
            continue
        asked = before if facts.instance is None or facts.appliance in repair else [*before, *traces]
        own = judging.judge(facts, asked, court)
        verdicts += own
        for verdict in own:
            if judging.is_refusal(verdict, court.policy):
                refusals += judging.explain(verdict, catalogue.RULES[verdict.rule], court.policy)
    return Ruling(verdicts, refusals, unruled)


def require(lockdown: Data) -> None:
    """Raise ContentError where a policy asks for a rule that this node's Strata does not know: it cannot tell."""
    for policy in lockdown["policies"].values():
        unknown = sorted(set(policy["rules"]) - set(catalogue.RULES))
        if unknown:
            by = " + ".join(policy["names"])
            raise ContentError(
                f"Policy {by} asks for {', '.join(unknown)}, which this version of Strata does not know: update it, or "
                "take the rule out",
                rules=unknown,
            )
