# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout as text: the plan, what became of each appliance as it goes, and the table at its end. Pure."""

from __future__ import annotations

import collections
import io
import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils import verdicts
from ansible_collections.strata.fleet.plugins.plugin_utils.gate import first_line
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import say_some

try:
    import rich.box
    import rich.console
    import rich.table
except ImportError:  # said by inventory.failures
    rich = None  # type: ignore[assignment]

WIDTH = 150
SHOWN = 8  # names in a sentence
PLAN_COLUMNS = ("appliance", "node", "what", "base", "app", "batch", "interruption")
RECORD_COLUMNS = ("appliance", "node", "base", "app", "outcome", "interruption", "packages", "fixes")

Body = t.Mapping[str, t.Any]


def draw_plan(plan: Body) -> str:
    """Return the plan as a table, and under it why, what is blocked, what nodes fetch, and the batches."""
    entries = plan["appliances"]
    shown = [entry for entry in entries if entry["verdict"] not in (verdicts.NOT_SELECTED, verdicts.CURRENT)]
    rows = [_plan_row(entry) for entry in shown]
    lines = draw(PLAN_COLUMNS, rows) if rows else []
    lines += _say_why(entries)
    lines += _say_blocked(plan)
    lines += [f"{node} fetches {each['said']}" for node, each in plan["nodes"].items() if each["fetch"]]
    lines += [_say_batch(batch, len(plan["batches"])) for batch in plan["batches"]]
    lines += [f"{entry['name']}: stays behind in part: {entry['held']}" for entry in entries if entry["held"]]
    lines += [
        f"{entry['name']} runs what it should, but is not healthy: {first_line(entry['reason'])}"
        for entry in entries
        if entry["verdict"] == verdicts.CURRENT and entry["reason"]
    ]
    lines += [f"{node} does not answer: {reason}" for node, reason in plan["unreachable"].items()]
    lines += [f"{node} cannot tell what is to be done: {reason}" for node, reason in plan["problems"].items()]
    lines += [*plan["warnings"], *([plan["no_canaries"]] if plan["no_canaries"] else [])]
    return "\n".join([*lines, say_totals(plan)])


def say_totals(plan: Body) -> str:
    """Return how many appliances there are of each verdict, in a sentence."""
    counts = collections.Counter(entry["verdict"] for entry in plan["appliances"])
    words = {verdicts.PATCH: "to patch", verdicts.RESUME: "to finish", verdicts.CURRENT: "up to date"}
    parts = [f"{count} {words.get(verdict, verdict)}" for verdict, count in counts.items()]
    total = len(plan["appliances"])
    said = f"{total} {'appliance' if total == 1 else 'appliances'}: {', '.join(parts)}." if parts else "No appliance."
    return said if plan["batches"] else f"{said} Nothing is to be patched."


def say_outcome(entry: Body, outcome: Body) -> str:
    """Return a line for a person who watches the rollout, and below it what else is known of why."""
    said = f"{outcome['outcome'].replace('_', ' ')}: {entry['name']} on {entry['node']}, {_say_moves(entry)}"
    if outcome["interruption"] is not None:
        said += f", interrupted for {outcome['interruption']:.1f} s"
    if outcome["reason"]:
        said += f" ({first_line(outcome['reason'])})"
    said += ", its state was brought back" if outcome.get("state") == "restored" else ""
    # The journal's lines are for the terminal only: records are passed on, and a log may hold anything.
    return "\n".join([said, *(f"    {line}" for line in outcome["reason"].strip().splitlines()[1:])])


def draw_record(record: Body) -> str:
    """Return the appliances of a record as a table."""
    rows = [
        (
            entry["name"],
            entry["node"],
            *(_say_move(entry, kind) for kind in verdicts.KINDS),
            entry["outcome"].replace("_", " ") + (" before" if entry["earlier"] else ""),
            say_seconds(entry["interruption"]),
            str(len(entry["packages"])) if entry["packages"] is not None else "?",
            say_some(entry["cves"], 2),
        )
        for entry in record["appliances"]
    ]
    reasons = [
        f"{entry['name']}: {first_line(entry['reason'])}"
        for entry in record["appliances"]
        if entry["reason"] and not entry["earlier"]
    ]
    return "\n".join([*draw(RECORD_COLUMNS, rows), *reasons])


def draw(columns: t.Sequence[str], rows: t.Iterable[t.Sequence[str]]) -> list[str]:
    """Return the lines of a text table."""
    table = rich.table.Table(*columns, box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    screen = rich.console.Console(file=io.StringIO(), width=WIDTH, color_system=None, markup=False, highlight=False)
    screen.print(table)
    return [line.rstrip() for line in t.cast("io.StringIO", screen.file).getvalue().rstrip().splitlines()]


def say_seconds(seconds: float | None) -> str:
    """Return seconds for a table, '' where they are not known."""
    return "" if seconds is None else f"{seconds:.1f} s"


def _plan_row(entry: Body) -> tuple[str, ...]:
    expected = say_seconds(entry["interruption"])
    if entry["verdict"] in verdicts.CHANGING and not expected:
        expected = "unknown"
    batch = str(entry["batch"]) if entry["batch"] else ""
    layers = (_say_move(entry, kind) for kind in verdicts.KINDS)
    return (entry["name"], entry["node"], entry["verdict"], *layers, batch, expected)


def _say_move(entry: Body, kind: str) -> str:
    old, new = (entry[end][kind] if entry[end] else None for end in ("from", "to"))
    if not old:
        return ""
    if not new or old["commit"] == new["commit"]:
        return f"{old['name']} {old['version']}"
    name = "" if old["name"] == new["name"] else f"{new['name']} "
    return f"{old['name']} {old['version']} > {name}{new['version']}"


def _say_moves(entry: Body) -> str:
    moved = [f"{kind} {_say_move(entry, kind)}" for kind in verdicts.KINDS if kind in entry["moves"]]
    return " and ".join(moved) or "same versions"


def _say_why(entries: t.Iterable[Body]) -> list[str]:
    """Return each reason once, with those that it is for."""
    reasons: dict[str, list[str]] = {}
    for entry in entries:
        for reason in entry["why"] if entry["verdict"] in verdicts.CHANGING else ():
            reasons.setdefault(reason, []).append(entry["name"])
    return [f"{reason}: {say_some(names, SHOWN)}" for reason, names in reasons.items()]


def _say_blocked(plan: Body) -> list[str]:
    entries = {entry["name"]: entry for entry in plan["appliances"]}
    lines = []
    for vendor, names in plan["blocked"].items():
        reasons: dict[tuple[str, str], list[str]] = {}
        for name in names:
            reasons.setdefault((entries[name]["cause"], first_line(entries[name]["reason"])), []).append(name)
        lines.append(f"Blocked, {vendor} to mend:")
        lines += [f"  {say_some(own, SHOWN)} ({cause}): {said}" for (cause, said), own in reasons.items()]
    if any(entry["cause"] == "bad" for entry in entries.values()):
        lines.append("To try again what failed before: --extra-vars '{\"patch_retry\": true}'")
    return lines


def _say_batch(batch: Body, total: int) -> str:
    kinds = {"resume": "finish what was cut short", "canary": "canaries", "batch": "patch"}
    return f"batch {batch['number']} of {total}, {kinds[batch['kind']]}: {say_some(batch['appliances'], SHOWN)}"
