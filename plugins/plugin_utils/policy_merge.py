# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several policies for one host: which of them loosens or contradicts another, and what they ask for together. Pure."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import judging, model, settings
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Rule

MODES = (judging.AUDIT, judging.ENFORCE)
ACTIONS = (judging.REPORT, judging.REFUSE, judging.QUARANTINE)
DEFAULT_ACTIONS = {
    model.CRITICAL: judging.REFUSE,
    model.HIGH: judging.REFUSE,
    model.MEDIUM: judging.REPORT,
    model.LOW: judging.REPORT,
}
# Lists of what alone is allowed that have to leave something: an appliance has a base, and somebody signed it.
NEEDED = ("allowed-bases", "allowed-os", "architectures", "base-signers", "app-signers")
# What one rule asks for and another forbids.
OPPOSED = (
    ("required-packages", "denied-packages"),
    ("base-signers", "revoked-keys"),
    ("app-signers", "revoked-keys"),
    ("countersigned-apps", "revoked-keys"),
)

Data = dict[str, t.Any]
Body = t.Mapping[str, t.Any]
Rules = t.Mapping[str, Rule]


class Said(t.NamedTuple):
    """A rule's value, and which policies or profiles say so."""

    value: t.Any
    sources: t.Sequence[str]


class Policy(t.NamedTuple):
    """A policy by itself. ``scope`` are the hosts that it is for; ``mode`` is '' where it leaves that to others."""

    name: str
    groups: t.Sequence[str]
    scope: frozenset[str]
    mode: str
    owner: str
    rules: t.Mapping[str, Said]
    severities: t.Mapping[str, str]
    actions: t.Mapping[str, str]


def is_within(inner: Policy, outer: Policy) -> bool:
    """Whether a policy is the more specific of two: it is for some of the other's hosts, and for nobody else."""
    return inner.scope < outer.scope


def fill(policies: t.Sequence[Policy], rules: Rules) -> list[Policy]:
    """Return the policies with defaults in those that no other is more general than: these are what others inherit."""
    return [
        policy if any(is_within(policy, other) for other in policies) else _fill_one(policy, rules)
        for policy in policies
    ]


def _fill_one(policy: Policy, rules: Rules) -> Policy:
    usual = {name: rules[name].severity for name in policy.rules}
    return policy._replace(
        mode=policy.mode or judging.ENFORCE,
        severities={**usual, **policy.severities},
        actions={**DEFAULT_ACTIONS, **policy.actions},
    )


def lay(below: Policy, above: Policy, rules: Rules) -> Policy:
    """Return two policies in one: of everything that both say, the stricter."""
    merged = {
        name: merge_said(below.rules.get(name), above.rules.get(name), rules[name])
        for name in [*below.rules, *(name for name in above.rules if name not in below.rules)]
    }
    modes = [each.mode for each in (below, above) if each.mode]
    owners = dict.fromkeys(each.owner for each in (below, above) if each.owner)
    return Policy(
        name=above.name,
        groups=above.groups,
        scope=above.scope,
        mode=max(modes, key=MODES.index) if modes else "",
        owner=", ".join(owners),
        rules=merged,
        severities=_strictest(below.severities, above.severities, model.SEVERITIES),
        actions=_strictest(below.actions, above.actions, ACTIONS),
    )


def _strictest(one: t.Mapping[str, str], two: t.Mapping[str, str], order: t.Sequence[str]) -> dict[str, str]:
    both = {key: max(one[key], two[key], key=order.index) for key in one if key in two}
    return {**one, **two, **both}


def merge_said(one: Said | None, two: Said | None, rule: Rule) -> Said:
    """Return the stricter of two, or what both say together; with whose word it is."""
    if one is None or two is None:
        return t.cast("Said", one or two)
    value = settings.merge(rule.setting, one.value, two.value)
    for said in (one, two):
        if value == said.value:
            return said
    return Said(value, tuple(dict.fromkeys([*one.sources, *two.sources])))


