# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's word on lock-down, for the action plugins: policies, waivers, and who is in which group."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import policies
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory

VARIABLES: t.Mapping[str, t.Any] = {policies.POLICIES: {}, policies.WAIVERS: []}

Data = dict[str, t.Any]


def today() -> str:
    """Return the day by which waivers expire, in UTC."""
    return f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"


def read_for_depot(inventory: Inventory, host: str) -> Data:
    """Return what a depot judges drafts by: its effective ``policy``, all ``waivers``, its ``names``, and ``today``."""
    site = read_site(inventory)
    payload = policies.build_payload(site._replace(groups={**site.groups, "depots": [host]}), today())
    own = payload["depots"][host]
    return {
        "policy": payload["policies"][own["policy"]],
        "waivers": payload["waivers"],
        "names": own["names"],
        "today": payload["today"],
    }


def read_site(inventory: Inventory) -> policies.Site:
    """Return what policies are decided from. Raises BadInput where hosts do not agree on what the policies are."""
    given = read_variables(inventory)
    names = inventory.members("appliances")
    return policies.Site(
        policies=given[policies.POLICIES],
        waivers=given[policies.WAIVERS],
        groups=inventory.groups(),
        appliances={name: inventory.read(name, "appliance_") for name in names},
        rules=policies.read_catalogue(),
        profiles=policies.read_profiles(),
    )


def read_variables(inventory: Inventory) -> Data:
    """Return policies and waivers, which are the same for every host of the inventory."""
    given: Data = {}
    for host in inventory.members("all"):
        own = inventory.read(host, "lockdown_")
        for name, default in VARIABLES.items():
            # A day that is written without quotes is a date for YAML.
            value = json.loads(json.dumps(own.get(name, default), default=str))
            first, said = given.setdefault(name, (host, value))
            if value != said:
                raise BadInput(
                    f"{name} is not the same for {first} and {host}: define it once, in group all, "
                    "and have each policy name its groups."
                )
    return {name: given[name][1] if name in given else default for name, default in VARIABLES.items()}
