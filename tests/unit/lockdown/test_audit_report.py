"""From what nodes found to an audit's report: findings, waivers, what is not audited, what changed, what fails."""

from __future__ import annotations

import copy
import json
import random
import time
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import judging, model
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Facts, Fault
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_findings import clean, merge
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_html import write_html
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_junit import write_junit
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_report import to_json
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_sarif import write_sarif
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_table import draw_report
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import find_faults
from ansible_collections.strata.fleet.tests.unit.lockdown import fleets
from ansible_collections.strata.fleet.tests.unit.lockdown.fleets import (
    DIGEST,
    TODAY,
    Data,
    fault,
    make_fleet,
    make_lockdown,
    make_policy,
    make_result,
    make_verdict,
    make_waiver,
    report_of,
)

SETUID = fault("/usr/bin/chfn", "base")
NESTING = fault("security.nesting", found="true", allowed="false")


def findings_of(report: Data) -> list[tuple[str, str, str]]:
    return [(each["rule"], each["scope"], each["what"]) for each in report["findings"]]


def state_of(report: Data) -> tuple[str, bool, str]:
    [waiver] = report["waivers"]
    return waiver["state"], waiver["useless"], waiver["why"]


@pytest.mark.parametrize("size", [0, 1, 20, 100])
def test_reports_are_as_their_schema_says(size: int) -> None:
    found = make_fleet(size)
    waivers = [make_waiver("rule-4", "web"), make_waiver("rule-6", "gone"), make_waiver("rule-6", "web", expires=TODAY)]
    report = report_of(found, make_lockdown(found, waivers))
    again = report_of(found, make_lockdown(found, waivers), before=json.loads(to_json(report)))
    assert find_faults(json.loads(to_json(report)), "audit") == []
    assert find_faults(json.loads(to_json(again)), "audit") == []


def test_what_judging_gives_is_understood() -> None:
    court = judging.Court(make_policy(), [], ["web1"], TODAY)
    rule = fleets.RULES["setuid-files"]._replace(check=lambda _facts, _value: [Fault("/x", "set-uid", "none", "base")])
    facts = Facts("web1", manifests={"base": {"commit": fleets.BASE}})
    verdicts = [verdict.to_data() for verdict in judging.judge(facts, [rule], court)]
    found = {"node1": {**make_result(["web1"]), "verdicts": json.loads(json.dumps(verdicts))}}
    assert ("setuid-files", "base/debian-13", "/x") in findings_of(report_of(found))


def test_the_same_audit_gives_the_same_bytes() -> None:
    found = make_fleet(20)
    shuffled = copy.deepcopy(dict(reversed(found.items())))
    for result in shuffled.values():
        random.Random(1).shuffle(result.get("verdicts", []))  # noqa: S311 - not a secret
    assert to_json(report_of(found)) == to_json(report_of(shuffled, make_lockdown(found)))


def test_a_clean_fleet_has_no_finding() -> None:
    report = report_of({"node1": make_result(["web1", "web2"])})
    assert (report["good"], report["findings"]) == (True, [])
    assert report["verdict"] == ("The fleet keeps to its policies: 79 verdicts on 2 appliances on 1 node; no finding.")


def test_a_fault_of_a_base_is_one_finding_however_many_run_it() -> None:
    names = [f"web{number}" for number in range(100)]
    found = {
        "node1": make_result(names, *(make_verdict("setuid-files", name, "fail", faults=[SETUID]) for name in names))
    }
    report = report_of(found)
    [finding] = report["findings"]
    assert (finding["scope"], len(finding["cases"])) == ("base/debian-13", 1)
    assert len(finding["cases"][0]["subjects"]) == 100
    assert report["counts"]["severities"] == {"high": 1}
    assert len([line for line in draw_report(report).splitlines() if "chfn" in line]) == 1


def test_versions_of_a_base_are_cases_of_one_finding_that_keeps_its_id() -> None:
    bad = make_verdict("setuid-files", "web1", "fail", faults=[SETUID])
    found = {
        "node1": make_result(["web1"], bad, version="13.1"),
        "node2": make_result(["web2"], {**bad, "appliance": "web2"}, version="13.2"),
    }
    [finding] = report_of(found)["findings"]
    assert [case["layer"] for case in finding["cases"]] == ["debian-13 13.2", "debian-13 13.1"]
    [later] = report_of({"node7": make_result(["web1"], bad, version="14.0")})["findings"]
    assert later["id"] == finding["id"]


