# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: the fleet as the inventory wants it, checked as a whole."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import build_fleet
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import suggest


class ActionModule(ActionBase):
    """The action of the module strata.fleet.fleet."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return ``nodes``: the appliances of each node."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            {"only": {"type": "list", "elements": "str", "default": []}}
        )
        with failures():
            return {"changed": False, "nodes": read_fleet(Inventory(self._loader, task_vars or {}), arguments["only"])}


def read_fleet(inventory: Inventory, only: t.Sequence[str]) -> dict[str, list[dict[str, t.Any]]]:
    """Return the checked fleet; ``only`` narrows what comes back, never what is checked."""
    names = inventory.members("appliances")
    unknown = [name for name in only if name not in names]
    if unknown:
        raise BadInput(f"{unknown[0]!r} is not a host of the group appliances{suggest(unknown[0], names)}")
    nodes = {name: inventory.read(name, "engine_networks") for name in inventory.members("nodes")}
    appliances = {name: inventory.read(name, "appliance_") for name in names}
    fleet = build_fleet(nodes, appliances)
    return {node: [item for item in items if not only or item["name"] in only] for node, items in fleet.items()}
