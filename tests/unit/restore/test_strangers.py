"""A drill removes what an earlier one left, and nothing else that has such a name."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.drilling import find_strangers

NETWORK = "strata-drill"
BACKUP = "a" * 64


def build(*networks: str) -> dict[str, t.Any]:
    cards = {f"eth{number}": {"type": "nic", "network": network} for number, network in enumerate(networks)}
    return {"devices": {"root": {"type": "disk"}, **cards}}


@pytest.mark.parametrize(
    ("bodies", "restored"),
    [
        ({}, {}),
        ({"drill-web1": build(NETWORK)}, {"drill-web1.var": BACKUP}),
        ({"drill-web1": build(NETWORK, NETWORK)}, {"drill-web1.var": BACKUP, "drill-web1.empty": ""}),
        ({}, {"drill-web1.var": BACKUP}),
        ({}, {"drill-web1.var.restoring": ""}),
    ],
)
def test_what_a_drill_left_is_a_copy(bodies: dict[str, t.Any], restored: dict[str, str]) -> None:
    assert find_strangers(bodies, restored, NETWORK) == []


@pytest.mark.parametrize(
    ("bodies", "restored", "word"),
    [
        ({"drill-web1": build("strata0")}, {}, "Instance drill-web1"),
        ({"drill-web1": build(NETWORK, "strata0")}, {}, "Instance drill-web1"),
        ({"drill-web1": build()}, {}, "Instance drill-web1"),
        ({}, {"drill-web1.var": ""}, "Volume drill-web1.var"),
        ({"drill-web2": build(NETWORK)}, {"drill-web1.var": ""}, "Volume drill-web1.var"),
    ],
)
def test_what_is_no_copy_is_named(bodies: dict[str, t.Any], restored: dict[str, str], word: str) -> None:
    (sentence,) = find_strangers(bodies, restored, NETWORK)
    assert sentence.startswith(word)
