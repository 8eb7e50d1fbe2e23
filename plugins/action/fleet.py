# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: the fleet as the inventory wants it, checked as a whole."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils import fleet_site, policy_site
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import (
    fill_versions,
    find_pauses,
    say_ended,
    say_pauses,
)
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures

SPEC = {
    "only": {"type": "list", "elements": "str", "default": []},
    "leave_paused": {"type": "bool", "default": False},
    "versions": {"type": "dict", "default": {}},
    "today": {"type": "str", "default": ""},
}

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.fleet."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return ``nodes``: the appliances of each node; and ``paused``: those that are left out for now."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        inventory = Inventory(self._loader, task_vars or {})
        only = arguments["only"]
        with failures():
            nodes, variables = fleet_site.read_fleet(inventory, only)
        nodes = {node: fill_versions(items, arguments["versions"]) for node, items in nodes.items()}
        paused, over = find_pauses(variables, arguments["today"] or policy_site.today())
        paused = {name: pause for name, pause in paused.items() if name not in only}
        if not arguments["leave_paused"]:
            return {"changed": False, "nodes": nodes, "paused": paused}
        left = {node: [item for item in items if item["name"] not in paused] for node, items in nodes.items()}
        told = [*say_pauses({} if only else paused), *say_ended(over)]
        return {"changed": False, "nodes": left, "paused": paused, **({"warnings": told} if told else {})}
