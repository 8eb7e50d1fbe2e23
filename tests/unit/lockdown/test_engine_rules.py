"""Rules of the engine: an instance as Strata makes it passes them all; each thing done by hand fails its rule, exactly.

What is done by hand is written as changes of the instance (``config``, ``devices``, ``profiles``) or of the node.
"""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import instance
from ansible_collections.strata.fleet.plugins.module_utils.engine_setup import PROJECT_CONFIG
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import engine_rules, model, network_acl
from ansible_collections.strata.fleet.plugins.module_utils.model import (
    RUNNING,
    Appliance,
    Composition,
    Layer,
    Nic,
    Published,
    Volume,
)

RULES = {rule.name: rule for rule in engine_rules.RULES}
OF_THE_NODE = ("restricted-project", "unknown-instances", "engine-listening")
VALUES: dict[str, t.Any] = {
    "denied-syscalls": ["bpf", "keyctl"],
    "device-types": ["disk", "nic", "proxy"],
}
APPLIANCE = Appliance(
    name="web1",
    state=RUNNING,
    composition=Composition(Layer("debian-13", "13.1", "bb"), Layer("nginx", "1-1", "aa"), "cc"),
    nics=(Nic("strata0", "10.87.0.11"),),
    volumes=(Volume("var", "/var", 1000),),
    published=(Published("0.0.0.0", 8080, 80, "tcp"),),
    memory=2**28,
)
MANIFESTS = {"app": {"ports": [{"port": 80}, {"port": 53, "protocol": "udp"}]}}
OPENINGS = [
    network_acl.Opening("web1", "strata0", "10.87.0.11", ("80/tcp", "53/udp")),
    network_acl.Opening("db1", "strata0", "10.87.0.21", ("5432/tcp",)),
    network_acl.Opening("lab1", "strata0", "", ("9000/tcp",)),
]
GIVEN = object()  # as above
MAP = '[{"Isuid":true,"Isgid":true,"Hostid":1065536,"Nsid":0,"Maprange":65536}]'


def build_instance() -> dict[str, t.Any]:
    config = {**instance.instance_config(APPLIANCE), "volatile.idmap.current": MAP}
    devices = instance.instance_devices(APPLIANCE, "/store", "strata")
    body = {"name": "web1", "status": "Running", "config": config, "devices": devices, "profiles": []}
    return copy.deepcopy({**body, "expanded_config": config, "expanded_devices": devices})


def build_node() -> dict[str, t.Any]:
    network = {
        network_acl.MANAGED: "true",
        "ipv4.address": "10.87.0.1/24",
        **network_acl.network_keys("strata0"),
    }
    acl = network_acl.build_rules("10.87.0.1/24", OPENINGS)
    # As the engine gives them: empty fields, too.
    acl = {way: [{"source": "", "icmp_type": "", **rule} for rule in rules] for way, rules in acl.items()}
    return copy.deepcopy(
        {
            "project": dict(PROJECT_CONFIG),
            "networks": {"strata0": {"name": "strata0", "managed": True, "config": network}},
            "acls": {"strata-strata0": {"name": "strata-strata0", **acl}},
            "server": {},
            "instances": ["db1", "lab1", "web1"],
            "strangers": [],
            "neighbours": [("strata0", "far1", "10.87.0.91")],
            "idmaps": {"db1": "131072", "web1": "65536"},
            "store": "/store",
            "pool": "strata",
            "limits_enforced": True,
            "bridge_filtering": True,
        }
    )


def change(place: dict[str, t.Any], changes: t.Mapping[str, t.Any]) -> None:
    """Set what ``changes`` say, deeply; None removes."""
    for key, value in changes.items():
        if value is None:
            del place[key]
        elif isinstance(value, dict) and isinstance(place.get(key), dict):
            change(place[key], value)
        else:
            place[key] = value


