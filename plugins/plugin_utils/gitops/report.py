# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control node says of itself and the fleet: one JSON file, for people and programs. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils.deploy_plan import PAUSED, UNKNOWN
from ansible_collections.strata.fleet.plugins.plugin_utils.gate import first_line
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import decide, outcome
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.ledger import Data, Ledger, commit_of
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.outcome import Remark

FORMAT = 1
NAME = "status.json"
COMMITS = ("seen", "accepted", "applying", "applied", "good", "bad")
INNER = ("health", "versions", "places")  # of a commit's entry: for the next cycle alone
SYNCED, PENDING, DRIFTED = "synced", "pending", "drifted"
SYNCS = (SYNCED, PENDING, DRIFTED, PAUSED, UNKNOWN)
SHOWN = ("name", "node", "owner", "verdict", "state", "health", "fault", "paused", "drift")


class Facts(t.NamedTuple):
    """What the report is made from, beside the ledger. ``mended``, ``plan`` and its ``commit`` as a cycle has them."""

    repository: str
    branch: str
    now: str
    seconds: float
    result: Remark
    remarks: t.Sequence[Remark]
    plan: Data
    commit: str
    mended: t.Sequence[str]


def build(facts: Facts, ledger: Ledger, earlier: Data) -> Data:
    """Return the report.

    A cycle that could not look at the fleet says of it what the ``earlier`` report said, and when that was.
    """
    entries = dataclasses.asdict(ledger)
    seen = bool(facts.plan["appliances"] or facts.plan["nodes"])
    is_applied = facts.commit == commit_of(ledger.applied)
    fleet: Data = {key: earlier.get(key, empty) for key, empty in EMPTY.items()}
    if seen:
        fleet = _build_fleet(facts, DRIFTED if is_applied else PENDING)
    rows: list[Data] = fleet["appliances"]
    return {
        "format": FORMAT,
        "at": facts.now,
        "seconds": round(facts.seconds, 1),
        "repository": facts.repository,
        "branch": facts.branch,
        "result": facts.result.word,
        "code": outcome.CODES[facts.result.word],
        "reason": facts.result.reason,
        "remarks": [remark._asdict() for remark in facts.remarks],
        **{key: _shorten(entries[key]) for key in COMMITS},
        "unreachable": ledger.unreachable,
        "error": ledger.error,
        "results": ledger.results,
        **fleet,
        # The branch's head is what the fleet was made to be, and it still is.
        "in_sync": bool(ledger.seen and ledger.applied and not ledger.applying)
        and entries["seen"]["commit"] == entries["applied"]["commit"]
        and all(row["sync"] in (SYNCED, PAUSED) for row in rows)
        and not fleet["node_differences"],
    }


EMPTY: Data = {
    "fleet_at": "",
    "fleet_commit": "",
    "appliances": [],
    "nodes": {},
    "node_differences": {},
    "findings": [],
}


def _shorten(entry: Data | None) -> Data | None:
    return {key: value for key, value in entry.items() if key not in INNER} if entry else None


def _build_fleet(facts: Facts, differs: str) -> Data:
    """Return what is told of the fleet. ``differs``: the word for what is not as the commit says."""
    found = {(row["node"], row["name"]): row["differences"] for row in decide.find_drift(facts.plan)}
    rows = []
    for row in facts.plan["appliances"]:
        differences = found.get((row["node"], row["name"]), [])
        sync = differs if differences else {PAUSED: PAUSED, UNKNOWN: UNKNOWN}.get(row["verdict"], SYNCED)
        own = {"sync": sync, "differences": differences, "mended": row["name"] in facts.mended}
        rows.append({**{key: row[key] for key in SHOWN}, **own})
    nodes = {name: node["problem"] for name, node in facts.plan["nodes"].items()}
    return {
        "fleet_at": facts.now,
        "fleet_commit": facts.commit,
        "appliances": rows,
        "nodes": nodes,
        "node_differences": decide.find_drifted_nodes(facts.plan),
        "findings": facts.plan["findings"],
    }


def draw(report: Data) -> str:
    """Return the report for a person."""
    lines = [f"{report['branch']} of {report['repository']}, looked at {report['at']} for {report['seconds']} s"]
    for key in COMMITS:
        entry = report[key]
        if entry:
            reason = first_line(entry["reason"]) if "reason" in entry else ""
            more = entry.get("subject") or entry.get("signer") or reason
            lines.append(f"  {key:9} {entry['commit'][:12]}  {entry['at'][:19]}Z{'  ' + more if more else ''}")
    unreachable = report["unreachable"]
    if unreachable:
        lines.append(f"The repository cannot be reached since {unreachable['since']}: {unreachable['reason']}")
    if report["error"]:
        lines.append(f"Something is wrong since {report['error']['since']}.")
    lines.append(f"{report['result']}{': ' + report['reason'] if report['reason'] else ''}")
    rows = report["appliances"]
    healthy = sum(row["health"] == "healthy" for row in rows)
    by_sync = [f"{sum(row['sync'] == word for row in rows)} {word}" for word in SYNCS]
    if rows:
        lines.append(f"{len(rows)} appliances at {report['fleet_at']}: {healthy} healthy; {', '.join(by_sync)}")
    lines += [_draw_row(row) for row in rows if row["sync"] != SYNCED or row["mended"] or row["fault"]]
    lines += [f"  node {name}: {problem}" for name, problem in report["nodes"].items() if problem]
    lines += [f"  node {name}: {each}" for name, said in report.get("node_differences", {}).items() for each in said]
    return "\n".join(lines)


def _draw_row(row: Data) -> str:
    said = list(row["differences"])
    if row["paused"]:
        said.append(f"paused until {row['paused']['until']}: {row['paused']['reason']}")
    said += [f"not healthy: {first_line(row['fault'])}"] if row["fault"] else []
    said += ["was not as the commit says, and is again"] if row["mended"] else []
    owner = f" ({row['owner']})" if row["owner"] else ""
    return f"  {row['name']} on {row['node']}{owner}: {row['sync']}, {row['health']}; {'; '.join(said)}"
