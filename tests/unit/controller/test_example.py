"""The example inventory's rollout: it can be used, and gives the batches that its comment promises."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible_collections.strata.fleet.plugins.plugin_utils.rollout import check_rollout, plan_rollout
from ansible_collections.strata.fleet.tests.unit.controller.site import read_site

EXAMPLE = Path(__file__).parents[3] / "inventories" / "example"


def test_the_example_rolls_out_as_it_says() -> None:
    children = yaml.safe_load((EXAMPLE / "hosts.yml").read_text())["all"]["children"]["appliances"]["children"]
    groups = {group: list(body["hosts"]) for group, body in children.items()}
    fleet: dict[str, list[str]] = {}
    for body in children.values():
        for name, own in body["hosts"].items():
            fleet.setdefault(own["appliance_node"], []).append(name)
    rollout = yaml.safe_load((EXAMPLE / "group_vars" / "nodes.yml").read_text())["patch_rollout"]
    check_rollout(rollout, groups)
    plan = plan_rollout(read_site({"fleet": fleet, "groups": groups}), rollout)
    assert [batch["appliances"] for batch in plan["batches"]] == [
        ["metrics"],
        ["www1", "orders"],
        ["www2", "stock"],
        ["www3"],
    ]
