# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bridges let through: one list of rules a network, from the ports that its appliances' apps declare. Pure.

Source of the fields and of their order of decision: the Incus documentation, "How to configure network ACLs". Drops
come first there, so "all but" is written as the ranges beside it. Traffic between two appliances of one bridge passes
these rules both as egress and as ingress, and one that allows is enough.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

PREFIX = "strata-"
MANAGED = "user.strata.managed"
FILTERED = "user.strata.filtered"  # of a network: false where the inventory wants it open
EGRESS, INGRESS = "egress", "ingress"
ALL_ADDRESSES = ipaddress.IPv4Network("0.0.0.0/0")

Body = t.Mapping[str, t.Any]
AclRule = dict[str, str]


class Opening(t.NamedTuple):
    """Where an appliance may be reached: ``ports`` such as 80/tcp, at ``address`` ('': the network hands one out)."""

    appliance: str
    network: str
    address: str
    ports: tuple[str, ...]


def acl_name(network: str) -> str:
    """Return the name of a network's list: letters, digits and dashes, where a bridge's name may have more."""
    return PREFIX + re.sub(r"[._]", lambda found: f"-{ord(found[0]):x}-", network).rstrip("-")


def network_keys(network: str) -> dict[str, str]:
    """Return the keys that put the list into force on its network."""
    return {
        "security.acls": acl_name(network),
        "security.acls.default.egress.action": "drop",
        "security.acls.default.ingress.action": "drop",
    }


def is_filtered(config: t.Mapping[str, str]) -> bool:
    """Whether a network is one of Strata's, and not wanted open."""
    return config.get(MANAGED) == "true" and config.get(FILTERED) != "false"


def build_rules(address: str, openings: t.Iterable[Opening]) -> dict[str, list[AclRule]]:
    """Return the rules of a network; ``address`` is the bridge's own, with the prefix length.

    The node reaches everything, the appliances reach everything outside and the node; who reaches an appliance from
    elsewhere, another appliance too, does so on the ports that its app declares.
    """
    own = ipaddress.IPv4Interface(address)
    node = _rule("the node", source=str(own.ip))
    ingress = [node, *(rule for opening in sorted(openings) for rule in opening_rules(opening, str(own.network)))]
    return {INGRESS: ingress, EGRESS: [_rule("outside, and the node", destination=_all_but(own))]}


def opening_rules(opening: Opening, subnet: str) -> list[AclRule]:
    """Return what lets others reach an appliance. One without an address of its own opens its ports for all."""
    ports: dict[str, list[str]] = {}
    for port in sorted(set(opening.ports), key=lambda each: int(each.partition("/")[0])):
        number, _slash, protocol = port.partition("/")
        ports.setdefault(protocol, []).append(number)
    to = opening.address or subnet
    return [
        _rule(opening.appliance, destination=to, protocol=protocol, destination_port=",".join(numbers))
        for protocol, numbers in sorted(ports.items())
    ]


def of_neighbours(
    rules: t.Iterable[AclRule], network: str, subnet: str, neighbours: t.Iterable[tuple[str, str, str]]
) -> list[AclRule]:
    """Return those of a network's rules that are for appliances of other projects: by name and by address."""
    theirs = {(name, address or subnet) for where, name, address in neighbours if where == network}
    return [rule for rule in rules if (rule.get("description"), rule.get("destination")) in theirs]


def normalise(acl: Body) -> dict[str, list[AclRule]]:
    """Return a list as the engine has it in the shape of ``build_rules``: no empty fields."""
    return {
        way: [{key: value for key, value in rule.items() if value} for rule in acl.get(way) or ()]
        for way in (INGRESS, EGRESS)
    }


def declared_ports(manifest: Body) -> tuple[str, ...]:
    """Return the ports that an app declares, such as 80/tcp."""
    return tuple(f"{port['port']}/{port.get('protocol', 'tcp')}" for port in manifest.get("ports", ()))


def _rule(description: str, **fields: str) -> AclRule:
    return {"action": "allow", "state": "enabled", "description": description, **fields}


def _all_but(own: ipaddress.IPv4Interface) -> str:
    """Return the addresses outside the bridge's network, and its own, as ranges."""
    first, last = own.network.network_address, own.network.broadcast_address
    parts = [f"{ALL_ADDRESSES[0]}-{first - 1}"] if first > ALL_ADDRESSES[0] else []
    parts.append(str(own.ip))
    parts += [f"{last + 1}-{ALL_ADDRESSES[-1]}"] if last < ALL_ADDRESSES[-1] else []
    return ",".join(parts)
