"""Rollouts as they go on: each file in gate/ is a site (see site.py) and its rounds.

``rounds``: what nodes returned since the gate before (``done``: word of the outcome by appliance, or a node's failure
under its name; ``seen``: the facts of a look at all nodes, as in ``found``), and what the gate said: ``starts`` by
node, or ``halts`` (WHAT-TO-DO stands for the advice); ``deferred`` where somebody was put off. ``now`` is a moment.
"""

from __future__ import annotations

import datetime as dt
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.plugin_utils.gate import ADVICE, Seen, State, pass_gate
from ansible_collections.strata.fleet.plugins.plugin_utils.rollout import plan_rollout
from ansible_collections.strata.fleet.tests.unit.controller.site import layers, read_found, read_site, swap

CASES = sorted((Path(__file__).parent / "gate").glob("*.yml"))
NOW = "2026-11-22T12:00:00Z"


def read_seen(case: dict[str, t.Any], done: dict[str, t.Any], seen: dict[str, t.Any] | None) -> Seen:
    results: dict[str, t.Any] = {}
    for node, names in case["fleet"].items():
        if node in done:
            results[node] = done[node]
        else:
            results[node] = {"outcomes": {name: swap("13.2", 2.0, done[name]) for name in names if name in done}}
    return Seen(results, read_found({**case, "found": {}, "nodes": {}, **seen}) if seen is not None else {})


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_gate(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    plan = plan_rollout(read_site(case), case.get("rollout", {}))
    state = State()
    for number, expected in enumerate(case["rounds"], 1):
        now = dt.datetime.fromisoformat(expected.get("now", NOW))
        seen = read_seen(case, expected.get("done", {}), expected.get("seen"))
        starts = pass_gate(plan, state, seen, number, now)
        halted = state.halted.replace(ADVICE, "WHAT-TO-DO")
        assert (starts, halted) == (expected.get("starts", {}), expected.get("halts", ""))
        assert state.deferred == expected.get("deferred", {})
    assert {name: outcome["outcome"] for name, outcome in state.outcomes.items()} == case["outcomes"]


def test_a_node_that_went_away_and_came_back_with_the_new_version_did_it() -> None:
    case = {"fleet": {"node1": ["web1"]}}
    plan = plan_rollout(read_site(case), {})
    state = State(started={"web1": 1})
    last = swap("13.2", 1.25)
    found = {"web1": {**layers("13.2", "1.1"), "last_swap": last}}
    seen = Seen({"node1": {"unreachable": True, "msg": "reset"}}, read_found({**case, "found": found}))
    assert pass_gate(plan, state, seen, 2, dt.datetime.fromisoformat(NOW)) == {}
    assert (state.outcomes, state.halted) == ({"web1": last}, "")
