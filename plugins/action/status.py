# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: prints the fleet's status."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils import files
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import find_node
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.status_table import Wanted, build_rows, draw_table, is_good

SPEC = {
    "found": {"type": "dict", "required": True},
    "path": {"type": "path", "default": ""},
    "fail": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """The action of the module strata.fleet.status."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Print the table, write the file, and return the rows."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        with failures():
            rows = build_rows(arguments["found"], read_wanted(Inventory(self._loader, task_vars or {})))
            self._display.display(draw_table(rows))
            if arguments["path"]:
                files.write_json(Path(arguments["path"]), {"appliances": rows})
        bad = [row["name"] for row in rows if not is_good(row)]
        verdict = f"{len(bad)} of {len(rows)} appliances need attention: {', '.join(bad)}" if bad else "all is well"
        if bad and arguments["fail"]:
            return {"failed": True, "msg": verdict}
        return {"changed": False, "appliances": rows, "msg": verdict}


def read_wanted(inventory: Inventory) -> dict[str, Wanted]:
    """Return every appliance that should be there."""
    nodes: dict[str, dict[str, t.Any]] = {name: {} for name in inventory.members("nodes")}
    wanted = {name: inventory.read(name, "appliance_") for name in inventory.members("appliances")}
    return {
        name: Wanted(
            find_node(variables, nodes), variables.get("appliance_state", "running"), variables.get("appliance_backup")
        )
        for name, variables in wanted.items()
        if variables.get("appliance_state", "running") != "absent"
    }
