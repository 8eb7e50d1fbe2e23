# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet's status: rows for every appliance that is wanted or found, and a table of them. Pure."""

from __future__ import annotations

import io
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.durations import format_duration, parse_duration
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size

try:
    import rich.box
    import rich.console
    import rich.table
except ImportError:  # said by inventory.failures
    rich = None  # type: ignore[assignment]

COLUMNS = ("appliance", "node", "address", "app", "base", "state", "health", "boot", "memory", "backup")
WIDTH = 150
SHOWN = 5  # commands under the table
GOOD = "healthy"

Row = dict[str, t.Any]


class Wanted(t.NamedTuple):
    """Where an appliance should be, whether running or stopped, and how it is backed up (None: it is not)."""

    node: str
    state: str
    backup: t.Mapping[str, t.Any] | None = None


def build_rows(found: t.Mapping[str, t.Mapping[str, t.Any]], wanted: t.Mapping[str, Wanted]) -> list[Row]:
    """Return a row for every appliance.

    ``found``: by node, what the module appliance_info returned (or Ansible's word that the node did not answer).
    ``wanted``: every appliance that should be there.
    """
    rows = []
    seen = set()
    for node, result in found.items():
        for item in result.get("appliances", []):
            seen.add(item["name"])
            rows.append({**item, "node": node, **_compare(item, node, wanted.get(item["name"]))})
    rows += [_missing(name, at.node, found) for name, at in wanted.items() if name not in seen and at.node in found]
    return sorted(rows, key=lambda row: (row["node"], row["name"]))


def _compare(item: Row, node: str, wanted: Wanted | None) -> Row:
    if wanted is None or wanted.node != node:
        return {"wanted": False, "fault": item["fault"] or "the inventory does not ask for it on this node"}
    own = _compare_state(item, wanted)
    fault = own.get("fault", item["fault"])
    backup = _describe_backup(item.get("backup") or {}, wanted.backup) if wanted.backup else {}
    return {**own, "fault": fault or backup.get("fault", ""), "backup": {**(item.get("backup") or {}), **backup}}


def _describe_backup(found: Row, wanted: t.Mapping[str, t.Any]) -> Row:
    """Return how old a backup may be, and what is wrong with it."""
    objective = parse_duration(wanted["objective"]) if "objective" in wanted else None
    age = found.get("age")
    is_overdue = objective is not None and (age is None or age > objective)
    return {"objective": objective, "overdue": is_overdue, "fault": _find_backup_fault(found, objective, is_overdue)}


def _find_backup_fault(found: Row, objective: int | None, is_overdue: bool) -> str:
    if found.get("held_since"):
        return (
            f"a backup that was cut off at {found['held_since']} left it held: run playbooks/backup.yml, which lets go"
        )
    if found.get("failure"):
        failed = f"its last backup failed {format_duration(found['failure_age'])} ago: {found['failure']}"
        return f"{failed} (times since a good one: {found['failures']})" if found["failures"] > 1 else failed
    if is_overdue:
        newest = (
            f"its newest backup is {format_duration(found['age'])} old" if found.get("good") else "it has no backup"
        )
        return f"{newest}, objective {format_duration(objective or 0)}: run playbooks/backup.yml"
    if found.get("drill_failure"):
        return f"its last drill failed: {found['drill_failure']}"
    return ""


def _compare_state(item: Row, wanted: Wanted) -> Row:
    if item["state"] == wanted.state == "stopped":
        return {"wanted": True, "health": "not checked", "fault": ""}
    if wanted.state == "stopped":
        return {"wanted": True, "fault": f"it should be stopped, but is {item['state']}"}
    return {"wanted": True}


def is_good(row: Row) -> bool:
    """Whether there is nothing to do about an appliance."""
    return not row["fault"] and row["wanted"] and row["health"] in (GOOD, "not checked")


def draw_table(rows: t.Iterable[Row]) -> str:
    """Return the rows as a text table, and under it what is wrong and how to look inside."""
    rows = list(rows)
    table = rich.table.Table(*COLUMNS, box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*_cells(row))
    screen = rich.console.Console(file=io.StringIO(), width=WIDTH, color_system=None)
    screen.print(table)
    lines = [line.rstrip() for line in t.cast("io.StringIO", screen.file).getvalue().rstrip().splitlines()]
    lines += [f"{row['name']} on {row['node']}: {row['fault']}" for row in rows if row["fault"]]
    running = [row for row in rows if row["state"] == "running"]
    if running:
        lines += ["", "To look inside one, on its node:", *(f"  {row['look']}" for row in running[:SHOWN])]
        lines += [f"  ... and so on for {len(running) - SHOWN} more"] if len(running) > SHOWN else []
    return "\n".join(lines)


def _missing(name: str, node: str, found: t.Mapping[str, t.Mapping[str, t.Any]]) -> Row:
    answered = "appliances" in found[node]
    fault = (
        "it is not there: deploy it"
        if answered
        else f"its node did not answer: {found[node].get('msg', 'no reason given')}"
    )
    empty = dict.fromkeys(("address", "base", "app", "config", "memory", "boot_seconds", "look"))
    state, health = ("absent", "unhealthy") if answered else ("unknown", "unknown")
    return {"name": name, "node": node, "wanted": True, "fault": fault, **empty, "state": state, "health": health}


def _cells(row: Row) -> tuple[str, ...]:
    app, base = (f"{row[kind]['name']} {row[kind]['version']}" if row[kind] else "" for kind in ("app", "base"))
    boot = f"{row['boot_seconds']:.1f} s" if row["boot_seconds"] is not None else ""
    memory = format_size(row["memory"]) if row["memory"] else ""
    place = (row["name"], row["node"], row["address"] or "", app, base)
    return *place, row["state"], row["health"], boot, memory, _tell_backup(row.get("backup") or {})


def _tell_backup(backup: Row) -> str:
    """Return how old the newest backup is, and the last that a drill proved; '' for an appliance without backups."""
    if not backup.get("good"):
        return "none" if "objective" in backup else ""
    age = format_duration(backup["age"])
    return f"{age}, proven {format_duration(backup['proven_age'])}" if backup.get("proven") else age
