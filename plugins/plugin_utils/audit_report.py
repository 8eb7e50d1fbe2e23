# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an audit: from what the nodes found and the policies to docs/schemas/audit.schema.json. Pure."""

from __future__ import annotations

import collections
import json
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import judging, model
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_findings import (
    AUDITED,
    BAD,
    OWN_RULES,
    Body,
    Data,
    Fleet,
    clean,
    find,
    find_fault,
    find_ids,
    gather,
    name_subject,
    weigh,
)
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_waivers import find_useless, judge_waivers

FORMAT = 1
Rules = t.Mapping[str, model.Rule]


class Call(t.NamedTuple):
    """What a report is made with: when (ISO 8601), the nodes that were to be audited, and what makes it no good."""

    when: str
    nodes: t.Collection[str]
    fail_on: str = ""


def build_report(found: t.Mapping[str, Body], lockdown: Body, rules: Rules, call: Call, before: Body | None) -> Data:
    """Return the report. ``found``: by node, what audit_info returned; ``before``: the report before this one."""
    fleet = gather(found)
    policies = lockdown["policies"]
    nodes = {node: _describe_node(found.get(node), node, fleet) for node in sorted({*call.nodes, *found})}
    audited = [node for node, entry in nodes.items() if entry["audited"]]
    waivers = judge_waivers(lockdown, fleet, audited)
    own = [*_find_silent(nodes, fleet, lockdown), *find_useless(waivers)]
    findings = find(fleet, own, policies, call.fail_on)
    since = compare(before, findings, fleet, policies, audited) if before else None
    news = set(since["new"]) if since else set()
    findings = [{**finding, "new": finding["id"] in news} for finding in findings]
    report = {
        "format": FORMAT,
        "when": call.when,
        "today": lockdown["today"],
        "fail_on": call.fail_on,
        "good": bool(audited) and not any(finding["fails"] for finding in findings),
        "policies": {digest: _describe_policy(policy) for digest, policy in policies.items()},
        "rules": _describe_rules(policies, findings, rules),
        "waivers": waivers,
        "conflicts": [clean(each["message"]) for each in lockdown.get("conflicts") or []],
        "nodes": nodes,
        "appliances": _describe_appliances(fleet, lockdown, findings),
        "verdicts": _group_verdicts(fleet),
        "findings": findings,
        "counts": _count(fleet, findings),
        "since": since,
    }
    return {**report, "verdict": say_verdict(report)}


def _describe_node(result: Body | None, node: str, fleet: Fleet) -> Data:
    verdicts = sum(len(each) for subject, each in fleet.verdicts.items() if subject.partition("/")[0] == node)
    fault = find_fault(result)
    return {
        "audited": not fault,
        "fault": fault,
        "appliances": sum(entry["node"] == node for entry in fleet.appliances.values()),
        "verdicts": verdicts,
        "unchecked": [clean(str(sentence)) for sentence in (result or {}).get("unchecked") or []],
    }


def _find_silent(nodes: t.Mapping[str, Body], fleet: Fleet, lockdown: Body) -> t.Iterator[tuple[str, Data]]:
    """Yield a verdict, unknown, for each node and appliance that there is none of."""
    for node, entry in nodes.items():
        if not entry["audited"]:
            yield node, _say_unknown(entry["fault"], (lockdown.get("nodes") or {}).get(node), lockdown)
    for subject, entry in fleet.appliances.items():
        if subject not in fleet.verdicts and nodes[entry["node"]]["audited"]:
            known = (lockdown.get("appliances") or {}).get(entry["name"])
            yield subject, _say_unknown("no rule was evaluated", known, lockdown)


def _say_unknown(reason: str, host: Body | None, lockdown: Body) -> Data:
    digest = (host or {}).get("policy", "")
    asked = lockdown["policies"].get(digest, {}).get("rules", {}).values()
    # As grave as the gravest thing that might be wrong there.
    severity = max([model.HIGH, *(rule["severity"] for rule in asked)], key=weigh)
    return {
        "rule": AUDITED,
        "status": model.UNKNOWN,
        "severity": severity,
        "place": "audit",
        "action": judging.REPORT,
        "reason": reason,
        "faults": [],
        "owners": [judging.OPERATORS],
        "policy": digest,
        "waivers": [],
    }


