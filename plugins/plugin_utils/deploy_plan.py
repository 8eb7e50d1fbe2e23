# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy would do and how the fleet is, as data: for people, pipelines and the control node alike. Pure."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils import status_table
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import find_node, find_pauses
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import reason_of

FORMAT = 1
NONE, CREATE, REMOVE, RESTART, STOP, START = "none", "create", "remove", "restart", "stop", "start"
CONFIGURE, CHANGE, STRAY, PAUSED, UNKNOWN = "configure", "change", "stray", "paused", "unknown"
# In the order of the totals: what changes something, the most disturbing first, then what does not.
CHANGING = (CREATE, REMOVE, RESTART, STOP, START, CONFIGURE, CHANGE)
VERDICTS = (*CHANGING, STRAY, PAUSED, UNKNOWN, NONE)
ABSENT = "absent"
UNDO = "undo"
COPY = "a drill or a restore made this copy"
# Errors of modules that say no to what was asked for. With every other one, a node could not tell.
REFUSALS = ("BadInput", "ContentError", "Refused")

Data = dict[str, t.Any]
Body = t.Mapping[str, t.Any]


class Answer(t.NamedTuple):
    """What the modules store, appliance, appliance_info and verify_info returned of one node, {} where not asked."""

    staged: Body
    planned: Body
    found: Body
    verified: Body

    def failure(self) -> Body | None:
        """Return the first result that tells nothing, or None."""
        told = ((self.staged, "layers"), (self.planned, "planned"), (self.found, "appliances"))
        return next((result for result, key in told if key not in result), None)

    @property
    def problem(self) -> str:
        """Why the node could not plan or be reached, '' where it could."""
        failure = self.failure()
        return "" if failure is None else reason_of(failure)

    @property
    def refuses(self) -> bool:
        """Whether it is the inventory that is to be changed, or something on the node, and not a node that is away."""
        failure = self.failure()
        return failure is not None and failure.get("error") in REFUSALS


class Wanted(t.NamedTuple):
    """What the inventory says of an appliance: its node, its variables, and the pause that holds now."""

    node: str
    variables: Body
    pause: Body | None

    @property
    def state(self) -> str:
        """What it should be: running, stopped or absent."""
        return str(self.variables.get("appliance_state", "running"))


def read_wanted(
    appliances: t.Mapping[str, Body], nodes: t.Mapping[str, Body], only: t.Collection[str], today: str
) -> dict[str, Wanted]:
    """Return what the inventory asks for. ``appliances``: the variables of each; those in ``only`` no pause holds."""
    held, _ended = find_pauses({name: own for name, own in appliances.items() if name not in only}, today)
    return {name: Wanted(find_node(own, nodes), own, held.get(name)) for name, own in appliances.items()}


def build_plan(
    wanted: t.Mapping[str, Wanted], answers: t.Mapping[str, Answer], only: t.Collection[str], made: str
) -> Data:
    """Return the plan. ``answers``: by node of this run. ``only``: the appliances to tell of, [] for all."""
    present = {
        name: status_table.Wanted(item.node, item.state, item.variables.get("appliance_backup"))
        for name, item in wanted.items()
        if item.state != ABSENT
    }
    rows = status_table.build_rows({node: answer.found for node, answer in answers.items()}, present)
    rows += _find_leftovers(rows, answers)
    entries = [
        _describe(row, wanted.get(row["name"]), answers[row["node"]])
        for row in sorted(rows, key=lambda row: (row["node"], row["name"]))
        if not only or row["name"] in only
    ]
    counts = collections.Counter(entry["verdict"] for entry in entries)
    return {
        "format": FORMAT,
        "made": made,
        "appliances": entries,
        "nodes": {node: _describe_node(answer) for node, answer in answers.items()},
        "findings": [finding for node, answer in answers.items() for finding in _list_findings(node, answer)],
        "totals": {verdict: counts[verdict] for verdict in VERDICTS},
    }


def _find_leftovers(rows: t.Sequence[Body], answers: t.Mapping[str, Answer]) -> list[Data]:
    """Return rows for what has no instance any more, but something that goes: state that is to be deleted."""
    seen = {(row["node"], row["name"]) for row in rows}
    left = {(node, step["appliance"]) for node, answer in answers.items() for step in answer.planned.get("planned", [])}
    gone = {"wanted": False, "state": ABSENT, "health": "not checked", "fault": ""}
    return [{"name": name, "node": node, **gone} for node, name in sorted(left - seen) if name]


def _describe(row: Body, wanted: Wanted | None, answer: Answer) -> Data:
    steps = [step for step in answer.planned.get("planned", []) if step["appliance"] == row["name"]]
    is_here = wanted is not None and wanted.node == row["node"]
    pause = wanted.pause if wanted and is_here else None
    stray = answer.planned.get("strays", {}).get(row["name"], {})
    variables = wanted.variables if wanted else {}
    return {
        "name": row["name"],
        "node": row["node"],
        "owner": variables.get("appliance_owner", ""),
        "wanted": row["wanted"],
        "verdict": _judge(row, [step["action"] for step in steps], answer, is_here=is_here, is_paused=bool(pause)),
        "steps": [step["sentence"] for step in steps],
        "drift": variables.get("appliance_drift", UNDO),
        "paused": dict(pause) if pause else None,
        "state": row["state"],
        "health": row["health"],
        "fault": COPY if stray.get("copy") else row["fault"],
        "runs": {kind: _say_layer(row[kind]) for kind in ("base", "app") if row.get(kind)},
        "want_state": wanted.state if wanted and is_here else ABSENT,
    }


def _say_layer(layer: Body) -> Data:
    return {key: layer[key] for key in ("name", "version")}


def _judge(row: Body, actions: t.Sequence[str], answer: Answer, *, is_here: bool, is_paused: bool) -> str:
    """Return the one word for an appliance: what becomes of it, or why nothing does."""
    if is_paused:
        return PAUSED
    if answer.problem:
        return UNKNOWN
    if actions:
        return name_change(actions)
    is_copy = answer.planned.get("strays", {}).get(row["name"], {}).get("copy")
    return NONE if is_here or is_copy else STRAY


def name_change(actions: t.Collection[str]) -> str:
    """Return the word for the steps of one appliance, given by what they call."""
    if set(actions) <= {"wait_healthy"}:
        return NONE  # it is as it should be; its health tells the rest
    if "create_instance" in actions:
        return CREATE
    if {"delete_instance", "delete_volume"} & set(actions):
        return REMOVE
    if {"stop", "start"} <= set(actions):
        return RESTART
    for verdict in (STOP, START):
        if verdict in actions:
            return verdict
    return CONFIGURE if "refresh_config" in actions else CHANGE


def _describe_node(answer: Answer) -> Data:
    """Return what is to be told of a node: ``steps`` are those that concern no single appliance."""
    unchecked = list(answer.verified.get("unchecked", []))
    if answer.verified and "findings" not in answer.verified and not answer.verified.get("skipped"):
        unchecked.append(reason_of(answer.verified))
    return {
        "problem": answer.problem,
        "fetches": list(answer.staged.get("missing", [])),
        "steps": [step["sentence"] for step in answer.planned.get("planned", []) if not step["appliance"]],
        "unchecked": unchecked,
    }


def _list_findings(node: str, answer: Answer) -> list[Data]:
    return [
        {"node": node, **{"place" if key == "where" else key: value for key, value in finding.items()}}
        for finding in answer.verified.get("findings", [])
    ]
