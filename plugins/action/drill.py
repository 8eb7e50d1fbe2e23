# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: renders the config layers of the copies, then lets the module try backups out."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.render import render_copies

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.drill."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return what the module returns. Those that have a fault already are not rendered."""
        super().run(tmp, task_vars)
        given = dict(self._task.args)
        originals, faults = given.get("originals", {}), given.get("faults", {})
        sound = [item for item in given["appliances"] if originals.get(item["name"], item["name"]) not in faults]
        with failures():
            arguments = render_copies({**given, "appliances": sound}, Inventory(self._loader, task_vars or {}))
        answer = self._execute_module(module_name="strata.fleet.drill", module_args=arguments, task_vars=task_vars)
        return t.cast("Data", answer)
