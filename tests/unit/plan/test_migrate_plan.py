"""Migrations as data: each file in migrations/ says what is on a node, and what each phase does there.

``side`` is the instance as the appliance ``like`` was made, with what was changed since, or nothing. ``role`` is its
part in a migration: then the mark has its layers.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils import apply, instance, migrate, migrate_plan, migration
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.migrate_plan import Side
from ansible_collections.strata.fleet.plugins.module_utils.migration import IN, OUT, Mark
from ansible_collections.strata.fleet.plugins.module_utils.model import Step

from .test_plan import PLACE, build_appliance

NOW = "20261130T160000Z"
CASES = sorted((Path(__file__).parent / "migrations").glob("*.yml"))
OFFER = {"web1.var": {"listing": {"digest": "d"}}}
COMPOSITION = build_appliance({}).composition
EXPECTED = {"base": COMPOSITION.base.commit, "app": COMPOSITION.app.commit}
ARRIVAL: dict[str, t.Any] = {
    "volumes": ["web1.var"],
    "hardware": {"eth0": "00:16:3e:00:00:01"},
    "previous": "{}",
    "when": NOW,
}


def build_body(data: dict[str, t.Any]) -> dict[str, t.Any]:
    appliance = build_appliance(data.get("like", {}))
    config = instance.instance_config(appliance) | data.get("config", {})
    devices = instance.instance_devices(appliance, PLACE.store, PLACE.pool)
    if role := data.get("role"):
        layers = {name: keys for name, keys in devices.items() if instance.is_layer(name)}
        node = "node1" if role in ("in", "taken", "given_up") else "node2"
        mark = Mark(role, node, NOW, layers, {migration.AUTOSTART: "true"}, untouched=data.get("untouched", False))
        config |= {migration.KEY: mark.encode()}
        if role != "taken":
            config |= {migration.AUTOSTART: "false"}
            devices = {name: keys for name, keys in devices.items() if name not in layers}
    return {"name": appliance.name, "status": data.get("status", "Stopped"), "config": config, "devices": devices}


def build_side(case: dict[str, t.Any]) -> Side:
    body = build_body(case["side"]) if "side" in case else None
    others = [build_body(each) for each in case.get("others", [])]
    is_source = case["phase"] in ("round", "hand_over", "give_back", "finish")
    return Side(
        "web1",
        "node2" if is_source else "node1",
        body,
        case.get("snapshots", {"web1.var": []} if body else {}),
        others,
        case.get("driver", "btrfs"),
        case.get("runs", True),
        case.get("underway", ""),
    )


def plan(case: dict[str, t.Any]) -> list[Step]:
    side, check = build_side(case), {"timeout": 60}
    item = build_appliance(case.get("want", {}))
    phases: dict[str, t.Callable[[], list[Step]]] = {
        "round": lambda: migrate_plan.plan_round(side, case.get("number", 1)),
        "hand_over": lambda: migrate_plan.plan_hand_over(side, NOW, case.get("expect", EXPECTED)),
        "give_back": lambda: migrate_plan.plan_give_back(side, check, restart=case.get("restart", False)),
        "finish": lambda: migrate_plan.plan_finish(side, keep=case.get("keep", False), digests={}),
        "prepare": lambda: migrate_plan.plan_prepare(side, item, PLACE, ARRIVAL),
        "fetch": lambda: migrate_plan.plan_fetch(side, case.get("offer", OFFER), last=False),
        "take_over": lambda: migrate_plan.plan_take_over(side, OFFER),
        "start": lambda: migrate_plan.plan_start(side, check),
        "commit": lambda: migrate_plan.plan_commit(side, {}),
        "tidy": lambda: migrate_plan.plan_tidy(side),
        "give_up": lambda: migrate_plan.plan_give_up(side, "it is ill"),
        "clean": lambda: migrate_plan.plan_clean(side, NOW),
    }
    return phases[case["phase"]]()


def load(path: Path) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{path.stem}-{case['what']}") for path in CASES for case in load(path)]
)
def test_steps(case: dict[str, t.Any]) -> None:
    if "error" in case:
        with pytest.raises(BadInput) as caught:
            plan(case)
        assert caught.value.message == case["error"]
        return
    digest = build_appliance(case.get("want", {})).composition.config[:12]
    assert [step.sentence.replace(digest, "DIGEST") for step in plan(case)] == case["steps"]


def changed(body: dict[str, t.Any], steps: t.Iterable[Step]) -> dict[str, t.Any]:
    """Return an instance after these steps."""
    for step in steps:
        if step.action in ("mark_instance", "create_instance"):
            for part in ("config", "devices"):
                merged = {**body[part], **step.args[part]}
                body = {**body, part: {key: value for key, value in merged.items() if value is not None}}
    return body


def can_start(body: dict[str, t.Any]) -> bool:
    """Whether an instance has an init, and state."""
    return {"base-usr", "state-var"} <= body["devices"].keys()


def test_at_every_moment_at_most_one_side_can_start() -> None:
    """The order of the role's calls, with each write of the engine seen on its own."""
    item = build_appliance({})
    source = build_body({"status": "Running"})
    target: dict[str, t.Any] = {"name": "web1", "status": "Stopped", "config": {}, "devices": {}}
    seen = [(can_start(source), can_start(target))]
    snapshots: dict[str, list[str]] = {"web1.var": []}
    target = changed(target, migrate_plan.plan_prepare(Side("web1", "node1", None, {}), item, PLACE, ARRIVAL))
    seen.append((can_start(source), can_start(target)))
    source = changed(source, migrate_plan.plan_hand_over(Side("web1", "node2", source, snapshots), NOW, EXPECTED))
    seen.append((can_start(source), can_start(target)))
    target = changed(target, migrate_plan.plan_take_over(Side("web1", "node1", target, snapshots), OFFER))
    seen.append((can_start(source), can_start(target)))
    assert seen == [(True, False), (True, False), (False, False), (False, True)]
    given_up = changed(target, migrate_plan.plan_give_up(Side("web1", "node1", target, snapshots), "ill"))
    back = changed(source, migrate_plan.plan_give_back(Side("web1", "node2", source, snapshots), {}))
    assert (can_start(given_up), can_start(back)) == (False, True)
    prepared = changed(target, migrate_plan.plan_prepare(Side("web1", "node1", None, {}), item, PLACE, ARRIVAL))
    waiting = changed(prepared, migrate_plan.plan_give_up(Side("web1", "node1", prepared, snapshots), "no lock"))
    with pytest.raises(BadInput, match="is given_up on this node"):
        migrate_plan.plan_take_over(Side("web1", "node1", waiting, snapshots), OFFER)
    assert back == {**build_body({}), "status": "Running"}
    committed = changed(target, migrate_plan.plan_commit(Side("web1", "node1", target, snapshots), {}))
    own = instance.instance_config(item) | {"volatile.eth0.hwaddr": "00:16:3e:00:00:01", instance.PREVIOUS: "{}"}
    assert committed["config"] == own
    assert committed["devices"] == instance.instance_devices(item, PLACE.store, PLACE.pool)


