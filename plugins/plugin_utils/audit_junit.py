# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An audit's report as JUnit's XML: a suite for each appliance and node, a case for each rule. Pure."""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import model
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_findings import OWN_RULES, Body

# Told as: a failed test, one that could not be run, one that was left out.
FAILURE, ERROR, SKIPPED = "failure", "error", "skipped"
ELEMENTS = {
    model.FAIL: FAILURE,
    model.EXPIRED: FAILURE,
    model.UNKNOWN: ERROR,
    model.WAIVED: SKIPPED,
    model.NOT_APPLICABLE: SKIPPED,
}


class Case(t.NamedTuple):
    """One rule and one subject: what became of it, and the sentences about it."""

    rule: str
    status: str
    severity: str
    sentences: t.Sequence[str]


def write_junit(report: Body) -> str:
    """Return the XML."""
    suites = ET.Element("testsuites", name="strata.fleet audit")
    totals = dict.fromkeys((FAILURE, ERROR, SKIPPED), 0)
    number = 0
    for subject, cases in sorted(list_cases(report).items()):
        counts = _add_suite(suites, subject, cases, report)
        totals = {name: totals[name] + counts[name] for name in totals}
        number += len(cases)
    _set_counts(suites, number, totals)
    ET.indent(suites, " ")
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def list_cases(report: Body) -> dict[str, list[Case]]:
    """Return the cases of each subject."""
    told: dict[tuple[str, str], list[str]] = {}
    cases: dict[str, list[Case]] = {}
    for finding in report["findings"]:
        for case in finding["cases"]:
            for subject in case["subjects"]:
                told.setdefault((finding["rule"], subject), []).append(case["sentence"])
                if finding["rule"] in OWN_RULES:
                    own = Case(finding["rule"], case["status"], case["severity"], [case["sentence"]])
                    cases.setdefault(subject, []).append(own)
    for verdict in report["verdicts"]:
        for subject in verdict["subjects"]:
            sentences = sorted(told.get((verdict["rule"], subject), ())) or [verdict["reason"]]
            case = Case(verdict["rule"], verdict["status"], verdict["severity"], sentences)
            cases.setdefault(subject, []).append(case)
    return cases


def _add_suite(suites: ET.Element, subject: str, cases: t.Sequence[Case], report: Body) -> dict[str, int]:
    suite = ET.SubElement(suites, "testsuite", name=subject, timestamp=report["when"].removesuffix("Z"))
    counts = dict.fromkeys((FAILURE, ERROR, SKIPPED), 0)
    for case in sorted(cases):
        test = ET.SubElement(suite, "testcase", classname=subject.replace("/", "."), name=case.rule)
        name = ELEMENTS.get(case.status)
        if name:
            counts[name] += 1
            element = ET.SubElement(test, name, message="; ".join(case.sentences))
            # A skipped test has no more than a message in most readers' schemas.
            if name != SKIPPED:
                element.set("type", f"{case.severity} {case.status}")
                element.text = "\n".join([*case.sentences, f"{report['rules'][case.rule]['remedy']}."])
    _set_counts(suite, len(cases), counts)
    return counts


def _set_counts(element: ET.Element, tests: int, counts: t.Mapping[str, int]) -> None:
    element.set("tests", str(tests))
    element.set("failures", str(counts[FAILURE]))
    element.set("errors", str(counts[ERROR]))
    element.set("skipped", str(counts[SKIPPED]))
