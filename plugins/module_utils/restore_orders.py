# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""want, for a restore: orders, from what a module was given and what the backups say of themselves."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import backup_record, want
from ansible_collections.strata.fleet.plugins.module_utils.model import Place
from ansible_collections.strata.fleet.plugins.module_utils.restore_plan import Order
from ansible_collections.strata.fleet.plugins.module_utils.restore_sources import REPOSITORY_OPTIONS

Data = t.Mapping[str, t.Any]

# Options of the modules restore and drill, beside those of every appliance.
BACKUP_OPTIONS: t.Mapping[str, t.Mapping[str, t.Any]] = {
    **REPOSITORY_OPTIONS,
    "backups": {"type": "dict", "required": True},
    "originals": {"type": "dict", "default": {}},
    "network": {"type": "dict", "default": {}},
}


def build_orders(params: Data, place: Place, over: t.Collection[str]) -> list[Order]:
    """Return an order for each appliance."""
    orders = []
    for item in want.with_secrets(params["appliances"], params["secrets"]):
        backup = params["backups"][params["originals"].get(item["name"], item["name"])]
        record = backup_record.parse(json.dumps(backup["record"]), f"The record of backup {backup['snapshot'][:8]}")
        orders.append(
            Order(
                want.build_appliance(_fitting(item, params["manifests"]), params["manifests"], place),
                backup["snapshot"],
                backup["repository"],
                record,
                tuple(backup["volumes"]),
                is_whole=backup["whole"],
                may_stop=item["name"] in over,
            )
        )
    return orders


def _fitting(item: Data, manifests: Data) -> dict[str, t.Any]:
    """Return an appliance without sizes of volumes that an older version of its app does not have."""
    declared = {volume["name"] for volume in manifests[item["app"]["commit"]]["volumes"]}
    return {**item, "volumes": {name: size for name, size in item["volumes"].items() if name in declared}}