def _describe_policy(policy: Body) -> Data:
    return {key: policy[key] for key in ("names", "mode", "owner", "rules", "actions")}


def _describe_rules(policies: t.Mapping[str, Body], findings: t.Iterable[Body], rules: Rules) -> Data:
    names = {name for policy in policies.values() for name in policy["rules"]} | {each["rule"] for each in findings}
    return {name: dict(OWN_RULES[name]) if name in OWN_RULES else _describe_rule(name, rules) for name in sorted(names)}


def _describe_rule(name: str, rules: Rules) -> Data:
    rule = rules.get(name)
    if not rule:  # a node that runs another version of the collection
        return {"title": name, "remedy": "See the rule", "place": "", "twin": "", "controls": {}}
    controls = {benchmark: list(numbers) for benchmark, numbers in rule.controls.items()}
    return {"title": rule.title, "remedy": rule.remedy, "place": rule.place, "twin": rule.twin, "controls": controls}


def _describe_appliances(fleet: Fleet, lockdown: Body, findings: t.Iterable[Body]) -> list[Data]:
    """Return the appliances that nodes have and those of the inventory that none has, by name."""
    wanted = lockdown.get("appliances") or {}
    bad: dict[str, collections.Counter[str]] = {}
    for finding in findings:
        told = {
            (subject, case["severity"])
            for case in finding["cases"]
            if case["status"] in BAD
            for subject in case["subjects"]
        }
        for subject, severity in told:
            bad.setdefault(subject, collections.Counter())[severity] += 1
    entries = []
    for subject, entry in fleet.appliances.items():
        verdicts = fleet.verdicts.get(subject, ())
        counts = {
            "statuses": dict(collections.Counter(verdict["status"] for verdict in verdicts)),
            "severities": dict(bad.get(subject, {})),
        }
        policy = verdicts[0]["policy"] if verdicts else wanted.get(entry["name"], {}).get("policy", "")
        entries.append({**entry, "policy": policy, "audited": bool(verdicts), **counts})
    placed = {entry["name"] for entry in entries}
    nothing: Data = {
        "node": "",
        "status": "",
        "base": None,
        "app": None,
        "audited": False,
        "statuses": {},
        "severities": {},
    }
    entries += [
        {"name": name, **nothing, "policy": known["policy"]} for name, known in wanted.items() if name not in placed
    ]
    return sorted(entries, key=lambda entry: (entry["name"], entry["node"]))


def _group_verdicts(fleet: Fleet) -> list[Data]:
    """Return each verdict once, with all the subjects that it is the same for."""
    groups: dict[tuple[t.Any, ...], list[str]] = {}
    for subject, verdicts in fleet.verdicts.items():
        for verdict in verdicts:
            key = (
                *(verdict[name] for name in ("rule", "status", "severity", "place", "action", "policy", "reason")),
                *(tuple(verdict[name]) for name in ("owners", "digests")),
                tuple(find_ids(fleet, subject, verdict)),
            )
            groups.setdefault(key, []).append(subject)
    names = ("rule", "status", "severity", "place", "action", "policy", "reason", "owners", "digests", "findings")
    return [
        {**dict(zip(names, key[:6], strict=False)), "reason": clean(key[6])}
        | {name: sorted(map(clean, part)) for name, part in zip(names[7:], key[7:], strict=True)}
        | {"subjects": sorted(subjects)}
        for key, subjects in sorted(groups.items())
    ]


def _count(fleet: Fleet, findings: t.Sequence[Body]) -> Data:
    """Return verdicts by status and bad findings by severity: of all, by policy, and by owner."""
    statuses: collections.Counter[str] = collections.Counter()
    by_policy: dict[str, collections.Counter[str]] = {}
    for verdicts in fleet.verdicts.values():
        for verdict in verdicts:
            statuses[verdict["status"]] += 1
            by_policy.setdefault(verdict["policy"], collections.Counter())[verdict["status"]] += 1
    bad = [finding for finding in findings if finding["status"] in BAD]
    by_owner: dict[str, collections.Counter[str]] = {}
    for finding in bad:
        for owner in finding["owners"]:
            by_owner.setdefault(owner, collections.Counter())[finding["severity"]] += 1
    return {
        "statuses": dict(statuses),
        "severities": dict(collections.Counter(finding["severity"] for finding in bad)),
        "failing": sum(finding["fails"] for finding in bad),
        "policies": {digest: dict(counts) for digest, counts in by_policy.items()},
        "owners": {owner: dict(counts) for owner, counts in by_owner.items()},
    }


