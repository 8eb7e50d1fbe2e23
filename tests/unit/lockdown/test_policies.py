"""Policies as data: each file in policies/ says what the inventory has, and what is in effect or the refusal.

``policies``, ``waivers``: as in the inventory. Rules, profiles and hosts are those below unless the case has its own.
``effective``: for some hosts, what their policy has among other things, rules by their value; ``from``, by theirs.
"""

from __future__ import annotations

import copy
import json
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.filter.policies_of import policies_of
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Rule
from ansible_collections.strata.fleet.plugins.plugin_utils import policies, policy_table
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import find_faults

PAGE = (Path(__file__).parents[3] / "docs" / "lockdown.md").read_text()
CASES = sorted((Path(__file__).parent / "policies").glob("*.yml"))
SETTINGS = {
    "abi": ("switch", "high"),
    "base-age": ("at_most", "high"),
    "allowed-bases": ("only", "critical"),
    "published-ports": ("only", "medium"),
    "denied-packages": ("none", "high"),
    "required-packages": ("all", "medium"),
    "revoked-keys": ("none", "critical"),
    "app-signers": ("only", "critical"),
    "sysctls": ("equal", "medium"),
    "oldest-base": ("oldest", "high"),
}
RULES = {name: Rule(name, "manifest", *kind, "", "", lambda *_: ()) for name, kind in SETTINGS.items()}
PROFILES: dict[str, t.Any] = {
    "baseline": {"title": "", "rules": {"abi": True, "base-age": 365}, "actions": {"critical": "refuse"}},
    "strict": {
        "title": "",
        "extends": "baseline",
        "rules": {"base-age": 30, "denied-packages": ["sudo"]},
        "severities": {"base-age": "critical"},
    },
}
GROUPS = {
    "all": ["node1", "web1", "web2", "db1"],
    "ungrouped": [],
    "nodes": ["node1"],
    "appliances": ["web1", "web2", "db1"],
    "web": ["web1", "web2"],
    "databases": ["db1"],
    "exposed": ["web1", "db1"],
}
APPLIANCES: dict[str, t.Any] = {
    "web1": {"appliance_base": "debian-13", "appliance_app": "nginx"},
    "web2": {"appliance_base": "debian-13", "appliance_app": "nginx"},
    "db1": {"appliance_base": "debian-12", "appliance_app": "postgresql"},
}
TODAY = "2026-11-22"


def site_of(case: t.Mapping[str, t.Any]) -> policies.Site:
    appliances = {name: {**body, **case.get("appliances", {}).get(name, {})} for name, body in APPLIANCES.items()}
    return policies.Site(case.get("policies", {}), case.get("waivers", []), GROUPS, appliances, RULES, PROFILES)


def build(**case: t.Any) -> dict[str, t.Any]:
    return policies.build_payload(site_of(case), TODAY)


