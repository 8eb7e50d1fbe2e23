"""What no appliance is moved to, since it failed somewhere."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.plugin_utils.avoid import find_avoided
from ansible_collections.strata.fleet.tests.unit.controller.site import info, layers, swap, want

FLEET = {"node1": [want("web1", {}), want("web2", {}), want("off1", {"state": "stopped"})]}
MARK = {
    "base": "13.2",
    "app": "1.1",
    "base_version": "13.2",
    "app_version": "1.1",
    "reason": "failed:\nlog",
    "at": "then",
}
ILL = {**layers("13.2", "1.1"), "health": "unhealthy", "fault": "out of memory\nlog", "last_swap": swap("13.2", 1.0)}


def avoid(**given: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    found: dict[str, dict[str, t.Any]] = {
        "node1": {"appliances": [info(name, each) for name, each in given.items()]},
        "node2": {"unreachable": True},
    }
    return find_avoided(FLEET, found)


def test_what_failed_is_avoided_once_and_said_in_a_line() -> None:
    assert avoid(web1={"bad": [MARK]}, web2={"bad": [{**MARK, "at": "later"}]}) == [{**MARK, "reason": "failed"}]


def test_what_fell_ill_after_it_was_patched_is_avoided() -> None:
    reason = "web1 fell ill after it was patched: out of memory"
    assert avoid(web1=ILL) == [{**MARK, "reason": reason, "at": "2026-11-22T10:00:33Z"}]


@pytest.mark.parametrize(
    "changes",
    [
        {"health": "healthy"},
        {"state": "stopped", "fault": "it is stopped"},
        {"last_swap": swap("13.2", 1.0, "rolled_back")},
        {"last_swap": swap("13.3", 1.0)},
        {"last_swap": None},
        {"swap": {"purpose": "patch"}},
        {"base": None},
    ],
    ids=["healthy", "stopped", "undone", "runs something else", "never patched", "cut short", "not of Strata"],
)
def test_what_says_nothing_of_a_version_is_not_avoided(changes: dict[str, t.Any]) -> None:
    assert avoid(web1={**ILL, **changes}) == []


@pytest.mark.parametrize("name", ["off1", "nobody1"])
def test_who_should_not_serve_says_nothing(name: str) -> None:
    assert avoid(**{name: ILL}) == []
