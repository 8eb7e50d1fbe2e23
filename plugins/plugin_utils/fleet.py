# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""want, on the controller: the whole fleet from its inventory, checked before any node is touched. Pure."""

from __future__ import annotations

import collections
import datetime as dt
import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.sizes import parse_size
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import find_faults, suggest

try:
    import netaddr
except ImportError:  # said by inventory.failures
    netaddr = None  # type: ignore[assignment]

# As in the defaults of the role engine; a test keeps them the same.
DEFAULT_NETWORKS = ({"name": "strata0", "address": "10.87.0.1/24"},)
# What the engine takes as an instance name: a host name of one label.
NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")  # the one of ISO 8601's ways whose order is that of the days
HEALTH_TIMEOUT = 60
SMALLEST_NETWORK = 2  # addresses, of which none is left for an appliance
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - a published port is asked for by name

Variables = t.Mapping[str, t.Any]
Data = dict[str, t.Any]


def build_fleet(nodes: t.Mapping[str, Variables], appliances: t.Mapping[str, Variables]) -> dict[str, list[Data]]:
    """Return the appliances of every node, ready for the modules that run there.

    ``nodes``: by name, the ``engine_networks`` of each. ``appliances``: by name, the ``appliance_*`` variables, without
    ``appliance_config``. Raises BadInput with every fault of the inventory, each naming the appliance and the variable.
    """
    faults = [fault for name, variables in nodes.items() for fault in find_node_faults(name, variables)]
    if faults:
        raise BadInput("\n".join(faults))
    fleet: dict[str, list[Data]] = {name: [] for name in nodes}
    for name, variables in appliances.items():
        own = find_appliance_faults(name, variables, nodes)
        faults += own
        if not own:
            fleet[find_node(variables, nodes)].append(build_appliance(name, variables, nodes))
    faults += find_clashes(fleet)
    if faults:
        raise BadInput("\n".join(faults))
    return fleet


def find_node_faults(name: str, variables: Variables) -> list[str]:
    """Return everything that is wrong with what the inventory says of a node's networks."""
    faults = find_faults(dict(variables), "node")
    for number, network in enumerate(variables.get("engine_networks", []) if not faults else []):
        if not _is_interface(network["address"]):
            place = f"engine_networks.{number}.address {network['address']!r}"
            faults.append(f"{place} is not an IPv4 address with the prefix length of its network, such as 10.87.0.1/24")
    return [f"Node {name}: {fault}." for fault in faults]


def _is_interface(address: str) -> bool:
    try:
        return "/" in address and netaddr.IPNetwork(address, version=4).size > SMALLEST_NETWORK
    except (netaddr.AddrFormatError, ValueError):
        return False


def find_node(variables: Variables, nodes: t.Mapping[str, Variables]) -> str:
    """Return the node that an appliance asks for; '' where that is not clear."""
    return str(variables.get("appliance_node", next(iter(nodes)) if len(nodes) == 1 else ""))


def find_appliance_faults(name: str, variables: Variables, nodes: t.Mapping[str, Variables]) -> list[str]:
    """Return everything that is wrong with one appliance on its own."""
    faults = (
        []
        if NAME.fullmatch(name)
        else [
            "its name is not one the engine takes: use up to 63 lower-case letters, digits and dashes, a letter first"
        ]
    )
    faults += find_faults(dict(variables), "appliance")
    node = find_node(variables, nodes)
    if node not in nodes:
        known = f"; the group nodes has {', '.join(sorted(nodes)) or 'no host'}"
        faults.append(f"appliance_node {node!r} is not a node{known}" if node else f"appliance_node is missing{known}")
    if not faults:
        faults += _find_network_faults(variables, networks_of(nodes[node]))
        faults += [*_find_port_faults(variables), *_find_size_faults(variables), *_find_pause_faults(variables)]
    return [f"Appliance {name}: {fault}." for fault in faults]


def networks_of(node: Variables) -> dict[str, Data]:
    """Return the networks of a node by name."""
    return {network["name"]: dict(network) for network in node.get("engine_networks") or DEFAULT_NETWORKS}


def build_appliance(name: str, variables: Variables, nodes: t.Mapping[str, Variables]) -> Data:
    """Return one appliance in the shape that the modules take."""
    networks = networks_of(nodes[find_node(variables, nodes)])
    wanted = variables.get("appliance_networks", [{"network": next(iter(networks))}])
    return {
        "name": name,
        "state": variables.get("appliance_state", "running"),
        "base": _layer(variables, "base"),
        "app": _layer(variables, "app"),
        "networks": [_build_network(item, networks[item["network"]]) for item in wanted],
        "volumes": {key: parse_size(volume["size"]) for key, volume in variables.get("appliance_volumes", {}).items()},
        "memory": parse_size(variables.get("appliance_memory", 0)),
        "cpus": variables.get("appliance_cpus", 0),
        "published": [
            {"address": EVERY_ADDRESS, "protocol": "tcp", **port} for port in variables.get("appliance_publish", [])
        ],
        "autostart": variables.get("appliance_autostart", True),
        "health": dict(variables.get("appliance_health", {})),
        "health_timeout": variables.get("appliance_health_timeout", HEALTH_TIMEOUT),
    }


