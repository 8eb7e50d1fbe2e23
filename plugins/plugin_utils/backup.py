# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""want, for backups: which appliances of the inventory are backed up to which repositories. Pure."""

from __future__ import annotations

import json
import typing as t
import urllib.parse

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import find_node
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import find_faults, suggest

VARIABLE = "backup_repositories"
SETTINGS = "appliance_backup"
SECRETS = ("password", "environment", "ssh_key")

Data = dict[str, t.Any]
Variables = t.Mapping[str, t.Any]


class Site(t.NamedTuple):
    """The inventory: the hosts of every group, the variables of every appliance, the repositories by name."""

    groups: t.Mapping[str, t.Sequence[str]]
    appliances: t.Mapping[str, Variables]
    repositories: t.Mapping[str, t.Any]


def choose(site: Site, names: t.Sequence[str], nodes: t.Sequence[str]) -> list[str]:
    """Return the appliances that names and groups stand for, on these nodes; without names all that have backups.

    Raises BadInput for names that nothing has, and for a name of an appliance without backups.
    """
    known = [*site.appliances, *site.groups]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadInput(f"{unknown[0]!r} is neither an appliance nor a group of them{suggest(unknown[0], known)}")
    bare = [name for name in names if name in site.appliances and not has_backups(site.appliances[name])]
    if bare:
        raise BadInput(
            f"Appliance {bare[0]} has no backups: set {SETTINGS} for it, with the name of a repository, such as "
            "{repository: offsite}"
        )
    asked = set(names).union(*(site.groups.get(name, []) for name in names)) if names else set(site.appliances)
    chosen = [name for name, own in site.appliances.items() if name in asked and has_backups(own)]
    here = [name for name in chosen if node_of(site, name) in nodes]
    if names and not here:
        raise BadInput(f"No appliance of {', '.join(names)} that has backups is on the nodes of this run")
    return here


def has_backups(variables: Variables) -> bool:
    """Whether an appliance is to be there and to be backed up."""
    return SETTINGS in variables and variables.get("appliance_state") != "absent"


def node_of(site: Site, name: str) -> str:
    """Return the node of an appliance."""
    return find_node(site.appliances[name], {node: {} for node in site.groups.get("nodes", [])})


def check(site: Site, chosen: t.Iterable[str]) -> None:
    """Raise BadInput with every fault of the repositories, and of the appliances that name one."""
    faults = find_faults({VARIABLE: dict(site.repositories)}, "repositories")
    if not faults:
        faults = [fault for name, body in site.repositories.items() for fault in _find_secrets(name, body["url"])]
    for name in chosen:
        settings = site.appliances[name][SETTINGS]
        if settings["repository"] not in site.repositories:
            place = f"Appliance {name}: {SETTINGS}.repository {settings['repository']!r}"
            faults.append(f"{place} is not in {VARIABLE}{suggest(settings['repository'], site.repositories)}")
    if faults:
        raise BadInput("\n".join(f"{fault}." for fault in faults))


def _find_secrets(name: str, url: str) -> list[str]:
    """Return that an address holds a password: it is shown in messages."""
    parsed = urllib.parse.urlsplit(url.removeprefix("rest:").removeprefix("s3:"))
    if not parsed.password:
        return []
    hint = "put it into environment: RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD, or AWS_SECRET_ACCESS_KEY"
    return [f"{VARIABLE}.{name}.url holds a password; {hint}"]


def build_wishes(site: Site, chosen: t.Iterable[str], node: str) -> list[Data]:
    """Return the appliances of one node that are backed up, in the shape that the module takes."""
    return [
        {
            "name": name,
            "repository": site.appliances[name][SETTINGS]["repository"],
            "keep": dict(site.appliances[name][SETTINGS].get("keep", {})),
            "schedule": site.appliances[name][SETTINGS].get("schedule", ""),
            "variables": dict(site.appliances[name]),
        }
        for name in chosen
        if node_of(site, name) == node
    ]


def find_pruned(site: Site, chosen: t.Sequence[str], node: str) -> list[str]:
    """Return the repositories that this node prunes: each is pruned once, by the first node that backs up to it."""
    first: dict[str, str] = {}
    for name in chosen:
        first.setdefault(site.appliances[name][SETTINGS]["repository"], node_of(site, name))
    return [repository for repository, by in first.items() if by == node]


def split(repositories: t.Mapping[str, t.Any], used: t.Collection[str]) -> tuple[Data, dict[str, str]]:
    """Return what may be shown of these repositories, and what must not: secrets travel apart, hidden by the module.

    What must not is one JSON text a repository. Ansible cuts each value of a hidden option out of all that the module
    returns: a value of its own such as "1" would take every 1 with it.
    """
    mine = {name: body for name, body in repositories.items() if name in used}
    shown = {name: {key: value for key, value in body.items() if key not in SECRETS} for name, body in mine.items()}
    apart = {name: {key: value for key, value in body.items() if key in SECRETS} for name, body in mine.items()}
    return shown, {name: json.dumps(secrets, sort_keys=True) for name, secrets in apart.items()}
