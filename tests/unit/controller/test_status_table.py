"""The fleet's status: what counts as good, what is missing, and what a person reads."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils.status_table import Wanted, build_rows, draw_table, is_good

WANTED = {"web1": Wanted("node1", "running")}
LAYER = {"name": "nginx", "version": "1.26-1", "commit": "a" * 64}


def found(**changed: t.Any) -> dict[str, t.Any]:
    return {
        "name": "web1",
        "state": "running",
        "address": "10.87.0.11",
        "base": {**LAYER, "name": "debian-13", "version": "13.1"},
        "app": LAYER,
        "config": "d" * 64,
        "memory": 17 * 2**20,
        "boot_seconds": 0.84,
        "pending": False,
        "health": "healthy",
        "fault": "",
        "look": "incus exec --project strata web1 -- bash",
        **changed,
    }


def test_a_healthy_appliance_is_good_and_shown_with_its_units() -> None:
    rows = build_rows({"node1": {"appliances": [found()]}}, WANTED)
    assert [is_good(row) for row in rows] == [True]
    table = draw_table(rows)
    line = next(line for line in table.splitlines() if line.strip().startswith("web1"))
    assert " ".join(line.split()) == "web1 node1 10.87.0.11 nginx 1.26-1 debian-13 13.1 running healthy 0.8 s 17 MiB"
    assert table.endswith("To look inside one, on its node:\n  incus exec --project strata web1 -- bash")


def test_a_wanted_appliance_that_is_not_there_is_a_row() -> None:
    rows = build_rows({"node1": {"appliances": []}}, WANTED)
    assert [(row["name"], row["state"], row["health"], is_good(row)) for row in rows] == [
        ("web1", "absent", "unhealthy", False)
    ]
    assert "web1 on node1: it is not there: deploy it" in draw_table(rows)


def test_a_node_that_does_not_answer_says_nothing_of_its_appliances() -> None:
    rows = build_rows({"node1": {"unreachable": True, "msg": "no route"}}, WANTED)
    assert [(row["state"], row["health"]) for row in rows] == [("unknown", "unknown")]
    assert "web1 on node1: its node did not answer: no route" in draw_table(rows)


def test_an_appliance_nobody_asked_for_is_not_good() -> None:
    rows = build_rows({"node1": {"appliances": [found()]}, "node2": {"appliances": []}}, {})
    assert [is_good(row) for row in rows] == [False]
    assert "web1 on node1: the inventory does not ask for it on this node" in draw_table(rows)


def test_what_is_wrong_with_an_appliance_is_said_below_the_table() -> None:
    sick = found(health="unhealthy", fault="nginx.service failed: bind() to 0.0.0.0:80 failed")
    rows = build_rows({"node1": {"appliances": [sick]}}, WANTED)
    assert [is_good(row) for row in rows] == [False]
    assert "web1 on node1: nginx.service failed: bind() to 0.0.0.0:80 failed" in draw_table(rows)


def test_an_appliance_that_should_be_stopped_is_good_when_it_is() -> None:
    row = found(state="stopped", address="", memory=None, boot_seconds=None, health="unhealthy", fault="it is stopped")
    rows = build_rows({"node1": {"appliances": [row]}}, {"web1": Wanted("node1", "stopped")})
    assert [is_good(row) for row in rows] == [True]
    line = draw_table(rows).splitlines()[-1]
    assert " ".join(line.split()) == "web1 node1 nginx 1.26-1 debian-13 13.1 stopped not checked"


def test_rows_are_in_the_order_of_nodes_and_names() -> None:
    results = {"node2": {"appliances": [found(name="a")]}, "node1": {"appliances": [found(name="c"), found(name="b")]}}
    rows = build_rows(results, {})
    assert [(row["node"], row["name"]) for row in rows] == [("node1", "b"), ("node1", "c"), ("node2", "a")]


BACKED = {"web1": Wanted("node1", "running", {"repository": "offsite", "objective": "24h"})}
HOUR = 3600


def backed(**known: t.Any) -> dict[str, t.Any]:
    return found(backup={"good": {"snapshot": "a" * 64}, "age": 5 * HOUR, "failures": 0, "failure": "", **known})


def fault_of(item: dict[str, t.Any], wanted: dict[str, Wanted]) -> str:
    (row,) = build_rows({"node1": {"appliances": [item]}}, wanted)
    assert is_good(row) == (not row["fault"])
    return str(row["fault"])


def test_the_age_of_a_backup_is_shown_with_what_is_proven() -> None:
    item = backed(proven={"snapshot": "a"}, proven_age=50 * HOUR)
    rows = build_rows({"node1": {"appliances": [item]}}, BACKED)
    assert [is_good(row) for row in rows] == [True]
    assert "17 MiB  5 h, proven 2 d" in draw_table(rows).replace("   ", "  ")


def test_backups_are_measured_against_what_the_appliance_asks_for() -> None:
    old = backed(age=49 * HOUR)
    never = found(backup={"good": None, "age": 25 * HOUR})
    fresh = found(backup={"good": None, "age": HOUR})
    assert fault_of(old, BACKED) == "its newest backup is 2 d old, objective 24 h: run playbooks/backup.yml"
    assert fault_of(never, BACKED) == "it has no backup, objective 24 h: run playbooks/backup.yml"
    assert fault_of(fresh, BACKED) == ""
    for item in (old, never):
        assert fault_of(item, {"web1": Wanted("node1", "running", {"repository": "offsite"})}) == ""
        assert fault_of(item, WANTED) == ""


def test_a_backup_that_failed_is_a_fault_until_one_succeeds() -> None:
    failed = backed(failure="no route", failure_age=3 * HOUR, failures=1)
    assert fault_of(failed, BACKED) == "its last backup failed 3 h ago: no route"
    assert fault_of({**failed, "backup": {**failed["backup"], "failures": 4}}, BACKED).endswith(
        "(times since a good one: 4)"
    )
    assert fault_of({**failed, "health": "unhealthy", "fault": "sick"}, BACKED) == "sick"
    assert "left it held" in fault_of(backed(held_since="2026-11-22T10:00:00Z"), BACKED)
    assert "no such file" in fault_of(backed(drill_failure="no such file"), BACKED)
