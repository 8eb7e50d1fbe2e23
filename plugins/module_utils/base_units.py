# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of Debian that a hardened base does without, and the sandboxes of those that it needs."""

from __future__ import annotations

import typing as t

# A container has no firmware, modules, devices, swap or console of its own; nobody logs in; its root is mounted once.
NEEDLESS = (
    "emergency.service",
    "getty-static.service",
    "kmod-static-nodes.service",
    "modprobe@.service",
    "rescue.service",
    "systemd-ask-password-console.path",
    "systemd-ask-password-console.service",
    "systemd-ask-password-wall.path",
    "systemd-ask-password-wall.service",
    "systemd-battery-check.service",
    "systemd-bsod.service",
    "systemd-creds.socket",
    "systemd-creds@.service",
    "systemd-hibernate-clear.service",
    "systemd-initctl.service",
    "systemd-initctl.socket",
    "systemd-network-generator.service",
    "systemd-networkd-persistent-storage.service",
    "systemd-pcrextend.socket",
    "systemd-pcrextend@.service",
    "systemd-pcrlock.socket",
    "systemd-pcrlock@.service",
    "systemd-pcrmachine.service",
    "systemd-pcrphase-initrd.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-tmpfiles-setup-dev-early.service",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-tpm2-setup-early.service",
    "systemd-tpm2-setup.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
    "systemd-user-sessions.service",
)
# What costs no mount namespace: these run first in every boot.
COMMON: t.Mapping[str, t.Any] = {
    "LockPersonality": True,
    "MemoryDenyWriteExecute": True,
    "NoNewPrivileges": True,
    "ProtectClock": True,
    "ProtectHostname": True,
    "ProtectKernelLogs": True,
    "ProtectKernelModules": True,
    "RestrictAddressFamilies": ["AF_UNIX"],
    "RestrictNamespaces": True,
    "RestrictRealtime": True,
    "SystemCallArchitectures": ["native"],
    "SystemCallErrorNumber": "EPERM",
    "SystemCallFilter": ["@system-service"],
}
# What makes files and folders of any owner.
OWNERS = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID"]
TMPFILES: t.Mapping[str, t.Any] = {**COMMON, "CapabilityBoundingSet": OWNERS}
SANDBOXES: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "dbus-broker.service": {
        **COMMON,
        # To leave root behind, and to raise its limit of files.
        "CapabilityBoundingSet": ["CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_RESOURCE", "CAP_AUDIT_WRITE"],
        "ProtectControlGroups": True,
        "ProtectHome": True,
        "ProtectKernelTunables": True,
        "ProtectSystem": "strict",
        "RestrictAddressFamilies": ["AF_UNIX", "AF_NETLINK"],
        "RestrictSUIDSGID": True,
    },
    "systemd-journal-flush.service": {**COMMON, "CapabilityBoundingSet": OWNERS, "RestrictSUIDSGID": True},
    "systemd-sysctl.service": {**COMMON, "CapabilityBoundingSet": ["CAP_NET_ADMIN", "CAP_SYS_RESOURCE"]},
    "systemd-tmpfiles-setup.service": TMPFILES,
    "systemd-tmpfiles-clean.service": TMPFILES,
}