def check(rule: str, body: t.Any = None, node: t.Any = None, manifests: t.Any = GIVEN) -> list[tuple[str, str]]:
    """Return what a rule finds, and how, after changes of instance and node."""
    present, here = build_instance(), build_node()
    changes = dict(body or {})
    for part in ("config", "devices"):
        change(present[f"expanded_{part}"], changes.get(part, {}))
    change(present, {key: value for key, value in changes.items() if key not in ("config", "devices")})
    change(here, node or {})
    facts = model.Facts("web1", node=here, instance=present, manifests=MANIFESTS if manifests is GIVEN else manifests)
    return [(fault.what, fault.found) for fault in RULES[rule].check(facts, VALUES.get(rule, True))]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_what_strata_makes_passes(rule: str) -> None:
    assert check(rule) == []


@pytest.mark.parametrize("rule", sorted(RULES))
def test_what_was_not_looked_at_is_unknown(rule: str) -> None:
    with pytest.raises(model.Unknown):
        list(RULES[rule].check(model.Facts("web1"), VALUES.get(rule, True)))


CARD = {"type": "nic", "network": "strata0", "name": "eth0", "ipv4.address": "10.87.0.11"}
FAULTS: list[tuple[str, dict[str, t.Any], list[tuple[str, str]]]] = [
    ("unprivileged", {"config": {"security.privileged": "true"}}, [("security.privileged", "'true'")]),
    ("unprivileged", {"config": {"security.privileged": "1"}}, [("security.privileged", "'1'")]),
    (
        "unprivileged",
        {"config": {"volatile.idmap.current": '[{"Hostid":0,"Nsid":0,"Maprange":65536}]'}},
        [("volatile.idmap.current", "a map that holds the node's root")],
    ),
    (
        "unprivileged",
        {"config": {"volatile.idmap.current": "[]"}},
        [("volatile.idmap.current", "empty while it runs, so its root is the node's")],
    ),
    ("no-nesting", {"config": {"security.nesting": "true"}}, [("security.nesting", "'true'")]),
    (
        "isolated-idmap",
        {"config": {"security.idmap.isolated": None}},
        [("security.idmap.isolated", "not set, which means false")],
    ),
    ("isolated-idmap", {"config": {"security.idmap.base": "1000"}}, [("security.idmap.base", "'1000'")]),
    (
        "isolated-idmap",
        {"config": {"security.privileged": "true"}},
        [("security.privileged", "'true', with no map at all")],
    ),
    ("no-guest-api", {"config": {"security.guestapi": None}}, [("security.guestapi", "not set, which means true")]),
    ("no-guest-api", {"config": {"security.guestapi": "true"}}, [("security.guestapi", "'true'")]),
    (
        "denied-syscalls",
        {"config": {"security.syscalls.deny": "keyctl errno 38\n# bpf errno 38"}},
        [("security.syscalls.deny", "without bpf")],
    ),
    (
        "denied-syscalls",
        {"config": {"security.syscalls.deny": None}},
        [("security.syscalls.deny", "without bpf"), ("security.syscalls.deny", "without keyctl")],
    ),
    (
        "denied-syscalls",
        {"config": {"security.syscalls.deny_default": "false"}},
        [("security.syscalls.deny_default", "'false'")],
    ),
    ("no-raw-keys", {"config": {"raw.lxc": "lxc.cap.drop ="}}, [("raw.lxc", "set")]),
    ("no-raw-keys", {"config": {"raw.idmap": "both 0 0"}}, [("raw.idmap", "set")]),
    (
        "no-host-keys",
        {"config": {"linux.kernel_modules": "nbd", "security.syscalls.intercept.mount": "true"}},
        [("linux.kernel_modules", "'nbd'"), ("security.syscalls.intercept.mount", "'true'")],
    ),
    ("no-host-keys", {"config": {"security.syscalls.intercept.mount": "false"}}, []),
    (
        "host-paths",
        {"devices": {"host": {"type": "disk", "source": "/", "path": "/host"}}},
        [("host", "the node's /")],
    ),
    (
        "host-paths",
        {"devices": {"x": {"type": "disk", "source": "/store/layers/../../etc", "path": "/x", "readonly": "true"}}},
        [("x", "the node's /store/layers/../../etc")],
    ),
    (
        "host-paths",
        {"devices": {"x": {"type": "disk", "source": "/store/config/db1/dd", "path": "/x", "readonly": "true"}}},
        [("x", "the node's /store/config/db1/dd")],
    ),
    (
        "host-paths",
        {"devices": {"base-usr": {"readonly": None}}},
        [("base-usr", "/store/layers/bb/usr, writable")],
    ),
    (
        "host-paths",
        {"devices": {"x": {"type": "disk", "pool": "strata", "source": "db1.var", "path": "/x"}}},
        [("x", "state volume db1.var")],
    ),
    ("host-paths", {"devices": {"x": {"type": "disk", "pool": "other", "path": "/x"}}}, [("x", "in pool other")]),
    ("no-profiles", {"profiles": ["default"]}, [("profiles.default", "in use")]),
    ("device-types", {"devices": {"gpu0": {"type": "gpu"}}}, [("gpu0", "a device of type gpu")]),
    (
        "device-types",
        {"devices": {"kmsg": {"type": "unix-char", "source": "/dev/kmsg"}}},
        [("kmsg", "a device of type unix-char")],
    ),
    ("memory-limit", {"config": {"limits.memory": None}}, [("limits.memory", "not set")]),
    (
        "address-filtering",
        {"devices": {"eth0": {"security.ipv4_filtering": "false", "security.mac_filtering": None}}},
        [("eth0.security.mac_filtering", "not set"), ("eth0.security.ipv4_filtering", "'false'")],
    ),
    (
        "address-filtering",
        {"devices": {"eth1": {"type": "nic", "nictype": "macvlan", "parent": "eth0"}}},
        [
            ("eth1.security.mac_filtering", "not set"),
            ("eth1.security.ipv4_filtering", "not set"),
            ("eth1.security.ipv6_filtering", "not set"),
        ],
    ),
    (
        "network-acl",
        {"devices": {"eth1": {"type": "nic", "nictype": "macvlan", "parent": "enp1s0"}}},
        [("eth1.network", "enp1s0, which the engine does not manage")],
    ),
]


