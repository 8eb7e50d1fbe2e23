"""What a feed of security updates means for an appliance: by rule, with an owner."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import feed_rules, feeds, judging
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Facts, Verdict
from ansible_collections.strata.fleet.plugins.plugin_utils import feed_verdicts

Data = dict[str, t.Any]
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
RULES = {rule.name: rule for rule in feed_rules.RULES}
VALUES = {"security-updates": 7, "feed-fresh": True, "feed-covers": True}
POLICY: Data = {
    "digest": "d",
    "names": ["site"],
    "mode": "enforce",
    "rules": {name: {"value": value, "severity": "high"} for name, value in VALUES.items()},
    "actions": {"high": "refuse"},
}
GIVEN = object()  # as below
FEED: Data = {
    "format": 1,
    "suite": "trixie",
    "abi": "debian-13",
    "date": "2026-11-21T00:53:03Z",
    "valid_until": "2026-11-28T00:53:03Z",
    "packages": {
        "libssl3t64": {"version": "3-3", "security": "3-3", "source": "openssl"},
        "openssl": {"version": "3-3", "security": "3-3"},
        "libpq5": {"version": "17-2", "security": "17-2"},
        "tzdata": {"version": "2"},
    },
    "sources": {
        "openssl": {
            "version": "3-3",
            "entries": [
                {"version": "3-3", "date": "2026-11-20", "suite": "trixie-security", "cves": ["CVE-2026-3333"]},
                {
                    "version": "3-2",
                    "date": "2026-10-23",
                    "suite": "trixie-security",
                    "cves": [f"CVE-2026-{number}" for number in range(2001, 2007)],
                },
            ],
        },
        "libpq5": {
            "version": "17-2",
            "entries": [{"version": "17-2", "date": "2026-11-11", "suite": "trixie-security", "cves": []}],
        },
        "tzdata": {"version": "2", "entries": [{"version": "2", "date": "2026-01-01", "suite": "trixie", "cves": []}]},
    },
}
GOOD = {"libssl3t64": "3-3", "openssl": "3-3", "tzdata": "2"}


def manifests(base: dict[str, str], app: dict[str, str] | None = None) -> dict[str, Data]:
    return {
        "base": {"commit": "b", "name": "deb", "abi": "debian-13", "packages": base},
        "app": {"commit": "a", "name": "db", "vendor": "Example Ltd", "abi": "debian-13", "packages": app or {}},
    }


def verdict(name: str, versions: dict[str, Data], given: t.Any = GIVEN, **feed: t.Any) -> Verdict:
    given = FEED if given is GIVEN else given
    told = feeds.pending({**given, **feed}, versions, NOW) if given is not None and "format" in given else given
    facts = Facts("web1", manifests=versions, feed=told)
    return judging.decide(facts, RULES[name], judging.Court(POLICY, [], {"web1"}, "2026-11-22"))


def test_nothing_is_pending() -> None:
    for name in RULES:
        assert verdict(name, manifests(GOOD)).status == "pass"


def test_an_update_that_is_young_enough() -> None:
    assert verdict("security-updates", manifests({**GOOD, "openssl": "3-2"})).status == "pass"


def test_updates_of_a_point_release_are_none_of_security() -> None:
    assert verdict("security-updates", manifests({**GOOD, "tzdata": "1"})).status == "pass"


def test_the_base_lacks_some() -> None:
    found = verdict("security-updates", manifests({**GOOD, "openssl": "3-1", "libssl3t64": "3-1"}))
    assert (found.status, found.owners) == ("fail", ("IT",))
    sentences = judging.explain(found, RULES["security-updates"], POLICY)
    assert sentences[0].startswith(
        "Appliance web1: libssl3t64 is 3-1 and 30 days without the security update 3-3 (CVE-2026-2001, CVE-2026-2002, "
        "CVE-2026-2003, CVE-2026-2004 and 3 more); building base deb anew mends all 2, and rule security-updates of "
        "policy site allows 7 days without a security update."
    )


def test_the_app_lacks_one() -> None:
    found = verdict("security-updates", manifests(GOOD, {"libpq5": "17-1"}))
    assert (found.status, found.owners) == ("fail", ("Example Ltd",))
    assert found.faults[0].found == "17-1 and 11 days without the security update 17-2"


def test_both_lack_some() -> None:
    found = verdict("security-updates", manifests({**GOOD, "openssl": "3-1"}, {"libpq5": "17-1"}))
    assert [(fault.what, fault.layer) for fault in found.faults] == [("openssl", "base"), ("libpq5", "app")]
    assert found.owners == ("Example Ltd", "IT")
    assert "anew" not in found.faults[0].found


def test_how_long_is_not_known() -> None:
    found = verdict("security-updates", manifests({**GOOD, "openssl": "3-1"}), sources={})
    assert found.status == "fail"
    assert "of which no changelog tells" in found.faults[0].found


@pytest.mark.parametrize("date", ["2026-11-14T00:00:00Z", "2026-10-14T00:00:00Z"])
def test_a_stale_feed_decides_nothing(date: str) -> None:
    versions = manifests(GOOD)
    found = verdict("security-updates", versions, date=date, valid_until="")
    assert found.status == "unknown"
    assert date in found.reason
    assert verdict("feed-fresh", versions, date=date, valid_until="").status == "fail"


@pytest.mark.parametrize("given", [None, {"problem": "no feed tells of its suite"}])
def test_without_a_feed_nothing_is_known(given: Data | None) -> None:
    for name in RULES:
        found = verdict(name, manifests(GOOD), given)
        assert found.status == "unknown"
        assert "playbooks/security_feed.yml" in judging.explain(found, RULES["security-updates"], POLICY)[0]


def test_packages_from_elsewhere_have_an_owner() -> None:
    found = verdict("feed-covers", manifests(GOOD, {"acme": "1"}))
    assert (found.status, found.faults[0].what, found.owners) == ("fail", "acme", ("Example Ltd",))
    assert verdict("security-updates", manifests(GOOD, {"acme": "1"})).status == "pass"


# For a whole fleet

LOCKDOWN: Data = {
    "policies": {"d": POLICY},
    "waivers": [],
    "appliances": {"web1": {"policy": "d", "names": ["web1"]}},
    "today": "2026-11-22",
}


def fleet(text: str) -> dict[str, Data]:
    layers = {each["commit"]: each for each in manifests({**GOOD, "openssl": "3-1"}).values()}
    appliances = [{"name": name, "base": {"commit": "b"}, "app": {"commit": "a"}} for name in ("web1", "unruled")]
    found: dict[str, Data] = {
        "node1": {"verdicts": [], "appliances": appliances, "layers": layers},
        "node2": {"msg": "no answer"},
    }
    return t.cast("dict[str, Data]", feed_verdicts.add_verdicts(found, LOCKDOWN, [{"text": text}], NOW))


def test_verdicts_for_a_fleet() -> None:
    after = fleet(json.dumps(FEED))
    said = [(each["appliance"], each["rule"], each["status"]) for each in after["node1"]["verdicts"]]
    assert said == [
        ("web1", "security-updates", "fail"),
        ("web1", "feed-fresh", "pass"),
        ("web1", "feed-covers", "pass"),
    ]
    assert after["node2"] == {"msg": "no answer"}


@pytest.mark.parametrize("text", ["", "{}", json.dumps({**FEED, "abi": "debian-12"})])
def test_feeds_that_cannot_be_used_leave_a_fleet_unknown(text: str) -> None:
    verdicts = fleet(text)["node1"]["verdicts"]
    assert {each["status"] for each in verdicts} == {"unknown"}
    assert "no feed of security updates tells of its suite" in verdicts[0]["reason"]
