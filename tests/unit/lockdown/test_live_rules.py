"""What rules say of what runs: every attack is told by its rule, and what is as declared has no fault."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import live_rules
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Facts, Fault, Moot, Unknown

RULES = {rule.name: rule for rule in live_rules.RULES}
MANIFESTS = {"app": {"name": "shop", "ports": [{"port": 80}, {"port": 53, "protocol": "udp"}]}}
VALUES: dict[str, t.Any] = {
    "effective-sysctls": {"net.ipv4.ip_forward": 0, "net.ipv4.conf.all.rp_filter": 1},
}


def match(left: dict[str, t.Any], right: t.Any, operator: str = "==") -> dict[str, t.Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def opens(protocol: str, *ports: int) -> dict[str, t.Any]:
    left = {"payload": {"protocol": protocol, "field": "dport"}}
    return {
        "rule": {"family": "inet", "table": "own", "chain": "in", "expr": [match(left, list(ports)), {"accept": None}]}
    }


def listening(protocol: str, port: int, process: str, unit: str) -> dict[str, t.Any]:
    return {"protocol": protocol, "address": "0.0.0.0", "port": port, "process": process, "unit": unit}


CHAIN = {"chain": {"family": "inet", "table": "own", "name": "in", "type": "filter", "hook": "input", "policy": "drop"}}
INIT = {
    "name": "systemd",
    "unit": "init.scope",
    "uids": [100000],
    "seccomp": 2,
    "bounding": 0b0111,
    "user": "user:[1]",
    "node": [],
}
CLEAN: dict[str, t.Any] = {
    "stopped": False,
    "sockets": [
        listening("tcp", 80, "nginx", "nginx.service"),
        listening("udp", 53, "named", "named.service"),
        listening("udp", 68, "systemd-network", "systemd-networkd.service"),
        listening("udp", 546, "systemd-network", "systemd-networkd.service"),
    ],
    "processes": [INIT, {**INIT, "name": "nginx", "unit": "nginx.service", "uids": [100033], "bounding": 0b0011}],
    "map": [[0, 100000, 65536]],
    "units": [],
    "ruleset": [CHAIN, opens("tcp", 80), opens("udp", 53)],
    "sysctls": {
        "net.ipv4.ip_forward": "0",
        "net.ipv4.conf.all.rp_filter": "1",
        "net.ipv4.conf.default.rp_filter": "2",
        "net.ipv4.conf.eth0.rp_filter": "1",
        "net.ipv4.conf.eth0.accept_local": "7",
    },
    "drift": [],
}


def check(name: str, **changes: t.Any) -> list[Fault]:
    live = {**copy.deepcopy(CLEAN), **changes}
    return list(RULES[name].check(Facts("web1", manifests=MANIFESTS, live=live), VALUES.get(name, True)))


def more(part: str, each: t.Any) -> dict[str, t.Any]:
    return {part: [*CLEAN[part], each]}


@pytest.mark.parametrize("name", RULES)
def test_what_is_as_declared_has_no_fault(name: str) -> None:
    assert check(name) == []


# Which rule, what runs, and what the fault names and says.
ATTACKS: list[tuple[str, dict[str, t.Any], str, str]] = [
    ("listening-ports", more("sockets", listening("tcp", 4444, "nc", "evil.service")), "4444/tcp", "nc (evil.service)"),
    ("listening-ports", more("sockets", listening("udp", 80, "nginx", "nginx.service")), "80/udp", "nginx"),
    ("listening-ports", more("sockets", listening("udp", 68, "nc", "evil.service")), "68/udp", "nc"),
    (
        "listening-ports",
        more("sockets", listening("tcp", 68, "systemd-network", "systemd-networkd.service")),
        "68/tcp",
        "",
    ),
    (
        "listening-ports",
        more("sockets", listening("tcp", 5355, "systemd-resolve", "systemd-resolved.service")),
        "5355/tcp",
        "",
    ),
    ("listening-ports", more("sockets", listening("tcp", 1, "", "")), "1/tcp", "by somebody"),
    ("loaded-firewall", {"ruleset": []}, "the packet filter", "not loaded"),
    ("loaded-firewall", more("ruleset", opens("tcp", 22)), "22/tcp", "let in"),
    ("loaded-firewall", {"ruleset": [CHAIN, opens("tcp", 80)]}, "53/udp", "not let in"),
    ("effective-sysctls", {"sysctls": {**CLEAN["sysctls"], "net.ipv4.ip_forward": "1"}}, "net.ipv4.ip_forward", "1"),
    (
        "effective-sysctls",
        {"sysctls": {**CLEAN["sysctls"], "net.ipv4.conf.eth0.rp_filter": "0"}},
        "net.ipv4.conf.eth0.rp_filter",
        "0",
    ),
    ("process-privileges", {"map": [[0, 0, 4294967295]]}, "user id 0", "root of the node"),
    ("process-privileges", more("processes", {**INIT, "uids": [0]}), "systemd (init.scope)", "user id 0"),
    ("process-privileges", more("processes", {**INIT, "seccomp": 0}), "systemd (init.scope)", "not filtered"),
    ("process-privileges", more("processes", {**INIT, "node": ["net", "pid"]}), "systemd (init.scope)", "net, pid"),
    (
        "process-privileges",
        more("processes", {**INIT, "bounding": 0b1000}),
        "systemd (init.scope)",
        "more capabilities",
    ),
    ("runtime-units", {"units": ["/run/systemd/system/evil.service"]}, "/run/systemd/system/evil.service", ""),
]


@pytest.mark.parametrize(("name", "changes", "what", "words"), ATTACKS)
def test_an_attack_is_told(name: str, changes: dict[str, t.Any], what: str, words: str) -> None:
    faults = check(name, **changes)
    assert [fault.what for fault in faults][-1:] == [what]
    assert words in faults[-1].found


def test_a_service_may_have_a_user_namespace_of_its_own() -> None:
    assert check("process-privileges", **more("processes", {**INIT, "user": "user:[2]", "bounding": 0b1111})) == []


def test_a_setting_that_is_not_there_is_a_fault() -> None:
    assert [fault.what for fault in check("effective-sysctls", sysctls={})] == [*VALUES["effective-sysctls"]]


def test_content_and_composition_are_told_apart() -> None:
    device = {"what": "device", "where": "evil", "sentence": "the device was added"}
    layer = {"what": "layer", "where": "base/debian:/usr/bin/ls", "sentence": "it was written to"}
    assert [fault.what for fault in check("content-intact", drift=[device, layer])] == [layer["where"]]
    assert [fault.what for fault in check("as-composed", drift=[device, layer])] == ["evil"]


LIVE = [name for name in RULES if name not in ("content-intact", "as-composed")]


@pytest.mark.parametrize("name", LIVE)
def test_of_what_does_not_run_nothing_can_be_said(name: str) -> None:
    with pytest.raises(Moot):
        list(
            RULES[name].check(
                Facts("web1", manifests=MANIFESTS, live={"stopped": True, "drift": []}), VALUES.get(name, True)
            )
        )


@pytest.mark.parametrize("name", RULES)
def test_what_was_not_looked_at_is_unknown(name: str) -> None:
    with pytest.raises(Unknown):
        list(RULES[name].check(Facts("web1", manifests=MANIFESTS), VALUES.get(name, True)))


@pytest.mark.parametrize("name", LIVE)
def test_what_cannot_be_told_is_unknown_with_the_reason(name: str) -> None:
    parts = {
        part: {"unknown": "it is hidden"} for part in ("sockets", "processes", "map", "units", "ruleset", "sysctls")
    }
    with pytest.raises(Unknown, match="it is hidden"):
        check(name, **parts)
