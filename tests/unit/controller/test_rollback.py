"""Who goes back to what."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.rollback import Wanted, plan_rollback

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
    return {"name": name, "base": {"name": "debian-13", **layer}, "app": {"name": "nginx", **layer}}


FLEET = {"node1": [item("web1"), item("web2")], "node2": [item("web3")]}


def facts(name: str, **changes: t.Any) -> dict[str, t.Any]:
    return {"name": name, **NEW, "previous": OLD, "swap": None, "last_swap": None, **changes}


def plan(*names: str, found: dict[str, t.Any] | None = None, **wanted: str) -> t.Any:
    every = {name: facts(name) for name in ("web1", "web2", "web3")} | (found or {})
    return plan_rollback(FLEET, every, Wanted(names, **wanted), NOW)


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


def test_a_swap_under_way_goes_back_to_where_it_began() -> None:
    swap = {"from": {**OLD, "config": "c"}, "to": {**NEW, "config": "c"}}
    back = plan("web1", found={"web1": facts("web1", previous=None, swap=swap)})
    assert back.nodes["node1"][0]["base"]["version"] == "1"


def test_with_data() -> None:
    back = plan("web1", snapshot="strata-20261122T171500Z")
    [sentence] = back.sentences
    assert sentence.startswith("web1: base debian-13 2 -> debian-13 1; state goes back to strata-20261122T171500Z, ")
    assert "which gives up what was written in the 2 h 5 min since" in sentence


def test_with_data_alone() -> None:
    back = plan("web1", snapshot="mine", found={"web1": facts("web1", previous=None)})
    assert back.sentences == ["web1: the same versions; state goes back to mine"]


def test_what_went_back_already_stays() -> None:
    back = plan("web1", found={"web1": facts("web1", last_swap={"outcome": "reverted", "ended": "then"})})
    assert back.nodes == {"node1": [], "node2": []}
    assert back.sentences == ["web1: nothing to do, it went back at then"]


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
