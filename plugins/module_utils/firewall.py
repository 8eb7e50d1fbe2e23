# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall of a base, and what an app opens in it. Pure."""

from __future__ import annotations

import typing as t

PACKAGES = ("nftables",)
UNIT = "strata-firewall.service"
RULESET = "usr/lib/strata/firewall.nft"
CLOSED = "usr/lib/strata/firewall-closed.nft"
# Of the app alone: one file, written by its build.
PORTS = "etc/strata/ports.d"
TABLE = "strata"

# What is not here cannot come in: answers, errors and reachability of ICMP, neighbours and routers of IPv6, leases.
RULES = f"""\
# Nothing comes in but what the app declares. The sets are filled by /{PORTS}.
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
    set tcp_ports {{
        type inet_service
    }}
    set udp_ports {{
        type inet_service
    }}
    chain input {{
        type filter hook input priority filter; policy drop;
        iif "lo" accept
        ct state established,related accept
        ct state invalid drop
        icmp type {{ echo-request, destination-unreachable, time-exceeded, parameter-problem }} accept
        icmpv6 type {{ echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem }} accept
        ip6 hoplimit 255 icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert }} accept
        ip6 saddr fe80::/10 icmpv6 type {{ mld-listener-query }} accept
        udp sport 67 udp dport 68 accept
        ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
        tcp dport @tcp_ports accept
        udp dport @udp_ports accept
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
    }}
}}
include "/{PORTS}/*.nft"
"""
# What stays when the rest cannot be loaded.
CLOSED_RULES = f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
    chain input {{
        type filter hook input priority filter; policy drop;
        iif "lo" accept
    }}
}}
"""
# An appliance whose rules cannot be loaded is closed altogether, and gets no address: networkd does not start.
SERVICE = f"""\
[Unit]
Description=Firewall: nothing comes in but what the app declares
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target systemd-networkd.service sysinit.target
RefuseManualStop=yes

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft --file /{RULESET}
ExecReload=/usr/sbin/nft --file /{RULESET}
ExecStopPost=/usr/sbin/nft --file /{CLOSED}
UMask=0077
CapabilityBoundingSet=CAP_NET_ADMIN
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
ProtectHome=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=sysinit.target
"""
NETWORK = f"[Unit]\nRequires={UNIT}\nAfter={UNIT}\n"

Ports = t.Iterable[t.Mapping[str, t.Any]]


def files() -> dict[str, str]:
    """Return what a base with a firewall has, by path."""
    return {
        RULESET: RULES,
        CLOSED: CLOSED_RULES,
        f"usr/lib/systemd/system/{UNIT}": SERVICE,
        "usr/lib/systemd/system/systemd-networkd.service.d/50-strata-firewall.conf": NETWORK,
    }


def ports_file(app: str) -> str:
    return f"{PORTS}/{app}.nft"


def render_ports(ports: Ports) -> str:
    """Return the text that opens exactly these ports (dictionaries with ``port`` and ``protocol``)."""
    wanted: dict[str, set[int]] = {"tcp": set(), "udp": set()}
    for each in ports:
        wanted[each.get("protocol", "tcp")].add(each["port"])
    return "# What the app declares under ports.\n" + "".join(
        f"add element inet {TABLE} {protocol}_ports {{ {', '.join(map(str, sorted(numbers)))} }}\n"
        for protocol, numbers in wanted.items()
        if numbers
    )
