# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's word on the fleet, for the action plugins: its nodes and appliances."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import build_fleet
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import suggest

Data = dict[str, t.Any]


def read_appliances(inventory: Inventory) -> dict[str, Data]:
    """Return the variables of every appliance, without what may hold secrets."""
    return {name: inventory.read(name, "appliance_") for name in inventory.members("appliances")}


def read_fleet(inventory: Inventory, only: t.Sequence[str]) -> tuple[dict[str, list[Data]], dict[str, Data]]:
    """Return the checked fleet, and the variables of every appliance.

    ``only`` narrows which appliances the fleet has, never what is checked.
    """
    names = inventory.members("appliances")
    unknown = [name for name in only if name not in names]
    if unknown:
        raise BadInput(f"{unknown[0]!r} is not a host of the group appliances{suggest(unknown[0], names)}")
    nodes = {name: inventory.read(name, "engine_networks") for name in inventory.members("nodes")}
    appliances = read_appliances(inventory)
    fleet = build_fleet(nodes, appliances)
    narrowed = {node: [item for item in items if not only or item["name"] in only] for node, items in fleet.items()}
    return narrowed, appliances
