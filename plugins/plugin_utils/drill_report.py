# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill of the fleet found: a row an appliance, and a table of them. Pure."""

from __future__ import annotations

import io
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import reason_of

try:
    import rich.box
    import rich.console
    import rich.table
except ImportError:  # said by inventory.failures
    rich = None  # type: ignore[assignment]

COLUMNS = ("appliance", "node", "backup", "made", "outcome", "seconds", "restored")
WIDTH = 150
GOOD = "proven"

Row = dict[str, t.Any]
Facts = t.Mapping[str, t.Any]


def build_rows(
    results: t.Mapping[str, Facts], requests: t.Mapping[str, t.Sequence[Facts]], skipped: Facts
) -> list[Row]:
    """Return a row for every appliance that was to be drilled.

    ``results``: what the module drill returned, by node. ``requests``: what was asked of each. ``skipped``: why others
    were not drilled.
    """
    rows = [{**outcome, "node": node} for node, result in results.items() for outcome in result.get("outcomes", [])]
    seen = {row["appliance"] for row in rows}
    for node, asked in requests.items():
        reason = f"the drill of node {node} failed: {reason_of(results.get(node, {}))}"
        rows += [_fault(each["appliance"], node, reason) for each in asked if each["appliance"] not in seen]
    rows += [_fault(name, "", reason) for name, reason in skipped.items()]
    return sorted(rows, key=lambda row: (row["node"], row["appliance"]))


def _fault(appliance: str, node: str, reason: str) -> Row:
    empty = dict.fromkeys(("copy", "repository", "snapshot", "made"), "")
    return {
        **empty,
        "appliance": appliance,
        "node": node,
        "outcome": "failed",
        "seconds": 0.0,
        "bytes": 0,
        "reason": reason,
    }


def find_faults(rows: t.Iterable[Row], checks: t.Iterable[Facts]) -> list[str]:
    """Return a sentence for every backup that is not proven, and every repository that is damaged."""
    bad = [f"{row['appliance']}: {row['reason']}" for row in rows if row["outcome"] != GOOD]
    return bad + [f"repository {check['repository']}: {check['fault']}" for check in checks if check["fault"]]


def draw_table(rows: t.Iterable[Row], checks: t.Iterable[Facts]) -> str:
    """Return the rows as a text table, and under it the checks and what is wrong."""
    rows, checks = list(rows), list(checks)
    table = rich.table.Table(*COLUMNS, box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        took = f"{row['seconds']:.1f}" if row["seconds"] else ""
        size = format_size(row["bytes"]) if row["bytes"] else ""
        table.add_row(row["appliance"], row["node"], row["snapshot"][:8], row["made"], row["outcome"], took, size)
    screen = rich.console.Console(file=io.StringIO(), width=WIDTH, color_system=None)
    screen.print(table)
    lines = [line.rstrip() for line in t.cast("io.StringIO", screen.file).getvalue().rstrip().splitlines()]
    lines += [
        f"repository {check['repository']}: checked in {check['seconds']:.1f} s"
        for check in checks
        if not check["fault"]
    ]
    return "\n".join([*lines, *find_faults(rows, checks)])
