# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that use backup repositories, and the repositories in them."""

from __future__ import annotations

import json
import threading
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import options
from ansible_collections.strata.fleet.plugins.module_utils.backup_moment import Node
from ansible_collections.strata.fleet.plugins.module_utils.backup_plan import Wish
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.repositories import Repository

APPLIANCE: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "repository": {"type": "str", "required": True},
    "keep": {"type": "dict", "default": {}},
    "schedule": {"type": "str", "default": ""},
    "variables": {"type": "dict", "default": {}},
}
REPOSITORY_OPTIONS: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "repositories": {"type": "dict", "default": {}},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
}

Data = t.Mapping[str, t.Any]


def repositories_of(params: Data) -> dict[str, Repository]:
    """Return the repositories by name. Raises BadInput for one without a password."""
    return {
        name: build_repository(name, body, params["secrets"].get(name, ""))
        for name, body in params["repositories"].items()
    }


def build_repository(name: str, shown: Data, hidden: str) -> Repository:
    """Return a repository, from what may be shown of it and what must not: a text of JSON, as the action sends it."""
    secrets = parse_secrets(name, hidden)
    if not secrets.get("password"):
        raise BadInput(f"Repository {name} has no password: set it in backup_repositories, from a vault", key="secrets")
    return Repository(
        name,
        shown["url"],
        secrets["password"],
        dict(secrets.get("environment") or {}),
        secrets.get("ssh_key", ""),
        shown.get("known_hosts", ""),
    )


def parse_secrets(name: str, hidden: str) -> dict[str, t.Any]:
    """Return what must not be shown of a repository. Raises BadInput for what is no JSON object."""
    try:
        found = json.loads(hidden or "{}")
    except (ValueError, TypeError):  # which would say what it read
        found = None
    if not isinstance(found, dict):
        raise BadInput(
            f"The secrets of repository {name} are no JSON object of password, environment and ssh_key: leave that "
            "option to the action plugin",
            key="secrets",
        )
    return found


def wishes_of(items: t.Iterable[Data], repositories: t.Collection[str]) -> list[Wish]:
    """Return what is to be backed up. Raises BadInput for a repository that is not given."""
    wishes = [Wish(item["name"], item["repository"], dict(item["keep"]), item["variables"]) for item in items]
    unknown = [wish for wish in wishes if wish.repository not in repositories]
    if unknown:
        known = ", ".join(sorted(repositories)) or "none"
        raise BadInput(
            f"Appliance {unknown[0].name}: repository {unknown[0].repository!r} is not known; there is {known}"
        )
    return wishes


def node_of(params: Data) -> Node:
    """Return the node that a module's options name."""
    store = Path(params["store_path"])
    return Node(options.engine_of(params), store, params["pool"], params["node"], params["wait"], threading.Lock())
