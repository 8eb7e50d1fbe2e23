# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that the node decides, once for all of its appliances: kernel, time, encryption, audit, the engine's socket."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import (
    EQUAL,
    HIGH,
    HOST,
    LOW,
    MEDIUM,
    SWITCH,
    Check,
    Data,
    Facts,
    Fault,
    Rule,
    Unknown,
)

ANSSI = "ANSSI BP-028"
OTHERS = 0o007


def _node(facts: Facts, part: str) -> t.Any:
    """Return a part of the node's facts. Raises Unknown, with the reason that the facts give where they have one."""
    if facts.node is None or part not in facts.node:
        raise Unknown("the node was not looked at")
    found = facts.node[part]
    if isinstance(found, dict) and "unknown" in found:
        raise Unknown(str(found["unknown"]))
    return found


def check_host_sysctls(facts: Facts, value: t.Mapping[str, t.Any]) -> t.Iterator[Fault]:
    """The kernel of the node has these values now, whatever its files say."""
    sysctls: Data = _node(facts, "sysctls")
    for key, wanted in sorted(value.items()):
        found, allowed = sysctls.get(key), " ".join(str(wanted).split())
        if found is None:
            yield Fault(key, "not there: this kernel has no such key", allowed)
        elif found != allowed:
            yield Fault(key, found, allowed)


def check_kernel_lsm(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """The kernel confines programs."""
    modules = _node(facts, "lsm")["modules"]
    if not modules:
        yield Fault("the kernel's security modules", "none", "one of AppArmor, SELinux, SMACK, TOMOYO")


def check_time(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """The kernel counts the clock as synchronised, which whoever keeps it says to it."""
    if not _node(facts, "time")["synchronised"]:
        yield Fault("the clock", "not synchronised, says the kernel", "kept by timesyncd, chrony or ntpd")


def check_disk_encryption(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Store and state are on encrypted devices."""
    places = _node(facts, "disks")
    unknown = [f"{place}: {found['unknown']}" for place, found in sorted(places.items()) if "unknown" in found]
    faults = [
        Fault(place, f"not encrypted, on {', '.join(found['devices'])}", "on an encrypted device")
        for place, found in sorted(places.items())
        if not found.get("encrypted", True)
    ]
    if unknown and not faults:
        raise Unknown("; ".join(unknown))
    yield from faults


def check_auditing(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Somebody takes the kernel's audit records."""
    if not _node(facts, "auditing")["daemon"]:
        yield Fault("auditd", "not running", "running")


def check_engine_socket(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """Who reaches the engine's socket is root on the node: root alone does."""
    socket = _node(facts, "engine_socket")
    if socket["owner"] != "root":
        yield Fault(socket["path"], f"owned by {socket['owner']}", "owned by root")
    if int(socket["mode"], 8) & OTHERS:
        yield Fault(socket["path"], f"of mode {socket['mode']}", "nothing for others")
    for member in socket["members"]:
        yield Fault(f"group {socket['group']}", f"open to {member}", "nobody but root: its members are root here")


def check_limits(facts: Facts, _value: bool) -> t.Iterator[Fault]:
    """The engine can enforce limits of memory, CPUs and processes."""
    if not _node(facts, "limits_enforced"):
        yield Fault("cgroup controllers", "not there for the engine", "cpu, memory and pids")


def _rule(
    name: str,
    severity: str,
    title: str,
    remedy: str,
    check: Check,
    *,
    setting: str = SWITCH,
    controls: t.Mapping[str, t.Sequence[str]] | None = None,
) -> Rule:
    return Rule(name, HOST, setting, severity, title, remedy, check, controls=controls or {})


RULES: tuple[Rule, ...] = (
    _rule(
        "host-sysctls",
        HIGH,
        "The node's kernel is set as asked for",
        "Set it in /etc/sysctl.d of the node, then sysctl --system",
        check_host_sysctls,
        setting=EQUAL,
        controls={ANSSI: ("R9", "R12", "R14")},
    ),
    _rule(
        "kernel-lsm",
        LOW,
        "The node's kernel confines programs",
        "Boot a kernel with AppArmor or SELinux",
        check_kernel_lsm,
        controls={ANSSI: ("R37",)},
    ),
    _rule(
        "time-synchronised",
        LOW,
        "The node's clock is right",
        "Install chrony or systemd-timesyncd on the node, and see that it reaches its servers",
        check_time,
    ),
    _rule(
        "disk-encryption",
        LOW,
        "What appliances keep is encrypted at rest",
        "Put the store and the pool's source on LUKS devices",
        check_disk_encryption,
    ),
    _rule(
        "auditing",
        LOW,
        "The node records what the kernel audits",
        "Install auditd on the node",
        check_auditing,
        controls={ANSSI: ("R73",)},
    ),
    _rule(
        "engine-socket",
        HIGH,
        "Only root reaches the engine",
        "Take the members out of the group, and set owner and mode of the socket right (restart incus)",
        check_engine_socket,
    ),
    _rule(
        "limits-enforced",
        MEDIUM,
        "The node enforces limits",
        "Boot with cgroup version 2 alone, with the controllers cpu, memory and pids",
        check_limits,
    ),
)
