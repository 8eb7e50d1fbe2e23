# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""have: what the engine and the store say about a node's appliances."""

from __future__ import annotations

import contextlib
import json
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import config_layer, cut_restores, marks, moved
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import Absent, BadInput
from ansible_collections.strata.fleet.plugins.module_utils.instance import SIZES, composition_of, volume_name
from ansible_collections.strata.fleet.plugins.module_utils.model import Have, Instance
from ansible_collections.strata.fleet.plugins.module_utils.sizes import parse_size


def read(engine: Engine, store: Path, pool: str, sizes: t.Mapping[str, int]) -> Have:
    """Return the node's present state, from two queries of the engine.

    ``sizes`` are the wanted sizes of volumes: a volume is asked for its own only where that is news.
    Raises BadInput where the engine was not made ready (no such project or pool).
    """
    instances = read_instances(engine, store)
    volumes = read_volumes(engine, pool, instances, sizes)
    restores = cut_restores.read_all(store, instances)
    return Have(instances, volumes, moved=moved.read_all(store), restores=restores)


def read_volumes(
    engine: Engine, pool: str, instances: t.Mapping[str, Instance], sizes: t.Mapping[str, int]
) -> dict[str, int]:
    """Return the sizes in bytes of the node's volumes, see ``read``."""
    with _engine_made_ready(engine, pool):
        names = engine.volume_names(pool)
    known = {
        volume_name(instance.name, volume): size
        for instance in instances.values()
        for volume, size in json.loads(instance.config.get(SIZES, "{}")).items()
    }
    news = [name for name in names if name in sizes and sizes[name] != known.get(name)]
    read_now = {name: parse_size(engine.volume(pool, name)["config"].get("size") or 0) for name in news}
    return {name: read_now.get(name, known.get(name, 0)) for name in names}


def read_snapshots(engine: Engine, pool: str, volumes: t.Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the snapshots of these volumes, oldest first."""
    return {name: engine.snapshot_names(pool, name) for name in volumes}


def read_instances(engine: Engine, store: Path) -> dict[str, Instance]:
    """Return the instances by name. Raises BadInput where the engine was not made ready."""
    return {body["name"]: to_instance(body, store) for body in read_bodies(engine)}


def read_bodies(engine: Engine) -> list[dict[str, t.Any]]:
    """Return the instances as the engine has them. Raises BadInput where the engine was not made ready."""
    with _engine_made_ready(engine):
        return engine.instances()


@contextlib.contextmanager
def _engine_made_ready(engine: Engine, pool: str = "") -> t.Iterator[None]:
    try:
        yield
    except Absent as error:
        where = f"project {engine.project!r}" + (f" with a pool {pool!r}" if pool else "")
        raise BadInput(
            f"The engine has no {where} for appliances: {error.facts['said']}. "
            "Run the role strata.fleet.engine on this node first."
        ) from error


def to_instance(body: t.Mapping[str, t.Any], store: Path) -> Instance:
    """Return an instance of the engine's, with the description of the config layer that it runs."""
    composition = composition_of(body["config"])
    files = config_layer.read(store, body["name"], composition.config) if composition else {}
    own_marks = marks.read(store, body["name"])
    return Instance(body["name"], body["status"], body["config"], body["devices"], files, own_marks)
