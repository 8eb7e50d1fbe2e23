# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""judge: from facts and a policy to verdicts. Pure: the day is given."""

from __future__ import annotations

import fnmatch
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import model
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Data, Facts, Fault, Rule, Verdict

ENFORCE, AUDIT = "enforce", "audit"
REPORT, REFUSE, QUARANTINE = "report", "refuse", "quarantine"
IT, OPERATORS = "IT", "operators"


class Court(t.NamedTuple):
    """What verdicts are made by.

    ``policy`` is one of the payload's: ``digest``, ``mode``, ``rules`` (by name: ``value`` and ``severity``) and
    ``actions`` by severity. ``waivers`` are all of the inventory's; ``names`` are what a waiver's subject may be to
    concern this appliance or node; ``today`` is an ISO date.
    """

    policy: Data
    waivers: t.Sequence[Data]
    names: t.Collection[str]
    today: str


def judge(facts: Facts, rules: t.Iterable[Rule], court: Court) -> list[Verdict]:
    """Return a verdict on each of these rules that the policy asks for."""
    asked = court.policy["rules"]
    return [decide(facts, rule, court) for rule in rules if rule.name in asked]


def decide(facts: Facts, rule: Rule, court: Court) -> Verdict:
    """Return the verdict on one rule."""
    setting = court.policy["rules"][rule.name]
    action = court.policy["actions"][setting["severity"]]
    verdict = Verdict(
        rule=rule.name,
        appliance=facts.appliance,
        status=model.PASS,
        severity=setting["severity"],
        place=rule.place,
        action=action,
        reason="",
        faults=(),
        owners=(),
        digests=(),
        policy=court.policy["digest"],
        waivers=(),
    )
    try:
        faults = tuple(rule.check(facts, setting["value"]))
    except model.Moot as told:
        return verdict._replace(status=model.NOT_APPLICABLE, reason=str(told))
    except model.Unknown as told:
        return verdict._replace(status=model.UNKNOWN, reason=str(told), owners=(OPERATORS,))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Facts that nobody foresaw, of one appliance: the others are to be judged all the same.
        reason = f"what is known is not of the shape that it needs ({type(error).__name__}: {error})"
        return verdict._replace(status=model.UNKNOWN, reason=reason, owners=(OPERATORS,))
    if faults:
        return _with_waivers(verdict, faults, facts, court)
    if rule.place in model.BEFORE_MAPPING:
        commits = tuple(manifest["commit"] for manifest in (facts.manifests or {}).values())
        return verdict._replace(status=model.GUARANTEED, digests=commits)
    return verdict


def _with_waivers(verdict: Verdict, faults: t.Sequence[Fault], facts: Facts, court: Court) -> Verdict:
    own = [each for each in court.waivers if each["control"] == verdict.rule and each["subject"] in court.names]
    valid = [each for each in own if each["expires"] >= court.today]
    left = [fault for fault in faults if not any(_covers(waiver, fault) for waiver in valid)]
    used = [waiver for waiver in valid if any(_covers(waiver, fault) for fault in faults)]
    over = [waiver for waiver in own if waiver not in valid and any(_covers(waiver, fault) for fault in left)]
    status = model.EXPIRED if over else model.FAIL if left else model.WAIVED
    shown = left or faults
    more = f"{len(shown) - model.MOST} more of this kind" if len(shown) > model.MOST else ""
    return verdict._replace(
        status=status,
        reason=more,
        faults=tuple(shown[: model.MOST]),
        owners=tuple(sorted({_owner(fault, facts) for fault in shown})),
        waivers=tuple(used + over),
    )


def _covers(waiver: Data, fault: Fault) -> bool:
    return fnmatch.fnmatchcase(fault.what, waiver.get("what", "*"))


def _owner(fault: Fault, facts: Facts) -> str:
    if fault.layer == model.BASE:
        return IT
    if fault.layer == model.APP:
        return str((facts.manifests or {}).get(model.APP, {}).get("vendor", "the app's vendor"))
    return OPERATORS


def is_refusal(verdict: Verdict, policy: Data) -> bool:
    """Whether the policy has a change refused for this."""
    return policy["mode"] == ENFORCE and verdict.is_bad and verdict.action in (REFUSE, QUARANTINE)


def explain(verdict: Verdict, rule: Rule, policy: Data) -> list[str]:
    """Return a sentence for each fault: whose, which rule, what was found, what is allowed, who can mend it."""
    subject = f"Appliance {verdict.appliance}" if verdict.appliance else "The node"
    by = f"rule {verdict.rule} of policy {' + '.join(policy['names'])}"
    owners = " and ".join(verdict.owners) or OPERATORS
    if verdict.status == model.UNKNOWN:
        return [f"{subject}: {by} cannot be decided: {verdict.reason}. {rule.remedy} ({owners})."]
    late = "".join(f" Its waiver expired on {waiver['expires']}." for waiver in verdict.waivers)
    late = late if verdict.status == model.EXPIRED else ""
    return [
        f"{subject}: {fault.what} is {fault.found}, and {by} allows {fault.allowed}. {rule.remedy} ({owners}).{late}"
        for fault in verdict.faults
    ]
