# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""want, for a drill: whose backups are tried out, on which node, under which names. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.copies import copy_item, drill_name, hosts_of
from ansible_collections.strata.fleet.plugins.plugin_utils.restore import Goal, Site, find_repository
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import suggest
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import reason_of

Data = dict[str, t.Any]


def expand(names: t.Sequence[str], members: t.Mapping[str, t.Sequence[str]], site: Site) -> list[str]:
    """Return the appliances that names and groups stand for; without any, all that are backed up.

    Of a group, those that are not backed up are left out. Raises BadInput for a name that nothing has, or that is not
    backed up.
    """
    everyone = [item["name"] for items in site.fleet.values() for item in items if item["state"] != "absent"]
    if not names:
        return [name for name in everyone if site.repository_of.get(name)]
    unknown = [name for name in names if name not in members and name not in everyone]
    if unknown:
        raise BadInput(f"{unknown[0]!r} is not an appliance of the inventory{suggest(unknown[0], everyone)}.")
    asked = [name for name in names if name not in members]
    for name in asked:
        find_repository(site, name, "")
    asked += [each for name in names for each in members.get(name, []) if site.repository_of.get(each)]
    return [name for name in everyone if name in asked]


def plan_drill(site: Site, names: t.Collection[str]) -> Goal:
    """Return what is restored under which name. One whose node does not answer is skipped, and the reason told."""
    goal = Goal({}, {}, {}, {}, [], {}, [], {})
    for node, items in site.fleet.items():
        addresses = hosts_of(site.network)
        for item in items:
            # Each appliance of a node has its own address, drilled now or not: one that was kept is never in the way.
            name = drill_name(item["name"])
            copy = copy_item(item, name, site.network, addresses)
            if item["name"] not in names:
                continue
            _refuse_own_name(site, name)
            repository = find_repository(site, item["name"], "")
            if "appliances" not in site.found.get(node, {}):
                goal.skipped[item["name"]] = _explain(site, node)
                continue
            goal.nodes.setdefault(node, []).append(copy)
            goal.judged.setdefault(node, []).append(item)
            goal.originals[name] = item["name"]
            request = {"appliance": item["name"], "repository": repository, "snapshot": "latest"}
            goal.requests.setdefault(node, []).append(request)
            # Once a repository, by the first node that reads it.
            if repository not in [each for own in goal.checks.values() for each in own]:
                goal.checks.setdefault(node, []).append(repository)
            goal.sentences.append(f"{item['name']}: its latest backup in {repository} is tried out on {node} as {name}")
    return goal


def _refuse_own_name(site: Site, name: str) -> None:
    if any(item["name"] == name for items in site.fleet.values() for item in items):
        raise BadInput(f"Appliance {name} has the name under which another is drilled: rename it.")


def _explain(site: Site, node: str) -> str:
    if node not in site.found:
        return f"its node {node} is left out of this run"
    return f"its node {node} did not answer: {reason_of(site.found[node])}"
