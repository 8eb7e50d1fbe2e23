"""Access lists: what follows from the appliances of a node, in how many changes, and what is left alone."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import instance
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import network_acl, network_plan, quarantine
from ansible_collections.strata.fleet.plugins.module_utils.model import (
    RUNNING,
    Appliance,
    Composition,
    Have,
    Instance,
    Layer,
    Nic,
    Place,
    Removal,
)
from ansible_collections.strata.fleet.plugins.module_utils.plan import make_plan

NETWORK = {network_acl.MANAGED: "true", "ipv4.address": "10.87.0.1/24"}
CLOSED = {**NETWORK, **network_acl.network_keys("strata0")}
PORTS = {"aa": ("80/tcp",), "bb": ("5432/tcp", "53/udp"), "cc": ()}


def build(name: str, app: str, address: str) -> Appliance:
    layer = Layer("app", "1", app)
    return Appliance(
        name=name,
        state=RUNNING,
        composition=Composition(Layer("debian-13", "13.1", "base"), layer, "config"),
        nics=(Nic("strata0", address),),
    )


WEB, DB = build("web1", "aa", "10.87.0.11"), build("db1", "bb", "10.87.0.21")


def present(item: Appliance, **config: str) -> Instance:
    devices = instance.instance_devices(item, "/store", "strata")
    return Instance(item.name, "Running", {**instance.instance_config(item), **config}, devices, {}, {})


def have(*items: Instance, network: t.Mapping[str, str] | None = None, acl: t.Any = None) -> Have:
    acls = {"strata-strata0": acl} if acl else {}
    return Have(
        {item.name: item for item in items}, {}, networks={"strata0": network or NETWORK}, acls=acls, ports=PORTS
    )


def plan(want: t.Sequence[Appliance], found: Have, **how: t.Any) -> t.Any:
    return network_plan.plan_lists(network_plan.find_reaches(want, how.pop("gone", ()), found, **how), found)


def acl_of(want: t.Sequence[Appliance], found: Have) -> dict[str, t.Any]:
    return {"name": "strata-strata0", **plan(want, found).steps[0].args["rules"]}


def ports(made: t.Any) -> list[tuple[str, ...]]:
    """Return what the written list says of appliances."""
    rules = made.steps[0].args["rules"]["ingress"][1:]
    return [
        tuple(rule[key] for key in ("description", "destination", "protocol", "destination_port")) for rule in rules
    ]


def test_one_change_of_the_list_for_all_appliances_then_the_network() -> None:
    made = plan([WEB, DB], have())
    assert [step.sentence for step in made.steps] == [
        "write the list of what network strata0 lets through",
        "close network strata0 but for declared ports",
    ]
    assert ports(made) == [
        ("db1", "10.87.0.21", "tcp", "5432"),
        ("db1", "10.87.0.21", "udp", "53"),
        ("web1", "10.87.0.11", "tcp", "80"),
    ]
    assert made.steps[0].args["rules"]["egress"][0]["destination"] == (
        "0.0.0.0-10.86.255.255,10.87.0.1,10.87.1.0-255.255.255.255"
    )
    assert made.before == {"access lists": {"strata0": {"egress": [], "in force": False, "ingress": []}}}
    assert made.after["access lists"]["strata0"]["in force"]


def test_nothing_is_changed_twice_in_whatever_order_the_engine_lists() -> None:
    acl = acl_of([WEB, DB], have())
    shuffled = {**acl, "ingress": [{"icmp_type": "", **rule} for rule in reversed(acl["ingress"])]}
    assert plan([WEB, DB], have(network=CLOSED, acl=shuffled)).steps == ()


def test_those_that_a_run_is_not_about_stay_as_reachable() -> None:
    found = have(present(WEB), present(DB))
    assert ports(plan([WEB], found)) == ports(plan([WEB, DB], have()))


def test_the_removed_are_forgotten() -> None:
    acl = acl_of([WEB, DB], have())
    found = have(present(WEB), present(DB), network=CLOSED, acl=acl)
    made = plan([], found, gone=["db1"])
    assert [step.sentence for step in made.steps] == ["update the list of what network strata0 lets through"]
    assert ports(made) == [("web1", "10.87.0.11", "tcp", "80")]


def test_a_change_that_may_be_taken_back_keeps_the_old_ports_open() -> None:
    other = build("web1", "bb", "10.87.0.11")
    found = have(present(WEB))
    assert ("web1", "10.87.0.11", "tcp", "80,5432") in ports(plan([other], found, keep=True))
    assert ("web1", "10.87.0.11", "tcp", "5432") in ports(plan([other], found))


def test_one_without_an_address_opens_its_ports_for_the_whole_network() -> None:
    assert ports(plan([build("web1", "aa", "")], have())) == [("web1", "10.87.0.0/24", "tcp", "80")]


def test_an_app_without_ports_is_not_reached() -> None:
    assert ports(plan([build("web1", "cc", "10.87.0.11")], have())) == []


def test_one_whose_app_cannot_be_read_stays_as_it_is() -> None:
    acl = acl_of([WEB, DB], have())
    found = dataclasses.replace(have(present(WEB), present(DB), network=CLOSED, acl=acl), ports={"aa": ("443/tcp",)})
    assert ports(plan([], found)) == [
        ("web1", "10.87.0.11", "tcp", "443"),
        ("db1", "10.87.0.21", "tcp", "5432"),
        ("db1", "10.87.0.21", "udp", "53"),
    ]


def test_one_in_quarantine_keeps_its_place_for_its_release() -> None:
    record = {"reason": "r", "when": "w", "by": "b", "devices": present(WEB).devices}
    cut = present(WEB, **{quarantine.KEY: json.dumps(record)})
    cut = dataclasses.replace(cut, devices={"root": cut.devices["root"]})
    assert ports(plan([build("web1", "bb", "10.87.0.99")], have(cut))) == [("web1", "10.87.0.11", "tcp", "80")]


def test_what_the_list_says_of_another_projects_appliances_is_theirs() -> None:
    def rule(name: str, to: str, port: str) -> dict[str, str]:
        own = {"description": name, "destination": to, "protocol": "tcp", "destination_port": port}
        return {"action": "allow", "state": "enabled", **own}

    theirs = [rule("far1", "10.87.0.91", "22"), rule("web1", "10.87.0.92", "25"), rule("far2", "10.87.0.0/24", "53")]
    nobodys = [rule("far1", "10.87.0.93", "22"), rule("gone", "10.87.0.94", "22"), rule("far3", "10.87.0.95", "22")]
    acl = acl_of([WEB], have())
    acl["ingress"] += [*theirs, *nobodys]
    neighbours = [
        ("strata0", "far1", "10.87.0.91"),
        ("strata0", "web1", "10.87.0.92"),
        ("strata0", "far2", ""),
        ("strata1", "far3", "10.87.0.95"),
    ]
    found = dataclasses.replace(have(network=CLOSED, acl=acl), neighbours=neighbours)
    assert ports(plan([WEB], found)) == [
        ("web1", "10.87.0.11", "tcp", "80"),
        ("far1", "10.87.0.91", "tcp", "22"),
        ("web1", "10.87.0.92", "tcp", "25"),
        ("far2", "10.87.0.0/24", "tcp", "53"),
    ]
    kept = {"name": "strata-strata0", **plan([WEB], found).steps[0].args["rules"]}
    again = dataclasses.replace(found, acls={"strata-strata0": kept})
    assert plan([WEB], again).steps == ()
    # Also where its own app cannot be read now, and has the name of one of theirs: nothing is there twice.
    unread = dataclasses.replace(have(present(WEB), network=CLOSED, acl=kept), neighbours=neighbours, ports={})
    assert plan([], unread).steps == ()


@pytest.mark.parametrize("network", [{"ipv4.address": "10.87.0.1/24"}, {**NETWORK, network_acl.FILTERED: "false"}])
def test_networks_of_others_and_open_ones_are_left_alone(network: dict[str, str]) -> None:
    assert plan([WEB], have(network=network)).steps == ()


def test_a_network_that_is_to_be_open_is_opened() -> None:
    made = plan([WEB], have(network={**CLOSED, network_acl.FILTERED: "false"}))
    assert [step.sentence for step in made.steps] == ["let everything through on network strata0"]
    assert set(made.steps[0].args["config"].values()) == {""}
    assert not made.after["access lists"]["strata0"]["in force"]


def test_foreign_instances_are_not_let_in() -> None:
    foreign = Instance("miner", "Running", {}, {"eth0": {"type": "nic", "network": "strata0"}}, {}, {})
    assert ports(plan([WEB], have(foreign))) == [("web1", "10.87.0.11", "tcp", "80")]


@pytest.mark.parametrize(
    ("address", "outside"),
    [
        ("10.87.0.1/24", "0.0.0.0-10.86.255.255,10.87.0.1,10.87.1.0-255.255.255.255"),
        ("0.0.0.1/8", "0.0.0.1,1.0.0.0-255.255.255.255"),
        ("192.0.2.33/28", "0.0.0.0-192.0.2.31,192.0.2.33,192.0.2.48-255.255.255.255"),
    ],
)
def test_outside_is_all_but_the_network(address: str, outside: str) -> None:
    assert network_acl.build_rules(address, [])["egress"][0]["destination"] == outside


@pytest.mark.parametrize(
    ("network", "name"), [("strata0", "strata-strata0"), ("a.b_c", "strata-a-2e-b-5f-c"), ("a_", "strata-a-5f")]
)
def test_a_lists_name_is_one_the_engine_takes(network: str, name: str) -> None:
    assert network_acl.acl_name(network) == name


def test_deploy_leaves_one_in_quarantine_alone_and_does_not_remove_it() -> None:
    record = {"reason": "why", "when": "now", "by": "ada", "devices": {}}
    cut = present(WEB, **{quarantine.KEY: json.dumps(record)})
    found = Have({"web1": dataclasses.replace(cut, devices={}, status="Stopped")}, {})
    place = Place("/store", "strata", b"key")
    assert make_plan([WEB], found, place).steps == ()
    with pytest.raises(Exception, match="Appliance web1 is quarantined since now by ada: why"):
        make_plan([Removal("web1", with_state=False)], found, place)
    with pytest.raises(Exception, match="Release it first"):
        make_plan([WEB], found, place, "layers")
