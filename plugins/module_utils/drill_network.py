# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network that copies of appliances are on: the node reaches them, and they reach nobody, nor each other.

Its bridge routes nothing; its access list lets in the node alone, and out nothing but answers, so that ports of other
appliances that are published on the node's addresses are out of reach, too. The engine lets questions of names through
to any address of the node, ahead of every list: a rule of our own drops them, or a copy could ask the outside.
"""

from __future__ import annotations

import ipaddress
import shutil
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.command import run
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.model import Step

RULES = """\
table inet {table}
delete table inet {table}
table inet {table} {{
    chain in {{
        type filter hook input priority -10; policy accept;
        iifname "{name}" meta l4proto {{ tcp, udp }} th dport 53 drop
    }}
}}
"""
MINE = "user.strata.copies"  # not user.strata.managed: its list is not made from what apps declare

Body = t.Mapping[str, t.Any]


def list_name(network: str) -> str:
    """Return the name of its access list."""
    return f"{network}-closed"


def rules(network: str) -> str:
    """Return what has nft drop questions of names from this network, also where it did so before."""
    return RULES.format(name=network, table=table_name(network))


def no_rules(network: str) -> str:
    """Return what has nft forget them, also where there are none."""
    table = table_name(network)
    return f"table inet {table}\ndelete table inet {table}\n"


def table_name(network: str) -> str:
    """Return the name of the table of a network: another network's stays as it is."""
    return f"strata-copies-{network}"


def plan(network: t.Mapping[str, str], networks: t.Mapping[str, Body], acls: t.Mapping[str, Body]) -> list[Step]:
    """Return what makes it, as far as it is not there. Raises BadInput where its name or addresses are another's."""
    name, address = network["name"], network["address"]
    present = networks.get(name)
    if present and MINE not in present["config"]:
        raise BadInput(f"The network {name} is there, and not for copies: give restore_network another name.")
    own = ipaddress.IPv4Interface(address)
    for other, body in networks.items():
        taken = body["config"].get("ipv4.address", "none")
        if other != name and "/" in taken and ipaddress.IPv4Interface(taken).network.overlaps(own.network):
            raise BadInput(
                f"The network {name} ({own.network}) overlaps with the node's network {other} ({taken}): give "
                "restore_network another address."
            )
    if present and present["config"].get("ipv4.address") != address:
        raise BadInput(
            f"The network {name} is there with the address {present['config'].get('ipv4.address')}, not {address}: "
            "remove the copies that are on it, then run again."
        )
    steps = []
    if list_name(name) not in acls:
        rule = {"action": "allow", "state": "enabled", "description": "the node", "source": str(own.ip)}
        body = {"name": list_name(name), "config": {MINE: "true"}, "ingress": [rule], "egress": []}
        steps.append(Step("", "create", f"write the list of network {name}", {"path": "/network-acls", "body": body}))
    if not present:
        body = {"name": name, "type": "bridge", "config": _config(name, address)}
        steps.append(
            Step("", "create", f"make network {name}, which leads nowhere", {"path": "/networks", "body": body})
        )
    return steps


def _config(name: str, address: str) -> dict[str, str]:
    return {
        "ipv4.address": address,
        "ipv4.nat": "false",
        "ipv4.routing": "false",
        "ipv6.address": "none",
        "raw.dnsmasq": "port=0",
        "security.acls": list_name(name),
        "security.acls.default.egress.action": "drop",
        "security.acls.default.ingress.action": "drop",
        MINE: "true",
    }


def plan_now(engine: Engine, network: t.Mapping[str, str]) -> list[Step]:
    """Return what makes it, from what there is now; nothing where no network is given."""
    if not network:
        return []
    networks = {body["name"]: body for body in engine.read("/networks", recursion=1)[0] if body["managed"]}
    return plan(network, networks, {body["name"]: body for body in engine.read("/network-acls", recursion=1)[0]})


def have(engine: Engine, network: t.Mapping[str, str]) -> None:
    """Have it, before a copy is on it. The rule is set each time: it does not outlive a restart of the node."""
    if not network:
        return
    if shutil.which("nft"):  # where the engine works with xtables, name service stays within reach
        run(["nft", "--file", "-"], stdin=rules(network["name"]))
    for step in plan_now(engine, network):
        engine.create(step.args["path"], step.args["body"])


def remove_unused(engine: Engine, name: str) -> bool:
    """Remove it unless a copy is on it; return whether it is gone."""
    present = engine.find(f"/networks/{name}")
    if present is None or MINE not in present["config"] or any("/instances/" in user for user in present["used_by"]):
        return present is None
    engine.delete(f"/networks/{name}")
    if shutil.which("nft"):
        run(["nft", "--file", "-"], stdin=no_rules(name))
    engine.delete(f"/network-acls/{list_name(name)}")
    return True
