# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: the fleet as the inventory wants it, checked as a whole."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import policy_site
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import (
    build_fleet,
    find_pauses,
    say_ended,
    say_pauses,
)
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import suggest

SPEC = {
    "only": {"type": "list", "elements": "str", "default": []},
    "leave_paused": {"type": "bool", "default": False},
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
            nodes, variables = read_fleet(inventory, only)
        paused, over = find_pauses(variables, arguments["today"] or policy_site.today())
        paused = {name: pause for name, pause in paused.items() if name not in only}
        if not arguments["leave_paused"]:
            return {"changed": False, "nodes": nodes, "paused": paused}
        left = {node: [item for item in items if item["name"] not in paused] for node, items in nodes.items()}
        told = [*say_pauses({} if only else paused), *say_ended(over)]
        return {"changed": False, "nodes": left, "paused": paused, **({"warnings": told} if told else {})}


def read_fleet(inventory: Inventory, only: t.Sequence[str]) -> tuple[dict[str, list[Data]], dict[str, Data]]:
    """Return the checked fleet, and the variables of every appliance.

    ``only`` narrows which appliances the fleet has, never what is checked.
    """
    names = inventory.members("appliances")
    unknown = [name for name in only if name not in names]
    if unknown:
        raise BadInput(f"{unknown[0]!r} is not a host of the group appliances{suggest(unknown[0], names)}")
    nodes = {name: inventory.read(name, "engine_networks") for name in inventory.members("nodes")}
    appliances = {name: inventory.read(name, "appliance_") for name in names}
    fleet = build_fleet(nodes, appliances)
    narrowed = {node: [item for item in items if not only or item["name"] in only] for node, items in fleet.items()}
    return narrowed, appliances