@pytest.mark.parametrize(("rule", "changes", "found"), FAULTS)
def test_what_was_done_by_hand_is_found(rule: str, changes: dict[str, t.Any], found: list[tuple[str, str]]) -> None:
    assert check(rule, changes) == found


def test_every_rule_of_an_instance_has_a_case() -> None:
    assert {rule for rule, _changes, _found in FAULTS} == RULES.keys() - set(OF_THE_NODE)


IN_FORCE = {"security.acls": "open", "security.acls.default.ingress.action": None}
ON_NODE: list[tuple[str, dict[str, t.Any], list[tuple[str, str]]]] = [
    (
        "network-acl",
        {"networks": {"strata0": {"config": IN_FORCE}}},
        [
            ("networks.strata0.security.acls", "'open'"),
            ("networks.strata0.security.acls.default.ingress.action", "not set"),
        ],
    ),
    (
        "network-acl",
        {"bridge_filtering": False},
        [("networks.strata0 between appliances", "not filtered: the kernel has no bridge netfilter")],
    ),
    (
        "restricted-project",
        {"project": {"restricted": "false", "restricted.containers.lowlevel": "allow"}},
        [("restricted", "'false'"), ("restricted.containers.lowlevel", "'allow'")],
    ),
    (
        "restricted-project",
        {"project": {"restricted.containers.nesting": None}},
        [("restricted.containers.nesting", "not set")],
    ),
    ("unknown-instances", {"strangers": ["miner"]}, [("miner", "an instance that Strata did not make")]),
    (
        "engine-listening",
        {"server": {"core.https_address": ":8443", "core.bgp_address": ""}},
        [("core.https_address", "':8443'")],
    ),
]