def test_what_is_waived_for_one_is_still_bad_for_another() -> None:
    waiver = make_waiver("setuid-files", "web1")
    found = {
        "node1": make_result(
            ["web1", "web2"],
            make_verdict("setuid-files", "web1", "waived", faults=[SETUID], waivers=[waiver]),
            make_verdict("setuid-files", "web2", "fail", faults=[SETUID]),
        )
    }
    report = report_of(found, make_lockdown(found, [waiver]))
    [finding] = report["findings"]
    assert [(case["status"], case["subjects"]) for case in finding["cases"]] == [
        ("fail", ["node1/web2"]),
        ("waived", ["node1/web1"]),
    ]
    assert (finding["status"], finding["fails"]) == ("fail", True)
    assert state_of(report) == ("used", False, "")


def test_the_same_in_many_appliances_is_one_line_for_people() -> None:
    names = [f"web{number}" for number in range(1, 13)]
    bad = [make_verdict("unprivileged", name, "fail", faults=[NESTING]) for name in names]
    report = report_of({"node1": make_result(names, *bad)})
    assert len(report["findings"]) == 12
    [row] = merge(report["findings"])
    assert row.subjects == tuple(f"node1/{name}" for name in names)
    assert "web1, web2, web3, web4 and 8 more" in draw_report(report)


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (None, "it did not answer"),
        ({"msg": "Failed to connect: no route to host", "unreachable": True}, "Failed to connect: no route to host"),
        ({**make_result(["web1"]), "verdicts": []}, "no rule was evaluated"),
        (make_result(["web1"], {"rule": "x", "appliance": "web1"}), "its verdicts are not those of this version"),
        (make_result(["web1"], make_verdict("x", "web1", "splendid")), "its verdicts are not those of this version"),
    ],
)
def test_a_node_that_gives_no_verdicts_fails_where_policies_are_enforced(result: Data | None, fault: str) -> None:
    found = {"node1": make_result(["web1"])}
    lockdown = make_lockdown({**found, "node2": {}})
    report = report_of({**found, "node2": result} if result else found, lockdown)
    assert report["nodes"]["node2"]["fault"].startswith(fault)
    assert ("audited", "node/node2", "") in findings_of(report)
    assert not report["good"]
    assert "not audited: node2" in report["verdict"]
    lockdown["policies"] = {DIGEST: make_policy("audit")}
    assert report_of({**found, "node2": result} if result else found, lockdown)["good"]


def test_an_appliance_without_any_verdict_is_a_finding() -> None:
    result = make_result(["web1", "web2"])
    result["verdicts"] = [verdict for verdict in result["verdicts"] if verdict["appliance"] != "web2"]
    report = report_of({"node1": result})
    assert findings_of(report) == [("audited", "appliance/web2", "")]
    assert not report["good"]


def test_nothing_audited_is_no_good_in_any_mode() -> None:
    assert not report_of({}, make_lockdown({}, mode="audit"))["good"]


@pytest.mark.parametrize(
    ("mode", "fail_on", "status", "severity", "good"),
    [
        ("enforce", "", "fail", "high", False),
        ("enforce", "", "fail", "medium", True),
        ("enforce", "", "unknown", "high", False),
        ("enforce", "", "expired", "critical", False),
        ("enforce", "", "waived", "critical", True),
        ("enforce", "low", "fail", "low", False),
        ("enforce", "critical", "fail", "high", True),
        ("enforce", "never", "fail", "critical", True),
        ("audit", "", "fail", "critical", True),
        ("audit", "high", "fail", "high", False),
        ("audit", "low", "unknown", "critical", True),
    ],
)
def test_what_fails_an_audit(mode: str, fail_on: str, status: str, severity: str, good: bool) -> None:
    bad = make_verdict("unprivileged", "web1", status, faults=[NESTING], severity=severity)
    found = {"node1": make_result(["web1"], bad)}
    assert report_of(found, make_lockdown(found, mode=mode), fail_on=fail_on)["good"] is good


