# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: prints what a drill found."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils import files
from ansible_collections.strata.fleet.plugins.plugin_utils.drill_report import build_rows, draw_table, find_faults
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import failures, plain

SPEC = {
    "results": {"type": "dict", "required": True},
    "requests": {"type": "dict", "required": True},
    "skipped": {"type": "dict", "default": {}},
    "checks": {"type": "list", "elements": "dict", "default": []},
    "path": {"type": "path", "default": ""},
}


class ActionModule(ActionBase):
    """The action of the module strata.fleet.drill_report."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Print the table, write the file, and fail where a backup is not proven."""
        super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(SPEC)
        with failures():
            rows = plain(build_rows(given["results"], given["requests"], given["skipped"]))
            checks = plain(given["checks"])
            self._display.display(draw_table(rows, checks))
            if given["path"]:
                files.write_json(Path(given["path"]), {"drills": rows, "checks": checks})
        faults = find_faults(rows, checks)
        verdict = "\n".join(faults) or f"{len(rows)} backups are proven"
        return {"changed": False, "failed": bool(faults), "drills": rows, "checks": checks, "msg": verdict}