def fill_versions(items: t.Iterable[Data], versions: t.Mapping[str, t.Mapping[str, Data]]) -> list[Data]:
    """Return appliances that ask for the version that ``versions`` says, where the inventory names none.

    ``versions``: by appliance, ``base`` and ``app`` with ``name`` and ``version``. One of another name does not count.
    """
    filled = []
    for item in items:
        said = {kind: versions.get(item["name"], {}).get(kind) or {} for kind in ("base", "app")}
        own = {
            kind: {**item[kind], "version": layer["version"]}
            for kind, layer in said.items()
            if layer.get("name") == item[kind]["name"] and not item[kind]["version"]
        }
        filled.append({**item, **own})
    return filled


def find_clashes(fleet: t.Mapping[str, t.Sequence[Data]]) -> list[str]:
    """Return what is claimed twice: an address on one network, a port of one node."""
    claims: dict[str, list[str]] = collections.defaultdict(list)
    for node, appliances in fleet.items():
        for appliance in appliances:
            for network in appliance["networks"]:
                if network["address"]:
                    what = f"address {network['address']} on network {network['network']} of node {node}"
                    claims[what].append(appliance["name"])
            for port in appliance["published"]:
                claims[f"port {port['listen']}/{port['protocol']} of node {node}"].append(appliance["name"])
    return [_explain_clash(names, what) for what, names in claims.items() if len(names) > 1]


def _explain_clash(names: t.Sequence[str], what: str) -> str:
    different = sorted(set(names))
    if len(different) == 1:
        return f"Appliance {different[0]} asks for {what} more than once."
    return f"Appliances {' and '.join(different)} both ask for {what}."


def _layer(variables: Variables, kind: str) -> Data:
    return {
        "name": variables[f"appliance_{kind}"],
        "version": str(variables.get(f"appliance_{kind}_version", "")),
        "channel": variables.get(f"appliance_{kind}_channel", "stable"),
    }


def _build_network(item: Variables, network: Data) -> Data:
    own = netaddr.IPNetwork(network["address"])
    return {
        "network": item["network"],
        "address": item.get("address", ""),
        "prefix": own.prefixlen,
        "gateway": str(own.ip),
    }


def _find_network_faults(variables: Variables, networks: t.Mapping[str, Data]) -> list[str]:
    faults = []
    for number, item in enumerate(variables.get("appliance_networks", [])):
        place = f"appliance_networks.{number}"
        network = networks.get(item["network"])
        if network is None:
            faults.append(
                f"{place}.network {item['network']!r} is not in engine_networks of its node{suggest('', networks)}"
            )
        elif "address" in item:
            faults += _find_address_faults(f"{place}.address", item["address"], network)
    return faults


def _find_address_faults(place: str, address: str, network: Data) -> list[str]:
    own = netaddr.IPNetwork(network["address"])
    try:
        parsed = netaddr.IPAddress(address)
    except (netaddr.AddrFormatError, ValueError):
        return [f"{place} {address!r} is not an IPv4 address (write it without a prefix length)"]
    if parsed not in own or parsed in (own.network, own.broadcast):
        return [f"{place} {address} is not a host address in network {network['name']} ({own.cidr})"]
    if parsed == own.ip:
        return [f"{place} {address} is the node's own address in network {network['name']}"]
    return []


def _find_port_faults(variables: Variables) -> list[str]:
    addresses = {
        f"appliance_publish.{number}.address": port.get("address", EVERY_ADDRESS)
        for number, port in enumerate(variables.get("appliance_publish", []))
    }
    return [
        f"{place} {address!r} is not an IPv4 address"
        for place, address in addresses.items()
        if not netaddr.valid_ipv4(address, netaddr.INET_PTON)
    ]


def find_pauses(appliances: t.Mapping[str, Variables], today: str) -> tuple[dict[str, Data], dict[str, Data]]:
    """Return the pauses that hold today (such as 2026-12-24), and those whose last day has passed, by appliance."""
    pauses = {name: dict(own["appliance_pause"]) for name, own in appliances.items() if "appliance_pause" in own}
    held = {name: pause for name, pause in pauses.items() if pause["until"] >= today}
    return held, {name: pause for name, pause in pauses.items() if name not in held}


def say_pauses(paused: t.Mapping[str, Variables]) -> list[str]:
    """Return a sentence for each appliance that is left alone."""
    return [
        f"Appliance {name} is paused until {pause['until']} and left alone: {pause['reason']}"
        for name, pause in paused.items()
    ]


def say_ended(ended: t.Mapping[str, Variables]) -> list[str]:
    """Return a sentence for each pause that holds nothing any more."""
    return [
        f"The pause of {name} ended on {pause['until']}, so it is worked on again: remove its appliance_pause, or set "
        "another day."
        for name, pause in ended.items()
    ]


def _find_pause_faults(variables: Variables) -> list[str]:
    pause = variables.get("appliance_pause")
    if not pause or (DAY.fullmatch(pause["until"]) and _is_day(pause["until"])):
        return []
    return [f"appliance_pause.until {pause['until']!r} is not a day such as 2026-12-24"]


def _is_day(text: str) -> bool:
    try:
        return bool(dt.date.fromisoformat(text))
    except ValueError:
        return False


def _find_size_faults(variables: Variables) -> list[str]:
    sizes = {
        f"appliance_volumes.{key}.size": item["size"] for key, item in variables.get("appliance_volumes", {}).items()
    }
    sizes["appliance_memory"] = variables.get("appliance_memory", 0)
    faults = []
    for place, size in sizes.items():
        try:
            parse_size(size)
        except BadInput as error:
            faults.append(f"{place}: {error.message}")
    return faults
