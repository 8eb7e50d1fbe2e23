# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Strata needs of an engine (pool, networks, project, skeleton image), and the plan that gets there. Pure."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import skeleton
from ansible_collections.strata.fleet.plugins.module_utils.engine_model import (
    MANAGED,
    Have,
    Network,
    Node,
    Noun,
    Plan,
    Pool,
    Step,
    Want,
)
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, DiskFull
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.network_acl import FILTERED, acl_name

GIB = 2**30
LOOP_SHARE = 0.7  # of the free disk: the store and the system need the rest
SMALLEST_LOOP = 2 * GIB
SUBVOLUME = "/var/lib/strata/pool"
BRIDGE_NAME = re.compile(r"[a-z][a-z0-9._-]{1,14}")
NOUN_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}")

PROJECT_CONFIG: t.Mapping[str, str] = {
    "features.images": "true",
    "features.profiles": "true",
    "features.storage.volumes": "true",
    "features.storage.buckets": "true",
    "features.networks": "false",
    "restricted": "true",
    "restricted.backups": "allow",
    "restricted.snapshots": "allow",
    "restricted.containers.nesting": "block",
    "restricted.containers.privilege": "isolated",
    "restricted.devices.disk": "allow",
    "restricted.devices.nic": "managed",
    "restricted.devices.proxy": "allow",
}


def validate(want: Want) -> None:
    """Raise BadInput, naming the key, for what the engine would not accept."""
    for key, name in (("project", want.project), ("pool", want.pool.name)):
        if not NOUN_NAME.fullmatch(name):
            raise BadInput(f"{key} {name!r} is not a name: letters, digits, _ and - only, 63 at most", key=key)
    seen: dict[ipaddress.IPv4Network, str] = {}
    for network in want.networks:
        if not BRIDGE_NAME.fullmatch(network.name):
            raise BadInput(
                f"networks: {network.name!r} cannot be a bridge's name: 2 to 15 of a-z 0-9 . _ -, a letter first",
                key="networks",
            )
        subnet = parse_interface(network).network
        for other, name in seen.items():
            if name == network.name or other.overlaps(subnet):
                raise BadInput(f"networks: {network.name} ({subnet}) collides with {name} ({other})", key="networks")
        seen[subnet] = network.name


def parse_interface(network: Network) -> ipaddress.IPv4Interface:
    """Return the bridge's address. Raises BadInput when it is not a host's address with a prefix length."""
    try:
        interface = ipaddress.IPv4Interface(network.address)
    except ValueError as error:
        raise BadInput(f"networks: {network.name}: address {network.address!r}: {error}", key="networks") from error
    net = interface.network
    if "/" not in network.address or interface.ip in (net.network_address, net.broadcast_address):
        raise BadInput(
            f"networks: {network.name}: {network.address!r} must be the bridge's own address with the network's prefix "
            "length, such as 10.87.0.1/24",
            key="networks",
        )
    return interface


def plan(want: Want, have: Have) -> Plan:
    """Return what makes the engine as wanted. Raises BadInput or DiskFull where that is not possible."""
    validate(want)
    made = Plan()
    _plan_https(made, want, have)
    _plan_pool(made, want.pool, have)
    for network in want.networks:
        _plan_network(made, network, have)
    _plan_project(made, want.project, have)
    _plan_skeleton(made, want.project, have)
    return made


def plan_removal(want: Want, have: Have) -> Plan:
    """Return what removes everything that Strata made, and nothing else. Raises BadInput while it is in use."""
    made = Plan()
    project = have.project
    if project and project.is_ours:
        strangers = [user for user in project.used_by if not user.startswith(("/1.0/profiles/default", "/1.0/images/"))]
        if strangers:
            raise BadInput(
                f"project {want.project} still holds {', '.join(sorted(strangers))}: remove these first (role "
                "strata.fleet.deploy removes appliances)",
                used_by=sorted(strangers),
            )
        images = [Step(f"delete image {name[:12]}", "delete", f"/images/{name}", {}) for name in have.images]
        gone = Step(f"delete project {want.project}", "delete", f"/projects/{want.project}", {})
        made.add(f"project {want.project}", _shown(project), None, *images, gone)
    for network in want.networks:
        _plan_noun_removal(
            made, f"network {network.name}", f"/networks/{network.name}", have.networks.get(network.name)
        )
        _plan_list_removal(made, network.name, have)
    _plan_noun_removal(made, f"pool {want.pool.name}", f"/storage-pools/{want.pool.name}", have.pool)
    return made


