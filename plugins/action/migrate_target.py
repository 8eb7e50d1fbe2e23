# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: renders the config for the node that an appliance goes to, then lets the module work."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.render import render_all, to_arguments

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.migrate_target."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return what the module returns."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if arguments.get("appliances"):
            inventory = Inventory(self._loader, task_vars or {})
            with failures():
                rendered = render_all(
                    arguments["appliances"], arguments.get("manifests", {}), arguments.get("layers", {}), inventory
                )
            arguments = to_arguments(arguments, rendered)
        answer = self._execute_module(
            module_name="strata.fleet.migrate_target", module_args=arguments, task_vars=task_vars
        )
        return t.cast("Data", answer)
