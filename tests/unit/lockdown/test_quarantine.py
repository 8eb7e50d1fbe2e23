"""Quarantine: what is taken away, what is remembered, and that a release gives back exactly that."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import drift, instance
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import quarantine
from ansible_collections.strata.fleet.plugins.module_utils.model import (
    RUNNING,
    Appliance,
    Composition,
    Layer,
    Nic,
    Plan,
    Published,
)

Body = dict[str, t.Any]
APPLIANCE = Appliance(
    name="web1",
    state=RUNNING,
    composition=Composition(Layer("debian-13", "13.1", "bb"), Layer("nginx", "1-1", "aa"), "cc"),
    nics=(Nic("strata0", "10.87.0.11"), Nic("back", "")),
    published=(Published("0.0.0.0", 8080, 80, "tcp"),),
)
ORDER = quarantine.Order(["web1"], "it calls home", "2026-11-22T21:00:00Z", "ada")


def build_body(status: str = "Running", **devices: t.Any) -> Body:
    config = {**instance.instance_config(APPLIANCE), "volatile.eth0.hwaddr": "00:16:3e:00:00:01"}
    own = instance.instance_devices(APPLIANCE, "/store", "strata")
    body = {"name": "web1", "status": status, "config": config, "devices": own}
    return copy.deepcopy({**body, "expanded_devices": {**own, **devices}})


def carry_out(plan: Plan, body: Body) -> Body:
    """Return the instance as it is after a plan."""
    after = copy.deepcopy(body)
    for step in plan.steps:
        if step.action in ("halt", "start"):
            after["status"] = "Running" if step.action == "start" else "Stopped"
            continue
        assert step.action == "update_instance"
        for part in ("config", "devices"):
            for key, value in step.args[part].items():
                after[part].pop(key, None)
                after[part] |= {} if value is None else {key: value}
    if "eth0" not in after["devices"]:
        after["config"].pop("volatile.eth0.hwaddr", None)  # as the engine does
    after["expanded_devices"] = {
        key: value
        for key, value in {**body["expanded_devices"], **after["devices"]}.items()
        if key in after["devices"] or key not in body["devices"]
    }
    return after


def cut(body: Body, order: quarantine.Order = ORDER) -> Body:
    return carry_out(quarantine.plan_cut(order, {"web1": body}), body)


def release(body: Body) -> Body:
    return carry_out(quarantine.plan_release(["web1"], {"web1": body}), body)


def test_every_way_to_a_network_is_taken_away_and_all_else_stays() -> None:
    before = build_body()
    after = cut(before)
    assert before["devices"].keys() - after["devices"].keys() == {"eth0", "eth1", "port-tcp-8080"}
    assert after["status"] == "Running"
    found = quarantine.read(after["config"])
    assert found
    assert str(found) == "quarantined since 2026-11-22T21:00:00Z by ada: it calls home"
    assert after["config"].keys() - before["config"].keys() == {quarantine.KEY}


def test_a_card_comes_back_with_its_mac_as_neighbours_remember_it() -> None:
    assert release(cut(build_body()))["config"]["volatile.eth0.hwaddr"] == "00:16:3e:00:00:01"


@pytest.mark.parametrize("status", ["Running", "Stopped"])
@pytest.mark.parametrize("stop", [False, True])
def test_a_release_gives_back_exactly_what_there_was(status: str, *, stop: bool) -> None:
    before = build_body(status)
    after = cut(before, ORDER._replace(stop=stop))
    assert after["status"] == ("Stopped" if stop else status)
    assert release(after) == before


def test_both_change_nothing_the_second_time() -> None:
    after = cut(build_body())
    later = ORDER._replace(reason="another", when="2027-01-01T00:00:00Z")
    assert quarantine.plan_cut(later, {"web1": after}) == Plan((), {}, {})
    assert quarantine.plan_release(["web1"], {"web1": release(after)}) == Plan((), {}, {})


def test_it_can_be_stopped_later_and_does_not_start_with_its_node() -> None:
    stopped = cut(cut(build_body()), ORDER._replace(stop=True))
    assert stopped["status"] == "Stopped"
    assert stopped["config"]["boot.autostart"] == "false"
    assert release(stopped) == build_body()


def test_a_card_added_since_is_cut_again_and_not_given_back() -> None:
    after = cut(build_body())
    card = {"type": "nic", "network": "strata0", "name": "eth9"}
    after["devices"]["eth9"] = after["expanded_devices"]["eth9"] = card
    assert [finding.where for finding in drift.find_drift({**after, "profiles": []}, "/store", "strata", {})][:1] == [
        "eth9"
    ]
    again = cut(after)
    assert "eth9" not in again["devices"]
    assert release(again) == build_body()


def test_what_a_profile_brings_is_hidden() -> None:
    card = {"type": "nic", "network": "strata0", "name": "eth5"}
    before = build_body(eth5=card)
    after = cut(before)
    assert after["devices"]["eth5"] == {"type": "none"}
    assert release(after)["devices"] == before["devices"]


def test_an_appliance_in_quarantine_has_not_drifted() -> None:
    assert drift.find_drift({**cut(build_body()), "profiles": []}, "/store", "strata", {}) == []


def test_an_unknown_name_is_refused_before_anything_is_changed() -> None:
    with pytest.raises(BadInput, match="web9: no such appliance on this node; it has web1"):
        quarantine.plan_cut(ORDER._replace(names=["web1", "web9"]), {"web1": build_body()})
    with pytest.raises(BadInput, match="web9"):
        quarantine.plan_release(["web9"], {"web1": build_body()})


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"surprise": 1}', json.dumps({"reason": "x"})])
def test_a_damaged_record_is_a_quarantine_all_the_same(text: str) -> None:
    body = build_body()
    body["config"][quarantine.KEY] = text
    found = quarantine.read(body["config"])
    assert found
    assert "damaged" in found.reason
    assert "eth0" not in cut(body)["devices"]
    assert quarantine.KEY not in release(body)["config"]


def test_diffs_show_who_and_why() -> None:
    plan = quarantine.plan_cut(ORDER, {"web1": build_body()})
    assert plan.before["web1"] == {
        "state": "running",
        "quarantine": None,
        "network": ["eth0", "eth1", "port-tcp-8080"],
    }
    assert plan.after["web1"] == {
        "state": "running",
        "quarantine": {"reason": "it calls home", "when": "2026-11-22T21:00:00Z", "by": "ada"},
        "network": [],
    }
