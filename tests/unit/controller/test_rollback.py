"""Who goes back to what."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.rollback import Wanted, expand, plan_rollback

NOW = dt.datetime(2026, 11, 22, 19, 20, tzinfo=dt.UTC)
OLD = {
    "base": {"name": "debian-13", "version": "1", "commit": "b1"},
    "app": {"name": "nginx", "version": "1", "commit": "a1"},
}
NEW = {
    "base": {"name": "debian-13", "version": "2", "commit": "b2"},
    "app": {"name": "nginx", "version": "1", "commit": "a1"},
}


def item(name: str) -> dict[str, t.Any]:
    layer = {"version": "", "channel": "stable"}
    return {
        "name": name,
        "state": "running",
        "base": {"name": "debian-13", **layer},
        "app": {"name": "nginx", **layer},
    }


AWAY = {"unreachable": True, "msg": "no route"}
FLEET = {"node1": [item("web1"), item("web2")], "node2": [item("web3")]}


def facts(name: str, **changes: t.Any) -> dict[str, t.Any]:
    return {"name": name, **NEW, "previous": OLD, "swap": None, "last_swap": None, **changes}


def plan(
    *names: str, found: dict[str, t.Any] | None = None, nodes: dict[str, t.Any] | None = None, **wanted: str
) -> t.Any:
    every = {name: facts(name) for name in ("web1", "web2", "web3")} | (found or {})
    answers = {
        node: {"appliances": [every[each["name"]] for each in items if every[each["name"]]]}
        for node, items in FLEET.items()
    }
    return plan_rollback(FLEET, answers | (nodes or {}), Wanted(names, **wanted), NOW)


def last(outcome: str, purpose: str = "rollback", restored: str = "") -> dict[str, t.Any]:
    """The last swap, one that was to end at the old versions."""
    return {"outcome": outcome, "purpose": purpose, "to": OLD, "from": NEW, "restored": restored, "ended": "then"}


def back_at_old(**changes: t.Any) -> dict[str, t.Any]:
    """An appliance that was taken back to the old versions."""
    return facts("web1", **{**OLD, "previous": NEW, "last_swap": last("reverted"), **changes})


def test_back_to_what_was_before() -> None:
    back = plan("web1", "web3")
    assert [(node, each["name"], each["base"]["version"]) for node, items in back.nodes.items() for each in items] == [
        ("node1", "web1", "1"),
        ("node2", "web3", "1"),
    ]
    assert back.sentences[0] == "web1: base debian-13 2 -> debian-13 1; state stays"


def test_back_to_a_named_version() -> None:
    back = plan("web1", app_version="0")
    assert back.sentences == ["web1: app nginx 1 -> nginx 0; state stays"]
    assert back.nodes["node1"][0]["base"]["version"] == "2"


@pytest.mark.parametrize(("purpose", "version"), [("patch", "1"), ("rollback", "2")])
def test_a_swap_under_way_goes_back_to_where_it_began_or_ends_where_a_rollback_was_to(
    purpose: str, version: str
) -> None:
    swap = {"purpose": purpose, "from": {**OLD, "config": "c"}, "to": {**NEW, "config": "c"}, "restore": ""}
    back = plan("web1", found={"web1": facts("web1", previous=None, swap=swap)})
    assert back.nodes["node1"][0]["base"]["version"] == version


def test_with_data() -> None:
    back = plan("web1", snapshot="strata-20261122T171500Z")
    [sentence] = back.sentences
    assert sentence.startswith("web1: base debian-13 2 -> debian-13 1; state goes back to strata-20261122T171500Z, ")
    assert "which gives up what was written in the 2 h 5 min since" in sentence


def test_with_data_alone() -> None:
    back = plan("web1", snapshot="mine", found={"web1": facts("web1", previous=None)})
    assert back.sentences == ["web1: the same versions; state goes back to mine"]


def test_what_went_back_already_stays() -> None:
    back = plan("web1", found={"web1": back_at_old()})
    assert back.nodes == {"node1": [], "node2": []}
    assert back.sentences == ["web1: nothing to do, it went back at then"]


@pytest.mark.parametrize(
    "changes",
    [
        {"last_swap": last("rolled_back", "patch")},
        {"last_swap": last("rolled_back")},
        {"last_swap": last("reverted", "patch")},
        {"last_swap": last("reverted"), **NEW, "previous": OLD},
    ],
    ids=["a patch undid itself", "a rollback failed", "not a rollback", "it was patched since, by other means"],
)
def test_what_did_not_go_back_on_request_goes_back(changes: dict[str, t.Any]) -> None:
    back = plan("web1", found={"web1": back_at_old(**changes)})
    assert [each["name"] for each in back.nodes["node1"]] == ["web1"]


def test_the_same_snapshot_is_not_brought_back_again() -> None:
    back = plan("web1", snapshot="mine", found={"web1": back_at_old(last_swap=last("reverted", restored="mine"))})
    assert (back.nodes["node1"], back.restore) == ([], {})
    assert back.sentences == ["web1: nothing to do, it went back at then"]


def test_the_same_snapshot_and_version_are_not_brought_back_again() -> None:
    gone = {"web1": back_at_old(last_swap=last("reverted", restored="mine"))}
    assert plan("web1", snapshot="mine", base_version="1", found=gone).nodes["node1"] == []
    assert plan("web1", snapshot="mine", base_version="0", found=gone).restore == {"web1": "mine"}


def test_another_snapshot_is_brought_back_under_the_versions_that_it_went_back_to() -> None:
    back = plan("web1", snapshot="other", found={"web1": back_at_old(last_swap=last("reverted", restored="mine"))})
    assert back.nodes["node1"][0]["base"]["version"] == "1"
    assert back.restore == {"web1": "other"}
    assert back.sentences == ["web1: the same versions; state goes back to other"]


def test_those_that_cannot_go_back_are_named_and_the_others_go() -> None:
    back = plan("web1", "web2", "web3", found={"web2": facts("web2", previous=None)}, nodes={"node2": AWAY})
    assert [each["name"] for items in back.nodes.values() for each in items] == ["web1"]
    assert list(back.skipped["node1"]) == ["web2"]
    assert back.skipped["node2"] == {"web3": "Appliance web3: its node node2 did not answer: no route."}
    assert back.sentences[-1] == "stays as it is: Appliance web3: its node node2 did not answer: no route."


def test_who_is_to_be_absent_is_named() -> None:
    fleet = {"node1": [item("web1"), {**item("web2"), "state": "absent"}]}
    answers = {"node1": {"appliances": [facts("web1"), facts("web2")]}}
    back = plan_rollback(fleet, answers, Wanted(["web1", "web2"]), NOW)
    assert list(back.skipped["node1"]) == ["web2"]


def test_where_nobody_can_go_back_it_fails_at_once() -> None:
    with pytest.raises(BadInput, match=r"web1 is not on its node(.|\n)*web3: its node node2 did not answer: no route"):
        plan("web1", "web3", found={"web1": None}, nodes={"node2": AWAY})


@pytest.mark.parametrize(
    ("names", "wanted", "found", "message"),
    [
        (["web9"], {}, {}, r"'web9' is not an appliance on the nodes of this run \(did you mean web"),
        (["web1", "web2"], {"snapshot": "s"}, {}, "A snapshot belongs to one appliance, and 's' was named for 2"),
        (["web1"], {}, {"web1": facts("web1", previous=None)}, "web1 has nothing to go back to"),
        (["web1"], {}, {"web1": None}, "web1 is not on its node"),
    ],
)
def test_what_cannot_be(names: list[str], wanted: t.Any, found: t.Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        plan(*names, found=found, **wanted)


def test_groups_stand_for_their_members_on_the_nodes_of_this_run() -> None:
    members = {"appliances": ["web1", "web2", "web3", "far1"], "web": ["web1", "web3", "far1"]}
    assert expand(["web"], members, ["web1", "web2", "web3"]) == ["web1", "web3"]
    assert expand(["far1", "web2", "typo"], members, ["web1", "web2", "web3"]) == ["web2", "far1", "typo"]


@pytest.mark.parametrize("names", [[], ["far"]])
def test_a_rollback_of_nobody_is_refused(names: list[str]) -> None:
    with pytest.raises(BadInput):
        expand(names, {"appliances": ["web1", "far1"], "far": ["far1"]}, ["web1"])