def join(policies: t.Sequence[Policy], rules: Rules) -> Data:
    """Return the effective policy of whom all these are for, in the payload's shape but without its digest."""
    all_of = _fill_one(functools.reduce(lambda one, two: lay(one, two, rules), policies), rules)
    asked = {
        name: said
        for name, said in sorted(all_of.rules.items())
        if not settings.asks_nothing(rules[name].setting, said.value)
    }
    return {
        "names": [policy.name for policy in policies],
        "mode": all_of.mode,
        "owner": all_of.owner,
        "rules": {
            name: {"value": said.value, "severity": all_of.severities[name], "from": " + ".join(said.sources)}
            for name, said in asked.items()
        },
        "actions": {severity: all_of.actions[severity] for severity in reversed(model.SEVERITIES)},
    }


def find_faults_between(policy: Policy, other: Policy, rules: Rules) -> list[str]:
    """Return how a policy loosens another that is more general, and how the two contradict each other."""
    if not policy.scope & other.scope and policy is not other:
        return []
    faults = find_opposed(policy, other)
    if is_within(policy, other):
        groups = ", ".join(policy.groups)
        faults += [
            f"policy {policy.name} (for {groups}) would loosen policy {other.name} (for {', '.join(other.groups)}), "
            f"which is more general: {loosening}. Make it as strict, or leave it out and ask for a waiver for {groups}"
            for loosening in find_loosenings(policy, other, rules)
        ]
    elif policy.name < other.name and not is_within(other, policy):
        faults += [
            f"policies {policy.name} and {other.name} contradict each other, and both are for "
            f"{min(policy.scope & other.scope)}: {contradiction}. Decide for one"
            for contradiction in _find_contradictions(policy, other, rules)
        ]
    return faults


def find_loosenings(policy: Policy, other: Policy, rules: Rules) -> list[str]:
    """Return everything in which a policy is looser than another."""
    found = []
    for name, said in policy.rules.items():
        than = other.rules.get(name)
        looser = settings.find_looser(rules[name].setting, said.value, than.value) if than else ""
        if looser:
            by = "".join(f" (by {source})" for source in said.sources if source != policy.name)
            found.append(f"rule {name} is {looser}{by}")
    for name, severity in policy.severities.items():
        found += _find_lower(f"severity of rule {name}", severity, other.severities.get(name), model.SEVERITIES)
    for severity, action in policy.actions.items():
        found += _find_lower(f"action on severity {severity}", action, other.actions.get(severity), ACTIONS)
    return found + _find_lower("mode", policy.mode, other.mode, MODES)


def _find_lower(what: str, word: str, than: str | None, order: t.Sequence[str]) -> list[str]:
    is_lower = word and than and order.index(word) < order.index(than)
    return [f"{what} is {word}, which was {than}"] if is_lower else []


def _find_contradictions(policy: Policy, other: Policy, rules: Rules) -> list[str]:
    found = []
    for name, said in policy.rules.items():
        value = other.rules[name].value if name in other.rules else said.value
        contradiction = settings.find_contradiction(rules[name].setting, said.value, value)
        if name in NEEDED and said.value and value and not settings.merge(rules[name].setting, said.value, value):
            contradiction = f"nothing is left that {', '.join(said.value)} and {', '.join(value)} both allow"
        if contradiction:
            found.append(f"rule {name}: {contradiction}")
    return found


def find_opposed(policy: Policy, other: Policy) -> list[str]:
    """Return what a policy asks for and the other (or itself) forbids, by two rules."""
    nothing = Said([], ())
    return [
        f"policy {policy.name} asks for {word} by rule {wanted}, and "
        f"{f'policy {other.name}' if other is not policy else 'itself'} forbids it by rule {denied}. "
        "Take it out of one of them"
        for wanted, denied in OPPOSED
        for word in policy.rules.get(wanted, nothing).value
        if settings.is_covered(word.lower(), map(str.lower, other.rules.get(denied, nothing).value))
    ]
