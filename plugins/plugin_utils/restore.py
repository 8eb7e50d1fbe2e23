# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""want, for a restore: what becomes of whom, on which node, out of which backup. Pure."""

from __future__ import annotations

import posixpath
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.copies import copy_item, hosts_of
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import NAME
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import suggest
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import reason_of

KINDS = ("base", "app")

Data = dict[str, t.Any]
Facts = t.Mapping[str, t.Any]


class Wanted(t.NamedTuple):
    """What an operator asks for; '' where it is left open. ``name`` is another name, for a look."""

    appliance: str
    snapshot: str = "latest"
    node: str = ""
    name: str = ""
    volume: str = ""
    path: str = ""
    over: str = ""
    repository: str = ""
    lost_node: str = ""


class Site(t.NamedTuple):
    """Where it is decided.

    ``fleet``: the appliances of each node, where the restored one is on its target already; ``home`` is its node by the
    inventory. ``found``: what appliance_info returned, or why not, by node. ``repository_of``: where each is backed up.
    ``network``: name and address of the network of copies.
    """

    fleet: t.Mapping[str, t.Sequence[Data]]
    home: str
    found: t.Mapping[str, Facts]
    repository_of: t.Mapping[str, str]
    repositories: t.Collection[str]
    network: t.Mapping[str, str]


class Goal(t.NamedTuple):
    """What is to be done on each node.

    ``nodes``: the appliances as they are to be; ``judged``: those whose layers and policies they have. ``originals``:
    the one for the other, by name. ``requests``: the backups that they come from. ``skipped``: why others are left out.
    ``unsure``: nodes that may have a copy that nobody can see. ``checks``: the repositories that a node checks.
    """

    nodes: dict[str, list[Data]]
    judged: dict[str, list[Data]]
    originals: dict[str, str]
    requests: dict[str, list[Data]]
    sentences: list[str]
    skipped: dict[str, str]
    unsure: list[str]
    checks: dict[str, list[str]]


def plan_restore(site: Site, wanted: Wanted) -> Goal:
    """Return what is restored where. Raises BadInput for what is asked for wrongly, before anything is changed."""
    node, item = find_item(site, wanted.appliance)
    _refuse_contradictions(wanted, item)
    repository = find_repository(site, wanted.appliance, wanted.repository)
    name = wanted.name or wanted.appliance
    here = _facts_on(site, node)
    present = next((each for each in here if each["name"] == name), None)
    unsure: list[str] = []
    if wanted.name:
        _refuse_taken_name(site, wanted.name, present, node)
        taken = [each["address"] for each in here if each is not present]
        item = copy_item(item, wanted.name, site.network, hosts_of(site.network, taken))
    elif not wanted.path:
        _refuse_second_copy(site, wanted, node)
        _refuse_running(wanted, present)
        unsure = [each for each in _silent(site) if each not in (node, wanted.lost_node)]
    judged = dict(find_item(site, wanted.appliance)[1])
    if wanted.volume and present and present["base"]:
        judged = {**judged, **{kind: {"channel": "", **present[kind]} for kind in KINDS}}
    request = {
        "appliance": wanted.appliance,
        "repository": repository,
        "snapshot": wanted.snapshot,
        "volume": wanted.volume,
    }
    sentences = [_describe(wanted, node, repository), *_warn(site, wanted, node)]
    originals = {name: wanted.appliance}
    return Goal({node: [item]}, {node: [judged]}, originals, {node: [request]}, sentences, {}, unsure, {})


def find_item(site: Site, appliance: str) -> tuple[str, Data]:
    """Return the node and the appliance of this name. Raises BadInput where the inventory has none."""
    everyone = {item["name"]: (node, item) for node, items in site.fleet.items() for item in items}
    if appliance not in everyone:
        asked = repr(appliance) if appliance else "Nothing"
        hint = suggest(appliance, everyone)
        raise BadInput(f"{asked} is not an appliance of the inventory{hint}. Name one: -e restore=NAME.")
    return everyone[appliance]


def find_repository(site: Site, appliance: str, asked: str) -> str:
    """Return where an appliance's backups are. Raises BadInput where nobody says, or nothing is called so."""
    name = asked or site.repository_of.get(appliance, "")
    if not name:
        raise BadInput(
            f"Appliance {appliance}: its inventory does not say where it is backed up. Set appliance_backup.repository "
            f"there, or name one: -e restore_repository=NAME{suggest('', site.repositories)}."
        )
    if name not in site.repositories:
        where = "restore_repository" if asked else f"Appliance {appliance}: appliance_backup.repository"
        raise BadInput(f"{where} {name!r} is not in backup_repositories{suggest(name, site.repositories)}.")
    return name


