# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a rollout: what became of each appliance, as data and as Markdown. Pure."""

from __future__ import annotations

import collections
import json
import statistics
import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils import verdicts
from ansible_collections.strata.fleet.plugins.plugin_utils.gate import GOOD, ROLLED_BACK, first_line
from ansible_collections.strata.fleet.plugins.plugin_utils.patch_report import say_seconds

FORMAT = 1
COMPLETE, HALTED, INCOMPLETE = "complete", "halted", "incomplete"
NOT_STARTED, PUT_OFF = "not started", "put off"
LEFT_OUT = (verdicts.NOT_SELECTED, verdicts.NOT_DEPLOYED)

Data = dict[str, t.Any]
Mark = tuple[str, str]  # an appliance, and when its swap began
Body = t.Mapping[str, t.Any]


class Origin(t.NamedTuple):
    """Who ran it and from where; ``commit`` is '' where the inventory is in no Git, ``signer`` where nobody signs."""

    user: str
    host: str
    inventory: list[str]
    commit: str
    is_modified: bool
    signer: str


def build_record(plan: Body, state: Body, origin: Origin, ended: str, recorded: t.Collection[Mark] = ()) -> Data:
    """Return the record as data, fit for JSON: see the module record for its keys.

    ``recorded``: the outcomes of earlier runs that a record tells of already, see find_recorded.
    """
    planned = [entry for entry in plan["appliances"] if entry["verdict"] not in LEFT_OUT]
    unknown = [{**entry, "earlier": None} if mark_of(entry) in recorded else entry for entry in planned]
    entries = [_describe(entry, plan, state) for entry in unknown]
    # Taking back what was cut short leaves nothing to be done, where it was not to go on.
    undone = {entry["name"] for entry in planned if entry["verdict"] == verdicts.RESUME and not entry["moves"]}
    left = [
        entry["name"]
        for entry in entries
        if entry["outcome"] not in (*GOOD, verdicts.CURRENT, verdicts.BLOCKED)
        and not (entry["outcome"] == ROLLED_BACK and entry["name"] in undone)
    ]
    return {
        "format": FORMAT,
        "id": plan["id"],
        "result": HALTED if state["halted"] else INCOMPLETE if left else COMPLETE,
        "halted": state["halted"],
        "started": plan["made"],
        "ended": ended,
        "by": origin._asdict(),
        "rollout": plan["rollout"],
        "batches": plan["batches"],
        "appliances": entries,
        "totals": _sum(entries),
    }


def mark_of(entry: Body) -> Mark | None:
    """Return what an earlier outcome in the plan is known by: the appliance, and when its swap began."""
    return (entry["name"], str(entry["earlier"].get("started") or "")) if entry["earlier"] else None


def find_recorded(plan: Body, records: t.Iterable[Body]) -> set[Mark]:
    """Return those of the plan's earlier outcomes that records tell of already. ``records``: the newest one first.

    No more of them are read than it takes: none that ended before the oldest of these outcomes can tell of it.
    """
    sought = {mark for entry in plan["appliances"] if (mark := mark_of(entry))}
    found: set[Mark] = set()
    for record in records if sought else ():
        found |= sought & {(entry["name"], entry["started"]) for entry in record["appliances"]}
        left = sought - found
        if not left or record["ended"] < min(began for _name, began in left):
            break
    return found


def _describe(entry: Body, plan: Body, state: Body) -> Data:
    name = entry["name"]
    outcome = state["outcomes"].get(name) or entry["earlier"]
    word, reason = _judge(entry, state)
    ends = {end: (outcome or {}).get(end) or entry[end] or entry["from"] for end in ("from", "to")}
    return {
        "name": name,
        "node": entry["node"],
        "batch": entry["batch"],
        "from": ends["from"],
        "to": ends["to"],
        **_find_changes(ends, plan, word in GOOD),
        **{key: (outcome or {}).get(key) for key in ("started", "ended", "interruption")},
        "outcome": word,
        "earlier": bool(entry["earlier"]),
        "state": (outcome or {}).get("state", "kept"),
        "snapshot": (outcome or {}).get("snapshot", ""),
        # A reason's other lines are a journal's: they may hold anything, and a record is passed on.
        "reason": first_line(reason) if reason else "",
    }


def _judge(entry: Body, state: Body) -> tuple[str, str]:
    """Return what became of an appliance in a word, and why."""
    outcome = state["outcomes"].get(entry["name"]) or entry["earlier"]
    if outcome:
        return outcome["outcome"], outcome["reason"]
    if entry["name"] in state["deferred"]:
        return PUT_OFF, state["deferred"][entry["name"]]
    if entry["verdict"] in verdicts.CHANGING:
        return NOT_STARTED, ""
    return entry["verdict"], entry["reason"]


def _find_changes(ends: Body, plan: Body, is_patched: bool) -> Data:
    """Return the packages that differ and what that fixes; packages are None where that is not known."""
    answer: Data = {"packages": [], "cves": [], "advisories": [], "complete": True}
    if not is_patched or not ends["from"]:
        return answer
    for kind in verdicts.KINDS:
        old, new = ends["from"][kind]["commit"], ends["to"][kind]["commit"]
        changes = plan["changes"].get(f"{old}..{new}")
        if old != new and changes is None:
            return {**answer, "packages": None, "complete": False}
        if old != new:
            answer["packages"] += [{"layer": kind, **package} for package in changes["packages"]]
            answer["cves"] += [cve for cve in changes["cves"] if cve not in answer["cves"]]
            answer["advisories"] += [one for one in changes["advisories"] if one not in answer["advisories"]]
            answer["complete"] &= changes["complete"]
    return answer


