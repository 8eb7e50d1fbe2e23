"""Fixtures over the lab. A test that needs a fresh machine makes one; node1 to node3 are shared."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.strata.fleet.tests.integration.tools import Controller, Node, lab


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    return Controller(tmp_path_factory.mktemp("playbooks"))


@pytest.fixture(scope="session")
def nodes() -> list[Node]:
    """The three nodes and the depot of the lab, as they are: a test that needs fresh ones resets them."""
    lab("up")
    return [Node("node1"), Node("node2"), Node("node3")]


@pytest.fixture
def make_node() -> t.Iterator[t.Callable[[str], Node]]:
    """Return what makes a fresh machine of this name in lab.yml, removed after the test."""
    made = []

    def make(name: str) -> Node:
        lab("reset", name)
        made.append(name)
        return Node(name)

    yield make
    if made:
        lab("down", *made)
