# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: packs the collection that runs, and sends it where the machine has another."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils.own_collection import pack

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.collection."""

    TRANSFERS_FILES = True

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return what the module returns."""
        super().run(tmp, task_vars)
        packed = pack()
        arguments = {**self._task.args, "digest": packed.digest}
        answer = self._execute(arguments, task_vars)
        if answer.get("is_wanted"):
            shell = self._connection._shell  # noqa: SLF001 - Ansible has no public name for it
            place = shell.join_path(shell.tmpdir, "collection.zip")
            arguments["archive"] = self._transfer_data(place, packed.archive)
            answer = self._execute(arguments, task_vars)
        return answer

    def _execute(self, arguments: Data, task_vars: Data | None) -> Data:
        answer = self._execute_module(module_name="strata.fleet.collection", module_args=arguments, task_vars=task_vars)
        return t.cast("Data", answer)
