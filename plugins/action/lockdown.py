# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: the policies of lock-down as the inventory has them, and what is in effect for whom."""

from __future__ import annotations

import datetime as dt
import json
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import files, policies
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.policy_table import draw, say_findings

SPEC = {
    "check_needs": {"type": "bool", "default": True},
    "today": {"type": "str", "default": ""},
    "show": {"type": "bool", "default": False},
    "path": {"type": "path", "default": ""},
}
VARIABLES: t.Mapping[str, t.Any] = {policies.POLICIES: {}, policies.WAIVERS: []}

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.lockdown."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return ``lockdown``: effective policies, whose they are, and waivers."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        with failures():
            site = read_site(Inventory(self._loader, task_vars or {}))
            payload = policies.build_payload(site, arguments["today"] or f"{dt.datetime.now(dt.UTC):%Y-%m-%d}")
            if arguments["show"]:
                self._display.display(draw(payload))
            if arguments["path"]:
                files.write(Path(arguments["path"]), json.dumps(payload, indent=1, sort_keys=True) + "\n")
            refused = [conflict["message"] for conflict in payload["conflicts"] if conflict["refused"]]
            if refused and arguments["check_needs"]:
                raise BadInput("\n".join(refused))
        told = [] if arguments["show"] else say_findings(payload)
        return {"changed": False, "lockdown": payload, **({"warnings": told} if told else {})}


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
