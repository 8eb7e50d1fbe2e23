# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins share whose modules read backups: the secrets of repositories travel apart."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import failures
from ansible_collections.strata.fleet.plugins.plugin_utils.render import hide_secrets

Data = dict[str, t.Any]


class RepositoryAction(ActionBase):
    """Takes what is secret of ``repositories`` apart, then lets the module of the name ``MODULE`` do the rest."""

    TRANSFERS_FILES = False
    MODULE = ""

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return what the module returns."""
        super().run(tmp, task_vars)
        with failures():
            arguments = hide_secrets(dict(self._task.args))
        answer = self._execute_module(module_name=self.MODULE, module_args=arguments, task_vars=task_vars)
        return t.cast("Data", answer)
