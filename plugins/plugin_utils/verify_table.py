# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verifying the nodes found: a report of all of them, and a table of it. Pure."""

from __future__ import annotations

import io
import typing as t

try:
    import rich.box
    import rich.console
    import rich.table
except ImportError:  # said by inventory.failures
    rich = None  # type: ignore[assignment]

COLUMNS = ("", "node", "appliance", "what", "where", "finding")
WIDTH = 160

Report = dict[str, t.Any]


def build_report(found: t.Mapping[str, t.Mapping[str, t.Any]]) -> Report:
    """Return ``findings`` of all nodes, and by node what was looked at.

    ``found``: by node, what the module verify_info returned (or Ansible's word that it could not).
    """
    findings = [
        {"node": node, **finding} for node, result in sorted(found.items()) for finding in result.get("findings", [])
    ]
    nodes = {
        node: {
            "verified": "findings" in result,
            "appliances": len(result.get("appliances", [])),
            "unchecked": result.get("unchecked", []),
            "fault": "" if "findings" in result else result.get("msg", "no reason given"),
        }
        for node, result in sorted(found.items())
    }
    return {"findings": findings, "nodes": nodes}


def verdict(report: Report) -> tuple[bool, str]:
    """Return whether all is as it was declared, and a sentence."""
    silent = [node for node, looked in report["nodes"].items() if not looked["verified"]]
    appliances = sum(looked["appliances"] for looked in report["nodes"].values())
    looked_at = f"{count(appliances, 'appliance')} on {count(len(report['nodes']) - len(silent), 'node')}"
    parts = [f"{count(len(report['findings']), 'finding')} in {looked_at}"] if report["findings"] else []
    parts += [f"not verified: {', '.join(silent)}"] if silent else []
    return not parts, "; ".join(parts) or f"all is as it was declared: {looked_at}"


def count(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def draw_report(report: Report) -> str:
    """Return the findings as a text table, what to do about them, what could not be looked at, and the verdict."""
    lines = [*draw_findings(report["findings"])] if report["findings"] else []
    for node, looked in report["nodes"].items():
        lines += [f"{node}, not looked at: {sentence}" for sentence in looked["unchecked"]]
        lines += [f"{node}, not verified: {looked['fault']}"] if looked["fault"] else []
    return "\n".join([*lines, verdict(report)[1]])


def draw_findings(findings: t.Sequence[t.Mapping[str, str]]) -> t.Iterator[str]:
    """Give the lines of a table of findings, and a line for each thing to do."""
    table = rich.table.Table(*COLUMNS, box=rich.box.SIMPLE_HEAD, pad_edge=False)
    remedies: dict[str, list[str]] = {}
    for number, row in enumerate(findings, 1):
        table.add_row(str(number), row["node"], row["appliance"], row["what"], row["where"], row["sentence"])
        remedies.setdefault(row["remedy"], []).append(str(number))
    for column in table.columns[4:]:
        column.overflow = "fold"
    screen = rich.console.Console(file=io.StringIO(), width=WIDTH, color_system=None, markup=False)
    screen.print(table)
    yield from (line.rstrip() for line in t.cast("io.StringIO", screen.file).getvalue().rstrip().splitlines())
    yield "What to do:"
    for remedy, numbers in remedies.items():
        yield f"  {', '.join(numbers)}: {remedy}"
    yield ""
