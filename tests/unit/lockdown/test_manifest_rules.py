"""What is decided by what versions say of themselves, and by who signed them."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import manifest_rules
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Facts, Moot, Unknown
from ansible_collections.strata.fleet.tests.unit.lockdown.plots import MANIFESTS, find

OLD, KEY, SUBKEY = "B" * 40, "C" * 40, "D" * 40
VALUES: dict[str, t.Any] = {
    "allowed-bases": ["debian-*"],
    "allowed-os": ["debian 13"],
    "architectures": ["amd64"],
    "oldest-base": {"debian-13": "13.20261122.1", "debian-12": "12.20990101.1"},
    "base-age": 21,
    "base-signers": ["site"],
    "app-signers": ["example"],
    "countersigned-apps": ["site", "C" * 40],
    "revoked-keys": [OLD],
    "abi": True,
    "denied-packages": ["telnet*"],
    "required-packages": ["nftables", "shop"],
    "allowed-ports": ["443/tcp", "80-81/tcp"],
    "published-ports": ["8000-8999/tcp"],
    "volumes-sized": True,
}
GIVEN = object()  # as below
WANTED = {"published": [{"listen": 8080, "port": 80, "protocol": "tcp", "address": ""}], "volumes": {}}


def facts(change: t.Callable[[dict[str, t.Any]], t.Any] | None = None, wanted: t.Any = GIVEN) -> Facts:
    manifests = copy.deepcopy(MANIFESTS)
    if change:
        change(manifests)
    return Facts("shop1", manifests=manifests, wanted=WANTED if wanted is GIVEN else wanted)


@pytest.mark.parametrize("rule", [rule.name for rule in manifest_rules.RULES])
def test_a_clean_appliance_has_no_fault(rule: str) -> None:
    assert find(facts(), rule, VALUES[rule]) == []


@pytest.mark.parametrize("rule", [rule.name for rule in manifest_rules.RULES])
@pytest.mark.parametrize("manifests", [None, {}])
def test_nothing_is_decided_without_manifests(rule: str, manifests: t.Any) -> None:
    with pytest.raises(Unknown):
        find(Facts("shop1", manifests=manifests), rule, VALUES[rule])


FAULTS: list[tuple[str, t.Any, str, str, str]] = [
    ("allowed-bases", ["fedora-*"], "base debian-13", "the base", "base"),
    ("allowed-os", ["debian 12"], "debian 13", "the system", "base"),
    ("architectures", ["arm64"], "amd64", "the architecture of base debian-13", "base"),
    ("oldest-base", {"debian-*": "13.20261122.2"}, "base debian-13", "version 13.20261122.1", "base"),
    ("base-age", 20, "base debian-13 13.20261122.1", "21 days old (built 2026-11-01)", "base"),
    ("base-signers", ["example"], "base debian-13 13.20261122.1", "signed by site", "base"),
    ("base-signers", ["s"], "base debian-13 13.20261122.1", "signed by site", "base"),
    ("app-signers", ["other"], "app shop 1.0-1", "signed by example, site", "app"),
    ("countersigned-apps", ["site", "audit"], "app shop 1.0-1", "signed by example, site", "app"),
    ("revoked-keys", [KEY], "app shop 1.0-1", f"signed with the revoked key {KEY}", "app"),
    ("revoked-keys", [SUBKEY.lower()], "app shop 1.0-1", f"signed with the revoked key {SUBKEY}", "app"),
    ("denied-packages", ["lib*"], "libc6", "in base debian-13 (version 2.41-12)", "base"),
    ("denied-packages", ["shop"], "shop", "in app shop (version 1.0)", "app"),
    ("required-packages", ["nftables", "aide"], "aide", "in no layer", "base"),
    ("allowed-ports", ["80/udp", "8000-9000/tcp"], "80/tcp", "a port that the app must open", "app"),
    ("published-ports", [], "8080/tcp", "a port of the node that leads to port 80", ""),
]


@pytest.mark.parametrize(("rule", "value", "what", "found", "layer"), FAULTS)
def test_a_stricter_value_finds_it(rule: str, value: t.Any, what: str, found: str, layer: str) -> None:
    fault = find(facts(), rule, value)[0]
    assert (fault.what, fault.found, fault.layer) == (what, found, layer)


@pytest.mark.parametrize(
    ("rule", "change", "what", "found"),
    [
        ("abi", lambda each: each["app"].update(abi="debian-12"), "app shop 1.0-1", "built for debian-12"),
        ("volumes-sized", lambda each: each["app"]["volumes"][0].pop("size"), "volume var", "as large as the pool"),
        (
            "base-signers",
            lambda each: each["base"].update(signers=[]),
            "base debian-13 13.20261122.1",
            "signed by nobody who is known here",
        ),
    ],
)
def test_another_manifest_is_found(rule: str, change: t.Any, what: str, found: str) -> None:
    (fault,) = find(facts(change), rule, VALUES[rule])
    assert (fault.what, fault.found) == (what, found)


def test_every_rule_has_a_fault() -> None:
    assert {rule for rule, *_rest in FAULTS} | {"abi", "volumes-sized"} == {rule.name for rule in manifest_rules.RULES}


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("base-age", lambda each: each["base"].update(age=None)),
        ("base-age", lambda each: each["base"].update(age=-9)),
        ("base-signers", lambda each: each["base"].pop("signers")),
        ("revoked-keys", lambda each: each["app"].pop("signers")),
        ("countersigned-apps", lambda each: each["app"].pop("signers")),
    ],
)
def test_what_was_not_looked_at_is_unknown(rule: str, change: t.Any) -> None:
    with pytest.raises(Unknown):
        find(facts(change), rule, VALUES[rule])


def test_the_inventory_is_needed_for_published_ports() -> None:
    with pytest.raises(Unknown):
        find(facts(wanted=None), "published-ports", [])


@pytest.mark.parametrize("rule", ["allowed-ports", "abi", "app-signers", "countersigned-apps", "volumes-sized"])
def test_a_base_alone_has_no_app_to_judge(rule: str) -> None:
    with pytest.raises(Moot):
        find(Facts("", manifests={"base": MANIFESTS["base"]}), rule, VALUES[rule])


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("abi", lambda each: each["app"].update(abi="_any")),
        ("architectures", lambda each: each["app"].update(architecture="all")),
        ("oldest-base", lambda each: each["base"].update(name="debian-14", version="1.0")),
    ],
)
def test_what_fits_everywhere(rule: str, change: t.Any) -> None:
    assert find(facts(change), rule, VALUES[rule]) == []


def test_a_size_of_the_inventory_counts() -> None:
    changed = facts(lambda each: each["app"]["volumes"][0].pop("size"), {**WANTED, "volumes": {"var": 1}})
    assert find(changed, "volumes-sized", True) == []


def test_an_app_without_state_has_no_volume_to_size() -> None:
    with pytest.raises(Moot):
        find(facts(lambda each: each["app"].update(volumes=[])), "volumes-sized", True)
