# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: renders the config layers, then lets the module reconcile the node's appliances."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.render import render_each, to_arguments, without_secrets

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.appliance."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return what the module returns, or the rendered files where only they are asked for."""
        super().run(tmp, task_vars)
        inventory = Inventory(self._loader, task_vars or {})
        arguments = dict(self._task.args)
        render_only = arguments.pop("render_only", False)
        strict = arguments.pop("strict", True)
        with failures():
            appliances, faults = render_each(
                arguments.get("appliances", []), arguments.get("manifests", {}), arguments.get("layers", {}), inventory
            )
            if faults and (strict or not render_only):
                raise BadInput("\n".join(faults.values()))
        if render_only:
            # An absent appliance has none.
            shown = {item["name"]: without_secrets(item["files"]) for item in appliances if "files" in item}
            return {"changed": False, "files": shown, "faults": faults}
        if arguments.get("scope", "all") == "all":
            # Not in the task: Ansible hands all that a task says back to its main process, for every node of a fleet.
            arguments.setdefault("known", inventory.members("appliances"))
        return self._execute_module(
            module_name="strata.fleet.appliance",
            module_args=to_arguments(arguments, appliances),
            task_vars=task_vars,
        )
