# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The config layers of all appliances of a call, and how their secrets travel to the node."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, StrataError
from ansible_collections.strata.fleet.plugins.plugin_utils import backup
from ansible_collections.strata.fleet.plugins.plugin_utils.config import render_files
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, plain

Data = dict[str, t.Any]


def render_all(
    appliances: t.Sequence[Data],
    manifests: Data,
    layers: Data,
    inventory: Inventory,
    originals: t.Mapping[str, str] | None = None,
) -> list[Data]:
    """Return the appliances with their ``files``. Raises BadInput for the faults of all of them together."""
    rendered, faults = render_each(appliances, manifests, layers, inventory, originals)
    if faults:
        raise BadInput("\n".join(faults.values()))
    return rendered


def render_each(
    appliances: t.Sequence[Data],
    manifests: Data,
    layers: Data,
    inventory: Inventory,
    originals: t.Mapping[str, str] | None = None,
) -> tuple[list[Data], dict[str, str]]:
    """Return the appliances with their ``files``, and what is wrong with others, by name.

    ``originals``: whose config one has, by name, where that is another appliance's.
    """
    rendered: list[Data] = []
    faults: dict[str, str] = {}
    for item in appliances:
        if item["state"] == "absent":
            rendered.append({"name": item["name"], "state": "absent"})
            continue
        manifest = manifests[layers[item["name"]]["app"]["commit"]]
        try:
            host = (originals or {}).get(item["name"], item["name"])
            files = render_files(item, manifest, inventory.read_config(host))
        except StrataError as error:
            faults[item["name"]] = error.message
        else:
            rendered.append({**item, **layers[item["name"]], "files": files})
    return rendered, faults


def render_copies(arguments: Data, inventory: Inventory) -> Data:
    """Return the arguments of a module that restores: a copy has layers and config of its original."""
    originals = arguments.get("originals", {})
    appliances, staged = arguments.get("appliances", []), arguments.get("layers", {})
    layers = {item["name"]: staged[originals.get(item["name"], item["name"])] for item in appliances}
    rendered = render_all(appliances, arguments.get("manifests", {}), layers, inventory, originals)
    return hide_secrets(to_arguments({**arguments, "layers": layers}, rendered))


def hide_secrets(arguments: Data) -> Data:
    """Return a module's arguments with what is secret of ``repositories`` apart, where the module hides it.

    Raises BadInput for repositories that are not described as they should be.
    """
    given = plain(arguments.get("repositories") or {})
    backup.check(backup.Site({}, {}, given), [])
    shown, hidden = backup.split(given, given)
    return {**arguments, "repositories": shown, "repository_secrets": hidden}


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
