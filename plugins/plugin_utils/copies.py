# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of appliances that nobody else meets: other names, and cards on a network of their own. Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput

DRILL = "drill-"
LONGEST = 63  # the engine's names of instances
FIRST = 10  # of the addresses that copies get, counted from the network's own
DIGEST = 8

Data = dict[str, t.Any]


def drill_name(appliance: str) -> str:
    """Return the name under which an appliance is drilled: always the same, so that a leftover is known by it."""
    name = f"{DRILL}{appliance}"
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(appliance.encode()).hexdigest()[:DIGEST]
    return f"{name[: LONGEST - DIGEST - 1]}-{digest}"


def copy_item(item: Data, name: str, network: t.Mapping[str, str], addresses: t.Iterator[str]) -> Data:
    """Return an appliance as a copy of ``item``: cards on ``network`` alone, no ports, not started with its node."""
    own = parse_network(network)
    # Without a gateway, what an app tries to reach fails at once, where a packet that is dropped takes a minute.
    card = {"network": network["name"], "prefix": own.network.prefixlen, "gateway": ""}
    cards = [{**card, "address": next(addresses)} for _each in item["networks"]]
    return {**item, "name": name, "networks": cards, "published": [], "autostart": False, "state": "running"}


def hosts_of(network: t.Mapping[str, str], free_of: t.Collection[str] | None = None) -> t.Iterator[str]:
    """Yield the addresses of a network that drills may have, or from its end those that none of ``free_of`` are.

    Raises BadInput where there are no more.
    """
    own = parse_network(network)
    hosts = [str(host) for host in own.network.hosts() if host != own.ip][FIRST:]
    yield from hosts if free_of is None else [host for host in reversed(hosts) if host not in free_of]
    raise BadInput(f"The network {network['name']} ({own.network}) has no address left: give it a shorter prefix.")


def parse_network(network: t.Mapping[str, str]) -> ipaddress.IPv4Interface:
    """Return the bridge's own address. Raises BadInput for what is none."""
    try:
        return ipaddress.IPv4Interface(network["address"])
    except (ValueError, KeyError) as error:
        raise BadInput(
            f"The network of copies needs a name and an address with a prefix length, such as 10.254.87.1/24: {error}."
        ) from error
