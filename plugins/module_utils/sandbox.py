# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sandboxes of services: from a preset and what differs from it to a drop-in of systemd.exec(5). Pure."""

from __future__ import annotations

import typing as t

Settings = t.Mapping[str, t.Any]

DROP_IN = "50-strata-sandbox.conf"
UNITS = "usr/lib/systemd/system"
# What hardly any service notices.
MODERATE: Settings = {
    "CapabilityBoundingSet": [
        "~CAP_AUDIT_CONTROL",
        "CAP_AUDIT_READ",
        "CAP_BLOCK_SUSPEND",
        "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE",
        "CAP_IPC_OWNER",
        "CAP_LINUX_IMMUTABLE",
        "CAP_MAC_ADMIN",
        "CAP_MAC_OVERRIDE",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_PERFMON",
        "CAP_SYS_ADMIN",
        "CAP_SYS_BOOT",
        "CAP_SYS_MODULE",
        "CAP_SYS_PACCT",
        "CAP_SYS_PTRACE",
        "CAP_SYS_RAWIO",
        "CAP_SYS_TIME",
        "CAP_SYS_TTY_CONFIG",
        "CAP_SYSLOG",
        "CAP_WAKE_ALARM",
    ],
    "LockPersonality": True,
    "NoNewPrivileges": True,
    "PrivateDevices": True,
    "PrivateTmp": True,
    "ProtectClock": True,
    "ProtectControlGroups": True,
    "ProtectHome": True,
    "ProtectHostname": True,
    "ProtectKernelLogs": True,
    "ProtectKernelModules": True,
    "ProtectKernelTunables": True,
    "ProtectSystem": "full",
    "RestrictAddressFamilies": ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_UNIX"],
    "RestrictNamespaces": True,
    "RestrictRealtime": True,
    "RestrictSUIDSGID": True,
    "SystemCallArchitectures": ["native"],
    "SystemCallErrorNumber": "EPERM",
    "SystemCallFilter": ["@system-service"],
}
# For a service with an account of its own: no capability, and nothing to write but what is listed.
STRICT: Settings = {
    **MODERATE,
    "AmbientCapabilities": [],
    "CapabilityBoundingSet": [],
    "MemoryDenyWriteExecute": True,
    "PrivateUsers": True,
    "ProcSubset": "pid",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RemoveIPC": True,
    "RestrictAddressFamilies": ["AF_INET", "AF_INET6", "AF_UNIX"],
    "SystemCallFilter": ["@system-service", "~@privileged @resources"],
    "UMask": "0077",
}
PRESETS: t.Mapping[str, Settings] = {"moderate": MODERATE, "strict": STRICT}


def settings_of(wanted: str | Settings) -> dict[str, t.Any]:
    """Return the settings of a service in app.yml: a preset's name, or settings with perhaps ``preset`` among them."""
    if isinstance(wanted, str):
        return dict(PRESETS[wanted])
    own = {key: value for key, value in wanted.items() if key != "preset"}
    return {**PRESETS.get(wanted.get("preset", ""), {}), **own}


def path_of(unit: str) -> str:
    return f"{UNITS}/{unit}.d/{DROP_IN}"


def render(settings: Settings) -> str:
    """Return the drop-in with which exactly these settings hold, whatever the unit itself says of them."""
    lines = [line for key, value in sorted(settings.items()) for line in render_setting(key, value)]
    return "\n".join(["[Service]", *lines, ""])


def render_setting(key: str, value: t.Any) -> list[str]:
    if isinstance(value, list):
        # The empty line takes back what the unit lists; each filter of system calls is a line, for its own ~.
        words = value if key == "SystemCallFilter" else [" ".join(value)]
        return [f"{key}=", *(f"{key}={each}" for each in words if each)]
    if isinstance(value, bool):
        return [f"{key}={'yes' if value else 'no'}"]
    return [f"{key}={value}"]