def compare(
    before: Body,
    findings: t.Iterable[Body],
    fleet: Fleet,
    policies: t.Mapping[str, Body],
    audited: t.Collection[str],
) -> Data:
    """Return what is new, gone or (as its node was not audited) unseen since the report before."""
    now = {finding["id"] for finding in findings if finding["status"] in BAD}
    old = {finding["id"]: finding for finding in before["findings"] if finding["status"] in BAD}
    left = [finding for key, finding in sorted(old.items()) if key not in now]
    unseen = [finding["id"] for finding in left if not _is_seen(finding, audited)]
    here = {entry["name"] for entry in fleet.appliances.values()}
    there = {entry["name"]: entry["node"] for entry in before["appliances"] if entry["node"]}
    return {
        "when": before["when"],
        "new": sorted(now - set(old)),
        "gone": [
            {key: finding[key] for key in ("id", "rule", "scope", "what", "severity")}
            for finding in left
            if finding["id"] not in unseen
        ],
        "unseen": unseen,
        "appliances": {
            "new": sorted(here - set(there)),
            "gone": sorted(name for name, node in there.items() if name not in here and node in audited),
        },
        "policies": _compare_policies(before["policies"], policies),
    }


def _is_seen(finding: Body, audited: t.Collection[str]) -> bool:
    """Whether the audit looked wherever this was found. What the report found by itself, it did."""
    if finding["rule"] in OWN_RULES:
        return True
    return all(name_node(subject) in audited for case in finding["cases"] for subject in case["subjects"])


def name_node(subject: str) -> str:
    """Return the node of a subject."""
    return subject.partition("/")[0]


def _compare_policies(before: t.Mapping[str, Body], now: t.Mapping[str, Body]) -> list[Data]:
    """Return the policies whose digest changed, by name; '' where there was or is none."""
    ends = [{" + ".join(policy["names"]): digest for digest, policy in sorted(each.items())} for each in (before, now)]
    return [
        {"name": name, "from": ends[0].get(name, ""), "to": ends[1].get(name, "")}
        for name in sorted({*ends[0], *ends[1]})
        if ends[0].get(name) != ends[1].get(name)
    ]


def say_verdict(report: Body) -> str:
    """Return how the audit ended, in a sentence."""
    audited = [node for node, entry in report["nodes"].items() if entry["audited"]]
    appliances = sum(entry["audited"] for entry in report["appliances"])
    verdicts = sum(report["counts"]["statuses"].values())
    looked_at = f"{count(appliances, 'appliance')} on {count(len(audited), 'node')}"
    silent = [node for node, entry in report["nodes"].items() if not entry["audited"]]
    parts = [f"{count(verdicts, 'verdict')} on {looked_at}"]
    severities = report["counts"]["severities"]
    told = [f"{severities[name]} {name}" for name in reversed(model.SEVERITIES) if severities.get(name)]
    parts += [f"findings: {', '.join(told)}" if told else "no finding"]
    parts += [f"not audited: {', '.join(silent)}"] if silent else []
    if report["good"]:
        return f"The {'audit passes, with findings' if told else 'fleet keeps to its policies'}: {'; '.join(parts)}."
    failing = report["counts"]["failing"]
    why = f"{count(failing, 'finding')} too grave" if failing else "nothing was audited"
    return f"The audit fails, {why}: {'; '.join(parts)}."


def count(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def to_json(report: Body) -> str:
    """Return the text of audit.json, the same for the same report."""
    return json.dumps(report, indent=1, sort_keys=True) + "\n"


def subject_of(entry: Body) -> str:
    """Return how the verdicts name an appliance of the report."""
    return name_subject(entry["node"], entry["name"])
