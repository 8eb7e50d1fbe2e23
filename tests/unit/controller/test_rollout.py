"""Rollouts as data: each file in rollout/ says what inventory and nodes have (see site.py), and the plan that follows.

``expect`` names parts of the plan: ``verdicts`` by appliance, ``batches`` as "kind: names", ``entries`` with keys of an
appliance's entry, and any key of the plan itself. ``error`` is the refusal instead.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.rollout import check_rollout, plan_rollout
from ansible_collections.strata.fleet.tests.unit.controller.site import read_site

CASES = sorted((Path(__file__).parent / "rollout").glob("*.yml"))


def make_plan(case: dict[str, t.Any]) -> dict[str, t.Any]:
    rollout = case.get("rollout", {})
    check_rollout(rollout, case.get("groups", {}))
    return plan_rollout(read_site(case), rollout)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_rollout(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    if "error" in case:
        with pytest.raises(BadInput) as caught:
            make_plan(case)
        assert caught.value.message == case["error"]
        return
    plan = make_plan(case)
    entries = {entry["name"]: entry for entry in plan["appliances"]}
    expected = dict(case["expect"])
    if "verdicts" in expected:
        assert {name: entry["verdict"] for name, entry in entries.items()} == expected.pop("verdicts")
    if "batches" in expected:
        batches = [f"{batch['kind']}: {' '.join(batch['appliances'])}" for batch in plan["batches"]]
        assert batches == expected.pop("batches")
    for name, keys in expected.pop("entries", {}).items():
        assert {key: entries[name][key] for key in keys} == keys
    assert {key: plan[key] for key in expected} == expected
    assert json.loads(json.dumps(plan)) == plan


def test_the_same_facts_give_the_same_plan() -> None:
    case = yaml.safe_load((Path(__file__).parent / "rollout" / "spread_over_nodes.yml").read_text())
    assert make_plan(case) == make_plan(case)
