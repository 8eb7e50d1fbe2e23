# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the verdicts of all nodes to findings: one for each thing that somebody has to mend. Pure."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import judging, model

Body = t.Mapping[str, t.Any]
Data = dict[str, t.Any]

BAD = (model.FAIL, model.EXPIRED, model.UNKNOWN)
# Of several, the one that is told first.
STATUSES = (
    model.PASS,
    model.GUARANTEED,
    model.NOT_APPLICABLE,
    model.WAIVED,
    model.UNKNOWN,
    model.EXPIRED,
    model.FAIL,
)
NEVER = "never"
DIGITS = re.compile(r"([0-9]+)")
AUDITED, WAIVERS = "audited", "waivers"
# What the audit asks for besides the rules of policies.
OWN_RULES: t.Mapping[str, Data] = {
    AUDITED: {
        "title": "What is to be audited is",
        "remedy": "Have the node answer, and audit again",
        "place": "audit",
        "twin": "",
        "controls": {},
    },
    WAIVERS: {
        "title": "Every waiver covers something",
        "remedy": "Remove the waiver from lockdown_waivers",
        "place": "audit",
        "twin": "",
        "controls": {},
    },
}


class Fleet(t.NamedTuple):
    """What all nodes found: ``verdicts`` by subject (``node`` or ``node/appliance``), and ``appliances`` by subject."""

    verdicts: t.Mapping[str, t.Sequence[Body]]
    appliances: t.Mapping[str, Data]


class Row(t.NamedTuple):
    """A line for people: what is wrong in the same way, and of which subjects."""

    severity: str
    status: str
    rule: str
    what: str
    found: str
    allowed: str
    layer: str
    reason: str
    owners: tuple[str, ...]
    subjects: tuple[str, ...]
    is_new: bool


def name_subject(node: str, appliance: str) -> str:
    """Return how a report names an appliance, or (without one) a node."""
    return f"{node}/{appliance}" if appliance else node