def choose_pool(pool: Pool, node: Node) -> dict[str, t.Any]:
    """Return the body that creates the pool with the best driver the machine has room and means for."""
    driver, config = pool.driver, {MANAGED: "true"}
    on_btrfs = node.filesystem == "btrfs"
    if driver == "auto":
        fits = "btrfs" in node.drivers and (on_btrfs or pool.source.startswith("/dev/") or not pool.source)
        driver = "btrfs" if fits and (on_btrfs or pool.source or node.has_loop) else "dir"
    if driver not in node.drivers:
        raise BadInput(
            f"pool {pool.name}: the engine has no driver {driver!r} (it has {', '.join(node.drivers)}); install its "
            "programs on the node and restart the engine, or choose another pool_driver",
            key="pool_driver",
        )
    source = pool.source or (SUBVOLUME if driver == "btrfs" and on_btrfs else "")
    if source:
        config["source"] = source
    elif driver != "dir":
        config["size"] = str(pool.size or _loop_size(pool, node))
    return {"name": pool.name, "driver": driver, "config": config}


def _loop_size(pool: Pool, node: Node) -> int:
    size = int(node.free * LOOP_SHARE) // GIB * GIB
    if size < SMALLEST_LOOP:
        raise DiskFull(
            f"pool {pool.name}: only {node.free / GIB:.1f} GiB are free for its loop file; free some disk, or give "
            "pool_source a disk or a folder on another one",
            free=node.free,
        )
    return size


def _plan_https(made: Plan, want: Want, have: Have) -> None:
    address = want.https_address
    if address is None or address == have.https_address:
        return
    sentence = f"listen on {address}" if address else "stop listening on the network"
    step = Step(sentence, "update", "", {"config": {"core.https_address": address}}, have.etag)
    made.add("core.https_address", have.https_address, address, step)


def _plan_pool(made: Plan, pool: Pool, have: Have) -> None:
    noun, title = have.pool, f"pool {pool.name}"
    if noun is None:
        body = choose_pool(pool, have.node)
        source = body["config"].get("source", "")
        where = f"at {source}" if source else f"of {int(body['config'].get('size', 0)) / GIB:.0f} GiB"
        made.add(
            title,
            None,
            {"kind": body["driver"], "config": body["config"]},
            Step(
                f"create {title}, {body['driver']} {where}".removesuffix(" of 0 GiB"), "create", "/storage-pools", body
            ),
        )
        return
    if pool.driver not in ("auto", noun.kind):
        raise BadInput(
            f"{title} exists with driver {noun.kind}, not {pool.driver}: a pool's driver cannot be changed; ask for "
            f"{noun.kind}, or name another pool",
            key="pool_driver",
        )
    old = int(noun.config.get("size", "0")) if noun.config.get("size", "0").isdigit() else 0
    steps = []
    config = dict(noun.config)
    if pool.size and old and pool.size != old and noun.is_ours:
        if pool.size < old:
            raise BadInput(f"{title} is {old} bytes large and cannot be made smaller ({pool.size})", key="pool_size")
        config["size"] = str(pool.size)
        body = {"config": {"size": config["size"]}}
        steps = [Step(f"enlarge {title} to {pool.size / GIB:.0f} GiB", "update", _pool_path(pool), body, noun.etag)]
    made.add(title, _shown(noun), _shown(dataclasses.replace(noun, config=config)), *steps)


def _plan_network(made: Plan, network: Network, have: Have) -> None:
    title, noun = f"network {network.name}", have.networks.get(network.name)
    config = {"ipv4.address": network.address, "ipv4.nat": str(network.nat).lower(), "ipv6.address": "none"}
    if network.mtu:
        config["bridge.mtu"] = str(network.mtu)
    if not network.filtered or (noun and FILTERED in noun.config):
        config[FILTERED] = str(network.filtered).lower()
    if noun is None:
        _refuse_overlap(network, have)
        body = {"name": network.name, "type": "bridge", "config": {**config, MANAGED: "true"}}
        step = Step(f"create {title}, {network.address}", "create", "/networks", body)
        made.add(title, None, {"kind": "bridge", "config": body["config"]}, step)
        return
    wrong = {key: value for key, value in config.items() if noun.config.get(key) != value}
    if not noun.is_ours:
        stranger = wrong.keys() & {"ipv4.address"} or noun.kind != "bridge" or not noun.managed
        if stranger:
            found = noun.config.get("ipv4.address", "no address")
            raise BadInput(
                f"{title} exists, was not made by Strata and does not fit ({noun.kind}, {found}, wanted: bridge, "
                f"{network.address}); choose another name, or its address",
                key="networks",
            )
        wrong = {}
    _update(made, title, f"/networks/{network.name}", noun, wrong)


