# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: shows which appliances run a package."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils import files
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import failures, plain
from ansible_collections.strata.fleet.plugins.plugin_utils.packages import (
    draw_packages,
    find_packages,
    find_unanswered,
    say_packages,
)

SPEC = {
    "found": {"type": "dict", "required": True},
    "older_than": {"type": "str", "default": ""},
    "path": {"type": "path", "default": ""},
    "fail": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """The action of the module strata.fleet.packages."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Print the table, write the file, and return the rows."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        arguments = plain(arguments)
        with failures("debian"):
            rows = find_packages(arguments["found"], arguments["older_than"])
            unanswered = find_unanswered(arguments["found"])
            answer = {"packages": rows, "unanswered": unanswered}
            if arguments["path"]:
                files.write_json(Path(arguments["path"]), answer)
        table = draw_packages(rows, unanswered)
        if table:
            self._display.display(table)
        verdict = say_packages(rows, unanswered, arguments["older_than"])
        if arguments["fail"] and (rows or unanswered):
            return {"failed": True, "msg": verdict, **answer}
        self._display.display(verdict)
        return {"changed": False, "msg": verdict, **answer}
