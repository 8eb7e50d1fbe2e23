# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that the engine decides: keys and devices of instances, networks, project, and where the engine listens.

They look at what is in force, with whatever a profile adds (``expanded_config``, ``expanded_devices``).
"""

from __future__ import annotations

import fnmatch
import ipaddress
import json
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import instance
from ansible_collections.strata.fleet.plugins.module_utils.engine_setup import PROJECT_CONFIG
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import model, network_acl
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import (
    ALL,
    CRITICAL,
    ENGINE,
    HIGH,
    MEDIUM,
    ONLY,
    SWITCH,
    Data,
    Facts,
    Fault,
    Moot,
    Rule,
    Unknown,
)

# Keys by which an instance reaches into the kernel of the node.
HOST_KEYS = (
    "linux.kernel_modules*",
    "security.syscalls.allow",
    "security.syscalls.intercept.*",
)
DEPLOY = "Find out who did it, then deploy (playbooks/deploy.yml), which sets it right"
ENGINE_AGAIN = "Find out who did it, then run playbooks/engine.yml, which sets it right"


def _instance(facts: Facts) -> Data:
    if facts.instance is None:
        raise Unknown("the engine was not asked about the instance")
    return facts.instance


def _node(facts: Facts) -> Data:
    if facts.node is None:
        raise Unknown("the node was not looked at")
    return facts.node


def keys_of(body: Data) -> Data:
    """Return the keys in force."""
    return t.cast("Data", body.get("expanded_config") or body["config"])


def devices_of(body: Data) -> t.Mapping[str, Data]:
    """Return the devices in force."""
    return t.cast("t.Mapping[str, Data]", body.get("expanded_devices") or body["devices"])


def _is_on(value: str) -> bool:
    return value.lower() in ("true", "1", "yes", "on")


def _must_be(keys: Data, key: str, wanted: str, default: str) -> t.Iterator[Fault]:
    found = keys.get(key, "")
    if _is_on(found or default) != _is_on(wanted):
        yield Fault(key, repr(found) if found else f"not set, which means {default}", wanted)


def check_unprivileged(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Root inside is nobody on the node, by the key and by the map that the instance runs with."""
    body = _instance(facts)
    keys = keys_of(body)
    yield from _must_be(keys, "security.privileged", "false", "false")
    try:
        ranges = json.loads(keys.get("volatile.idmap.current") or "[]")
        spans = [(int(each["Hostid"]), int(each["Maprange"])) for each in ranges]
    except (ValueError, KeyError, TypeError) as error:
        raise Unknown(f"volatile.idmap.current is not a map of ids: {error}") from error
    if any(start == 0 and length > 0 for start, length in spans):
        yield Fault("volatile.idmap.current", "a map that holds the node's root", "ids of its own")
    # The key may have been taken back after the start: it counts at the next one.
    if not spans and body.get("status") in ("Running", "Frozen"):
        yield Fault("volatile.idmap.current", "empty while it runs, so its root is the node's", "ids of its own")


