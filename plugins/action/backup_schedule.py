# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: finds in the inventory what a node backs up by itself, and packs the program that does."""

from __future__ import annotations

import base64
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils.backup_program import build_program
from ansible_collections.strata.fleet.plugins.plugin_utils.backup_site import build_arguments
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import failures

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.backup_schedule."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return what the module returns."""
        super().run(tmp, task_vars)
        with failures():
            arguments = build_arguments(self._loader, self._templar, self._task.args, task_vars or {})
            arguments |= {"node": (task_vars or {}).get("inventory_hostname", "")}
            arguments |= {"program": base64.b64encode(build_program()).decode()}
        answer = self._execute_module(
            module_name="strata.fleet.backup_schedule", module_args=arguments, task_vars=task_vars
        )
        return t.cast("Data", answer)