def _refuse_contradictions(wanted: Wanted, item: Data) -> None:
    both = [key for key in ("name", "volume", "path") if getattr(wanted, key)]
    words = {"name": "restore_as", "volume": "restore_volume", "path": "restore_path"}
    if len(both) > 1:
        raise BadInput(f"{' and '.join(words[key] for key in both)} are two different things: ask for one of them.")
    if wanted.path and (not wanted.path.startswith("/") or posixpath.normpath(wanted.path) != wanted.path):
        raise BadInput(f"restore_path {wanted.path!r} is not a plain absolute path inside the appliance.")
    if wanted.over and wanted.over != wanted.appliance:
        raise BadInput(
            f"restore_over is {wanted.over!r}, but {wanted.appliance!r} is restored: the name must be the same, it is "
            "there to be sure."
        )
    if item["state"] == "absent" and not (wanted.name or wanted.path):
        raise BadInput(
            f"Appliance {item['name']} is to be absent (appliance_state): the next deploy would remove it again. Say "
            "running there, or restore it under another name."
        )


def _refuse_taken_name(site: Site, name: str, present: Facts | None, node: str) -> None:
    wanted = [item["name"] for items in site.fleet.values() for item in items]
    if name in wanted:
        raise BadInput(f"restore_as {name!r} is an appliance of the inventory: choose a name that nothing has.")
    if present and not present.get("restore"):  # one that was cut off is ended by asking for it once more
        raise BadInput(
            f"restore_as {name!r} is on {node} already: choose another name, or remove it (playbooks/remove.yml "
            f"-e remove={name} -e remove_state={name})."
        )
    if not NAME.fullmatch(name):
        raise BadInput(
            f"restore_as {name!r} is not a name that the engine takes: up to 63 lower-case letters, digits and dashes, "
            "a letter first."
        )


def _refuse_second_copy(site: Site, wanted: Wanted, node: str) -> None:
    """Two nodes must never run one state."""
    name = wanted.appliance
    others = [each for each in site.found if each != node and any(one["name"] == name for one in _facts(site, each))]
    if others:
        raise BadInput(
            f"Appliance {name} is on {others[0]} as well, and of one state only one copy may run. Remove it there "
            f"(playbooks/remove.yml -e remove={name}, which keeps its state), or restore to {others[0]}, or under "
            "another name."
        )
    if site.home not in (node, wanted.lost_node) and site.home in _silent(site):
        raise BadInput(
            f"The inventory has {name} on {site.home}, which {_why_silent(site, site.home)}: it may be running there. "
            f"If that machine is lost, say so: -e restore_lost_node={site.home}. It must not come back with {name} on "
            "it."
        )


def _refuse_running(wanted: Wanted, present: Facts | None) -> None:
    name = wanted.appliance
    is_cut = bool(present and present.get("restore"))
    if present and present["state"] != "stopped" and wanted.over != name and not is_cut:
        raise BadInput(
            f"Appliance {name} is running, and its state would be replaced. If that is meant, say so by its name: "
            f"-e restore_over={name}. What it has now is kept aside."
        )


def _facts_on(site: Site, node: str) -> t.Sequence[Facts]:
    """Return the appliances of the node that is restored to. Raises BadInput where it cannot tell."""
    if node in _silent(site):
        raise BadInput(f"Node {node}, which is restored to, {_why_silent(site, node)}.")
    return _facts(site, node)


def _facts(site: Site, node: str) -> t.Sequence[Facts]:
    return t.cast("t.Sequence[Facts]", site.found.get(node, {}).get("appliances", []))


def _silent(site: Site) -> list[str]:
    return [node for node in site.fleet if "appliances" not in site.found.get(node, {})]


def _why_silent(site: Site, node: str) -> str:
    if node not in site.found:
        return "is left out of this run (--limit)"
    said = site.found[node]
    return f"{'did not answer' if said.get('unreachable') else 'cannot tell'}: {reason_of(said)}"


def _describe(wanted: Wanted, node: str, repository: str) -> str:
    backup = f"the backup {wanted.snapshot} in {repository}"
    if wanted.path:
        return f"{wanted.path} of {wanted.appliance} comes out of {backup} into a folder on {node}"
    if wanted.name:
        return f"{wanted.name} is made on {node} out of {backup} of {wanted.appliance}, cut off from every network"
    what = f"volume {wanted.volume} of {wanted.appliance}" if wanted.volume else wanted.appliance
    return f"{what} on {node} comes out of {backup}; what is there now is kept aside"


def _warn(site: Site, wanted: Wanted, node: str) -> list[str]:
    if node == site.home or wanted.name or wanted.path:
        return []
    return [
        f"the inventory has {wanted.appliance} on {site.home}: set its appliance_node to {node} before the next deploy"
    ]