def check_no_nesting(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """No containers inside."""
    yield from _must_be(keys_of(_instance(facts)), "security.nesting", "false", "false")


def check_isolated_idmap(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """No two appliances share ids."""
    body = _instance(facts)
    keys = keys_of(body)
    if _is_on(keys.get("security.privileged", "")):
        yield Fault("security.privileged", "'true', with no map at all", "a map of its own")
        return
    yield from _must_be(keys, "security.idmap.isolated", "true", "false")
    if keys.get("security.idmap.base"):
        yield Fault("security.idmap.base", repr(keys["security.idmap.base"]), "no place chosen by hand")
    # Seen on a real node: the engine gave two instances, which were made at once, one map.
    maps = _node(facts)["idmaps"]
    own = maps.get(facts.appliance)
    for other in sorted(name for name, base in maps.items() if own and base == own and name != facts.appliance):
        yield Fault("volatile.idmap.base", f"that of {other}, too", "a map of its own")


def check_no_guest_api(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """No socket of the engine inside."""
    yield from _must_be(keys_of(_instance(facts)), "security.guestapi", "false", "true")


def check_denied_syscalls(facts: Facts, value: t.Sequence[str]) -> t.Iterator[Fault]:
    """All of these system calls are denied."""
    keys = keys_of(_instance(facts))
    denied = _denied(keys.get("security.syscalls.deny", ""))
    for name in value:
        if name not in denied:
            yield Fault("security.syscalls.deny", f"without {name}", f"{name} among what is denied")
    if keys.get("security.syscalls.deny_default", "true") != "true":
        yield Fault("security.syscalls.deny_default", "'false'", "the engine's own list in force")


def _denied(text: str) -> set[str]:
    """Return the calls that are denied on every architecture and whatever their arguments, by LXC's seccomp policy."""
    found, is_for_all = set(), True
    for words in (line.split("#")[0].split() for line in text.splitlines()):
        if words and words[0].startswith("["):
            is_for_all = words[0].lower() == "[all]"
        elif words and is_for_all and "allow" not in words and not any("[" in word for word in words):
            found.add(words[0])
    return found


def check_no_raw_keys(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Nothing is said behind the engine's back."""
    for key in sorted(keys_of(_instance(facts))):
        if key.startswith("raw."):
            yield Fault(key, "set", "no raw key: composition needs none")


def check_no_host_keys(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """No key has the node's kernel do something for the instance."""
    keys = keys_of(_instance(facts))
    for key in sorted(keys):
        is_off = key.startswith("security.syscalls.intercept.") and not _is_on(keys[key])
        if any(fnmatch.fnmatchcase(key, each) for each in HOST_KEYS) and not is_off:
            yield Fault(key, repr(keys[key]), "not set")


def check_host_paths(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Disk devices show the store's layers read-only, the appliance's own config and its own state, nothing else."""
    body, node = _instance(facts), _node(facts)
    own = {"name": body["name"], "store": str(node["store"]).rstrip("/"), "pool": node["pool"]}
    for device, keys in sorted(devices_of(body).items()):
        if keys.get("type") == "disk" and (found := _disk_fault(keys, own)):
            yield Fault(device, *found)


def _disk_fault(keys: Data, own: t.Mapping[str, str]) -> tuple[str, str] | None:
    source = keys.get("source", "")
    if "pool" in keys:
        if keys["pool"] != own["pool"]:
            return f"in pool {keys['pool']}", f"pool {own['pool']}"
        if source and not source.startswith(f"{own['name']}."):
            return f"state volume {source}", f"volumes of {own['name']} itself"
        return None
    folders = (f"{own['store']}/layers/", f"{own['store']}/config/{own['name']}/")
    if ".." in source.split("/") or not source.startswith(folders):
        return f"the node's {source or 'unnamed source'}", f"the store's layers and the config of {own['name']}"
    return None if _is_on(keys.get("readonly", "")) else (f"{source}, writable", "what the store holds, read-only")


def check_no_profiles(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """No profile adds to an instance."""
    for profile in _instance(facts).get("profiles") or ():
        yield Fault(f"profiles.{profile}", "in use", "none: Strata gives each instance all that it has")


def check_device_types(facts: Facts, value: t.Sequence[str]) -> t.Iterator[Fault]:
    """Only devices of these types."""
    for device, keys in sorted(devices_of(_instance(facts)).items()):
        kind = str(keys.get("type", ""))
        if not any(fnmatch.fnmatchcase(kind, pattern) for pattern in value):
            yield Fault(device, f"a device of type {kind or 'unknown'}", ", ".join(value) or "none")


def check_memory_limit(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """A limit is set; what a node does not enforce is said, as rule limits-enforced tells of the node."""
    body = _instance(facts)
    if not keys_of(body).get("limits.memory"):
        yield Fault("limits.memory", "not set", "a limit (appliance_memory)")
    elif facts.node is not None and facts.node.get("limits_enforced") is False:
        raise Moot("limits.memory is set, but this node enforces no limits: its engine has no cgroup controllers")


def check_address_filtering(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """No network card sends with addresses of others."""
    for device, keys in _cards(facts):
        for key in instance.FILTERS:
            if not _is_on(keys.get(key, "")):
                yield Fault(f"{device}.{key}", repr(keys[key]) if key in keys else "not set", "true")


def _cards(facts: Facts) -> list[tuple[str, Data]]:
    cards = [(name, keys) for name, keys in sorted(devices_of(_instance(facts)).items()) if keys.get("type") == "nic"]
    if not cards:
        raise Moot("it has no network card")
    return cards


def check_network_acl(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """The bridge lets others reach the appliance on the declared ports only."""
    node = _node(facts)
    for device, keys in _cards(facts):
        network = str(keys.get("network") or keys.get("parent") or "")
        found = node["networks"].get(network)
        if found is None or not found.get("managed", True):
            yield Fault(f"{device}.network", f"{network or 'none'}, which the engine does not manage", "a bridge of it")
            continue
        yield from _network_faults(facts, network, found["config"], keys)


def _network_faults(facts: Facts, network: str, config: Data, card: Data) -> t.Iterator[Fault]:
    node, where = _node(facts), f"networks.{network}"
    open_keys = {key: wanted for key, wanted in network_acl.network_keys(network).items() if config.get(key) != wanted}
    for key, wanted in open_keys.items():
        yield Fault(f"{where}.{key}", repr(config[key]) if key in config else "not set", wanted)
    acl = node["acls"].get(network_acl.acl_name(network))
    if acl is None:
        yield Fault(f"acls.{network_acl.acl_name(network)}", "absent", "the list of declared ports")
    elif not open_keys:
        yield from _acl_faults(facts, network, config, card)
    if node.get("bridge_filtering") is False:
        yield Fault(f"{where} between appliances", "not filtered: the kernel has no bridge netfilter", "filtered")


def _acl_faults(facts: Facts, network: str, config: Data, card: Data) -> t.Iterator[Fault]:
    app = (facts.manifests or {}).get(model.APP)
    if app is None:
        raise Unknown("the app's manifest, which declares its ports, was not read")
    name = network_acl.acl_name(network)
    rules = network_acl.normalise(_node(facts)["acls"][name])
    address = card.get("ipv4.address", "")
    opening = network_acl.Opening(facts.appliance, network, address, network_acl.declared_ports(app))
    expected = network_acl.build_rules(config["ipv4.address"], [opening])
    if rules[network_acl.EGRESS] != expected[network_acl.EGRESS]:
        yield Fault(f"acls.{name}.egress", "not what Strata set", "what lies outside, and the node")
    general = expected[network_acl.INGRESS]
    named = {str(each) for each in _node(facts)["instances"]} - {str(each) for each in _node(facts)["strangers"]}
    subnet = str(ipaddress.IPv4Interface(config["ipv4.address"]).network)
    theirs = network_acl.of_neighbours(rules[network_acl.INGRESS], network, subnet, _node(facts)["neighbours"])
    for rule in rules[network_acl.INGRESS]:
        # What names another appliance is that one's; what names nobody, or this one, must be as expected.
        is_named = rule in theirs or rule.get("description") in named - {facts.appliance}
        is_others = is_named and rule.get("destination") != address
        if not is_others and rule not in general:
            shown = " ".join(f"{key}={rule[key]}" for key in sorted(rule))
            yield Fault(f"acls.{name}.ingress", f"also {shown}", ", ".join(opening.ports) or "no port")


def check_restricted_project(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """The project refuses what can be refused by it."""
    project = _node(facts).get("project")
    if project is None:
        raise Unknown("the engine has no such project")
    for key, wanted in sorted(PROJECT_CONFIG.items()):
        if key.startswith("restricted") and project.get(key) != wanted:
            yield Fault(key, repr(project[key]) if key in project else "not set", wanted)
    for key in sorted(project.keys() - PROJECT_CONFIG.keys()):
        if key.startswith("restricted.") and project[key] == "allow":
            yield Fault(key, repr(project[key]), "not set")


def check_unknown_instances(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Only appliances run in the project."""
    for name in _node(facts)["strangers"]:
        yield Fault(name, "an instance that Strata did not make", "appliances only")


def check_engine_listening(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """The engine is reached by its socket alone."""
    for key, address in sorted(_node(facts)["server"].items()):
        if key.endswith("_address") and address:
            yield Fault(key, repr(address), "not set: nothing listens on the network")


def _rule(name: str, severity: str, title: str, remedy: str, check: model.Check, *, setting: str = SWITCH) -> Rule:
    return Rule(name, ENGINE, setting, severity, title, remedy, check)


RULES: tuple[Rule, ...] = (
    _rule("unprivileged", CRITICAL, "Appliances are unprivileged", DEPLOY, check_unprivileged),
    _rule("no-nesting", CRITICAL, "Appliances run no containers", DEPLOY, check_no_nesting),
    _rule("isolated-idmap", HIGH, "No two appliances share user ids on the node", DEPLOY, check_isolated_idmap),
    _rule("no-guest-api", MEDIUM, "Appliances do not reach the engine's API", DEPLOY, check_no_guest_api),
    _rule("denied-syscalls", HIGH, "Dangerous system calls are denied", DEPLOY, check_denied_syscalls, setting=ALL),
    _rule("no-raw-keys", CRITICAL, "Nothing is configured past the engine", DEPLOY, check_no_raw_keys),
    _rule("no-host-keys", HIGH, "The node's kernel does nothing special for an appliance", DEPLOY, check_no_host_keys),
    _rule("host-paths", CRITICAL, "Appliances see nothing of the node but the store", DEPLOY, check_host_paths),
    _rule("no-profiles", MEDIUM, "No profile adds to an appliance", DEPLOY, check_no_profiles),
    _rule(
        "device-types", HIGH, "Appliances have only allowed types of devices", DEPLOY, check_device_types, setting=ONLY
    ),
    _rule(
        "memory-limit",
        MEDIUM,
        "An appliance cannot take all memory of the node",
        "Give it appliance_memory, then deploy",
        check_memory_limit,
    ),
    _rule(
        "address-filtering",
        MEDIUM,
        "No appliance takes the addresses of another",
        "Deploy (playbooks/deploy.yml), which sets it without a restart",
        check_address_filtering,
    ),
    _rule(
        "network-acl",
        MEDIUM,
        "Appliances are reached on declared ports only",
        "Deploy (playbooks/deploy.yml), which sets it without a restart",
        check_network_acl,
    ),
    _rule("restricted-project", HIGH, "The project refuses what it can", ENGINE_AGAIN, check_restricted_project),
    _rule(
        "unknown-instances",
        HIGH,
        "Only appliances run in the project",
        "Find out whose it is, and move it out of the project or remove it",
        check_unknown_instances,
    ),
    _rule(
        "engine-listening",
        HIGH,
        "The engine does not listen on the network",
        "Unset the key, or set engine_https_address to ''",
        check_engine_listening,
    ),
)