def policy_of(host: str, payload: dict[str, t.Any]) -> dict[str, t.Any]:
    (own,) = (payload[kind][host] for kind in ("appliances", "nodes") if host in payload[kind])
    policy: dict[str, t.Any] = payload["policies"][own["policy"]]
    return policy


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_policies(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    if "error" in case:
        with pytest.raises(BadInput) as caught:
            build(**case)
        assert caught.value.message.split("\n") == case["error"]
        return
    payload = build(**case)
    for host, expected in case.get("effective", {}).items():
        found = policy_of(host, payload)
        shown: dict[str, t.Any] = {key: found[key] for key in expected if key in found}
        if "rules" in expected:
            shown["rules"] = {name: body["value"] for name, body in found["rules"].items()}
        for key in ("from", "severity"):
            if key in expected:
                shown[key] = {name: found["rules"][name][key] for name in expected[key]}
        assert shown == expected
    assert [each["reason"] for each in payload["orphans"]] == case.get("orphans", [])
    conflicts = [{key: each[key] for key in ("message", "refused")} for each in payload["conflicts"]]
    assert conflicts == case.get("conflicts", [])


def test_the_digest_is_that_of_what_is_in_effect() -> None:
    first = build(policies={"site": {"rules": {"allowed-bases": ["b", "a"]}}})
    same = build(policies={"site": {"groups": ["all"], "rules": {"allowed-bases": ["a", "b", "a"]}}})
    other = build(policies={"site": {"rules": {"allowed-bases": ["a"]}}})
    assert set(first["policies"]) == set(same["policies"])
    assert not set(first["policies"]) & set(other["policies"])
    (digest,) = first["policies"]
    assert re.fullmatch(r"[0-9a-f]{64}", digest)
    body = {key: value for key, value in first["policies"][digest].items() if key != "digest"}
    assert policies.digest_of(body) == digest == first["policies"][digest]["digest"]


def test_the_payload_can_be_sent_and_names_everybody() -> None:
    payload = build()
    assert json.loads(json.dumps(payload)) == payload
    assert payload["appliances"]["web1"]["names"] == [
        *("web1", "exposed", "web", "appliances", "all"),
        *("base/debian-13", "app/nginx"),
    ]
    assert payload["nodes"]["node1"]["names"] == ["node1", "nodes", "all"]


def test_a_node_is_told_of_its_own_appliances() -> None:
    payload = build(policies={"it": {"groups": ["web"], "rules": {"base-age": 10}}})
    told = policies_of(payload, ["db1", "unheard-of"])
    assert list(told["appliances"]) == ["db1"]
    assert list(told["policies"]) == [payload["appliances"]["db1"]["policy"]] != list(payload["policies"])
    assert {key: told[key] for key in ("today", "waivers", "nodes")} == {"today": TODAY, "waivers": [], "nodes": {}}


def test_what_is_given_stays_as_it_is() -> None:
    given = {"site": {"profile": "strict", "rules": {"denied-packages": ["telnet", "nis"]}}}
    before = copy.deepcopy((given, PROFILES))
    build(policies=given)
    assert (given, PROFILES) == before


def test_a_base_is_built_by_a_policy_or_a_profile() -> None:
    given = {"site": {"profile": "strict", "groups": ["web"], "rules": {"denied-packages": ["telnet"]}}}
    expected = {"abi": True, "base-age": 30, "denied-packages": ["sudo"]}
    assert policies.hardening_of("strict", given, RULES, PROFILES) == expected
    expected["denied-packages"] = ["sudo", "telnet"]
    assert policies.hardening_of("site", given, RULES, PROFILES) == expected
    with pytest.raises(BadInput, match=r"'strikt' is neither .* \(did you mean strict\?\)\.$"):
        policies.hardening_of("strikt", given, RULES, PROFILES)


def test_the_table_shows_whose_word_each_rule_is() -> None:
    waiver = {
        "control": "abi",
        "subject": "web9",
        "reason": "r",
        "owner": "o",
        "approver": "a",
        "expires": "2027-01-01",
    }
    text = policy_table.draw(build(policies={"site": {"profile": "strict", "owner": "IT"}}, waivers=[waiver]))
    assert "Policy site, mode enforce, owner IT\n  for web1, web2, db1, node1\n" in text
    assert re.search(r"denied-packages +sudo +high +profile strict\n", text)
    assert text.endswith("The waiver of abi for web9 waives nothing: web9 is no appliance, node, group, base/NAME or "
                         "app/NAME in use (did you mean web?).")  # fmt: skip


@pytest.mark.parametrize("name", policies.read_profiles())
def test_shipped_profiles_are_valid(name: str) -> None:
    profiles = policies.read_profiles()
    rules = policies.read_catalogue()
    body = profiles[name]
    assert find_faults(body, "profile") == []
    assert policies.find_rule_faults(body, rules) == []
    found = policies.build_payload(
        site_of({})._replace(policies={"p": {"profile": name}}, rules=rules, profiles=profiles), TODAY
    )
    (policy,) = found["policies"].values()
    assert {said["from"] for said in policy["rules"].values()} >= {f"profile {name}"}
    mapped = {rule for each in body.get("mapping", {}).values() for rule in each.get("rules", [])}
    mapped |= {rule for numbers in body.get("controls", {}).values() for rule in numbers}
    assert mapped - set(policy["rules"]) == set()


@pytest.mark.parametrize("name", policies.read_profiles())
def test_what_proves_only_intent_is_asked_of_what_runs_too(name: str) -> None:
    rules = policies.read_catalogue()
    asked = policies.hardening_of(name, {})
    for rule in asked:
        twin = rules[rule].twin
        assert not twin or twin in asked, rule
        if twin and rules[twin].setting == rules[rule].setting:
            assert asked[twin] == asked[rule]


def test_each_profile_tightens_the_one_before() -> None:
    profiles = policies.read_profiles()
    rules = policies.read_catalogue()
    for name, body in profiles.items():
        if "extends" in body:
            given = {"wide": {"profile": body["extends"]}, "narrow": {"profile": name, "groups": ["web"]}}
            policies.read_policies(site_of({"policies": given})._replace(rules=rules, profiles=profiles))


def test_every_recommendation_of_anssi_is_accounted_for() -> None:
    mapping = policies.read_profiles()["anssi-bp-028"]["mapping"]
    assert list(mapping) == [f"R{number}" for number in range(1, 81)]
    for number, body in mapping.items():
        assert body["state"] not in ("covered", "partly") or body.get("rules"), number
        assert body["state"] in ("covered", "organisation") or body.get("note"), number


def test_the_catalogue_and_the_mapping_agree() -> None:
    mapping = policies.read_profiles()["anssi-bp-028"]["mapping"]
    for name, rule in policies.read_catalogue().items():
        claimed = set(rule.controls.get("ANSSI BP-028", ()))
        assert claimed <= {number for number, body in mapping.items() if name in body.get("rules", [])}, name


def test_the_page_tells_every_rule_as_it_is() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    told = {row[0].strip("`"): (row[1], row[3]) for row in rows if len(row) > 3}
    assert told == {name: (rule.title, rule.severity) for name, rule in policies.read_catalogue().items()}


def test_the_page_tells_what_becomes_of_every_recommendation() -> None:
    states = {"covered", "partly", "design", "moot", "host", "organisation", "open"}
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    told = {number: row[0] for row in rows if row[0] in states for number in row[2].split()}
    mapping = policies.read_profiles()["anssi-bp-028"]["mapping"]
    assert told == {number: body["state"] for number, body in mapping.items()}


@pytest.mark.parametrize("text", re.findall(r"^```yaml policy\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
def test_examples_of_the_page_are_good_policies(text: str) -> None:
    given = yaml.safe_load(text)
    site = site_of({"policies": given["lockdown_policies"], "waivers": given["lockdown_waivers"]})
    site = site._replace(rules=policies.read_catalogue(), profiles=policies.read_profiles())
    assert policies.build_payload(site, TODAY)["orphans"] == []