def test_two_appliances_with_one_map_of_ids_are_found() -> None:
    maps = {"idmaps": {"db1": "65536", "web1": "65536", "lab1": ""}}
    assert check("isolated-idmap", node=maps) == [("volatile.idmap.base", "that of db1, too")]


@pytest.mark.parametrize(("rule", "changes", "found"), ON_NODE)
def test_what_is_wrong_with_the_node_is_found(
    rule: str, changes: dict[str, t.Any], found: list[tuple[str, str]]
) -> None:
    assert check(rule, node=changes) == found


def test_a_missing_list_is_told_once() -> None:
    assert check("network-acl", node={"acls": {"strata-strata0": None}}) == [("acls.strata-strata0", "absent")]


@pytest.mark.parametrize(
    ("way", "added", "is_found"),
    [
        (
            "ingress",
            {"destination": "10.87.0.11", "protocol": "tcp", "destination_port": "22", "description": ""},
            True,
        ),
        ("ingress", {"destination": "10.87.0.11", "protocol": "tcp", "description": "db1"}, True),
        ("ingress", {"protocol": "tcp", "destination_port": "22", "description": "web1"}, True),
        ("ingress", {"description": "miner"}, True),
        ("ingress", {"description": "gone"}, True),
        ("ingress", {"destination": "10.87.0.21", "destination_port": "1", "description": "db1"}, False),
        ("ingress", {"destination": "10.87.0.91", "destination_port": "1", "description": "far1"}, False),
        ("ingress", {"destination": "10.87.0.92", "destination_port": "1", "description": "far1"}, True),
        ("ingress", {"destination": "10.87.0.11", "destination_port": "1", "description": "far1"}, True),
        ("egress", {"destination": "10.87.0.0/24", "description": "more"}, True),
    ],
)
def test_what_was_added_to_a_list(way: str, added: dict[str, str], is_found: bool) -> None:
    rules = build_node()["acls"]["strata-strata0"][way]
    changed = {way: [*rules, {"action": "allow", "state": "enabled", **added}]}
    node = {"acls": {"strata-strata0": changed}, "strangers": ["miner"], "instances": ["db1", "lab1", "web1", "miner"]}
    found = check("network-acl", node=node)
    assert [what for what, _found in found] == ([f"acls.strata-strata0.{way}"] if is_found else [])


def test_ports_are_not_judged_without_the_apps_word() -> None:
    with pytest.raises(model.Unknown, match="manifest"):
        check("network-acl", manifests=None)


def test_without_network_cards_their_rules_are_moot() -> None:
    for rule in ("address-filtering", "network-acl"):
        with pytest.raises(model.Moot):
            check(rule, {"devices": {"eth0": None}})


def test_a_limit_that_the_node_does_not_enforce_is_not_called_a_pass() -> None:
    with pytest.raises(model.Moot, match="enforces no limits"):
        check("memory-limit", node={"limits_enforced": False})
    assert check("memory-limit", {"config": {"limits.memory": None}}, {"limits_enforced": False})


def test_a_damaged_map_is_unknown() -> None:
    with pytest.raises(model.Unknown):
        check("unprivileged", {"config": {"volatile.idmap.current": "nonsense"}})


def test_an_instance_that_never_ran_has_no_map_yet() -> None:
    assert check("unprivileged", {"status": "Stopped", "config": {"volatile.idmap.current": None}}) == []


@pytest.mark.parametrize(
    ("text", "is_denied"),
    [
        ("bpf", True),
        ("bpf errno 38", True),
        ("[all]\nbpf errno 38", True),
        ("bpf allow", False),
        ("bpf errno 38 [0,1,SCMP_CMP_EQ]", False),
        ("[arm64]\nbpf errno 38", False),
        ("# bpf", False),
    ],
)
def test_a_system_call_counts_as_denied_only_where_it_always_is(text: str, is_denied: bool) -> None:
    keys = {"security.syscalls.deny": text}
    faults = list(RULES["denied-syscalls"].check(model.Facts("web1", instance={"config": keys}), ["bpf"]))
    assert bool(faults) is not is_denied
