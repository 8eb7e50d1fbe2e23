"""The report, as JSON, text and metrics."""

from __future__ import annotations

import shutil
import subprocess
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import metrics, report
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.ledger import Ledger
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.outcome import Remark
from ansible_collections.strata.fleet.tests.unit.gitops.site import row

NOW = "2026-11-30T20:00:00.000Z"
FIRST, SECOND = "1" * 40, "2" * 40


def tell(second: str = "none", *, steps: t.Sequence[str] = ()) -> dict[str, t.Any]:
    rows = [row("web1", owner='the "web" team'), row("web2", second), row("test", "paused")]
    return {"appliances": rows, "nodes": {"node1": {"problem": "", "steps": list(steps)}}, "findings": []}


def build(plan: dict[str, t.Any] | None = None, commit: str = FIRST, **changes: t.Any) -> dict[str, t.Any]:
    entry = {"commit": FIRST, "at": NOW}
    applied = {**entry, "health": {"web1": "healthy"}, "undoes": ""}
    kept = Ledger(seen=entry, accepted={**entry, "signer": "ops"}, applied=applied, good=entry, results={"synced": 3})
    for key, value in changes.items():
        setattr(kept, key, value)
    facts = report.Facts(
        repository="https://git.example.com/site.git",
        branch="main",
        now=NOW,
        seconds=2.34,
        result=Remark("drifted", "not as 111111111111 says: web2") if plan else Remark("synced", ""),
        remarks=[],
        plan=plan or tell(),
        commit=commit,
        mended=[],
    )
    return report.build(facts, kept, {"appliances": [{"sync": "synced"}], "fleet_at": "earlier"})


def test_in_sync_is_the_head_and_what_runs() -> None:
    assert build()["in_sync"]
    assert not build(tell("restart"))["in_sync"]
    assert not build(tell(steps=["update a list"]))["in_sync"]
    assert not build(seen={"commit": SECOND, "at": NOW})["in_sync"]
    assert not build(applying={"commit": FIRST, "at": NOW, "health": {}, "undoes": ""})["in_sync"]
    unknown = {
        "appliances": [row("web1", "unknown", health="unknown")],
        "nodes": {"node1": {"problem": "away", "steps": []}},
        "findings": [],
    }
    assert not build(unknown)["in_sync"]


def test_a_cycle_that_saw_nothing_tells_what_was_seen_before() -> None:
    seen = build({"appliances": [], "nodes": {}, "findings": []})
    assert (seen["fleet_at"], seen["appliances"]) == ("earlier", [{"sync": "synced"}])


def test_for_a_person() -> None:
    text = report.draw(
        build(tell("restart", steps=["update a list"]), unreachable={"since": NOW, "at": NOW, "reason": "no route"})
    )
    assert text.splitlines() == [
        "main of https://git.example.com/site.git, looked at 2026-11-30T20:00:00.000Z for 2.3 s",
        "  seen      111111111111  2026-11-30T20:00:00Z",
        "  accepted  111111111111  2026-11-30T20:00:00Z  ops",
        "  applied   111111111111  2026-11-30T20:00:00Z",
        "  good      111111111111  2026-11-30T20:00:00Z",
        "The repository cannot be reached since 2026-11-30T20:00:00.000Z: no route",
        "drifted: not as 111111111111 says: web2",
        "3 appliances at 2026-11-30T20:00:00.000Z: 3 healthy; 1 synced, 0 pending, 1 drifted, 1 paused, 0 unknown",
        "  web2 on node1: drifted, healthy; restart web2",
        "  test on node1: paused, healthy; paused until 2026-12-24: they said so",
        "  node node1: update a list",
    ]


def test_what_a_new_commit_would_do_is_no_drift() -> None:
    planned = build(tell("restart"), commit=SECOND)
    assert [(each["sync"], each["differences"]) for each in planned["appliances"]] == [
        ("synced", []),
        ("pending", ["restart web2"]),
        ("paused", []),
    ]
    assert "  web2 on node1: pending, healthy; restart web2" in report.draw(planned).splitlines()


def test_a_report_of_an_earlier_version_can_be_read() -> None:
    body = build()
    del body["node_differences"]
    assert "synced" in report.draw(body)


def test_metrics() -> None:
    lines = metrics.write(build(tell("restart"))).splitlines()
    for line in (
        "strata_gitops_cycle_timestamp_seconds 1796068800",
        "strata_gitops_cycle_duration_seconds 2.3",
        'strata_gitops_result{result="drifted"} 1',
        'strata_gitops_result{result="synced"} 0',
        'strata_gitops_cycles_total{result="synced"} 3',
        "strata_gitops_in_sync 0",
        "strata_gitops_repository_reachable 1",
        f'strata_gitops_commit_info{{branch="main",seen="{FIRST}",applied="{FIRST}",good="{FIRST}"}} 1',
        'strata_appliance_in_sync{appliance="web2",node="node1"} 0',
        'strata_appliance_healthy{appliance="web1",node="node1"} 1',
        'strata_appliance_paused{appliance="test",node="node1"} 1',
    ):
        assert line in lines


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian: prometheus)")
def test_metrics_are_what_prometheus_takes() -> None:
    text = metrics.write({**build(), "branch": 'a "strange\\ branch'})
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_labels_are_escaped() -> None:
    body = build()
    body["branch"] = 'a "strange\\ branch\n'
    assert 'branch="a \\"strange\\\\ branch\\n"' in metrics.write(body)
