# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy would do, for people: a table, and Markdown for a comment. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils import deploy_plan, patch_report
from ansible_collections.strata.fleet.plugins.plugin_utils.gate import first_line

COLUMNS = ("appliance", "node", "owner", "what", "state", "health", "steps")
# Code forges take comments of up to 65536 characters; a person reads less.
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
# What the inventory says is shown as it is: as markup it could hide a line, or call somebody.
ESCAPES = str.maketrans(
    {
        "|": "&#124;",
        "\\": "&#92;",
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
    """Return the appliances that are not as they should be as a table, and under it what else is to be known."""
    rows = [_cells(entry) for entry in list_shown(plan)]
    lines = patch_report.draw(COLUMNS, rows) if rows else []
    return "\n".join([*lines, *_say_faults(plan), *_say_nodes(plan), *_say_problems(plan), say_totals(plan)])


def list_shown(plan: Plan) -> list[t.Mapping[str, t.Any]]:
    """Return the appliances of which there is something to say, those that change first."""
    order = {verdict: number for number, verdict in enumerate(deploy_plan.VERDICTS)}
    shown = [entry for entry in plan["appliances"] if entry["verdict"] != deploy_plan.NONE]
    return sorted(shown, key=lambda entry: order[entry["verdict"]])


def _cells(entry: Plan) -> tuple[str, ...]:
    pause = entry["paused"]
    said = f"until {pause['until']}: {first_line(pause['reason'])}" if pause else "; ".join(entry["steps"])
    place = (entry["name"], entry["node"], entry["owner"])
    return *place, entry["verdict"], entry["state"], entry["health"], said


def _say_faults(plan: Plan) -> list[str]:
    """Return what is wrong with appliances, where the verdict or the problem of the node does not say it."""
    said = (deploy_plan.CREATE, deploy_plan.UNKNOWN)
    entries = [entry for entry in plan["appliances"] if entry["fault"] and entry["verdict"] not in said]
    return [f"{entry['name']} on {entry['node']}: {first_line(entry['fault'])}" for entry in entries]


def _say_problems(plan: Plan) -> list[str]:
    problems = {node: told["problem"] for node, told in plan["nodes"].items() if told["problem"]}
    return [f"{node} cannot tell what is to be done: {problem}" for node, problem in problems.items()]


def _say_nodes(plan: Plan) -> list[str]:
    lines = []
    for node, told in plan["nodes"].items():
        fetches = [f"{each['kind']} {each['name']} {each['version']}" for each in told["fetches"]]
        lines += [f"{node} fetches {', '.join(fetches)}"] if fetches else []
        lines += [f"{node}: {sentence}" for sentence in told["steps"]]
        lines += [f"{node}, not looked at: {sentence}" for sentence in told["unchecked"]]
    for finding in plan["findings"]:
        lines.append(f"{finding['node']}: {finding['place']}: {finding['sentence']} ({finding['remedy']})")
    return lines


def write_markdown(plan: Plan) -> str:
    """Return a comment about the plan: a sentence, nodes that could not tell, a table of what is to be done."""
    text = f"**{escape(say_totals(plan))}**\n"
    text = _append(text, [f"- {_shorten(line)}" for line in _say_problems(plan)], "nodes")
    rows = [f"| {' | '.join(_shorten(cell) for cell in _cells(entry))} |" for entry in list_shown(plan)]
    if rows:
        text = _append(f"{text}\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", rows, "appliances")
    return _append(text, [f"- {_shorten(line)}" for line in (*_say_nodes(plan), *_say_faults(plan))], "lines")


def _append(text: str, lines: t.Sequence[str], what: str) -> str:
    """Return the text with a paragraph of as many lines as there is room for, and how many more there are."""
    if not lines:
        return text
    text += "\n"
    for number, line in enumerate(lines):
        if number >= MOST_ROWS or len(text) + len(line) + ROOM_FOR_THE_REST > MOST_CHARACTERS:
            return f"{text}\nand {len(lines) - number} more {what}\n"
        text += f"{line}\n"
    return text


def _shorten(cell: str) -> str:
    return escape(cell if len(cell) <= LONGEST_CELL else f"{cell[:LONGEST_CELL]}...")


def escape(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return text.translate(ESCAPES)
