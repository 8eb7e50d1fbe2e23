# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: reads and checks a base's description before the module builds it."""

from __future__ import annotations

import pathlib
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError
from ansible_collections.strata.fleet.plugins.plugin_utils import descriptions, policies, policy_site
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory

Data = dict[str, t.Any]


def harden(description: Data, known: t.Mapping[str, t.Any]) -> Data:
    """Return the description with the values of the rules that its ``lockdown`` names, a profile or a policy.

    Raises BadInput when nothing has that name.
    """
    if "lockdown" not in description:
        return description
    name = description["lockdown"]
    return {**description, "lockdown": {"name": name, "rules": policies.hardening_of(name, known)}}


class ActionModule(ActionBase):
    """The action of the module strata.fleet.base."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return what the module returns, or the faults of the description."""
        super().run(tmp, task_vars)
        file = pathlib.Path(self._loader.path_dwim(str(self._task.args.get("file", ""))))
        try:
            description = harden(descriptions.read(file, "base"), self._policies(task_vars or {}))
            lockdown = policy_site.read_for_depot(
                Inventory(self._loader, task_vars or {}), (task_vars or {})["inventory_hostname"]
            )
        except StrataError as error:
            return {"failed": True, "msg": error.message, "error": type(error).__name__, **error.facts}
        init = (descriptions.COLLECTION / "roles/base/files/init").read_text(encoding="utf-8")
        arguments = {**self._task.args, "description": description, "init": init, "lockdown": lockdown}
        return t.cast("Data", self._execute_module("strata.fleet.base", module_args=arguments, task_vars=task_vars))

    def _policies(self, task_vars: Data) -> Data:
        return t.cast("Data", self._templar.template(task_vars.get(policies.POLICIES, {})))
