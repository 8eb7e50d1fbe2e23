# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins of backups give their modules: a node's part of the inventory."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils import backup
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, plain

Data = dict[str, t.Any]


def build_arguments(
    loader: t.Any, templar: t.Any, given: t.Mapping[str, t.Any], task_vars: t.Mapping[str, t.Any]
) -> Data:
    """Return a task's arguments with the appliances and repositories of its node. Raises BadInput for what is wrong."""
    node = task_vars["inventory_hostname"]
    site = read_site(Inventory(loader, task_vars), templar.template(task_vars.get(backup.VARIABLE, {})))
    chosen = backup.choose(site, given.get("names") or [], task_vars["ansible_play_hosts_all"])
    backup.check(site, chosen)
    wishes = backup.build_wishes(site, chosen, node)
    used = {wish["repository"] for wish in wishes}
    if given.get("prune"):
        wishes, used = [], set(backup.find_pruned(site, chosen, node))
    shown, hidden = backup.split(site.repositories, used)
    return {**given, "appliances": wishes, "repositories": shown, "secrets": hidden}


def read_site(inventory: Inventory, repositories: t.Any) -> backup.Site:
    """Return what the inventory says of backups."""
    appliances = {name: inventory.read(name, "appliance_") for name in inventory.members("appliances")}
    return backup.Site(inventory.groups(), plain(appliances), plain(repositories))
