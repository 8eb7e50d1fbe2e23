# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: the policies of lock-down as the inventory has them, and what is in effect for whom."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import files, policies, policy_site
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.policy_table import draw, say_findings

SPEC = {
    "check_needs": {"type": "bool", "default": True},
    "today": {"type": "str", "default": ""},
    "show": {"type": "bool", "default": False},
    "path": {"type": "path", "default": ""},
}

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.lockdown."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return ``lockdown``: effective policies, whose they are, and waivers."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        with failures():
            site = policy_site.read_site(Inventory(self._loader, task_vars or {}))
            payload = policies.build_payload(site, arguments["today"] or policy_site.today())
            if arguments["show"]:
                self._display.display(draw(payload))
            if arguments["path"]:
                files.write_json(Path(arguments["path"]), payload)
            refused = policies.list_refused(payload)
            if refused and arguments["check_needs"]:
                raise BadInput("\n".join(refused))
        told = [] if arguments["show"] else say_findings(payload)
        return {"changed": False, "lockdown": payload, **({"warnings": told} if told else {})}
