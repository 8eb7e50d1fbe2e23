# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller, between the batches of a rollout: decides whether it goes on, and says how it went."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils.gate import Seen, State, pass_gate
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import failures, plain
from ansible_collections.strata.fleet.plugins.plugin_utils.patch_report import say_outcome

SPEC = {
    "plan": {"type": "dict", "required": True},
    "number": {"type": "int", "required": True},
    "state": {"type": "dict", "default": {}},
    "done": {"type": "dict", "default": {}},
    "found": {"type": "dict", "default": {}},
}

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.rollout_gate."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Print a line for each outcome, and return who is started now."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        arguments = plain(arguments)
        plan, number = arguments["plan"], arguments["number"]
        state = State(**arguments["state"])
        known, was_halted = dict(state.outcomes), state.halted
        answers = {node: result for node, result in arguments["found"].items() if is_answer(result)}
        with failures():
            members = pass_gate(plan, state, Seen(arguments["done"], answers), number, dt.datetime.now(dt.UTC))
        for line in say_progress(plan, state, known):
            self._display.display(line)
        if state.halted and not was_halted:
            self._display.display(state.halted)
        for line in say_start(plan, members, state, number):
            self._display.display(line)
        return {"changed": False, "members": members, "state": dataclasses.asdict(state), "halted": state.halted}


def is_answer(result: t.Mapping[str, t.Any]) -> bool:
    """Whether the node was looked at: a task that was skipped says nothing of it."""
    return not result.get("skipped")


def say_progress(plan: Data, state: State, known: Data) -> list[str]:
    """Return a line for each outcome that is new."""
    entries = {entry["name"]: entry for entry in plan["appliances"]}
    new = {name: outcome for name, outcome in state.outcomes.items() if outcome != known.get(name)}
    return [say_outcome(entries[name], outcome) for name, outcome in new.items()]


def say_start(plan: Data, members: t.Mapping[str, t.Sequence[str]], state: State, number: int) -> list[str]:
    """Return who begins now, and who was put off."""
    total = len(plan["batches"])
    begins = [f"{node}: {', '.join(names)}" for node, names in members.items()]
    lines = [f"batch {number} of {total} begins on {'; '.join(begins)}"] if begins else []
    return lines + [f"put off: {name}, {reason}" for name, reason in state.deferred.items() if not state.halted]
