# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An audit's report for the terminal: what is wrong, in as few lines as it takes. Pure."""

from __future__ import annotations

import io
import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils.audit_findings import BAD, Body, Row, merge, short
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_report import count
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_waivers import SOON
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import say_some

try:
    import rich.box
    import rich.console
    import rich.table
except ImportError:  # said by inventory.failures
    rich = None  # type: ignore[assignment]

COLUMNS = ("", "severity", "status", "rule", "finding", "affects", "mends it")
WIDTH = 160
SHOWN = 4  # names in a cell
MOST = 60  # lines of the table


def draw_report(report: Body, files: t.Sequence[str] = ()) -> str:
    """Return the counts, the bad findings, what to do, waivers that end soon, what changed, and the verdict."""
    rows = [row for row in merge(report["findings"]) if row.status in BAD]
    return "\n".join(
        [
            say_counts(report),
            *(draw_rows(rows[:MOST]) if rows else []),
            *([f"... and {count(len(rows) - MOST, 'line')} more, less grave"] if len(rows) > MOST else []),
            *say_remedies(rows[:MOST], report["rules"]),
            *say_waivers(report["waivers"]),
            *report["conflicts"],
            *say_unchecked(report["nodes"]),
            *say_since(report["since"]),
            *([f"Written: {', '.join(files)}"] if files else []),
            report["verdict"],
        ]
    )


def say_counts(report: Body) -> str:
    """Return the number of verdicts of each status."""
    statuses = sorted(report["counts"]["statuses"].items(), key=lambda pair: (-pair[1], pair[0]))
    return "Verdicts: " + (", ".join(f"{number} {name.replace('_', ' ')}" for name, number in statuses) or "none")


def draw_rows(rows: t.Sequence[Row]) -> list[str]:
    """Return the lines of a table."""
    table = rich.table.Table(*COLUMNS, box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for number, row in enumerate(rows, 1):
        status = f"{row.status}{' (new)' if row.is_new else ''}"
        affects = say_some([short(subject) for subject in row.subjects], SHOWN)
        owners = ", ".join(row.owners)
        table.add_row(str(number), row.severity, status, row.rule, say_finding(row), affects, owners)
    for column in table.columns[4:]:
        column.overflow = "fold"
    screen = rich.console.Console(file=io.StringIO(), width=WIDTH, color_system=None, markup=False, highlight=False)
    screen.print(table)
    return [line.rstrip() for line in t.cast("io.StringIO", screen.file).getvalue().rstrip().splitlines()]


def say_finding(row: Row) -> str:
    """Return what is wrong, in a few words."""
    if not row.what:
        return row.reason
    layer = f" [{row.layer}]" if row.layer else ""
    more = f"; {row.reason}" if row.reason else ""
    return f"{row.what}{layer}: {row.found}, allowed {row.allowed}{more}"


def say_remedies(rows: t.Iterable[Row], rules: t.Mapping[str, Body]) -> list[str]:
    """Return each thing to do once, with the lines of the table that it is for."""
    remedies: dict[str, list[str]] = {}
    for number, row in enumerate(rows, 1):
        remedies.setdefault(rules[row.rule]["remedy"], []).append(str(number))
    lines = [f"  {', '.join(numbers)}: {remedy}." for remedy, numbers in remedies.items()]
    return ["What to do:", *lines, ""] if lines else []


def say_waivers(waivers: t.Iterable[Body]) -> list[str]:
    """Return a line for each waiver that ends soon or is over. A useless one is a finding already."""
    return [
        f"Waiver of {waiver['control']} for {waiver['subject']} ({waiver['owner']}): {say_days(waiver)}"
        for waiver in waivers
        if waiver["days_left"] <= SOON and not waiver["useless"]
    ]


def say_days(waiver: Body) -> str:
    """Return when a waiver ends or ended."""
    days = waiver["days_left"]
    if days < 0:
        return f"expired on {waiver['expires']}"
    return f"expires on {waiver['expires']}, " + ("today" if not days else f"in {count(days, 'day')}")


def say_unchecked(nodes: t.Mapping[str, Body]) -> list[str]:
    """Return a line for what was not looked at."""
    lines = [f"{node}, not looked at: {sentence}" for node, each in nodes.items() for sentence in each["unchecked"]]
    return lines + [f"{node}, not audited: {each['fault']}" for node, each in nodes.items() if each["fault"]]


def say_since(since: Body | None) -> list[str]:
    """Return what changed since the report before, in a line."""
    if not since:
        return []
    parts = [f"{len(since[key])} {key}" for key in ("new", "gone", "unseen") if since[key]]
    said = f"findings: {', '.join(parts)}" if parts else "no finding came or went"
    appliances = [f"{name} {word}" for word in ("new", "gone") if (name := say_some(since["appliances"][word], SHOWN))]
    said += f"; appliances: {', '.join(appliances)}" if appliances else ""
    policies = [each["name"] for each in since["policies"]]
    said += f"; changed policies: {', '.join(policies)}" if policies else ""
    return [f"Since {since['when']}: {said}."]
