# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: checks everything in the inventory that no node has to be asked about."""

from __future__ import annotations

import json
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import backup, backup_site, fleet_site, policies, policy_site
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import find_pauses, say_ended
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.policy_table import say_findings
from ansible_collections.strata.fleet.plugins.plugin_utils.rollout import check_rollout

ROLLOUT = "patch_rollout"

Data = dict[str, t.Any]
Check = t.Callable[[Inventory], list[str]]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.inventory_check."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Fail with every fault there is, or return what is to be said all the same."""
        super().run(tmp, task_vars)
        self.validate_argument_spec({})
        inventory = Inventory(self._loader, task_vars or {})
        with failures("jmespath"):
            told, faults = run_checks(inventory)
            if faults:
                raise BadInput("\n".join(faults), faults=faults)
        number, nodes = len(inventory.members("appliances")), len(inventory.members("nodes"))
        sentence = f"The inventory can be used: appliances {number}, nodes {nodes}."
        return {"changed": False, "msg": sentence, **({"warnings": told} if told else {})}


def run_checks(inventory: Inventory) -> tuple[list[str], list[str]]:
    """Return what is to be said, and everything that is wrong, each fault once."""
    told: list[str] = []
    faults: list[str] = []
    for check in (check_fleet, check_backups, check_config, check_policies, check_rollouts):
        if check is check_backups and faults:
            continue  # it takes appliances as they should be
        try:
            told += check(inventory)
        except BadInput as error:
            faults += [line for line in error.message.splitlines() if line not in faults]
    return told, faults


def check_fleet(inventory: Inventory) -> list[str]:
    """Refuse what the module fleet refuses, and an inventory without nodes; tell of pauses that have ended."""
    if not inventory.members("nodes"):
        raise BadInput("The group nodes has no host: is this the inventory?")
    _fleet, appliances = fleet_site.read_fleet(inventory, [])
    _held, ended = find_pauses(appliances, policy_site.today())
    return say_ended(ended)


def check_config(inventory: Inventory) -> list[str]:
    """Refuse values of config options that cannot be read, such as one that names a variable which is not there."""
    faults = []
    for name in inventory.members("appliances"):
        try:
            inventory.read_config(name)
        except BadInput as error:
            faults.append(error.message)
    if faults:
        raise BadInput("\n".join(faults))
    return []


def check_policies(inventory: Inventory) -> list[str]:
    """Refuse policies that cannot be used, and appliances that ask for what theirs do not allow."""
    payload = policies.build_payload(policy_site.read_site(inventory), policy_site.today())
    refused = policies.list_refused(payload)
    if refused:
        raise BadInput("\n".join(refused))
    return say_findings(payload)


def check_rollouts(inventory: Inventory) -> list[str]:
    """Refuse a description of rollouts that cannot be used."""
    for rollout in read_each(inventory, ROLLOUT):
        check_rollout(rollout, inventory.groups())
    return []


def check_backups(inventory: Inventory) -> list[str]:
    """Refuse repositories that cannot be used, and appliances that are backed up to none."""
    for repositories in read_each(inventory, backup.VARIABLE) or [{}]:
        site = backup_site.read_site(inventory, repositories)
        backup.check(site, backup.choose(site, [], inventory.members("nodes")))
    return []


def read_each(inventory: Inventory, variable: str) -> list[t.Any]:
    """Return what the nodes have for a variable, the same thing once: it may stand in any group of theirs."""
    found: dict[str, t.Any] = {}
    for node in inventory.members("nodes"):
        value = inventory.read(node, variable).get(variable)
        if value is not None:
            found.setdefault(json.dumps(value, sort_keys=True, default=str), value)
    return list(found.values())
