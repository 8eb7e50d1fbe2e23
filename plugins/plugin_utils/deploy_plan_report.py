# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy would do, for people: a table, and Markdown for a comment. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils import deploy_plan, patch_report
from ansible_collections.strata.fleet.plugins.plugin_utils.gate import first_line

COLUMNS = ("appliance", "node", "owner", "what", "state", "health", "steps")
# What code forges take as a comment is 65536 characters; a person reads less.
MOST_ROWS = 100
MOST_CHARACTERS = 60000
ROOM_FOR_THE_REST = 400
LONGEST_CELL = 300
WORDS = {
    deploy_plan.CREATE: "to create",
    deploy_plan.REMOVE: "to remove",
    deploy_plan.RESTART: "to restart",
    deploy_plan.STOP: "to stop",
    deploy_plan.START: "to start",
    deploy_plan.CONFIGURE: "to configure",
    deploy_plan.CHANGE: "to change",
    deploy_plan.STRAY: "not in the inventory",
    deploy_plan.PAUSED: "paused",
    deploy_plan.UNKNOWN: "unknown",
    deploy_plan.NONE: "as they should be",
}
# A comment is read by a machine first: what could be markup, a link or somebody's name is none.
ESCAPES = str.maketrans(
    {
        "|": "\\|",
        "\n": " ",
        "\r": " ",
        "<": "&lt;",
        ">": "&gt;",
        "@": "&#64;",
        "#": "&#35;",
        "`": "&#96;",
        "[": "&#91;",
        "]": "&#93;",
        "*": "&#42;",
        "_": "&#95;",
    }
)

Plan = t.Mapping[str, t.Any]


def say_totals(plan: Plan) -> str:
    """Return how many appliances there are of each verdict, in a sentence."""
    totals = {verdict: count for verdict, count in plan["totals"].items() if count}
    number = sum(totals.values())
    parts = [f"{count} {WORDS[verdict]}" for verdict, count in totals.items()]
    return f"{number} {'appliance' if number == 1 else 'appliances'}: {', '.join(parts)}." if parts else "No appliance."


def draw_plan(plan: Plan) -> str:
    """Return the appliances that are not as they should be as a table, and under it what concerns the nodes."""
    rows = [_cells(entry) for entry in list_shown(plan)]
    lines = patch_report.draw(COLUMNS, rows) if rows else []
    lines += [
        f"{entry['name']} on {entry['node']} is paused until {entry['paused']['until']}: {entry['paused']['reason']}"
        for entry in plan["appliances"]
        if entry["paused"]
    ]
    lines += [
        f"{entry['name']} on {entry['node']}: {first_line(entry['fault'])}"
        for entry in plan["appliances"]
        if entry["fault"] and entry["verdict"] != deploy_plan.UNKNOWN
    ]
    return "\n".join([*lines, *_say_nodes(plan), say_totals(plan)])


def list_shown(plan: Plan) -> list[t.Mapping[str, t.Any]]:
    """Return the appliances of which there is something to say, those that change first."""
    order = {verdict: number for number, verdict in enumerate(deploy_plan.VERDICTS)}
    shown = [entry for entry in plan["appliances"] if entry["verdict"] != deploy_plan.NONE]
    return sorted(shown, key=lambda entry: order[entry["verdict"]])


def _cells(entry: Plan) -> tuple[str, ...]:
    steps = "; ".join(entry["steps"])
    return (
        entry["name"],
        entry["node"],
        entry["owner"],
        entry["verdict"],
        entry["state"],
        entry["health"],
        steps or (first_line(entry["paused"]["reason"]) if entry["paused"] else ""),
    )


def _say_nodes(plan: Plan) -> list[str]:
    lines = []
    for node, told in plan["nodes"].items():
        lines += [f"{node} cannot tell what is to be done: {told['problem']}"] if told["problem"] else []
        fetches = [f"{each['kind']} {each['name']} {each['version']}" for each in told["fetches"]]
        lines += [f"{node} fetches {', '.join(fetches)}"] if fetches else []
        lines += [f"{node}: {sentence}" for sentence in told["steps"]]
        lines += [f"{node}, not looked at: {sentence}" for sentence in told["unchecked"]]
    for finding in plan["findings"]:
        lines.append(f"{finding['node']}: {finding['place']}: {finding['sentence']} ({finding['remedy']})")
    return lines


def write_markdown(plan: Plan) -> str:
    """Return a comment about the plan: a sentence, a table of what is not as it should be, what concerns the nodes."""
    shown = list_shown(plan)
    text = f"**{escape(say_totals(plan))}**\n"
    rows = [f"| {' | '.join(_shorten(cell) for cell in _cells(entry))} |" for entry in shown]
    if rows:
        head = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
        text = _append(text + "\n", head + rows, MOST_ROWS + len(head), "appliances")
    lines = [f"- {_shorten(line)}" for line in _say_nodes(plan)]
    return _append(f"{text}\n", lines, MOST_ROWS, "lines") if lines else text


def _append(text: str, lines: t.Sequence[str], most: int, what: str) -> str:
    """Return the text with as many lines as there is room for, and how many more there are."""
    for number, line in enumerate(lines):
        if number >= most or len(text) + len(line) + ROOM_FOR_THE_REST > MOST_CHARACTERS:
            return f"{text}\nand {len(lines) - number} more {what}\n"
        text += f"{line}\n"
    return text


def _shorten(cell: str) -> str:
    return escape(cell if len(cell) <= LONGEST_CELL else f"{cell[:LONGEST_CELL]}...")


def escape(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return text.translate(ESCAPES)
