# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The config layers of all appliances of a call, and how their secrets travel to the node."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, StrataError
from ansible_collections.strata.fleet.plugins.plugin_utils.config import render_files
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory

Data = dict[str, t.Any]


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


def to_arguments(arguments: Data, appliances: t.Iterable[Data]) -> Data:
    """Return what a module is called with: the rendered appliances, and their secrets beside them."""
    appliances = list(appliances)
    return {
        **arguments,
        "appliances": [{**item, "files": without_secrets(item.get("files", []))} for item in appliances],
        "secrets": {item["name"]: secrets_of(item.get("files", [])) for item in appliances},
    }
