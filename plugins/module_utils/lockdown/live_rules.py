# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that only what runs can prove, and whether what runs is what was declared."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.findings import DEVICE, KEY
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import ruleset
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import (
    APP,
    CRITICAL,
    EQUAL,
    HIGH,
    LIVE,
    MEDIUM,
    SWITCH,
    Data,
    Facts,
    Fault,
    Moot,
    Rule,
    Unknown,
)

# What a base's own services wait for, by unit: leases. Nothing else of a base listens.
OF_THE_BASE = {("systemd-networkd.service", "udp", 68), ("systemd-networkd.service", "udp", 546)}
FILTERING = 2  # of Seccomp in proc_pid_status(5)
REBOOT = "Find out who did it inside, then restart the appliance, which gives it back what its files say"


def _live(facts: Facts, part: str) -> t.Any:
    """Return a part of what runs. Raises Unknown, with the reason that the facts give where they have one."""
    if facts.live is None:
        raise Unknown("what runs in it was not looked at")
    if facts.live["stopped"]:
        raise Moot("it does not run")
    found = facts.live[part]
    if isinstance(found, dict) and "unknown" in found:
        raise Unknown(str(found["unknown"]))
    return found


def _declared(facts: Facts) -> set[tuple[int, str]]:
    if facts.manifests is None or APP not in facts.manifests:
        raise Unknown("what its app declares was not read")
    return {(port["port"], port.get("protocol", "tcp")) for port in facts.manifests[APP].get("ports", [])}


def _listed(ports: t.Iterable[tuple[int, str]]) -> str:
    return ", ".join(f"{port}/{protocol}" for port, protocol in sorted(ports)) or "no port"


def _named(process: str, unit: str) -> str:
    return f"{process} ({unit})" if unit else process


def check_listening_ports(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Nothing waits for others but what the app declares."""
    sockets, declared = _live(facts, "sockets"), _declared(facts)
    for each in sockets:
        is_own = (each["unit"], each["protocol"], each["port"]) in OF_THE_BASE
        if (each["port"], each["protocol"]) not in declared and not is_own:
            port, by = _listed([(each["port"], each["protocol"])]), _named(each["process"] or "somebody", each["unit"])
            yield Fault(port, f"opened on {each['address']} by {by}", _listed(declared))


def check_loaded_firewall(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """The rules that are loaded drop everything but what the app declares."""
    opening, declared = ruleset.read(_live(facts, "ruleset")), _declared(facts)
    if not opening.denies:
        yield Fault("the packet filter", "not loaded", "one that drops what is not declared")
        return
    for port in sorted(opening.ports - declared):
        yield Fault(_listed([port]), "let in by the loaded packet filter", _listed(declared))
    for rule in opening.other:
        yield Fault("the loaded packet filter", f"also accepting {rule}", "ports, answers, loopback and ICMP")
    for port in sorted(declared - opening.ports):
        yield Fault(_listed([port]), "declared by the app, and not let in by the loaded packet filter", "let in")


def check_effective_sysctls(facts: Facts, value: t.Mapping[str, t.Any]) -> t.Iterator[Fault]:
    """Kernel settings are what they should be, of each network card as well; its own may say otherwise."""
    found = _live(facts, "sysctls")
    for key, wanted in value.items():
        head, _all, leaf = key.partition(".all.")
        cards = [each for each in found if leaf and re.fullmatch(rf"{re.escape(head)}\.[^.]+\.{re.escape(leaf)}", each)]
        for each in sorted({key, *cards} - {f"{head}.default.{leaf}"}):
            if each not in found:
                yield Fault(each, "not there: this kernel has no such key", str(wanted))
            elif found[each] != " ".join(str(wanted).split()):
                yield Fault(each, found[each], str(wanted))


def check_process_privileges(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """No process has rights on the node, and each has its system calls filtered."""
    processes, ranges = _live(facts, "processes"), _live(facts, "map")
    for inside, outside, length in ranges:
        if outside == 0 and length:
            yield Fault(f"user id {inside}", "root of the node", "an id of its own")
    init = processes[0]
    for process in processes:
        name = _named(process["name"], process["unit"])
        strange = [uid for uid in process["uids"] if not any(own <= uid < own + size for _inside, own, size in ranges)]
        if strange:
            yield Fault(name, f"a process of the node's user id {strange[0]}", "a process of its own user ids")
        if process["node"]:
            yield Fault(
                name, f"a process that sees the node's own {', '.join(process['node'])}", "namespaces of its own"
            )
        if process["seccomp"] != FILTERING:
            yield Fault(name, "a process whose system calls are not filtered", "the engine's filter")
        # In a user namespace of its own a service has all capabilities over nothing.
        if process["user"] == init["user"] and process["bounding"] & ~init["bounding"]:
            yield Fault(name, "a process that may get more capabilities than init", "at most those of init")


def check_runtime_units(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """No unit is only in memory, made while it ran."""
    for path in _live(facts, "units"):
        yield Fault(path, "made while it ran", "units of base, app and config")


def _drift(facts: Facts) -> t.Sequence[Data]:
    if facts.live is None or "drift" not in facts.live:
        raise Unknown("its content was not looked at")
    return t.cast("t.Sequence[Data]", facts.live["drift"])


def check_content_intact(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Store, layers, config, root and mounts are as they were signed, rendered and mapped."""
    for finding in _drift(facts):
        if finding["what"] not in (KEY, DEVICE):
            yield Fault(finding["where"], f"not as declared: {finding['sentence']}", "what was declared")


def check_as_composed(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Keys and devices of the instance are those that follow from its composition."""
    for finding in _drift(facts):
        if finding["what"] in (KEY, DEVICE):
            yield Fault(finding["where"], f"not as composed: {finding['sentence']}", "what Strata sets")


RULES: tuple[Rule, ...] = (
    Rule(
        "listening-ports",
        LIVE,
        SWITCH,
        HIGH,
        "Nothing listens but what the app declares",
        "Have the vendor declare the port, or find out who opened it",
        check_listening_ports,
    ),
    Rule(
        "loaded-firewall",
        LIVE,
        SWITCH,
        HIGH,
        "The packet filter that is loaded drops what is not declared",
        REBOOT,
        check_loaded_firewall,
    ),
    Rule(
        "effective-sysctls",
        LIVE,
        EQUAL,
        MEDIUM,
        "Kernel settings of an appliance's network are in effect",
        REBOOT,
        check_effective_sysctls,
    ),
    Rule(
        "process-privileges",
        LIVE,
        SWITCH,
        HIGH,
        "No process of an appliance has rights on the node",
        "Find out who started it, then restart the appliance",
        check_process_privileges,
    ),
    Rule("runtime-units", LIVE, SWITCH, HIGH, "No unit was made while it ran", REBOOT, check_runtime_units),
    Rule(
        "content-intact",
        LIVE,
        SWITCH,
        CRITICAL,
        "What runs is what was signed and rendered",
        "Find out who did it; playbooks/verify.yml tells how to mend each",
        check_content_intact,
    ),
    Rule(
        "as-composed",
        LIVE,
        SWITCH,
        HIGH,
        "Keys and devices of an instance follow from its composition",
        "Find out who did it, then deploy (playbooks/deploy.yml), which sets it right",
        check_as_composed,
    ),
)
