# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plan: what makes the access lists of a node's networks as its appliances' apps declare. Pure.

One list a network, changed at most once in a run, however many appliances come, go or change. Other projects have
their appliances on the same network: what the list says of these is theirs.
"""

from __future__ import annotations

import ipaddress
import json
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import drift, instance
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import network_acl, quarantine
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.network_acl import AclRule, Opening
from ansible_collections.strata.fleet.plugins.module_utils.model import Appliance, Have, Instance, Nic, Plan, Step

ACLS = "access lists"  # what a diff calls them
Rules = dict[str, list[AclRule]]


class Reach(t.NamedTuple):
    """Where an appliance may be reached: its cards, and by commit the apps that it runs or is to run."""

    appliance: str
    nics: tuple[Nic, ...]
    apps: tuple[str, ...]


def find_reaches(
    want: t.Iterable[Appliance], gone: t.Collection[str], have: Have, *, keep: bool = False
) -> list[Reach]:
    """Return the reach of every appliance that will be on the node: those that are wanted, and those left alone.

    ``gone`` are removed. With ``keep`` the ports of what an appliance runs now stay open beside those of what it is to
    run: for a change that may be taken back.
    """
    wanted = {item.name: item for item in want}
    names = sorted((have.instances.keys() | wanted.keys()) - set(gone))
    return [reach for name in names if (reach := _reach(name, wanted.get(name), have.instances.get(name), keep=keep))]


def _reach(name: str, item: Appliance | None, present: Instance | None, *, keep: bool) -> Reach | None:
    running = instance.composition_of(present.config) if present else None
    cut = quarantine.read(present.config) if present else None
    if item is None or cut:
        if not present or not running:
            return None
        nics = tuple(drift.read_nics({**present.devices, **(cut.devices if cut else {})}))
        return Reach(name, nics, (running.app.commit,))
    both = {item.composition.app.commit, *((running.app.commit,) if keep and running else ())}
    return Reach(name, item.nics, tuple(sorted(both)))


def plan_lists(reaches: t.Sequence[Reach], have: Have) -> Plan:
    """Return the steps that make the lists so, and put them into force on networks that Strata made."""
    steps: list[Step] = []
    before: dict[str, t.Any] = {}
    after: dict[str, t.Any] = {}
    for network, config in sorted(have.networks.items()):
        own = _plan_network(network, config, reaches, have)
        if own:
            name = network_acl.acl_name(network)
            steps += own
            before[network] = _shown(have.acls.get(name), config)
            after[network] = {
                **before[network],
                **{key: value for step in own for key, value in step.args.get("shown", {}).items()},
            }
    return Plan(tuple(steps), {ACLS: before} if steps else {}, {ACLS: after} if steps else {})


def _plan_network(network: str, config: t.Mapping[str, str], reaches: t.Sequence[Reach], have: Have) -> list[Step]:
    name, keys = network_acl.acl_name(network), network_acl.network_keys(network)
    present = have.acls.get(name)
    if not network_acl.is_filtered(config):
        is_ours = config.get("security.acls") == name
        open_keys = dict.fromkeys(keys, "")
        args = {"network": network, "config": open_keys, "shown": {"in force": False}}
        return [Step("", "set_network", f"let everything through on network {network}", args)] if is_ours else []
    rules = _rules(network, config["ipv4.address"], reaches, have)
    steps = []
    if present is None or not _are_same(network_acl.normalise(present), rules):
        verb = "update" if present else "write"
        args = {"acl": name, "rules": rules, "shown": {way: _listed(rules[way]) for way in sorted(rules)}}
        steps.append(Step("", "write_acl", f"{verb} the list of what network {network} lets through", args))
    if any(config.get(key) != value for key, value in keys.items()):
        args = {"network": network, "config": keys, "shown": {"in force": True}}
        steps.append(Step("", "set_network", f"close network {network} but for declared ports", args))
    return steps


def _rules(network: str, address: str, reaches: t.Sequence[Reach], have: Have) -> Rules:
    present = network_acl.normalise(have.acls.get(network_acl.acl_name(network), {}))
    openings, kept = [], []
    for reach in reaches:
        if not all(app in have.ports for app in reach.apps):
            # Its app cannot be read now: it stays as reachable as it is.
            kept += [rule for rule in present[network_acl.INGRESS] if rule.get("description") == reach.appliance]
            continue
        ports = tuple(sorted({port for app in reach.apps for port in have.ports[app]}))
        openings += [
            Opening(reach.appliance, network, nic.address, ports) for nic in reach.nics if nic.network == network
        ]
    rules = network_acl.build_rules(address, openings)
    subnet = str(ipaddress.IPv4Interface(address).network)
    kept += network_acl.of_neighbours(present[network_acl.INGRESS], network, subnet, have.neighbours)
    ingress = list(rules[network_acl.INGRESS])
    ingress += [rule for number, rule in enumerate(kept) if rule not in ingress + kept[:number]]
    return {**rules, network_acl.INGRESS: ingress}


def _are_same(found: Rules, wanted: Rules) -> bool:
    return all(_sorted(found[way]) == _sorted(wanted[way]) for way in wanted)


def _sorted(rules: t.Iterable[AclRule]) -> list[str]:
    return sorted(json.dumps(rule, sort_keys=True) for rule in rules)


def _shown(acl: t.Mapping[str, t.Any] | None, config: t.Mapping[str, str]) -> dict[str, t.Any]:
    rules = network_acl.normalise(acl) if acl else {way: [] for way in (network_acl.INGRESS, network_acl.EGRESS)}
    keys = [key for key, value in config.items() if key.startswith("security.acls") and value]
    return {**{way: _listed(rules[way]) for way in sorted(rules)}, "in force": bool(keys)}


def _listed(rules: t.Iterable[AclRule]) -> list[str]:
    """Return rules as lines that a person can compare."""
    return [
        " ".join(
            [
                f"{rule.get('description') or '(nameless)'}: {rule.get('action', '')}",
                *(f"{key}={rule[key]}" for key in sorted(rule) if key not in ("description", "action", "state")),
                *([] if rule.get("state") == "enabled" else [str(rule.get("state"))]),
            ]
        )
        for rule in rules
    ]
