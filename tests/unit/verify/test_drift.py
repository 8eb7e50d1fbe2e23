"""Drift as data: each file in drift/ says what was changed on an instance that Strata made, and what is found."""

from __future__ import annotations

import copy
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils import drift, instance, migration
from ansible_collections.strata.fleet.plugins.module_utils.model import (
    RUNNING,
    Appliance,
    Composition,
    Layer,
    Nic,
    Published,
    Volume,
)

CASES = sorted((Path(__file__).parent / "drift").glob("*.yml"))
STORE, POOL = "/store", "pool"
APPLIANCE = Appliance(
    name="web1",
    state=RUNNING,
    composition=Composition(Layer("debian-13", "13.1", "bb"), Layer("nginx", "1-1", "aa"), "cc"),
    nics=(Nic("strata0", "10.87.0.11"), Nic("other", "")),
    volumes=(Volume("var", "/var", 1000), Volume("data", "/srv/data", 0)),
    published=(Published("0.0.0.0", 8080, 80, "tcp"), Published("10.0.0.1", 53, 5353, "udp")),
    memory=2**28,
    cpus=2,
)
# What the engine adds by itself, and what anybody may note.
OWN = {
    "volatile.uuid": "1",
    "image.description": "Strata skeleton",
    "user.note": "hands off",
    "user.strata.previous": "{}",
}


def build_body() -> dict[str, t.Any]:
    return {
        "name": "web1",
        "config": {**instance.instance_config(APPLIANCE), **OWN},
        "devices": instance.instance_devices(APPLIANCE, STORE, POOL),
        "profiles": [],
    }


def change(place: dict[str, t.Any], changes: t.Mapping[str, t.Any]) -> None:
    """Set what ``changes`` say, deeply; None removes."""
    for key, value in changes.items():
        if value is None:
            del place[key]
        elif isinstance(value, dict) and isinstance(place.get(key), dict):
            change(place[key], value)
        else:
            place[key] = value


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    body = copy.deepcopy(build_body())
    change(body, case["changed"])
    volumes = case.get("volumes", {"var": "/var", "data": "/srv/data"})
    found = drift.find_drift(body, STORE, POOL, volumes)
    assert [f"{one.what} {one.where}: {one.sentence}" for one in found] == case["found"]
    assert all(one.appliance == "web1" and one.remedy for one in found)


def hand_over(role: str) -> dict[str, t.Any]:
    """Return the instance with a part in a migration, that lacks its layers because of it."""
    body = build_body()
    layers = {name: keys for name, keys in body["devices"].items() if instance.is_layer(name)}
    body["devices"] = {name: keys for name, keys in body["devices"].items() if name not in layers}
    mark = migration.Mark(role, "node2", "2026-11-30T10:15:00Z", layers, {"boot.autostart": "true"})
    body["config"] |= {migration.KEY: mark.encode(), "boot.autostart": "false"}
    return body


def find(body: dict[str, t.Any]) -> list[str]:
    return [one.where for one in drift.find_drift(body, STORE, POOL, {"var": "/var", "data": "/srv/data"})]


def test_what_is_kept_after_a_migration_is_no_drift() -> None:
    assert find(hand_over(migration.KEPT)) == []


@pytest.mark.parametrize("role", [migration.OUT, migration.IN, migration.GIVEN_UP])
def test_a_migration_that_did_not_end_is_found_as_that(role: str) -> None:
    assert find(hand_over(role)) == [migration.KEY]


def test_what_somebody_else_took_away_is_found_all_the_same() -> None:
    kept = hand_over(migration.KEPT)
    del kept["devices"]["port-tcp-8080"]
    kept["devices"]["extra"] = {"type": "disk", "path": "/x", "source": "/etc"}
    assert find(kept) == ["extra"]
    taken = hand_over(migration.TAKEN)
    assert "base-usr" in find(taken)


def test_there_are_cases() -> None:
    assert len(CASES) > 8
