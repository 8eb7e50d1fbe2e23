"""The network of copies."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.drill_network import MINE, list_name, no_rules, plan, rules
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput

NETWORK = {"name": "strata-drill", "address": "10.254.87.1/24"}
OTHER = {"strata0": {"config": {"ipv4.address": "10.87.0.1/24"}}, "plain": {"config": {"ipv4.address": "none"}}}


def made(**config: str) -> dict[str, t.Any]:
    return {"strata-drill": {"config": {"ipv4.address": "10.254.87.1/24", MINE: "true", **config}}}


def test_it_is_made_and_leads_nowhere() -> None:
    acl, network = plan(NETWORK, OTHER, {})
    assert acl.args["body"]["egress"] == []
    assert [rule["source"] for rule in acl.args["body"]["ingress"]] == ["10.254.87.1"]
    config = network.args["body"]["config"]
    assert (config["ipv4.nat"], config["ipv4.routing"], config["ipv6.address"]) == ("false", "false", "none")
    assert config["security.acls.default.egress.action"] == "drop"


def test_it_is_made_once() -> None:
    assert plan(NETWORK, {**OTHER, **made()}, {list_name("strata-drill"): {}}) == []


@pytest.mark.parametrize(
    ("network", "networks", "sentence"),
    [
        (NETWORK, {"strata-drill": {"config": {}}}, "is there, and not for copies"),
        ({**NETWORK, "address": "10.87.0.129/25"}, OTHER, "overlaps with the node's network strata0"),
        ({**NETWORK, "address": "10.9.0.1/24"}, made(), "is there with the address 10.254.87.1/24, not 10.9.0.1/24"),
    ],
)
def test_refused(network: dict[str, str], networks: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        plan(network, networks, {})


def test_the_rules_of_one_network_leave_those_of_another() -> None:
    assert 'iifname "strata-drill"' in rules("strata-drill")
    for text in (rules("looks"), no_rules("looks")):
        assert "inet strata-copies-looks" in text
        assert "strata-drill" not in text