def in_order(subject: str) -> list[tuple[int, str]]:
    """Return what names are sorted by for people: web2 is before web10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in DIGITS.split(short(subject))]


def short(subject: str) -> str:
    """Return an appliance's name without its node, or a node's."""
    return subject.rpartition("/")[2]


def gather(found: t.Mapping[str, Body]) -> Fleet:
    """Return what the nodes found, by subject; of a node that find_fault has a word on, nothing."""
    verdicts: dict[str, list[Body]] = {}
    appliances = {}
    for node, result in sorted(found.items()):
        if find_fault(result):
            continue
        for verdict in result["verdicts"]:
            verdicts.setdefault(name_subject(node, clean(verdict["appliance"])), []).append(verdict)
        for entry in result.get("appliances") or []:
            layers = {kind: _describe_layer(entry.get(kind), result) for kind in (model.BASE, model.APP)}
            known = {"name": clean(entry["name"]), "node": node, "status": clean(str(entry.get("status") or ""))}
            appliances[name_subject(node, known["name"])] = {**known, **layers}
    return Fleet(verdicts, appliances)


def find_fault(result: Body | None) -> str:
    """Return why a node does not count as audited, '' where it does."""
    if result is None:
        return "it did not answer"
    if "verdicts" not in result:
        return clean(str(result.get("msg") or "no reason given").strip())
    # What evaluates nothing finds nothing.
    if not result["verdicts"]:
        return "no rule was evaluated"
    if not all(map(_is_understood, result["verdicts"])):
        return "its verdicts are not those of this version of the collection"
    return ""


def _is_understood(verdict: Body) -> bool:
    return (
        all(name in verdict for name in model.Verdict._fields)
        and verdict["status"] in STATUSES
        and verdict["severity"] in model.SEVERITIES
        and all(name in fault for fault in verdict["faults"] for name in model.Fault._fields)
    )


def _describe_layer(layer: t.Any, result: Body) -> Data:
    if isinstance(layer, t.Mapping):
        commit, known = str(layer.get("commit") or ""), layer
    else:
        commit = str(layer or "")
        known = (result.get("layers") or {}).get(commit, {})
    name, version = (clean(str(known.get(key) or "")) for key in ("name", "version"))
    return {"name": name or clean(commit[:12]), "version": version, "commit": clean(commit)}


def find(fleet: Fleet, own: t.Iterable[tuple[str, Body]], policies: t.Mapping[str, Body], fail_on: str) -> list[Data]:
    """Return the findings, the gravest first. ``own``: verdicts of the report itself, with their subjects.

    A fault of a base or app is one finding, however many run it; any other is one of its appliance or node.
    """
    findings: dict[str, Data] = {}
    given = ((subject, verdict) for subject, verdicts in fleet.verdicts.items() for verdict in verdicts)
    for subject, verdict in (*given, *own):
        if verdict["status"] in (*BAD, model.WAIVED):
            for fault in verdict["faults"] or [{"what": "", "found": "", "allowed": "", "layer": ""}]:
                _add(findings, fleet, subject, verdict, fault)
    return sorted((_close(finding, policies, fail_on) for finding in findings.values()), key=_gravest_first)


def find_ids(fleet: Fleet, subject: str, verdict: Body) -> list[str]:
    """Return the ids of the findings that a verdict is told by."""
    if verdict["status"] not in (*BAD, model.WAIVED):
        return []
    faults = verdict["faults"] or [{"what": "", "layer": ""}]
    return sorted({identify(verdict["rule"], find_scope(fleet, subject, fault), fault["what"]) for fault in faults})


def find_scope(fleet: Fleet, subject: str, fault: Body) -> str:
    """Return what a fault is one of: base/NAME, app/NAME, appliance/NAME or node/NAME; or what it says itself."""
    if fault.get("scope"):
        return str(fault["scope"])
    if fault["layer"] in (model.BASE, model.APP) and subject in fleet.appliances:
        return f"{fault['layer']}/{fleet.appliances[subject][fault['layer']]['name']}"
    _node, _slash, name = subject.partition("/")
    return f"appliance/{name}" if name else f"node/{subject}"


def identify(rule: str, scope: str, what: str) -> str:
    """Return what a finding is known by from audit to audit.

    Neither version nor node, policy or value are part of it: they change while it stays what it is.
    """
    return hashlib.sha256(json.dumps([rule, scope, what]).encode()).hexdigest()[:16]


def _add(findings: dict[str, Data], fleet: Fleet, subject: str, verdict: Body, fault: Body) -> None:
    scope = find_scope(fleet, subject, fault)
    key = identify(verdict["rule"], scope, fault["what"])
    finding = findings.setdefault(
        key,
        {
            "id": key,
            "rule": verdict["rule"],
            "place": verdict["place"],
            "scope": scope,
            "what": clean(fault["what"]),
            "cases": {},
        },
    )
    layer = fleet.appliances[subject][fault["layer"]] if scope.startswith((f"{model.BASE}/", f"{model.APP}/")) else {}
    case = {
        "status": verdict["status"],
        "severity": verdict["severity"],
        "action": verdict["action"],
        "found": clean(fault["found"]),
        "allowed": clean(fault["allowed"]),
        "reason": clean(verdict["reason"]),
        "layer": f"{layer['name']} {layer['version']}".strip() if layer else fault["layer"],
        "commit": layer.get("commit", ""),
        "policy": verdict["policy"],
        "owners": sorted(map(clean, verdict["owners"])),
        "waivers": [_name_waiver(waiver) for waiver in verdict["waivers"]],
    }
    known = finding["cases"].setdefault(json.dumps(case, sort_keys=True), {**case, "subjects": []})
    known["subjects"].append(subject)


def _name_waiver(waiver: Body) -> Data:
    return {
        **{key: clean(str(waiver[key])) for key in ("control", "subject", "expires")},
        "what": clean(str(waiver.get("what", "*"))),
    }


def _close(finding: Data, policies: t.Mapping[str, Body], fail_on: str) -> Data:
    """Return a finding with its cases as a list, and what the gravest of them says."""
    cases = sorted(finding["cases"].values(), key=lambda case: (_weigh(case), json.dumps(case)), reverse=True)
    for case in cases:
        case["subjects"] = sorted(set(case["subjects"]))
        case["sentence"] = explain(finding, case)
    worst = cases[0]
    return {
        **finding,
        "status": worst["status"],
        "severity": worst["severity"],
        "action": worst["action"],
        "owners": sorted({owner for case in cases for owner in case["owners"]}),
        "fails": any(is_failing(case, policies, fail_on) for case in cases),
        "new": False,
        "cases": cases,
    }


def _weigh(case: Body) -> tuple[bool, int, int]:
    return (case["status"] in BAD, weigh(case["severity"]), STATUSES.index(case["status"]))


def weigh(severity: str) -> int:
    """Return how grave a severity is, beginning with 0."""
    return model.SEVERITIES.index(severity)


def _gravest_first(finding: Body) -> tuple[t.Any, ...]:
    is_bad, severity, status = _weigh(finding)
    return (not is_bad, -severity, -status, finding["rule"], finding["scope"], finding["what"], finding["id"])


def explain(finding: Body, case: Body) -> str:
    """Return a sentence about a case of a finding."""
    if case["status"] == model.UNKNOWN:
        return f"cannot be decided: {case['reason'] or 'no reason given'}"
    said = f"{finding['what']} is {case['found']}, allowed: {case['allowed']}"
    said += f" (and {case['reason']})" if case["reason"] else ""
    late = sorted({waiver["expires"] for waiver in case["waivers"]}) if case["status"] == model.EXPIRED else []
    return said + (f"; its waiver expired on {', '.join(late)}" if late else "")


def is_failing(case: Body, policies: t.Mapping[str, Body], fail_on: str) -> bool:
    """Whether this makes an audit no good."""
    # What no known policy asks for, the audit itself does, or a policy that is not the one of this inventory.
    is_enforced = policies.get(case["policy"], {}).get("mode", judging.ENFORCE) == judging.ENFORCE
    threshold = fail_on or (model.HIGH if is_enforced else NEVER)
    if threshold == NEVER or case["status"] not in BAD:
        return False
    if case["status"] == model.UNKNOWN and not is_enforced:
        return False
    return weigh(case["severity"]) >= weigh(threshold)


def merge(findings: t.Iterable[Body]) -> list[Row]:
    """Return a row for each different word on findings: what is the same in a hundred appliances is one."""
    rows: dict[Row, tuple[set[str], bool]] = {}
    for finding in findings:
        for case in finding["cases"]:
            key = Row(
                **{name: case[name] for name in ("severity", "status", "found", "allowed", "layer", "reason")},
                **{name: finding[name] for name in ("rule", "what")},
                owners=tuple(case["owners"]),
                subjects=(),
                is_new=False,
            )
            subjects, is_new = rows.setdefault(key, (set(), False))
            subjects.update(case["subjects"])
            rows[key] = (subjects, is_new or finding["new"])
    merged = [
        key._replace(subjects=tuple(sorted(names, key=in_order)), is_new=new) for key, (names, new) in rows.items()
    ]
    return sorted(merged, key=lambda row: (-weigh(row.severity), -STATUSES.index(row.status), *row[2:8], row.subjects))


def clean(text: str) -> str:
    """Return a text in which nothing moves a cursor, turns the direction of writing, or breaks a line."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def find_quarantines(found: t.Mapping[str, Body], policies: t.Mapping[str, Body]) -> dict[str, dict[str, str]]:
    """Return, by node and appliance, why an enforced policy has it cut off: the rules that failed.

    What could not be decided cuts nobody off.
    """
    cut: dict[str, dict[str, list[str]]] = {}
    for node, result in sorted(found.items()):
        for verdict in result.get("verdicts", []):
            is_enforced = policies.get(verdict["policy"], {}).get("mode") == judging.ENFORCE
            is_wrong = verdict["status"] in (model.FAIL, model.EXPIRED)
            if verdict["appliance"] and is_enforced and is_wrong and verdict["action"] == judging.QUARANTINE:
                cut.setdefault(node, {}).setdefault(verdict["appliance"], []).append(verdict["rule"])
    return {
        node: {name: f"an audit found that {', '.join(rules)} failed" for name, rules in names.items()}
        for node, names in cut.items()
    }
