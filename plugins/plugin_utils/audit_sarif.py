# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An audit's report as SARIF 2.1.0, for trackers that follow findings. Pure.

The format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html
"""

from __future__ import annotations

import json
import typing as t
import urllib.parse

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import model
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_findings import BAD, Body, Data, short

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
HOME = "https://github.com/strata-fleet/strata.fleet"
LEVELS = {model.CRITICAL: "error", model.HIGH: "error", model.MEDIUM: "warning", model.LOW: "note"}
# What GitHub and others sort by, on the scale of CVSS.
SCORES = {model.CRITICAL: "9.5", model.HIGH: "8.0", model.MEDIUM: "5.5", model.LOW: "2.0"}
FINGERPRINT = "strataFinding/v1"


def write_sarif(report: Body) -> str:
    """Return the text of the SARIF file."""
    return json.dumps(build_sarif(report), indent=1, sort_keys=True) + "\n"


def build_sarif(report: Body) -> Data:
    """Return the log: one run, a result for each finding."""
    rules = sorted(report["rules"])
    worst = {finding["rule"]: finding["severity"] for finding in reversed(report["findings"])}
    run = {
        "tool": {
            "driver": {
                "name": "strata.fleet audit",
                "informationUri": HOME,
                "rules": [_describe_rule(name, report, worst) for name in rules],
            }
        },
        "automationDetails": {"id": f"strata.fleet/audit/{report['when']}"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_describe_invocation(report)],
        "results": [_describe_result(finding, rules.index(finding["rule"]), report) for finding in report["findings"]],
        "properties": {
            "policies": {" + ".join(policy["names"]): digest for digest, policy in report["policies"].items()}
        },
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _describe_rule(name: str, report: Body, worst: t.Mapping[str, str]) -> Data:
    rule = report["rules"][name]
    asked = [policy["rules"][name]["severity"] for policy in report["policies"].values() if name in policy["rules"]]
    severity = worst.get(name) or max(asked, key=model.SEVERITIES.index, default=model.LOW)
    numbers = [f"{benchmark} {number}" for benchmark, each in rule["controls"].items() for number in each]
    return {
        "id": name,
        "shortDescription": {"text": rule["title"]},
        "help": {"text": f"{rule['remedy']}."},
        "defaultConfiguration": {"level": LEVELS[severity]},
        "properties": {
            "controls": rule["controls"],
            "place": rule["place"],
            "security-severity": SCORES[severity],
            "tags": ["security", *numbers],
            **({"provenBy": rule["twin"]} if rule["twin"] else {}),
        },
    }


def _describe_invocation(report: Body) -> Data:
    silent = [f"{node} was not audited: {each['fault']}" for node, each in report["nodes"].items() if each["fault"]]
    unchecked = [f"{node}: {said}" for node, each in report["nodes"].items() for said in each["unchecked"]]
    notes = [("error", said) for said in silent] + [("warning", said) for said in unchecked]
    return {
        "executionSuccessful": not silent,
        "endTimeUtc": report["when"],
        "toolExecutionNotifications": [{"level": level, "message": {"text": said}} for level, said in notes],
    }


def _describe_result(finding: Body, index: int, report: Body) -> Data:
    places = [_locate(subject) for subject in list_subjects(finding)]
    layer = _locate_layer(finding)
    waived = finding["status"] == model.WAIVED
    result = {
        "ruleId": finding["rule"],
        "ruleIndex": index,
        "kind": "fail",
        "level": LEVELS[finding["severity"]],
        "message": {"text": say(finding)},
        # With a layer, mending that one place is enough; else there is one subject.
        "locations": [layer] if layer else places[:1],
        "fingerprints": {FINGERPRINT: finding["id"]},
        # Every result has it, as those without are taken for not suppressed only where none has it.
        "suppressions": _justify(finding, report) if waived else [],
        "properties": {
            "status": finding["status"],
            "severity": finding["severity"],
            "owners": finding["owners"],
            "scope": finding["scope"],
            "policies": sorted({case["policy"] for case in finding["cases"] if case["policy"]}),
        },
    }
    if layer:
        result["relatedLocations"] = places
    if report["since"]:
        result["baselineState"] = "new" if finding["new"] else "unchanged"
    return result


def list_subjects(finding: Body) -> list[str]:
    """Return all that a finding is about."""
    return sorted({subject for case in finding["cases"] for subject in case["subjects"]})


def say(finding: Body) -> str:
    """Return what was found, and where it is not the same everywhere."""
    shown = [case for case in finding["cases"] if case["status"] in BAD] or finding["cases"]
    subjects = list_subjects({"cases": shown})
    sentences = dict.fromkeys(
        f"{f'In {layer}, ' if (layer := case['layer']) and case['commit'] else ''}{case['sentence']}" for case in shown
    )
    names = ", ".join(short(subject) for subject in subjects[:20])
    rest = f" and {len(subjects) - 20} more" if len(subjects) > 20 else ""  # noqa: PLR2004 - names in a sentence
    return f"{'. '.join(sentences)}. Affects {names}{rest}."


def _locate(subject: str) -> Data:
    kind = "appliance" if "/" in subject else "node"
    return {"logicalLocations": [{"name": short(subject), "fullyQualifiedName": subject, "kind": kind}]}


def _locate_layer(finding: Body) -> Data | None:
    """Return where in a base or app it is, None where it is in none."""
    kind, _slash, name = finding["scope"].partition("/")
    if kind not in (model.BASE, model.APP):
        return None
    path = finding["what"].lstrip("/")
    full = f"{finding['scope']}/{path}"
    location: Data = {"logicalLocations": [{"name": path or name, "fullyQualifiedName": full, "kind": kind}]}
    if finding["what"].startswith("/"):
        location["physicalLocation"] = {"artifactLocation": {"uri": urllib.parse.quote(full)}}
    return location


def _justify(finding: Body, report: Body) -> list[Data]:
    """Return a suppression for each waiver that covers it."""
    used = {
        (waiver["control"], waiver["subject"], waiver["what"])
        for case in finding["cases"]
        for waiver in case["waivers"]
    }
    return [
        {
            "kind": "external",
            "status": "accepted",
            "justification": (
                f"{waiver['reason']} (owner {waiver['owner']}, approved by {waiver['approver']}, "
                f"until {waiver['expires']})"
            ),
        }
        for waiver in report["waivers"]
        if (waiver["control"], waiver["subject"], waiver["what"]) in used
    ]
