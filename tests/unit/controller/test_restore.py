"""What is restored where, and what is refused before a node is touched."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.copies import drill_name
from ansible_collections.strata.fleet.plugins.plugin_utils.drill import expand, plan_drill
from ansible_collections.strata.fleet.plugins.plugin_utils.restore import Goal, Site, Wanted, plan_restore

NETWORK = {"name": "strata-drill", "address": "10.254.87.1/28"}
AWAY = {"unreachable": True, "msg": "no route"}


def item(name: str, **changes: t.Any) -> dict[str, t.Any]:
    card = {"network": "strata0", "address": "10.87.0.11", "prefix": 24, "gateway": "10.87.0.1"}
    own = {"networks": [card], "published": [{"listen": 80}], "autostart": True, "state": "running"}
    return {"name": name, **own, **changes}


def facts(name: str, state: str = "running", **changes: t.Any) -> dict[str, t.Any]:
    layer = {"name": "debian-13", "version": "2", "commit": "b2"}
    return {"name": name, "state": state, "address": "10.87.0.11", "base": layer, "app": layer, **changes}


def site(**changes: t.Any) -> Site:
    own = Site(
        {"node1": [item("web1"), item("web2")], "node2": [item("db1")]},
        "node1",
        {"node1": {"appliances": [facts("web1", "stopped"), facts("web2")]}, "node2": {"appliances": []}},
        {"web1": "offsite", "db1": "offsite"},
        ["offsite", "local"],
        NETWORK,
    )
    return own._replace(**changes)


def moved(**changes: t.Any) -> Site:
    """web1 is to be restored to node2, by -e restore_node."""
    return site(fleet={"node1": [item("web2")], "node2": [item("db1"), item("web1")]}, **changes)


def plan(found: Site | None = None, **wanted: str) -> Goal:
    return plan_restore(found or site(), Wanted(**{"appliance": "web1", **wanted}))


def test_in_place() -> None:
    goal = plan()
    assert goal.nodes == {"node1": [item("web1")]}
    assert goal.originals == {"web1": "web1"}
    assert goal.requests == {
        "node1": [{"appliance": "web1", "repository": "offsite", "snapshot": "latest", "volume": ""}]
    }
    assert goal.sentences == [
        "web1 on node1 comes out of the backup latest in offsite; what is there now is kept aside"
    ]


def test_under_another_name_it_is_cut_off() -> None:
    goal = plan(name="web1-look")
    ((copy,),) = goal.nodes.values()
    assert copy["name"] == "web1-look"
    assert copy["networks"] == [{"network": "strata-drill", "address": "10.254.87.14", "prefix": 28, "gateway": ""}]
    assert (copy["published"], copy["autostart"]) == ([], False)
    assert goal.judged == {"node1": [item("web1")]}
    assert goal.originals == {"web1-look": "web1"}


def test_a_look_never_has_the_address_of_another() -> None:
    found = {"node1": {"appliances": [facts("web1"), facts("other", address="10.254.87.14")]}}
    ((copy,),) = plan(site(found=found), name="web1-look").nodes.values()
    assert copy["networks"][0]["address"] == "10.254.87.13"


def test_one_volume_keeps_what_runs() -> None:
    ((judged,),) = plan(volume="var").judged.values()
    assert judged["base"] == {"channel": "", "name": "debian-13", "version": "2", "commit": "b2"}


def test_onto_another_node_the_inventory_has_to_follow() -> None:
    found = {"node1": {"appliances": [facts("web2")]}, "node2": {"appliances": []}}
    goal = plan(moved(found=found), node="node2")
    assert list(goal.nodes) == ["node2"]
    assert goal.sentences[-1] == (
        "the inventory has web1 on node1: set its appliance_node to node2 before the next deploy"
    )


def test_a_node_that_is_silent_may_have_it() -> None:
    fleet = {"node1": [item("web1")], "node2": [], "node3": []}
    found = {"node1": {"appliances": []}, "node2": AWAY}
    assert plan(site(fleet=fleet, found=found)).unsure == ["node2", "node3"]
    assert plan(site(fleet=fleet, found=found), lost_node="node2").unsure == ["node3"]


def test_what_was_cut_off_while_it_ran_goes_on() -> None:
    found = {"node1": {"appliances": [facts("web1", restore={"snapshot": "1"})]}, "node2": {"appliances": []}}
    assert plan(site(found=found)).nodes


def test_a_look_that_was_cut_off_goes_on_with_its_address() -> None:
    cut = facts("web1-look", "stopped", address="10.254.87.14", restore={"snapshot": "1"})
    ((copy,),) = plan(site(found={"node1": {"appliances": [cut]}}), name="web1-look").nodes.values()
    assert copy["networks"][0]["address"] == "10.254.87.14"


REFUSED: list[tuple[Site, dict[str, str], str]] = [
    (site(), {"appliance": "wep1"}, "'wep1' is not an appliance of the inventory (did you mean web1?)"),
    (site(), {"appliance": ""}, "Nothing is not an appliance of the inventory"),
    (site(), {"appliance": "web2"}, "Appliance web2: its inventory does not say where it is backed up."),
    (site(), {"repository": "ofsite"}, "restore_repository 'ofsite' is not in backup_repositories (did you mean"),
    (site(repository_of={"web1": "gone"}), {}, "Appliance web1: appliance_backup.repository 'gone' is not in"),
    (site(), {"name": "web1-look", "volume": "var"}, "restore_as and restore_volume are two different things"),
    (site(), {"path": "etc/x"}, "restore_path 'etc/x' is not a plain absolute path"),
    (site(), {"path": "/var/../etc"}, "is not a plain absolute path"),
    (site(), {"over": "web2"}, "restore_over is 'web2', but 'web1' is restored"),
    (site(), {"name": "web2"}, "restore_as 'web2' is an appliance of the inventory"),
    (site(), {"name": "Web"}, "restore_as 'Web' is not a name that the engine takes"),
    (
        site(found={"node1": {"appliances": [facts("look")]}}),
        {"name": "look"},
        "restore_as 'look' is on node1 already",
    ),
    (site(found={"node1": {"appliances": [facts("web1")]}}), {}, "say so by its name: -e restore_over=web1"),
    (site(found={"node1": {"appliances": [facts("web1", "frozen")]}}), {}, "say so by its name: -e restore_over=web1"),
    (site(fleet={"node1": [item("web1", state="absent")]}), {}, "Appliance web1 is to be absent"),
    (site(found={"node1": AWAY}), {}, "Node node1, which is restored to, did not answer: no route"),
    (moved(), {"node": "node2"}, "Appliance web1 is on node1 as well, and of one state only one copy may run"),
    (
        moved(found={"node1": AWAY, "node2": {"appliances": []}}),
        {"node": "node2"},
        "If that machine is lost, say so: -e restore_lost_node=node1",
    ),
    (moved(found={"node2": {"appliances": []}}), {"node": "node2"}, "is left out of this run (--limit)"),
]


@pytest.mark.parametrize(("where", "wanted", "sentence"), REFUSED)
def test_refused(where: Site, wanted: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        plan(where, **wanted)
    assert sentence in caught.value.message


def test_a_lost_node_may_be_named() -> None:
    found = {"node1": AWAY, "node2": {"appliances": []}}
    assert plan(moved(found=found), node="node2", lost_node="node1").unsure == []


def test_a_drill_has_an_address_for_each_appliance_of_a_node() -> None:
    goal = plan_drill(site(repository_of={"web1": "offsite", "web2": "local", "db1": "offsite"}), ["web1", "web2"])
    addresses = {copy["name"]: copy["networks"][0]["address"] for copy in goal.nodes["node1"]}
    assert addresses == {"drill-web1": "10.254.87.12", "drill-web2": "10.254.87.13"}
    one = plan_drill(site(repository_of={"web2": "local"}), ["web2"])
    assert one.nodes["node1"][0]["networks"][0]["address"] == addresses["drill-web2"]


def test_a_repository_is_checked_once() -> None:
    goal = plan_drill(site(), ["web1", "db1"])
    assert goal.checks == {"node1": ["offsite"]}
    assert set(goal.requests) == {"node1", "node2"}


def test_a_drill_skips_whose_node_is_silent() -> None:
    goal = plan_drill(site(found={"node1": AWAY, "node2": {"appliances": []}}), ["web1", "db1"])
    assert goal.skipped == {"web1": "its node node1 did not answer: no route"}
    assert list(goal.nodes) == ["node2"]


def test_an_appliance_that_is_called_like_a_copy() -> None:
    with pytest.raises(BadInput, match="Appliance drill-web1 has the name under which another is drilled"):
        plan_drill(site(fleet={"node1": [item("web1"), item("drill-web1")]}), ["web1"])


def test_a_network_that_is_too_small() -> None:
    with pytest.raises(BadInput, match="has no address left"):
        plan_drill(site(network={**NETWORK, "address": "10.254.87.1/29"}), ["web1"])
    with pytest.raises(BadInput, match="needs a name and an address"):
        plan_drill(site(network={**NETWORK, "address": "10.254.87"}), ["web1"])


def test_names_of_copies() -> None:
    assert drill_name("web1") == "drill-web1"
    long, other = drill_name("a" * 63), drill_name("a" * 62 + "b")
    assert len(long) == len(other) == 63
    assert long != other


def test_whose_backups_are_drilled() -> None:
    members = {"webs": ["web1", "web2"], "appliances": ["web1", "web2", "db1"]}
    assert expand([], members, site()) == ["web1", "db1"]
    assert expand(["webs"], members, site()) == ["web1"]
    with pytest.raises(BadInput, match=r"'wep1' is not an appliance of the inventory \(did you mean web1\?\)"):
        expand(["wep1"], members, site())
    with pytest.raises(BadInput, match="Appliance web2: its inventory does not say where it is backed up"):
        expand(["web2"], members, site())
