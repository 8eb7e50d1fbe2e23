"""What a drill found."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils.drill_report import build_rows, draw_table, find_faults

REQUESTS = {"node1": [{"appliance": "web1"}, {"appliance": "web2"}], "node2": [{"appliance": "db1"}]}
WHOLE = {"repository": "offsite", "seconds": 2.0, "fault": ""}


def outcome(name: str, reason: str = "") -> dict[str, t.Any]:
    return {
        "appliance": name,
        "copy": f"drill-{name}",
        "repository": "offsite",
        "snapshot": "0123abcdef",
        "made": "2026-11-22T02:00:00.000Z",
        "outcome": "failed" if reason else "proven",
        "seconds": 4.2,
        "bytes": 8388608,
        "reason": reason,
    }


def test_all_are_proven() -> None:
    results = {"node1": {"outcomes": [outcome("web2"), outcome("web1")]}, "node2": {"outcomes": [outcome("db1")]}}
    rows = build_rows(results, REQUESTS, {})
    assert [(row["node"], row["appliance"]) for row in rows] == [("node1", "web1"), ("node1", "web2"), ("node2", "db1")]
    assert find_faults(rows, [WHOLE]) == []
    table = draw_table(rows, [WHOLE])
    assert "0123abcd" in table
    assert "8 MiB" in table
    assert "repository offsite: checked in 2.0 s" in table


def test_nobody_is_forgotten() -> None:
    results: dict[str, dict[str, t.Any]] = {
        "node1": {"outcomes": [outcome("web1", "it does not answer")]},
        "node2": {"msg": "no room"},
    }
    rows = build_rows(results, REQUESTS, {"cache1": "its node node3 did not answer: no route"})
    damaged = {**WHOLE, "fault": "a pack is damaged"}
    assert find_faults(rows, [damaged]) == [
        "cache1: its node node3 did not answer: no route",
        "web1: it does not answer",
        "web2: the drill of node node1 failed: no reason given, run with -vvv to see what happened there",
        "db1: the drill of node node2 failed: no room",
        "repository offsite: a pack is damaged",
    ]
