# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: tells what became of migrations, and what that changes in the inventory."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import inventory_line
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import find_node
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.migration_outcome import GOOD, MIGRATED, judge

SPEC = {
    "outcomes": {"type": "list", "elements": "dict", "default": []},
    "settled": {"type": "dict", "default": {}},
    "show_inventory": {"type": "bool", "default": True},
    "write_inventory": {"type": "bool", "default": False},
}

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.migration_report."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Print, and change the inventory where that is asked for."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        outcomes = [judge(each) for each in arguments["outcomes"]]
        for each in outcomes:
            self._display.display(str(each))
        with failures():
            places = {**arguments["settled"], **{each.name: each.target for each in outcomes if each.word == MIGRATED}}
            lines = self._find_lines(places, task_vars or {}) if arguments["show_inventory"] else []
        told = []
        has_changed = False
        for name, to, line in lines:
            is_asked = bool(line and arguments["write_inventory"])
            is_written = bool(line and is_asked and not self._task.check_mode and self._rewrite(line))
            has_changed |= is_written or (is_asked and self._task.check_mode)
            told.append(inventory_line.advise(name, to, line))
            self._display.display(f"{'Changed' if is_written else 'To change in the inventory'}: {told[-1]}")
        bad = [each for each in outcomes if each.word not in GOOD]
        answer = {"changed": has_changed, "lines": told}
        if bad:
            return {**answer, "failed": True, "msg": "\n".join(str(each) for each in bad)}
        return {**answer, "msg": "\n".join(str(each) for each in outcomes) or "nothing to do"}

    def _rewrite(self, line: inventory_line.Line) -> bool:
        """Change the line; returns whether that was possible. The appliance is there, whatever the inventory says."""
        try:
            inventory_line.rewrite(line)
        except BadInput as error:
            self._display.warning(error.message)
            return False
        return True

    def _find_lines(
        self, places: t.Mapping[str, str], task_vars: Data
    ) -> list[tuple[str, str, inventory_line.Line | None]]:
        """Return the appliances that the inventory has elsewhere than in ``places``, with the line that says so."""
        inventory = Inventory(self._loader, task_vars)
        nodes: dict[str, Data] = {name: {} for name in inventory.members("nodes")}
        sources = [str(source) for source in task_vars.get("ansible_inventory_sources") or []]
        found = []
        for name, place in places.items():
            if find_node(inventory.read(name, "appliance_node"), nodes) != place:
                found.append((name, place, inventory_line.find_line(sources, name, place)))
        return found