@pytest.mark.parametrize(
    ("waiver", "state"),
    [
        (make_waiver("rule-4", "web"), ("orphaned", True, "the rule finds nothing that it covers")),
        (make_waiver("rule-99", "web"), ("orphaned", True, "no policy asks for rule-99 there")),
        (
            make_waiver("rule-4", "gone"),
            ("orphaned", True, "no appliance, node or group of the inventory, and no base or app, has that name"),
        ),
        (make_waiver("rule-4", "web3"), ("unused", False, "not audited: web3")),
        (make_waiver("rule-8", "web1"), ("unused", False, "could not be decided of web1")),
        (make_waiver("rule-4", "depot1"), ("unused", False, "it is for depots, which an audit does not look at")),
        (
            make_waiver("rule-4", "web1", expires="2026-11-21"),
            ("expired", True, "it expired on 2026-11-21, and the rule finds nothing that it covers"),
        ),
        (make_waiver("host-sysctls", "node1"), ("orphaned", True, "the rule finds nothing that it covers")),
    ],
)
def test_waivers_that_cover_nothing(waiver: Data, state: tuple[str, bool, str]) -> None:
    found = {"node1": make_result(["web1", "web2"], make_verdict("rule-8", "web1", "unknown", reason="stopped"))}
    lockdown = make_lockdown(found, [waiver])
    lockdown["appliances"]["web3"] = {"policy": DIGEST, "names": ["web3"]}
    lockdown["depots"] = {"depot1": {"policy": DIGEST, "names": ["depot1"]}}
    report = report_of(found, lockdown)
    assert state_of(report) == state
    told = [finding for finding in report["findings"] if finding["rule"] == "waivers"]
    assert [(each["severity"], each["owners"]) for each in told] == ([("low", ["ops"])] if state[1] else [])


def test_what_an_expired_waiver_covers_is_a_finding_as_grave_as_its_rule() -> None:
    waiver = make_waiver("unprivileged", "web1", expires="2026-11-21")
    bad = make_verdict("unprivileged", "web1", "expired", faults=[NESTING], waivers=[waiver], severity="critical")
    found = {"node1": make_result(["web1"], bad)}
    report = report_of(found, make_lockdown(found, [waiver]))
    [finding] = report["findings"]
    assert (finding["status"], finding["severity"], finding["fails"]) == ("expired", "critical", True)
    assert finding["cases"][0]["sentence"].endswith("; its waiver expired on 2026-11-21")
    assert state_of(report) == ("expired", False, "it expired on 2026-11-21")
    assert report["waivers"][0]["days_left"] == -1


def test_what_changed_since_the_last_report() -> None:
    old = make_verdict("unprivileged", "web1", "fail", faults=[NESTING])
    before = report_of({"node1": make_result(["web1", "web2"], old), "node2": make_result(["web9"])})
    new = make_verdict("setuid-files", "web3", "fail", faults=[SETUID])
    found = {"node1": make_result(["web1", "web3"], new), "node2": make_result(["web9"])}
    lockdown = make_lockdown(found)
    lockdown["policies"]["e" * 64] = {**lockdown["policies"].pop(DIGEST), "digest": "e" * 64}
    report = report_of(found, lockdown, before)
    since = report["since"]
    assert since["new"] == [each["id"] for each in report["findings"]]
    assert [each["new"] for each in report["findings"]] == [True]
    assert [(each["rule"], each["scope"]) for each in since["gone"]] == [("unprivileged", "appliance/web1")]
    assert since["appliances"] == {"new": ["web3"], "gone": ["web2"]}
    assert since["policies"] == [{"name": "site + web", "from": DIGEST, "to": "e" * 64}]
    assert f"Since {fleets.WHEN}: findings: 1 new, 1 gone; appliances: web3 new, web2 gone" in draw_report(report)


def test_what_nobody_could_look_at_is_not_gone() -> None:
    old = make_verdict("unprivileged", "web1", "fail", faults=[NESTING])
    found = {"node1": make_result(["web1"], old), "node2": make_result(["web2"])}
    before = report_of(found)
    since = report_of({**found, "node1": {"msg": "no route to host"}}, make_lockdown(found), before)["since"]
    assert since["unseen"] == [before["findings"][0]["id"]]
    assert (since["gone"], since["appliances"]["gone"]) == ([], [])


