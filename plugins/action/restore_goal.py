# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: decides what is restored where, out of which backup."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import drill, restore
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import build_fleet, find_node
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import suggest

ASKED = ("appliance", "snapshot", "node", "name", "volume", "path", "over", "repository", "lost_node")
SPEC = {
    "purpose": {"type": "str", "choices": ["restore", "drill"], "default": "restore"},
    "found": {"type": "dict", "required": True},
    "repositories": {"type": "list", "elements": "str", "default": []},
    "network": {"type": "dict", "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
    **{key: {"type": "str", "default": "latest" if key == "snapshot" else ""} for key in ASKED},
}


class ActionModule(ActionBase):
    """The action of the module strata.fleet.restore_goal."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Print what is going to happen, and return it by node."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        inventory = Inventory(self._loader, task_vars or {})
        with failures():
            if arguments["purpose"] == "drill":
                site = read_site(inventory, arguments)
                goal = drill.plan_drill(site, drill.expand(arguments["names"], inventory.groups(), site))
            else:
                wanted = restore.Wanted(**{key: arguments[key] for key in ASKED})
                goal = restore.plan_restore(read_site(inventory, arguments, wanted), wanted)
        for sentence in goal.sentences:
            self._display.display(sentence)
        answer = goal._asdict()
        return {"changed": False, "steps": answer.pop("sentences"), **answer}


def read_site(inventory: Inventory, arguments: dict[str, t.Any], wanted: restore.Wanted | None = None) -> restore.Site:
    """Return the fleet, with the appliance that is restored on the node that it is restored to."""
    nodes = {name: inventory.read(name, "engine_networks") for name in inventory.members("nodes")}
    appliances = {name: inventory.read(name, "appliance_") for name in inventory.members("appliances")}
    home = ""
    if wanted and wanted.appliance in appliances:
        home = find_node(appliances[wanted.appliance], nodes)
        for key in ("node", "lost_node"):
            asked = getattr(wanted, key)
            if asked and asked not in nodes:
                raise BadInput(f"restore_{key} {asked!r} is not a node{suggest(asked, nodes)}.")
        if wanted.node:
            appliances[wanted.appliance] = {**appliances[wanted.appliance], "appliance_node": wanted.node}
    repository_of = {
        name: str((variables.get("appliance_backup") or {}).get("repository", ""))
        for name, variables in appliances.items()
    }
    return restore.Site(
        build_fleet(nodes, appliances),
        home,
        arguments["found"],
        repository_of,
        arguments["repositories"],
        arguments["network"],
    )
