# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: decides which appliances go back to what."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.rollback import Wanted, expand, plan_rollback

SPEC = {
    "fleet": {"type": "dict", "required": True},
    "found": {"type": "dict", "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
    "base_version": {"type": "str", "default": ""},
    "app_version": {"type": "str", "default": ""},
    "snapshot": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):
    """The action of the module strata.fleet.rollback."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Print what is going to happen, and return ``nodes``: the appliances of each node that go back."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        fleet = arguments["fleet"]
        present = [item["name"] for items in fleet.values() for item in items]
        with failures():
            names = expand(arguments["names"], Inventory(self._loader, task_vars or {}).groups(), present)
            wanted = Wanted(names, arguments["base_version"], arguments["app_version"], arguments["snapshot"])
            back = plan_rollback(fleet, arguments["found"], wanted, dt.datetime.now(dt.UTC))
        for sentence in back.sentences:
            self._display.display(sentence)
        return {
            "changed": False,
            "nodes": back.nodes,
            "restore": back.restore,
            "skipped": back.skipped,
            "steps": back.sentences,
        }
