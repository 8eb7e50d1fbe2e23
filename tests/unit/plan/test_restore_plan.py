"""Restores as data: each file in restores/ says what is wanted, what is there, and the steps between.

Appliances and instances are written as in cases/. ``restored`` is the backup that a volume holds, by its name; OURS is
the one that is restored. ``mark`` is what a run that was cut off wrote down.
"""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils.apply import ACTIONS as COMMON
from ansible_collections.strata.fleet.plugins.module_utils.backup_record import Record, SavedVolume, saved_path
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.model import Appliance, Plan
from ansible_collections.strata.fleet.plugins.module_utils.restore_plan import Found, Order, plan_restores
from ansible_collections.strata.fleet.plugins.module_utils.restoring import ACTIONS

from .test_plan import PLACE, build_appliance, build_have

NOW, THEN = "20261122T171500Z", "20261101T000000Z"
OURS = "0123abcd" * 8
CASES = sorted((Path(__file__).parent / "restores").glob("*.yml"))
MIB = 2**20


def load(path: Path) -> t.Any:
    """Return a case, with times and ids where it says NOW, THEN and OURS."""
    return yaml.safe_load(path.read_text().replace("NOW", NOW).replace("THEN", THEN).replace("OURS", OURS))


def build_record(data: dict[str, t.Any], item: Appliance) -> Record:
    volumes = {
        name: SavedVolume(f"/{name}", size, 3 * MIB, "[]", saved_path(name))
        for name, size in data.get("volumes", {"var": 0}).items()
    }
    schema = data.get("state_schema", "")
    return Record("web1", "node1", "2026-11-20T02:00:00.000Z", item.composition, schema, {}, volumes)


def build_case(case: dict[str, t.Any]) -> tuple[Order, Found]:
    item = dataclasses.replace(build_appliance(case.get("want", {})), state_schema=case.get("state_schema", ""))
    record = build_record(case.get("record", {}), item)
    asked = case.get("only", sorted(record.volumes))
    order = Order(item, OURS, "offsite", record, tuple(asked), "only" not in case, case.get("over", False))
    have = build_have(case["have"])
    marks = {"restore": case["mark"]} if "mark" in case else {}
    instances = {name: dataclasses.replace(one, marks={**one.marks, **marks}) for name, one in have.instances.items()}
    return order, Found(dataclasses.replace(have, instances=instances), case.get("restored", {}), {"web1": marks})


def run(path: Path) -> Plan:
    order, found = build_case(load(path))
    return plan_restores([order], found, PLACE, NOW)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_steps(path: Path) -> None:
    case = load(path)
    if "error" in case:
        with pytest.raises(BadInput) as caught:
            run(path)
        assert caught.value.message == case["error"]
        return
    digest = build_case(case)[0].item.composition.config[:12]
    assert [step.sentence.replace(digest, "DIGEST") for step in run(path).steps] == case["steps"]
    for action, expected in case.get("args", {}).items():
        step = next(step for step in run(path).steps if step.action == action)
        for key, value in expected.items():
            assert step.args[key] == value


def test_every_planned_action_can_be_applied() -> None:
    planned = {step.action for path in CASES if "error" not in load(path) for step in run(path).steps}
    assert planned >= set(ACTIONS)
    assert planned <= {*ACTIONS, *COMMON}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_nothing_that_held_state_is_deleted(path: Path) -> None:
    if "error" in load(path):
        return
    gone = [step.args["volume"] for step in run(path).steps if step.action == "delete_volume"]
    assert all(name.endswith(".restoring") for name in gone)
