# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: makes the plan of a deploy from what the nodes said, prints it, and writes it."""

from __future__ import annotations

import datetime as dt
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils import files, fleet_site, policy_site
from ansible_collections.strata.fleet.plugins.plugin_utils.deploy_plan import Answer, build_plan, read_wanted
from ansible_collections.strata.fleet.plugins.plugin_utils.deploy_plan_report import (
    draw_plan,
    say_totals,
    write_markdown,
)
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures, plain

SPEC = {
    "staged": {"type": "dict", "required": True},
    "planned": {"type": "dict", "required": True},
    "found": {"type": "dict", "required": True},
    "verified": {"type": "dict", "default": {}},
    "only": {"type": "list", "elements": "str", "default": []},
    "path": {"type": "path", "default": ""},
    "markdown": {"type": "path", "default": ""},
}

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.deploy_plan."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Print the table, write the files, and return the plan."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        arguments = plain(arguments)
        answers = {
            node: Answer(staged, *(arguments[key].get(node, {}) for key in ("planned", "found", "verified")))
            for node, staged in arguments["staged"].items()
        }
        with failures():
            inventory = Inventory(self._loader, task_vars or {})
            nodes: dict[str, Data] = {name: {} for name in inventory.members("nodes")}
            only = arguments["only"]
            wanted = read_wanted(fleet_site.read_appliances(inventory), nodes, only, policy_site.today())
            plan = build_plan(wanted, answers, only, f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}")
            self._display.display(draw_plan(plan))
            if arguments["path"]:
                files.write_json(Path(arguments["path"]), plan)
            if arguments["markdown"]:
                files.write(Path(arguments["markdown"]), write_markdown(plan))
        return decide(answers) or {"changed": False, "plan": plan, "msg": say_totals(plan)}


def decide(answers: t.Mapping[str, Answer]) -> Data:
    """Return how the run ends: as Ansible does where a host fails, or where one cannot be reached."""
    problems = {node: f"{node}: {answer.problem}" for node, answer in answers.items() if answer.problem}
    refused = [sentence for node, sentence in problems.items() if answers[node].refuses]
    if refused:
        return {"failed": True, "msg": "\n".join(refused)}
    return {"unreachable": True, "msg": "\n".join(problems.values())} if problems else {}
