# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An audit's report as one page that needs nothing else: no script, no font, no network."""

from __future__ import annotations

import collections
import hashlib
import typing as t
from pathlib import Path

import jinja2
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import model
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_findings import (
    BAD,
    Body,
    Data,
    Row,
    in_order,
    merge,
    short,
    weigh,
)
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_report import subject_of
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_table import say_days

TEMPLATES = Path(__file__).parent / "templates"
SEVERITIES = tuple(reversed(model.SEVERITIES))
SHOWN = 6  # names before the rest is folded


def write_html(report: Body, text: str) -> str:
    """Return the page. ``text``: the report as audit.json holds it, whose checksum the page names."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("audit.html.j2")
    return page.render(**build_context(report), checksum=hashlib.sha256(text.encode()).hexdigest())


def build_context(report: Body) -> Data:
    """Return what the template shows."""
    rows = merge(report["findings"])
    bad = [row for row in rows if row.status in BAD]
    return {
        "report": report,
        "severities": SEVERITIES,
        "by_severity": {name: [row for row in bad if row.severity == name] for name in SEVERITIES},
        "by_owner": group_by_owner(bad),
        "policies": [describe_policy(digest, report) for digest in report["policies"]],
        "subjects": describe_subjects(report),
        "statuses": _order(report["counts"]["statuses"]),
        "waivers": [{**waiver, "said": say_days(waiver)} for waiver in report["waivers"]],
        "silent": {node: each for node, each in report["nodes"].items() if each["fault"] or each["unchecked"]},
        "absent": [entry["name"] for entry in report["appliances"] if not entry["node"]],
        "news": [row for row in bad if row.is_new],
        "shown": SHOWN,
        "short": short,
    }


def group_by_owner(rows: t.Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows that each owner can mend, those with the most first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        for owner in row.owners:
            groups.setdefault(owner, []).append(row)
    return dict(sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0])))


def describe_policy(digest: str, report: Body) -> Data:
    """Return a policy with the number of verdicts of each status, of all and by rule."""
    policy = report["policies"][digest]
    by_rule: dict[str, collections.Counter[str]] = {}
    for verdict in report["verdicts"]:
        if verdict["policy"] == digest:
            by_rule.setdefault(verdict["rule"], collections.Counter())[verdict["status"]] += len(verdict["subjects"])
    rules = [
        {"name": name, **setting, **report["rules"][name], "counts": _order(by_rule.get(name, {}))}
        for name, setting in policy["rules"].items()
    ]
    rules.sort(key=lambda rule: (-weigh(rule["severity"]), rule["name"]))
    counts = _order(report["counts"]["policies"].get(digest, {}))
    return {**policy, "digest": digest, "title": " + ".join(policy["names"]), "asked": rules, "counts": counts}


def _order(counts: t.Mapping[str, int]) -> dict[str, int]:
    """Return counts by status, the bad ones first."""
    return dict(sorted(counts.items(), key=lambda pair: (pair[0] not in BAD, pair[0])))


def describe_subjects(report: Body) -> list[Data]:
    """Return appliances and nodes with what was found of them, the worst first."""
    told: dict[str, list[Data]] = {}
    for finding in report["findings"]:
        for case in finding["cases"]:
            for subject in case["subjects"]:
                told.setdefault(subject, []).append({**case, "rule": finding["rule"], "new": finding["new"]})
    entries = [
        {**entry, "subject": subject_of(entry), "kind": "appliance"} for entry in report["appliances"] if entry["node"]
    ]
    entries += [
        {
            "name": node,
            "node": node,
            "subject": node,
            "kind": "node",
            "status": "",
            "base": None,
            "app": None,
            "policy": "",
        }
        for node in report["nodes"]
    ]
    for entry in entries:
        lines = told.get(entry["subject"], [])
        entry["findings"] = sorted(
            lines,
            key=lambda case: (case["status"] not in BAD, -weigh(case["severity"]), case["rule"], case["sentence"]),
        )
        bad = collections.Counter(case["severity"] for case in lines if case["status"] in BAD)
        entry["bad"] = {name: bad[name] for name in SEVERITIES if bad[name]}
    return sorted(
        entries, key=lambda entry: ([-entry["bad"].get(name, 0) for name in SEVERITIES], in_order(entry["name"]))
    )
