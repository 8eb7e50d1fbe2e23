"""The record of a rollout, and what people read of plan and record."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils import patch_record, patch_report
from ansible_collections.strata.fleet.plugins.plugin_utils.gate import Seen, State, pass_gate
from ansible_collections.strata.fleet.plugins.plugin_utils.patch_record import Origin, build_record, write_markdown
from ansible_collections.strata.fleet.plugins.plugin_utils.rollout import plan_rollout
from ansible_collections.strata.fleet.tests.unit.controller.site import layers, read_site, swap

Data = dict[str, t.Any]

ORIGIN = Origin("ada", "control1", ["hosts.yml"], "c0ffee", is_modified=False, signer="depot1")
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
CASE: Data = {
    "fleet": {"node1": ["web1", "web2", "web3", "pin1"], "node2": ["old1", "gone1"]},
    "found": {
        "old1": {**layers("13.2", "1.1"), "last_swap": swap("13.2", 1.0)},
        "gone1": None,
    },
    "blocked": {"pin1": {"vendor": "", "cause": "pin", "reason": "appliance_base_version is 13.1"}},
}


def run(case: Data, *rounds: dict[str, Data]) -> tuple[Data, Data]:
    """Return plan and last state of a rollout with these outcomes on node1, round by round."""
    plan = {**plan_rollout(read_site(case), case.get("rollout", {})), "id": "20261122T120000Z-abcdef", "made": "now"}
    state = State()
    for number, outcomes in enumerate(({}, *rounds), 1):
        pass_gate(plan, state, Seen({"node1": {"outcomes": outcomes}}, {}), number, NOW)
    return plan, vars(state)


def record_of(case: Data, *rounds: dict[str, Data]) -> Data:
    return build_record(*run(case, *rounds), ORIGIN, "2026-11-22T12:30:00Z")


def test_a_complete_rollout() -> None:
    record = record_of(CASE, {"web1": swap("13.2", 1.0), "web2": swap("13.2", 2.0), "web3": swap("13.2", 6.0)})
    entries = {entry["name"]: entry for entry in record["appliances"]}
    assert record["result"] == "complete"
    assert list(entries) == ["web1", "web2", "web3", "pin1", "old1"]
    assert record["totals"] == {
        "outcomes": {"patched": 3, "blocked": 1},
        "earlier": 1,
        "interruption": {"median": 2.0, "longest": 6.0},
        "cves": ["CVE-2026-1001"],
    }
    assert entries["web1"]["packages"][0] == {
        "layer": "base",
        "name": "libssl3t64",
        "from": "3.5.4-1",
        "to": "3.5.4-1+deb13u1",
        "cves": ["CVE-2026-1001"],
    }
    assert entries["web1"]["advisories"] == ["DSA-6001-1"]
    assert entries["pin1"]["outcome"] == "blocked"
    assert json.loads(json.dumps(record)) == record


def test_what_an_earlier_run_did_is_in_the_record_and_said_to_be_earlier() -> None:
    record = record_of(CASE, {name: swap("13.2", 1.0) for name in ("web1", "web2", "web3")})
    earlier = next(entry for entry in record["appliances"] if entry["name"] == "old1")
    assert (earlier["outcome"], earlier["earlier"], earlier["interruption"]) == ("patched", True, 1.0)
    assert earlier["cves"] == ["CVE-2026-1001"]
    assert patch_record.say_verdict(record) == (
        "Rollout 20261122T120000Z-abcdef is complete: 3 patched, 1 blocked, 1 patched by an earlier run. "
        "Interruptions: median 1.0 s, longest 1.0 s."
    )


def test_what_was_fixed_is_said_of_those_that_are_patched_only() -> None:
    record = record_of(CASE, {"web1": swap("13.2", None, "rolled_back"), "web2": swap("13.2", 1.0)})
    entries = {entry["name"]: entry for entry in record["appliances"]}
    assert record["result"] == "halted"
    assert (entries["web1"]["cves"], entries["web1"]["packages"]) == ([], [])
    assert entries["web1"]["reason"] == "nginx.service failed: address already in use"
    assert entries["web3"]["outcome"] == "failed"


def test_those_that_were_not_started_are_named() -> None:
    record = record_of({**CASE, "rollout": {"batches": [1]}}, {"web1": swap("13.2", None, "failed")})
    assert {entry["name"]: entry["outcome"] for entry in record["appliances"]} == {
        "web1": "failed",
        "web2": "not started",
        "web3": "not started",
        "pin1": "blocked",
        "old1": "patched",
    }


def test_a_node_that_did_not_answer_makes_it_incomplete() -> None:
    case = {**CASE, "nodes": {"node2": {"unreachable": True, "msg": "no route"}}}
    record = record_of(case, {name: swap("13.2", 1.0) for name in ("web1", "web2", "web3")})
    entries = {entry["name"]: entry for entry in record["appliances"]}
    assert record["result"] == "incomplete"
    assert (entries["old1"]["outcome"], entries["old1"]["reason"]) == ("unknown", "its node did not answer: no route")
    assert "Run again" in patch_record.say_verdict(record)


def test_packages_that_are_not_known_are_not_none() -> None:
    plan, state = run(CASE, {name: swap("13.2", 1.0) for name in ("web1", "web2", "web3")})
    record = build_record({**plan, "changes": {}}, state, ORIGIN, "")
    assert [entry["packages"] for entry in record["appliances"]] == [None, None, None, [], None]
    assert [entry["complete"] for entry in record["appliances"]] == [False, False, False, True, False]


def test_the_page_says_who_what_and_why_not() -> None:
    failed = {**swap("13.2", None, "rolled_back"), "reason": "health | <b>check</b>\nmore"}
    page = write_markdown(record_of(CASE, {"web1": swap("13.2", 1.5), "web2": failed, "web3": swap("13.2", 1.0)}))
    assert page.startswith("# Rollout 20261122T120000Z-abcdef: halted\n")
    assert "| By | ada on control1 |" in page
    assert "| Its commit | c0ffee |" in page
    assert "| Signed | yes, by the depot depot1: `20261122T120000Z-abcdef.json.asc` |" in page
    assert "| web1 | node1 | debian-13 13.1 `13.1` to 13.2 `13.2` | nginx 1.1 `1.1` | patched |" in page
    assert "- web2: health \\| &lt;b>check&lt;/b>" in page
    assert "| libssl3t64 | 3.5.4-1 | 3.5.4-1+deb13u1 | CVE-2026-1001 |" in page
    assert (
        "| old1 | node2 | debian-13 13.1 `13.1` to 13.2 `13.2` | nginx 1.1 `1.1` | patched by an earlier run |" in page
    )


def test_the_page_of_an_unsigned_record_says_so() -> None:
    plan, state = run(CASE)
    page = write_markdown(build_record(plan, state, ORIGIN._replace(signer="", commit=""), ""))
    assert "| Signed | no |" in page
    assert "| Its commit | - |" in page


def test_the_table_has_a_row_for_each_and_the_reasons_below() -> None:
    failed = swap("13.2", 4.25, "rolled_back")
    table = patch_report.draw_record(record_of(CASE, {"web1": swap("13.2", 1.5), "web2": failed, "web3": failed}))
    lines = [" ".join(line.split()) for line in table.splitlines()]
    assert "web1 node1 debian-13 13.1 > 13.2 nginx 1.1 patched 1.5 s 3 CVE-2026-1001" in lines
    assert "web2 node1 debian-13 13.1 > 13.2 nginx 1.1 rolled back 4.2 s 0" in lines
    assert "old1 node2 debian-13 13.1 > 13.2 nginx 1.1 patched before 1.0 s 3 CVE-2026-1001" in lines
    assert "web2: nginx.service failed: address already in use" in lines


def test_the_plan_is_a_table_with_the_reasons_below() -> None:
    case = {**CASE, "rollout": {"canaries": {"count": 1}}, "nodes": {"node3": {"msg": "no engine"}}}
    text = patch_report.draw_plan(plan_rollout(read_site(case), case["rollout"]))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "web1 node1 patch debian-13 13.1 > 13.2 nginx 1.1 1 1.0 s" in lines
    assert "pin1 node1 blocked debian-13 13.1 nginx 1.1" in lines
    why = "base debian-13: stable moved from 13.1 to 13.2 (3 packages, fixes CVE-2026-1001): web1, web2, web3"
    assert why in lines
    assert "Blocked, the site to mend:" in lines
    assert "pin1 (pin): appliance_base_version is 13.1" in lines
    assert "node1 fetches 1.3 MiB (1363149 bytes)" in lines
    assert "batch 1 of 2, canaries: web1" in lines
    assert "batch 2 of 2, patch: web2, web3" in lines
    assert "node3 cannot tell what is to be done: no engine" in lines
    assert lines[-1] == "6 appliances: 3 to patch, 1 blocked, 1 up to date, 1 not deployed."


def test_a_plan_without_anything_to_do_is_a_sentence() -> None:
    case = {"fleet": {"node1": ["web1"]}, "target": {"web1": {"base": "13.1"}}}
    assert patch_report.draw_plan(plan_rollout(read_site(case), {})) == (
        "1 appliance: 1 up to date. Nothing is to be patched."
    )


def test_an_outcome_is_a_line() -> None:
    plan, _state = run(CASE)
    entry = plan["appliances"][0]
    assert patch_report.say_outcome(entry, swap("13.2", 1.25)) == (
        "patched: web1 on node1, base debian-13 13.1 > 13.2, interrupted for 1.2 s"
    )
    restored = {**swap("13.2", None, "rolled_back"), "state": "restored"}
    assert patch_report.say_outcome(entry, restored) == (
        "rolled back: web1 on node1, base debian-13 13.1 > 13.2 (nginx.service failed: address already in use), "
        "its state was brought back"
    )


def test_only_the_first_line_of_a_reason_is_recorded_and_the_terminal_shows_all() -> None:
    failed = {**swap("13.2", None, "rolled_back"), "reason": "web1 is unhealthy:\npassword=secret\nmore"}
    record = record_of(CASE, {"web1": failed})
    assert "secret" not in json.dumps(record) + write_markdown(record) + patch_report.draw_record(record)
    plan, _state = run(CASE)
    assert patch_report.say_outcome(plan["appliances"][0], failed).splitlines() == [
        "rolled back: web1 on node1, base debian-13 13.1 > 13.2 (web1 is unhealthy)",
        "    password=secret",
        "    more",
    ]


def test_the_fault_of_a_current_appliance_is_recorded_in_a_line() -> None:
    ill = {**layers("13.2", "1.1"), "health": "unhealthy", "fault": "out of memory\nsecret"}
    record = record_of({**CASE, "found": {**CASE["found"], "old1": ill}})
    assert "secret" not in json.dumps(record)


def test_what_an_earlier_run_did_is_recorded_once() -> None:
    plan, state = run(CASE)
    first = build_record(plan, state, ORIGIN, "2026-11-22T12:30:00Z")
    assert [entry["name"] for entry in first["appliances"] if entry["earlier"]] == ["old1"]
    recorded = patch_record.find_recorded(plan, [first])
    again = build_record(plan, state, ORIGIN, "", recorded)
    [entry] = [entry for entry in again["appliances"] if entry["name"] == "old1"]
    assert (entry["outcome"], entry["earlier"], entry["cves"]) == ("current", False, [])
    assert again["totals"]["earlier"] == 0


def test_no_more_records_are_read_than_it_takes() -> None:
    def old() -> t.Iterator[Data]:
        yield {"ended": "2026-11-22T09:00:00Z", "appliances": [{"name": "web1", "started": None}]}
        raise AssertionError("older than what is sought")

    plan, _state = run(CASE)
    assert patch_record.find_recorded(plan, old()) == set()


def test_what_an_earlier_run_fixed_is_not_in_the_totals() -> None:
    record = record_of({**CASE, "rollout": {"batches": [1]}}, {"web1": swap("13.2", None, "failed")})
    assert record["totals"]["earlier"] == 1
    assert record["totals"]["cves"] == []


def test_taking_back_what_was_cut_short_leaves_nothing_to_do() -> None:
    mark = {key: swap("13.2", None)[key] for key in ("from", "to", "started", "snapshot", "purpose")}
    home = {"base": mark["from"]["base"]["version"], "app": mark["from"]["app"]["version"]}
    case = {"fleet": {"node1": ["web1"]}, "found": {"web1": {"swap": mark}}, "target": {"web1": home}}
    assert record_of(case, {"web1": swap("13.2", None, "rolled_back")})["result"] == "complete"
    assert record_of(case, {"web1": swap("13.2", None, "failed")})["result"] == "incomplete"


def test_going_on_with_what_was_cut_short_and_failing_is_a_failure() -> None:
    mark = {key: swap("13.2", None)[key] for key in ("from", "to", "started", "snapshot", "purpose")}
    case = {"fleet": {"node1": ["web1"]}, "found": {"web1": {"swap": mark}}}
    assert record_of(case, {"web1": swap("13.2", None, "rolled_back")})["result"] == "incomplete"
    assert record_of(case, {"web1": swap("13.2", 1.0)})["result"] == "complete"


def test_what_was_skipped_is_left_to_do() -> None:
    case = {"fleet": {"node1": ["web1"]}, "rollout": {"threshold": "0%"}}
    record = record_of(case, {"web1": swap("13.2", None, "skipped")})
    assert (record["result"], record["totals"]["outcomes"]) == ("incomplete", {"skipped": 1})


def test_the_same_packages_are_listed_once() -> None:
    case = {**CASE, "found": {**CASE["found"], "web2": layers("13.1", "1.0"), "web3": layers("13.1", "1.0")}}
    done = {name: {**swap("13.2", 1.0), "from": layers("13.1", "1.0")} for name in ("web2", "web3")}
    plan, state = run(case, {"web1": swap("13.2", 1.0), **done})
    plan["changes"]["1.0..1.1"] = {"packages": [], "cves": [], "advisories": [], "complete": True}
    page = write_markdown(build_record(plan, state, ORIGIN, ""))
    assert page.count("## Packages") == 1
    assert "## Packages: debian-13 13.1 `13.1` to 13.2 `13.2`\n\nweb1, web2, web3, old1\n" in page
