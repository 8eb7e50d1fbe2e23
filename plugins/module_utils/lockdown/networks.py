# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access lists of a node's networks: what there is, and the actions that change it."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import drift
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import Changed, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.instance import composition_of
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import network_acl, quarantine
from ansible_collections.strata.fleet.plugins.module_utils.model import Have, Plan, Step

Manifest = t.Mapping[str, t.Any]


def with_networks(
    have: Have, engine: Engine, read: t.Callable[[str], Manifest], given: t.Mapping[str, Manifest]
) -> Have:
    """Return ``have`` with the engine's networks and lists, who else is on these, and the ports that apps declare.

    ``given`` are the manifests by commit that the caller has; ``read`` gets others from the store.
    """
    running = (composition_of(each.config) for each in have.instances.values())
    apps = {composition.app.commit for composition in running if composition} | given.keys()
    ports: dict[str, t.Sequence[str]] = {}
    for commit in sorted(apps):
        with contextlib.suppress(StrataError):  # that appliance stays as reachable as it is
            ports[commit] = network_acl.declared_ports(given.get(commit) or read(commit))
    networks = {body["name"]: body["config"] for body in engine.read("/networks", recursion=1)[0] if body["managed"]}
    acls = {body["name"]: body for body in engine.read("/network-acls", recursion=1)[0]}
    return dataclasses.replace(have, networks=networks, acls=acls, ports=ports, neighbours=read_neighbours(engine))


def read_neighbours(engine: Engine) -> list[tuple[str, str, str]]:
    """Return the cards of the appliances of other projects, which share the networks: network, name, address."""
    found = set()
    for body in engine.instances_of_others():
        if composition_of(body["config"]):
            cut = quarantine.read(body["config"])
            devices = {**body["devices"], **(cut.devices if cut else {})}
            found |= {(nic.network, str(body["name"]), nic.address) for nic in drift.read_nics(devices)}
    return sorted(found)


def apply(engine: Engine, plan: Plan) -> list[str]:
    """Carry out a plan of ``network_plan.plan_lists``; returns the sentences of what was done. Raises StrataError."""
    done: list[str] = []
    for step in plan.steps:
        try:
            carry_out(engine, step)
        except StrataError as error:
            error.message = f"Could not {step.sentence}: {error.message}"
            error.facts["steps_done"] = done
            raise
        done.append(step.sentence)
    return done


def carry_out(engine: Engine, step: Step) -> None:
    """Do one step; once more where somebody else was faster."""
    action = {"write_acl": _write_acl, "set_network": _set_network}[step.action]
    try:
        action(engine, step.args)
    except Changed:
        action(engine, step.args)


def _write_acl(engine: Engine, args: t.Mapping[str, t.Any]) -> None:
    path, name = "/network-acls", args["acl"]
    if engine.find(f"{path}/{name}") is None:
        engine.create(path, {"name": name, "config": {network_acl.MANAGED: "true"}, **args["rules"]})
        return
    body, etag = engine.read(f"{path}/{name}")
    engine.replace(f"{path}/{name}", {**body, **args["rules"]}, etag)


def _set_network(engine: Engine, args: t.Mapping[str, t.Any]) -> None:
    _body, etag = engine.read(f"/networks/{args['network']}")
    engine.update(f"/networks/{args['network']}", {"config": args["config"]}, etag)
