"""What a node has that no inventory asks for, and which of it may go."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import migration, strays
from ansible_collections.strata.fleet.plugins.module_utils.drill_network import MINE
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import quarantine
from ansible_collections.strata.fleet.plugins.module_utils.model import Have, Instance, Removal
from ansible_collections.strata.fleet.tests.unit.plan.test_plan import build_have

COPIES = {"strata-copies": {MINE: "true"}, "strata0": {"user.strata.managed": "true"}}
RESTORE = {"snapshot": "0123abcdef", "volumes": ["var"]}


def have(**given: t.Any) -> Have:
    """Return a node with web1 and a stray web9, of which something is different."""
    built = build_have({"instances": [{"like": {}}, {"like": {"name": "web9"}, **given}]})
    return dataclasses.replace(built, networks=COPIES)


def change(found: Have, **given: t.Any) -> Have:
    present: Instance = dataclasses.replace(found.instances["web9"], **given)
    return dataclasses.replace(found, instances={**found.instances, "web9": present})


def mark(role: str) -> dict[str, str]:
    return {migration.KEY: migration.Mark(role, "node2", "2026-11-30T10:00:00Z").encode()}


def test_a_stray_may_go_and_an_appliance_of_any_node_may_not() -> None:
    found = strays.find(have(), ["web1", "web2"])
    assert found == {"web9": strays.Stray("", copy=False)}
    assert strays.to_removals(found, ["web1", "web2"]) == [Removal("web9", with_state=False)]
    assert strays.find(have(), ["web1", "web9"]) == {}


def test_nobody_looks_for_strays_unasked() -> None:
    assert strays.find(have(), None) == {}


def test_an_empty_inventory_removes_nothing() -> None:
    with pytest.raises(BadInput, match="no appliance at all"):
        strays.to_removals(strays.find(have(), []), [])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"foreign": True}, "did not make"),
        ({"config": mark(migration.OUT)}, "on its way"),
        ({"config": mark(migration.IN)}, "on its way"),
        ({"config": mark(migration.KEPT)}, "is kept"),
        ({"config": {migration.KEY: "damaged"}}, "cannot be read"),
        ({"config": {quarantine.KEY: "damaged"}}, "quarantine"),
        ({"restore": RESTORE}, "was cut off"),
        ({"status": "Frozen"}, "held for a backup"),
    ],
)
def test_what_something_else_has_in_hand_stays(given: dict[str, t.Any], words: str) -> None:
    found = strays.find(have(**given), ["web1"])
    assert words in found["web9"].kept
    assert not found["web9"].copy
    assert strays.to_removals(found, ["web1"]) == []
    assert len(strays.explain(found)) == 1


def test_copies_stay_and_nobody_is_told() -> None:
    found = strays.find(have(devices={"eth0": {"type": "nic", "network": "strata-copies"}}), ["web1"])
    assert found["web9"].copy
    assert strays.to_removals(found, ["web1"]) == []
    assert strays.explain(found) == []


def test_one_without_cards_could_be_a_copy() -> None:
    devices = {name: device for name, device in have().instances["web9"].devices.items() if device["type"] != "nic"}
    found = strays.find(change(have(), devices=devices), ["web1"])
    assert "no network card" in found["web9"].kept