def _plan_project(made: Plan, name: str, have: Have) -> None:
    title, noun = f"project {name}", have.project
    if noun is None:
        body = {"name": name, "description": "Strata appliances", "config": {**PROJECT_CONFIG, MANAGED: "true"}}
        step = Step(f"create {title}", "create", "/projects", body)
        made.add(title, None, {"kind": "", "config": body["config"]}, step)
        return
    wrong = {key: value for key, value in PROJECT_CONFIG.items() if noun.config.get(key) != value}
    if wrong and not noun.is_ours:
        raise BadInput(
            f"{title} exists, was not made by Strata and differs in {', '.join(sorted(wrong))}; name another project",
            key="project",
        )
    _update(made, title, f"/projects/{name}", noun, wrong, action="replace")


def _plan_skeleton(made: Plan, project: str, have: Have) -> None:
    wanted = skeleton.fingerprint(skeleton.build(have.node.architecture))
    if have.skeleton == wanted:
        return
    steps = []
    if have.skeleton:
        steps.append(Step("release the old skeleton's name", "delete", f"/images/aliases/{skeleton.ALIAS}", {}))
    if wanted in have.images:
        body = {"name": skeleton.ALIAS, "target": wanted}
        steps.append(Step("name the skeleton image", "create", "/images/aliases", body))
    else:
        body = {"architecture": have.node.architecture}
        steps.append(Step(f"import the skeleton image into {project}", "upload", "/images", body))
    made.add("skeleton", have.skeleton or None, wanted, *steps)


def _plan_noun_removal(made: Plan, title: str, path: str, noun: Noun | None) -> None:
    if not noun or not noun.is_ours:
        return
    # Images of the project occupy the pool until they are deleted, which happens first.
    strangers = [user for user in noun.used_by if not user.startswith(("/1.0/images/", "/1.0/profiles/default"))]
    if strangers:
        raise BadInput(f"{title} is still used by {', '.join(sorted(strangers))}", used_by=sorted(strangers))
    made.add(title, _shown(noun), None, Step(f"delete {title}", "delete", path, {}))


def _plan_list_removal(made: Plan, network: str, have: Have) -> None:
    name = acl_name(network)
    noun = have.acls.get(name)
    others = [user for user in noun.used_by if user != f"/1.0/networks/{network}"] if noun else []
    if noun and noun.is_ours and not others:
        title = f"access list {name}"
        made.add(title, _shown(noun), None, Step(f"delete {title}", "delete", f"/network-acls/{name}", {}))


def _update(
    made: Plan, title: str, path: str, noun: Noun, wrong: t.Mapping[str, str], *, action: str = "update"
) -> None:
    after = _shown(dataclasses.replace(noun, config={**noun.config, **wrong}))
    sentence = f"set {', '.join(f'{key}={value}' for key, value in sorted(wrong.items()))} on {title}"
    # A PATCH of a project drops the keys that it does not name, so a project gets all of them.
    whole = {"description": noun.description, "config": {**noun.config, **wrong}}
    body = whole if action == "replace" else {"config": dict(wrong)}
    steps = [Step(sentence, action, path, body, noun.etag)] if wrong else []
    made.add(title, _shown(noun), after, *steps)


def _refuse_overlap(network: Network, have: Have) -> None:
    subnet = parse_interface(network).network
    for name, noun in have.networks.items():
        address = noun.config.get("ipv4.address", "none")
        if address not in ("none", "auto", "") and ipaddress.IPv4Interface(address).network.overlaps(subnet):
            raise BadInput(
                f"networks: {network.name} ({subnet}) overlaps with the node's network {name} ({address})",
                key="networks",
            )


def _shown(noun: Noun) -> dict[str, t.Any]:
    return {"kind": noun.kind, "config": {k: v for k, v in noun.config.items() if not k.startswith("volatile.")}}


def _pool_path(pool: Pool) -> str:
    return f"/storage-pools/{pool.name}"
