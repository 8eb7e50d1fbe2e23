"""Swaps as data: each file in swaps/ says what is wanted, where the appliance stands, and the way there and back.

``want`` and ``like`` are appliances as in cases/. ``swap`` is what a run left that was cut off: from and to are such.
``state_schema`` is that of each version of the app, by version.
"""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils import instance
from ansible_collections.strata.fleet.plugins.module_utils.apply import ACTIONS
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.model import Appliance, Composition, Have, Instance, Swap
from ansible_collections.strata.fleet.plugins.module_utils.plan import make_plan
from ansible_collections.strata.fleet.plugins.module_utils.swap_plan import Manner, Ways, plan_swaps, to_plan

from .test_plan import CASES as DEPLOY_CASES
from .test_plan import PLACE, build_appliance, build_have, build_instance, build_want, load

NOW, THEN = "20261122T171500Z", "20261101T000000Z"
CASES = sorted((Path(__file__).parent / "swaps").glob("*.yml"))


def build(data: dict[str, t.Any], case: dict[str, t.Any]) -> Appliance:
    appliance = build_appliance(data)
    schemas = case.get("state_schema", {})
    return dataclasses.replace(appliance, state_schema=schemas.get(appliance.composition.app.version, ""))


def build_case(case: dict[str, t.Any]) -> tuple[Ways, Have, Manner]:
    now = build(case["like"], case)
    present = build_instance(
        {"like": case["like"], "status": case.get("status", "Running"), "config": case.get("config", {})}
    )
    good = now
    if "swap" in case:
        good, goal = (build(case["swap"][key], case) for key in ("from", "to"))
        mark = {**case["swap"], "from": good.composition.to_data(), "to": goal.composition.to_data()}
        defaults = {"purpose": "patch", "previous": None, "restore": ""}
        present = dataclasses.replace(present, marks={"swap": {**defaults, **mark}})
    have = Have(
        {"web1": present},
        case.get("volumes", {"web1.var": 0}),
        case.get("snapshots", {}),
        case.get("pool_driver", "btrfs"),
    )
    return Ways(build(case["want"], case), good, now), have, Manner(NOW, **case.get("manner", {}))


def load_case(path: Path) -> t.Any:
    """Return a case, with times where it says NOW and THEN."""
    return yaml.safe_load(
        path.read_text().replace("strata-NOW", f"strata-{NOW}").replace("strata-THEN", f"strata-{THEN}")
    )


def run(path: Path) -> tuple[list[Swap], Have]:
    way, have, manner = build_case(load_case(path))
    return plan_swaps([way], have, PLACE, manner), have


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_way_there_and_back(path: Path) -> None:
    case = load_case(path)
    if "error" in case:
        with pytest.raises(BadInput) as caught:
            run(path)
        assert caught.value.message == case["error"]
        return
    swaps, _have = run(path)
    if not case["forward"]:
        assert swaps == []
        return
    digest = swaps[0].item.composition.config[:12]
    assert [step.sentence.replace(digest, "DIGEST") for step in swaps[0].forward] == case["forward"]
    assert [step.sentence.replace(digest, "DIGEST") for step in swaps[0].back] == case["back"]
    for key, expected in case.get("expect", {}).items():
        assert getattr(swaps[0], key) == expected, key


def test_every_planned_action_can_be_applied() -> None:
    planned = set()
    for path in DEPLOY_CASES:
        case = load(path)
        if "error" not in case:
            want = [build_want(data) for data in case["want"]]
            plan = make_plan(want, build_have(case["have"]), PLACE, case.get("scope", "all"))
            planned |= {step.action for step in plan.steps}
    for path in CASES:
        if "error" not in load(path):
            planned |= {step.action for swap in run(path)[0] for step in (*swap.forward, *swap.back)}
    assert planned == set(ACTIONS)


def applied(present: Instance, args: t.Mapping[str, t.Any]) -> Instance:
    """Return an instance after the step update_instance."""
    config = {key: value for key, value in {**present.config, **args["config"]}.items() if value is not None}
    devices = {key: value for key, value in {**present.devices, **args["devices"]}.items() if value is not None}
    return dataclasses.replace(present, config=config, devices=devices)


def test_going_back_leaves_the_instance_as_it_was() -> None:
    way, have, manner = build_case(load(Path(__file__).parent / "swaps" / "new_base_and_app.yml"))
    [swap] = plan_swaps([way], have, PLACE, manner)
    before = have.instances["web1"]
    there = applied(before, next(step.args for step in swap.forward if step.action == "update_instance"))
    assert instance.composition_of(there.config) == way.item.composition
    assert instance.composition_of(there.config, instance.PREVIOUS) == way.good.composition
    back = applied(there, next(step.args for step in swap.back if step.action == "update_instance"))
    assert (back.config, back.devices) == (before.config, before.devices)


def test_what_a_rollout_reports_is_what_it_does() -> None:
    way, have, manner = build_case(load(Path(__file__).parent / "swaps" / "new_base.yml"))
    plan = to_plan(plan_swaps([way], have, PLACE, manner), have, PLACE)
    device = "base-usr"
    assert plan.before["web1"]["devices"][device] != plan.after["web1"]["devices"][device]
    assert Composition.from_data(way.item.composition.to_data()) == way.item.composition
