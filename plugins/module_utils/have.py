# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""have: what the engine and the store say about a node's appliances."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import config_layer
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import Absent, BadInput
from ansible_collections.strata.fleet.plugins.module_utils.instance import COMPOSITION
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition, Have, Instance
from ansible_collections.strata.fleet.plugins.module_utils.sizes import parse_size


def read(engine: Engine, store: Path, pool: str) -> Have:
    """Return the node's present state, from two queries of the engine.

    Raises BadInput where the engine was not made ready (no such project or pool).
    """
    try:
        instances = engine.instances()
        volumes = engine.volumes(pool)
    except Absent as error:
        raise BadInput(
            f"The engine has no project {engine.project!r} with a pool {pool!r} for appliances: {error.facts['said']}. "
            "Run the role strata.fleet.engine on this node first."
        ) from error
    return Have(
        {body["name"]: to_instance(body, store) for body in instances},
        {body["name"]: parse_size(body["config"].get("size") or 0) for body in volumes},
    )


def to_instance(body: t.Mapping[str, t.Any], store: Path) -> Instance:
    """Return an instance of the engine's, with the description of the config layer that it runs."""
    composition = composition_of(body["config"])
    files = config_layer.read(store, body["name"], composition.config) if composition else {}
    return Instance(body["name"], body["status"], body["config"], body["devices"], files)


def composition_of(config: t.Mapping[str, str], key: str = COMPOSITION) -> Composition | None:
    """Return what the instance says it is (or was: key PREVIOUS) composed of; None for one that Strata did not make."""
    try:
        return Composition.from_data(json.loads(config[key]))
    except (ValueError, KeyError, TypeError):
        return None
