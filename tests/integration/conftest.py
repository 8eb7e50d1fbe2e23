"""Fixtures over the lab. A test that needs a fresh machine makes one; the nodes are shared."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.strata.fleet.tests.integration.tools import NODES, Controller, Node, lab


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    return Controller(tmp_path_factory.mktemp("playbooks"))


@pytest.fixture(scope="session")
def nodes() -> list[Node]:
    """Three nodes of the lab, as they are: a test that needs fresh ones resets them."""
    lab("up", *NODES)
    return [Node(name) for name in NODES]


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
