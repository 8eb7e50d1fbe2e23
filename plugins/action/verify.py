# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: prints what on the nodes is not as it was declared."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils import files
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import failures
from ansible_collections.strata.fleet.plugins.plugin_utils.verify_table import build_report, draw_report, verdict

SPEC = {
    "found": {"type": "dict", "required": True},
    "path": {"type": "path", "default": ""},
    "fail": {"type": "bool", "default": True},
}


class ActionModule(ActionBase):
    """The action of the module strata.fleet.verify."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Print the table, write the file, and return the findings."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        with failures():
            report = build_report(arguments["found"])
            self._display.display(draw_report(report))
            if arguments["path"]:
                files.write_json(Path(arguments["path"]), report)
        is_good, sentence = verdict(report)
        if arguments["fail"] and not is_good:
            return {"failed": True, "msg": sentence}
        return {"changed": False, "msg": sentence, **report}
