"""What becomes of a swap when a step of it fails: which steps follow, what is remembered, and what is reported."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import marks, swap
from ansible_collections.strata.fleet.plugins.module_utils.apply import Node
from ansible_collections.strata.fleet.plugins.module_utils.errors import (
    EngineError,
    StrataError,
    Unhealthy,
    Unreachable,
)
from ansible_collections.strata.fleet.plugins.module_utils.model import Appliance, Composition, Layer, Step, Swap

OLD = Composition(Layer("deb", "1", "b1" * 32), Layer("web", "1", "a1" * 32), "c")
NEW = Composition(Layer("deb", "2", "b2" * 32), Layer("web", "1", "a1" * 32), "c")
FORWARD = (
    "write_config",
    "begin_swap",
    "stop",
    "snapshot_volume",
    "update_instance",
    "start",
    "wait_healthy",
    "settle",
)
BACK = ("halt", "snapshot_volume", "restore_volume", "update_instance", "start", "wait_healthy")


class Bench:
    """Carries steps out without an engine: one that is to fail raises, and all others are written down."""

    def __init__(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node = Node(t.cast("t.Any", None), store, "pool", b"key")
        self.errors: dict[str, Exception] = {}
        self.did: list[str] = []
        monkeypatch.setattr(swap, "carry_out", self.carry_out)
        monkeypatch.setattr(swap, "engine_is_back", lambda _node: False)

    def carry_out(self, _node: Node, step: Step) -> None:
        key = f"{step.appliance} {step.sentence}"
        if key in self.errors:
            raise self.errors[key]
        self.did.append(step.sentence)

    def run(self, *swaps: Swap, parallel: int = 1) -> dict[str, str]:
        self.outcomes = swap.run_swaps(swaps, self.node, parallel)
        return {name: outcome["outcome"] for name, outcome in self.outcomes.items()}

    def bad(self, name: str = "web1") -> list[t.Any]:
        return [(each["base"][:2], each["app"][:2]) for each in marks.read(self.node.store, name).get("bad", [])]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def build(name: str = "web1", **changes: t.Any) -> Swap:
    def steps(way: str, actions: t.Iterable[str]) -> tuple[Step, ...]:
        return tuple(Step(name, action, f"{way} {action}", {"snapshot": "s"}) for action in actions)

    plain = Swap(
        item=Appliance(name, "running", NEW),
        purpose="patch",
        came_from=OLD,
        goal=NEW,
        started="",
        snapshot="s",
        forward=steps("forward", FORWARD),
        back=steps("back", BACK),
        undoes=False,
        leaves=None,
        watched=False,
        touched=False,
    )
    return dataclasses.replace(plain, **changes)


def test_it_goes_well(bench: Bench) -> None:
    marks.update(bench.node.store, "web1", swap={"to": NEW.to_data()})
    assert bench.run(build()) == {"web1": "patched"}
    assert bench.did == [f"forward {action}" for action in FORWARD]
    assert marks.read(bench.node.store, "web1") == {}
    [line] = (bench.node.store / "history" / "web1.jsonl").read_text().splitlines()
    assert json.loads(line) == bench.outcomes["web1"]


@pytest.mark.parametrize("action", ["wait_healthy", "settle"])
def test_a_version_that_is_not_healthy_is_bad(bench: Bench, action: str) -> None:
    bench.errors[f"web1 forward {action}"] = Unhealthy("it is ill\nlog")
    assert bench.run(build()) == {"web1": "rolled_back"}
    assert bench.did[-len(BACK) :] == [f"back {action}" for action in BACK]
    assert bench.outcomes["web1"]["state"] == "restored"
    [bad] = marks.read(bench.node.store, "web1")["bad"]
    assert (bad["reason"], bad["base_version"]) == ("it is ill", "deb 2")


def test_one_that_does_not_start_is_bad_when_the_other_does(bench: Bench) -> None:
    bench.errors["web1 forward start"] = EngineError("no")
    assert bench.run(build()) == {"web1": "rolled_back"}
    assert bench.bad() == [("b2", "a1")]


def test_a_node_on_which_nothing_starts_blames_no_version(bench: Bench) -> None:
    bench.errors = {"web1 forward start": EngineError("no"), "web1 back start": EngineError("no")}
    assert bench.run(build()) == {"web1": "failed"}
    assert bench.bad() == []


def test_one_that_does_not_stop_is_not_restored_from_a_snapshot_that_was_never_made(bench: Bench) -> None:
    bench.errors["web1 forward stop"] = EngineError("it hangs")
    assert bench.run(build()) == {"web1": "rolled_back"}
    back = [sentence for sentence in bench.did if sentence.startswith("back")]
    assert back == ["back halt", "back update_instance", "back start", "back wait_healthy"]
    assert bench.bad() == []


def test_before_it_began_nothing_has_to_be_taken_back(bench: Bench) -> None:
    bench.errors["web1 forward write_config"] = OSError(28, "No space left on device")
    assert bench.run(build()) == {"web1": "rolled_back"}
    assert bench.did == []
    assert "could not forward write_config: [Errno 28] No space left on device" in bench.outcomes["web1"]["reason"]


def test_an_engine_that_went_away_leaves_the_rest_to_the_next_run(bench: Bench) -> None:
    marks.update(bench.node.store, "web1", swap={"to": NEW.to_data()})
    bench.errors["web1 forward update_instance"] = Unreachable("gone")
    assert bench.run(build()) == {"web1": "failed"}
    assert "swap" in marks.read(bench.node.store, "web1")


def test_what_fails_is_not_tried_on_others(bench: Bench) -> None:
    bench.errors["web1 forward settle"] = Unhealthy("it is ill")
    assert bench.run(build(), build("web2"), build("web3")) == {
        "web1": "rolled_back",
        "web2": "skipped",
        "web3": "skipped",
    }
    assert "have just failed on web1" in bench.outcomes["web2"]["reason"]


def test_an_undo_is_a_way_back(bench: Bench) -> None:
    marks.update(bench.node.store, "web1", swap={"to": NEW.to_data()})
    undo = build(item=Appliance("web1", "running", OLD), back=(), undoes=True, touched=True)
    assert bench.run(undo) == {"web1": "rolled_back"}
    assert bench.outcomes["web1"]["to"]["base"]["version"] == "2"
    assert bench.bad() == []


def test_an_undo_that_fails_blames_nobody(bench: Bench) -> None:
    bench.errors["web1 forward wait_healthy"] = Unhealthy("it is ill")
    undo = build(item=Appliance("web1", "running", OLD), back=(), undoes=True, touched=True)
    assert bench.run(undo) == {"web1": "failed"}
    assert bench.bad() == []


def test_what_a_rollback_left_is_not_come_back_to(bench: Bench) -> None:
    newer = NEW._replace(app=Layer("web", "2", "a2" * 32))
    left = build(item=Appliance("web1", "running", OLD), came_from=newer, purpose="rollback", leaves=newer)
    assert bench.run(left) == {"web1": "reverted"}
    assert bench.bad() == [("b2", "a2"), ("b2", "a1"), ("b1", "a2")]


def test_errors_that_nobody_foresaw_are_raised(bench: Bench) -> None:
    bench.errors["web1 forward start"] = KeyError("oops")
    with pytest.raises(KeyError):
        bench.run(build())
    assert not issubclass(KeyError, StrataError)
