"""Plans of deploys as data: each file in deploy_plan/ says what inventory and nodes say, and what follows.

``wanted`` are the variables of appliances, without ``appliance_``. Of ``nodes``, ``found`` is what differs of an
appliance from one that runs and is healthy, ``planned`` the actions of its steps, ``strays`` what the module appliance
says of them; a node with a ``failure`` told nothing. ``expected`` is what the plan has of each appliance, by node.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.plugin_utils.deploy_plan import (
    VERDICTS,
    Answer,
    build_plan,
    name_change,
    read_wanted,
)
from ansible_collections.strata.fleet.plugins.plugin_utils.deploy_plan_report import (
    MOST_CHARACTERS,
    draw_plan,
    write_markdown,
)
from ansible_collections.strata.fleet.tests.unit.controller.site import info

CASES = sorted((Path(__file__).parent / "deploy_plan").glob("*.yml"))
TODAY = "2026-11-30"
MADE = "2026-11-30T20:00:00Z"

Data = dict[str, t.Any]


def answer(told: Data) -> Answer:
    if "failure" in told:
        return Answer(told["failure"], {"skipped": True}, told["failure"], {"skipped": True})
    steps = [
        {"appliance": name, "action": action, "sentence": f"{action} {name}"}
        for name, actions in told.get("planned", {}).items()
        for action in actions
    ]
    planned = told.get("plan_failure") or {"planned": steps, "strays": told.get("strays", {})}
    found = [info(name, given) for name, given in told.get("found", {}).items()]
    return Answer(
        {"layers": {}, "missing": told.get("fetches", [])}, planned, {"appliances": found}, told.get("verified", {})
    )


def build(case: Data) -> Data:
    appliances = {
        name: {f"appliance_{key}": value for key, value in own.items()} for name, own in case["wanted"].items()
    }
    answers = {node: answer(told) for node, told in case["nodes"].items()}
    only = case.get("only", [])
    return build_plan(read_wanted(appliances, {"node1": {}, "node2": {}}, only, TODAY), answers, only, MADE)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_plan(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    plan = build(case)
    assert [(entry["node"], entry["name"]) for entry in plan["appliances"]] == [
        (node, name) for node, entries in case["expected"].items() for name in entries
    ]
    for entry in plan["appliances"]:
        expected = case["expected"][entry["node"]][entry["name"]]
        assert {key: entry[key] for key in expected} == expected, entry["name"]
    for node, expected in case.get("expected_nodes", {}).items():
        assert {key: plan["nodes"][node][key] for key in expected} == expected
    assert plan["findings"] == case.get("expected_findings", [])
    assert list(plan["totals"]) == list(VERDICTS)
    assert sum(plan["totals"].values()) == len(plan["appliances"])
    for text in (draw_plan(plan), write_markdown(plan)):
        for entry in plan["appliances"]:
            assert entry["verdict"] == "none" or entry["name"] in text


@pytest.mark.parametrize(
    ("actions", "verdict"),
    [
        (["create_volume", "write_config", "create_instance", "start", "wait_healthy"], "create"),
        (["stop", "delete_instance"], "remove"),
        (["delete_volume"], "remove"),
        (["write_config", "stop", "update_instance", "start", "wait_healthy"], "restart"),
        (["stop"], "stop"),
        (["stop", "update_instance"], "stop"),
        (["start", "wait_healthy"], "start"),
        (["write_config", "update_instance", "start", "wait_healthy"], "start"),
        (["write_config", "update_instance", "refresh_config", "wait_healthy"], "configure"),
        (["update_instance", "wait_healthy"], "change"),
        (["grow_volume"], "change"),
        (["wait_healthy"], "none"),
    ],
)
def test_the_steps_have_one_word(actions: list[str], verdict: str) -> None:
    assert name_change(actions) == verdict


@pytest.mark.parametrize(
    ("failure", "refuses"),
    [
        ({"msg": "no such version", "error": "ContentError"}, True),
        ({"msg": "a restore was cut off", "error": "BadInput"}, True),
        ({"msg": "no route to host", "unreachable": True}, False),
        ({"msg": "the engine does not answer", "error": "Unreachable"}, False),
        ({}, False),
    ],
)
def test_what_was_asked_for_is_told_from_a_node_that_is_away(failure: Data, refuses: bool) -> None:
    answered = Answer(failure, {}, {}, {})
    assert answered.problem != ""
    assert answered.refuses == refuses


def many(number: int, owner: str) -> Data:
    names = [f"web{each:04}" for each in range(number)]
    return {
        "wanted": {name: {"node": "node1", "owner": owner} for name in names},
        "nodes": {"node1": {"planned": {name: ["create_instance"] for name in names}}},
    }


def test_a_comment_has_a_hundred_rows_and_says_how_many_more() -> None:
    text = write_markdown(build(many(130, "web team")))
    assert text.startswith("**130 appliances: 130 to create.**\n")
    assert text.count("| create |") == 100
    assert "web0099" in text
    assert "and 30 more appliances" in text


def test_a_comment_is_never_longer_than_a_forge_takes() -> None:
    plan = build(many(130, "<" * 290))
    plan["nodes"]["node1"]["steps"] = ["<" * 290] * 90
    text = write_markdown(plan)
    assert len(text) <= MOST_CHARACTERS
    assert "more appliances" in text


def test_a_comment_shows_what_the_inventory_says_as_it_is() -> None:
    owner = "@all | <img src=x> [link](http://example.org)\n| web2 | `x` \\|"
    text = write_markdown(build(many(1, owner)))
    row = next(line for line in text.splitlines() if "web0000" in line)
    assert row.count("|") == 8
    assert not set("@<[`\\") & set(row)
