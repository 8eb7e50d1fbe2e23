# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: renders the config layers, then lets the module reconcile the node's appliances."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, StrataError
from ansible_collections.strata.fleet.plugins.plugin_utils.config import render_files
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.appliance."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Return what the module returns, or the rendered files where only they are asked for."""
        super().run(tmp, task_vars)
        inventory = Inventory(self._loader, task_vars or {})
        arguments = dict(self._task.args)
        render_only = arguments.pop("render_only", False)
        with failures():
            appliances = render_all(
                arguments.get("appliances", []), arguments.get("manifests", {}), arguments.get("layers", {}), inventory
            )
        if render_only:
            # An absent appliance has none.
            shown = {item["name"]: without_secrets(item["files"]) for item in appliances if "files" in item}
            return {"changed": False, "files": shown}
        return self._execute_module(
            module_name="strata.fleet.appliance",
            module_args={
                **arguments,
                "appliances": [{**item, "files": without_secrets(item.get("files", []))} for item in appliances],
                "secrets": {item["name"]: secrets_of(item.get("files", [])) for item in appliances},
            },
            task_vars=task_vars,
        )


def render_all(appliances: t.Sequence[Data], manifests: Data, layers: Data, inventory: Inventory) -> list[Data]:
    """Return the appliances with their ``files``. Raises BadInput for the faults of all of them together."""
    rendered: list[Data] = []
    faults: list[str] = []
    for item in appliances:
        if item["state"] == "absent":
            rendered.append({"name": item["name"], "state": "absent"})
            continue
        manifest = manifests[layers[item["name"]]["app"]["commit"]]
        try:
            files = render_files(item, manifest, inventory.read_config(item["name"]))
        except StrataError as error:
            faults.append(error.message)
        else:
            rendered.append({**item, **layers[item["name"]], "files": files})
    if faults:
        raise BadInput("\n".join(faults))
    return rendered


def without_secrets(files: t.Iterable[Data]) -> list[Data]:
    """Return the files as they may be shown."""
    return [{key: value for key, value in file.items() if key != "secret_text"} for file in files]


def secrets_of(files: t.Iterable[Data]) -> Data:
    """Return what must not be shown, by path. It travels apart: the node's journal shows nested options as they are."""
    return {file["path"]: file["secret_text"] for file in files if "secret_text" in file}