def test_what_is_waived_now_was_new_when_it_is_not_any_more() -> None:
    waiver = make_waiver("unprivileged", "web1")
    waived = make_verdict("unprivileged", "web1", "waived", faults=[NESTING], waivers=[waiver])
    bad = make_verdict("unprivileged", "web1", "fail", faults=[NESTING])
    first = report_of({"node1": make_result(["web1"], bad)})
    second = report_of({"node1": make_result(["web1"], waived)}, before=first)
    third = report_of({"node1": make_result(["web1"], bad)}, before=second)
    [key] = [finding["id"] for finding in first["findings"]]
    assert [each["id"] for each in second["since"]["gone"]] == [key]
    assert third["since"]["new"] == [key]


def test_the_summary_tells_counts_remedies_waivers_files_and_the_verdict() -> None:
    found = make_fleet(100)
    waivers = [make_waiver("rule-4", "web"), make_waiver("setuid-files", "node5", expires="2027-11-22")]
    lockdown = {**make_lockdown(found, waivers), "conflicts": [{"message": "Appliance web1 asks for port 22."}]}
    lines = draw_report(report_of(found, lockdown), ["/reports/audit.json"]).splitlines()
    assert lines[0] == "Verdicts: 1868 pass, 1788 guaranteed, 120 fail, 100 not applicable, 16 unknown, 12 waived"
    assert "  1: Mend setuid-files." in lines
    assert "Waiver of rule-4 for web (ops): expires on 2026-12-01, in 9 days" in lines
    assert "Appliance web1 asks for port 22." in lines
    assert "node5, not audited: Data could not be sent to remote host" in lines
    assert lines[-2] == "Written: /reports/audit.json"
    assert lines[-1].startswith("The audit fails, 38 findings too grave: 3904 verdicts on 100 appliances on 4 nodes;")
    assert [line for line in lines if "node5" in line and "Waiver" in line] == []
    assert len(lines) < 30


def test_a_table_has_an_end() -> None:
    names = [f"web{number}" for number in range(90)]
    bad = [make_verdict("unprivileged", name, "fail", faults=[fault(f"volatile.{name}")]) for name in names]
    text = draw_report(report_of({"node1": make_result(names, *bad)}))
    assert "... and 30 lines more, less grave" in text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("/usr/bin/su", "/usr/bin/su"),
        ("Zürich", "Zürich"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb", "a\\nb"),
        ("\u202egpj", "\\u202egpj"),
        ("\udc80", "\\udc80"),
    ],
)
def test_nothing_that_a_node_says_moves_a_cursor(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_whatever_a_node_says_can_be_told() -> None:
    nasty = fleets.NASTY + "\udc80\x00"
    bad = make_verdict("unprivileged", nasty, "fail", faults=[fault(nasty, found=nasty, allowed=nasty)], owners=[nasty])
    dark = make_verdict("rule-2", nasty, "unknown", reason=nasty)
    found = {"node1": make_result([nasty], bad, dark), "node2": {"msg": nasty}}
    lockdown = make_lockdown({"node1": {}, "node2": {}})
    report = report_of(found, lockdown)
    text = to_json(report)
    told = [draw_report(report), write_junit(report), write_sarif(report), write_html(report, text)]
    assert [each for each in told if "\x1b" in each or "\u202e" in each] == []
    assert all(each.encode() for each in told)


@pytest.mark.parametrize(
    "write", [to_json, draw_report, write_junit, write_sarif, lambda report: write_html(report, "")]
)
def test_a_thousand_appliances_take_no_time(write: t.Callable[[Data], str]) -> None:
    found = make_fleet(1000)
    lockdown = make_lockdown(found)
    start = time.process_time()
    assert write(report_of(found, lockdown))
    assert time.process_time() - start < 5


def test_severities_are_as_the_model_has_them() -> None:
    schema = json.loads((find_faults.__globals__["SCHEMAS"] / "audit.schema.json").read_text())
    assert set(schema["$defs"]["severity"]["enum"]) == set(model.SEVERITIES)
