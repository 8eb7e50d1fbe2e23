# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: reads what the depot judges by before the module moves a channel."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError
from ansible_collections.strata.fleet.plugins.plugin_utils import policy_site
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.promote."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return what the module returns, or the faults of the policies."""
        super().run(tmp, task_vars)
        try:
            inventory = Inventory(self._loader, task_vars or {})
            lockdown = policy_site.read_for_depot(inventory, (task_vars or {})["inventory_hostname"])
        except StrataError as error:
            return {"failed": True, "msg": error.message, "error": type(error).__name__, **error.facts}
        arguments = {**self._task.args, "lockdown": lockdown}
        return t.cast("Data", self._execute_module("strata.fleet.promote", module_args=arguments, task_vars=task_vars))