def _sum(entries: t.Sequence[Body]) -> Data:
    now = [entry for entry in entries if not entry["earlier"]]
    seconds = [entry["interruption"] for entry in now if entry["interruption"] is not None and entry["outcome"] in GOOD]
    return {
        "outcomes": dict(collections.Counter(entry["outcome"] for entry in now)),
        "earlier": len(entries) - len(now),
        "interruption": {
            "median": round(statistics.median(seconds), 3) if seconds else None,
            "longest": max(seconds, default=None),
        },
        "cves": sorted({cve for entry in now for cve in entry["cves"]}),
    }


def say_verdict(record: Body) -> str:
    """Return how a rollout ended, in a sentence or two."""
    if record["halted"]:
        return str(record["halted"])
    totals = record["totals"]
    counts = [f"{count} {word.replace('_', ' ')}" for word, count in totals["outcomes"].items()]
    counts += [f"{totals['earlier']} patched by an earlier run"] if totals["earlier"] else []
    said = f"Rollout {record['id']} is {record['result']}: {', '.join(counts) or 'nothing was to be done'}."
    median, longest = (totals["interruption"][key] for key in ("median", "longest"))
    if median is not None:
        said += f" Interruptions: median {median:.1f} s, longest {longest:.1f} s."
    if record["result"] == INCOMPLETE:
        said += " Run again when what is named above is mended: what is patched stays."
    return said


def write_markdown(record: Body) -> str:
    """Return the record as a page for people."""
    by, name = record["by"], record["id"]
    commit = f"{by['commit']}{' with changes that are not in it' if by['is_modified'] else ''}" if by["commit"] else "-"
    signed = f"yes, by the depot {by['signer']}: `{name}.json.asc`" if by["signer"] else "no"
    lines = [
        f"# Rollout {name}: {record['result']}",
        "",
        say_verdict(record),
        "",
        "| | |",
        "|---|---|",
        f"| Started | {record['started']} |",
        f"| Ended | {record['ended']} |",
        f"| By | {cell(by['user'])} on {cell(by['host'])} |",
        f"| Inventory | {cell(', '.join(by['inventory']))} |",
        f"| Its commit | {commit} |",
        f"| Signed | {signed} |",
        f"| CVE ids fixed | {', '.join(record['totals']['cves']) or '-'} |",
        "",
        "## Appliances",
        "",
        "| Appliance | Node | Base | App | Outcome | Began | Ended | Interruption | Fixes |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_markdown_row(entry) for entry in record["appliances"]),
        "",
        *_markdown_reasons(record),
        *_markdown_packages(record),
    ]
    return "\n".join(lines)


def _markdown_row(entry: Body) -> str:
    cells = (
        entry["name"],
        entry["node"],
        *(_say_layer(entry, kind) for kind in verdicts.KINDS),
        entry["outcome"].replace("_", " ") + (" by an earlier run" if entry["earlier"] else ""),
        entry["started"] or "",
        entry["ended"] or "",
        say_seconds(entry["interruption"]),
        ", ".join(entry["cves"]) + ("" if entry["complete"] else " (perhaps more)"),
    )
    return f"| {' | '.join(map(cell, cells))} |"


def _say_layer(entry: Body, kind: str) -> str:
    if not entry["from"]:
        return ""
    old, new = entry["from"][kind], entry["to"][kind]
    said = f"{old['name']} {old['version']} `{old['commit'][:12]}`"
    return said if old["commit"] == new["commit"] else f"{said} to {new['version']} `{new['commit'][:12]}`"


def _markdown_reasons(record: Body) -> list[str]:
    told = [entry for entry in record["appliances"] if entry["reason"] and not entry["earlier"]]
    lines = [f"- {entry['name']}: {cell(first_line(entry['reason']))}" for entry in told]
    return ["## Why not", "", *lines, ""] if lines else []


def _markdown_packages(record: Body) -> list[str]:
    """Return a table for each set of package changes, with all the appliances that have it."""
    groups: dict[str, list[tuple[Body, str]]] = {}
    for entry in record["appliances"]:
        for kind in verdicts.KINDS:
            changed = [package for package in entry["packages"] or [] if package["layer"] == kind]
            if changed:
                groups.setdefault(json.dumps(changed, sort_keys=True), []).append((entry, kind))
    lines = []
    for changed_text, members in groups.items():
        steps = dict.fromkeys(_say_layer(entry, kind) for entry, kind in members)
        lines += [
            f"## Packages: {', '.join(steps)}",
            "",
            cell(", ".join(entry["name"] for entry, _kind in members)),
            "",
        ]
        lines += ["| Package | Before | After | Fixes |", "|---|---|---|---|"]
        for package in json.loads(changed_text):
            cells = (package["name"], package["from"] or "-", package["to"] or "-", ", ".join(package["cves"]))
            lines.append(f"| {' | '.join(map(cell, cells))} |")
        lines.append("")
    return lines


def cell(text: str) -> str:
    """Return a text that cannot break out of a cell of a Markdown table."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
