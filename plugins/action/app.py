# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: reads and checks an app's folder, and brings it to the host that builds."""

from __future__ import annotations

import pathlib
import tempfile
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError
from ansible_collections.strata.fleet.plugins.plugin_utils import descriptions, policy_site
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.app."""

    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return what the module returns, or the faults of the description."""
        super().run(tmp, task_vars)
        folder = pathlib.Path(self._loader.path_dwim(str(self._task.args.get("folder", ""))))
        try:
            description = descriptions.read(folder / "app.yml", "app")
            inventory = Inventory(self._loader, task_vars or {})
            lockdown = policy_site.read_for_depot(inventory, (task_vars or {})["inventory_hostname"])
        except StrataError as error:
            return {"failed": True, "msg": error.message, "error": type(error).__name__, **error.facts}
        arguments = {**self._task.args, "description": description, "tree": self._send(folder), "lockdown": lockdown}
        return t.cast("Data", self._execute_module("strata.fleet.app", module_args=arguments, task_vars=task_vars))

    def _send(self, folder: pathlib.Path) -> str:
        """Return where the packed folder is on the host: in the task's own folder, which is removed after it."""
        place = f"{str(self._make_tmp_path()).rstrip('/')}/app.tar"
        with tempfile.TemporaryDirectory() as here:
            packed = pathlib.Path(here, "app.tar")
            descriptions.pack(folder, packed)
            self._transfer_file(str(packed), place)
        return place