def test_every_planned_action_can_be_applied() -> None:
    planned = {step.action for path in CASES for case in load(path) if "error" not in case for step in plan(case)}
    assert planned <= set(migrate.ACTIONS) | set(apply.ACTIONS)
    assert set(migrate.ACTIONS) - planned == {"digest_volumes"}


@pytest.mark.parametrize(
    ("listens", "expected"),
    [
        (":8443", "192.0.2.11:8443"),
        ("[::]:9443", "192.0.2.11:9443"),
        ("0.0.0.0:9443", "192.0.2.11:9443"),
        ("192.0.2.11", "192.0.2.11:8443"),
        ("198.51.100.7:8444", "192.0.2.11:8444"),
        ("::", "192.0.2.11:8443"),
    ],
)
def test_an_engine_that_listens_already_is_asked_where_the_node_is(listens: str, expected: str) -> None:
    assert migrate.reach(listens, "192.0.2.11:8443") == expected


@pytest.mark.parametrize("listens", ["127.0.0.1:8443", "[::1]:8443", "localhost:8443", "::1"])
def test_an_engine_that_listens_to_itself_alone_gives_nothing(listens: str) -> None:
    with pytest.raises(BadInput, match="where no other node reaches it"):
        migrate.reach(listens, "192.0.2.11:8443")


def test_marks_come_back_as_they_were_written() -> None:
    mark = Mark(OUT, "node2", NOW, {"config": {"type": "disk"}}, {"boot.autostart": "true"}, False, "why")
    assert migration.read({migration.KEY: mark.encode()}) == mark
    assert migration.read({}) is None
    assert json.loads(mark.encode())["role"] == OUT
    assert IN != OUT
