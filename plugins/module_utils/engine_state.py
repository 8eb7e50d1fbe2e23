# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what an engine and its machine have, carrying out a plan, and reporting what the node can do."""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import errors, skeleton
from ansible_collections.strata.fleet.plugins.module_utils.command import run
from ansible_collections.strata.fleet.plugins.module_utils.engine import Body, Engine
from ansible_collections.strata.fleet.plugins.module_utils.engine_model import Have, Node, Noun, Step, Want
from ansible_collections.strata.fleet.plugins.module_utils.engine_setup import SUBVOLUME

NEEDED_EXTENSIONS = (
    "container_disk_shift",
    "container_exec_recording",
    "container_syscall_filtering",
    "custom_volume_refresh",
    "etag",
    "instance_get_full",
    "operation_wait",
    "patch",
    "projects_restricted_backups_and_snapshots",
    "projects_restrictions",
    "proxy_nat",
    "storage_pool_loop_resize",
)
STATE_FOLDER = "/var/lib/incus"
LIMITS = ("cpu", "memory", "pids")
BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def require(server: Body) -> None:
    """Raise EngineError for an engine that lacks something Strata needs, or that does not trust this user."""
    if server.get("auth") != "trusted":
        raise errors.EngineError("The engine does not trust this user: run as root (become: true).")
    missing = missing_extensions(server)
    if missing:
        version = server["environment"]["server_version"]
        raise errors.EngineError(
            f"The engine ({version}) is too old: it lacks {', '.join(missing)}. Upgrade Incus to 6.0 LTS or newer.",
            missing=missing,
        )


def missing_extensions(server: Body) -> list[str]:
    """Return what Strata needs and this server's API does not have."""
    return sorted(set(NEEDED_EXTENSIONS) - set(server["api_extensions"]))


def read(socket: str, want: Want) -> Have:
    """Return what the engine and the machine have. Raises Unreachable, and EngineError as ``require`` does."""
    engine, scoped = Engine(socket), Engine(socket, want.project)
    server, etag = engine.read("")
    require(server)
    project = _noun(engine, f"/projects/{want.project}")
    alias = scoped.find(f"/images/aliases/{skeleton.ALIAS}") if project else None
    images = scoped.read("/images")[0] if project else []
    return Have(
        node=_read_node(server, want),
        pool=_noun(engine, f"/storage-pools/{want.pool.name}"),
        networks=_read_networks(engine, want),
        acls={body["name"]: _to_noun(body) for body in engine.read("/network-acls", recursion=1)[0]},
        project=project,
        images=tuple(image.rsplit("/", 1)[-1].partition("?")[0] for image in images),
        skeleton=alias["target"] if alias else "",
        https_address=server["config"].get("core.https_address", ""),
        etag=etag,
    )


def apply(socket: str, project: str, steps: t.Iterable[Step]) -> None:
    """Carry the steps out. The first that fails raises, with ``steps_done``; running again goes on from there."""
    done: list[str] = []
    for step in steps:
        # Images live in the project, everything else beside it.
        engine = Engine(socket, project if step.path.startswith("/images") else "default")
        try:
            _carry_out(engine, step)
        except errors.StrataError as error:
            error.facts["steps_done"] = done
            raise
        done.append(step.sentence)


def report(socket: str, project: str, pool: str) -> dict[str, t.Any]:
    """Return what the node can do, as both engine modules return it."""
    engine = Engine(socket)
    server = engine.server()
    environment = server["environment"]
    found = engine.find(f"/storage-pools/{pool}")
    space = engine.read(f"/storage-pools/{pool}/resources")[0]["space"] if found else None
    return {
        "version": environment["server_version"],
        "missing_extensions": missing_extensions(server),
        "kernel": environment["kernel_version"],
        "architecture": environment["kernel_architecture"],
        "idmapped_mounts": environment["kernel_features"].get("idmapped_mounts") == "true",
        "limits_enforced": limits_enforced(server),
        "bridge_filtering": bridge_filtering(),
        "virtual_machines": "qemu" in environment["driver"],
        "apparmor": _is_yes("/sys/module/apparmor/parameters/enabled"),
        "clustered": environment["server_clustered"],
        "https_address": server["config"].get("core.https_address", ""),
        "is_root": os.geteuid() == 0,
        "project": project,
        "project_present": engine.find(f"/projects/{project}") is not None,
        "pool": pool,
        "pool_driver": found["driver"] if found else None,
        "pool_size": space["total"] if space else None,
        "pool_free": space["total"] - space["used"] if space else None,
    }


def limits_enforced(server: Body) -> bool:
    """Whether the engine has the cgroup controllers that make limits of memory, CPUs and processes effective."""
    controllers = _cgroup_controllers(int(server["environment"]["server_pid"]))
    return all(name in controllers for name in LIMITS)


def bridge_filtering() -> bool:
    """Whether traffic between two appliances of one bridge passes the bridge's access list (br_netfilter)."""
    return BRIDGE_FILTER.exists() and BRIDGE_FILTER.read_text().strip() == "1"


def warnings(facts: t.Mapping[str, t.Any]) -> list[str]:
    """Return sentences on what an operator would expect of a node and this one cannot do."""
    sentences = []
    if not facts["idmapped_mounts"]:
        sentences.append(
            "The kernel has no idmapped mounts: appliances cannot start here (Linux 5.19 or newer is needed)."
        )
    if not facts["limits_enforced"]:
        sentences.append("Memory and CPU limits are accepted but not enforced: the engine has no cgroup controllers.")
    if not facts["bridge_filtering"]:
        sentences.append(
            "Appliances of one network reach each other on undeclared ports too: the kernel has no bridge netfilter "
            "(load the module br_netfilter, and set net.bridge.bridge-nf-call-iptables=1)."
        )
    return sentences


def _carry_out(engine: Engine, step: Step) -> None:
    if step.action == "upload":
        engine.upload_image(skeleton.build(step.body["architecture"]), {"strata.managed": "true"}, skeleton.ALIAS)
    elif step.action == "create":
        source = step.body.get("config", {}).get("source", "")
        if source.startswith("/") and not source.startswith("/dev/"):
            # The engine makes the last folder (or subvolume) itself, and nothing above it.
            Path(source).parent.mkdir(parents=True, exist_ok=True)
        engine.create(step.path, step.body)
    elif step.action == "update":
        engine.update(step.path, step.body, step.etag)
    elif step.action == "replace":
        engine.replace(step.path, step.body, step.etag)
    else:
        engine.delete(step.path)


def _noun(engine: Engine, path: str) -> Noun | None:
    try:
        body, etag = engine.read(path)
    except errors.Absent:
        return None
    return _to_noun(body, etag)


def _to_noun(body: Body, etag: str = "") -> Noun:
    return Noun(
        config=body["config"],
        kind=str(body.get("driver") or body.get("type") or ""),
        managed=body.get("managed", True),
        used_by=tuple(body.get("used_by") or ()),
        etag=etag,
        description=body.get("description", ""),
    )


def _read_networks(engine: Engine, want: Want) -> dict[str, Noun]:
    found = {body["name"]: _to_noun(body) for body in engine.read("/networks", recursion=1)[0]}
    # A list has no ETags, and those which may be changed need theirs.
    wanted = {network.name: _noun(engine, f"/networks/{network.name}") for network in want.networks}
    return {**found, **{name: noun for name, noun in wanted.items() if noun}}


def _read_node(server: Body, want: Want) -> Node:
    environment = server["environment"]
    source = _existing(Path(want.pool.source or SUBVOLUME))
    return Node(
        architecture=environment["kernel_architecture"],
        drivers=tuple(driver["Name"] for driver in environment["storage_supported_drivers"]),
        filesystem=run(["stat", "--file-system", "--format=%T", str(source)]).strip(),
        free=shutil.disk_usage(_existing(Path(STATE_FOLDER))).free,
        has_loop=Path("/dev/loop-control").exists(),
    )


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _cgroup_controllers(pid: int) -> list[str]:
    # Through the daemon's own root: it may run in a mount namespace with another cgroup tree than this process sees.
    path = Path(f"/proc/{pid}/root/sys/fs/cgroup/cgroup.controllers")
    return path.read_text().split() if path.exists() else []


def _is_yes(path: str) -> bool:
    return Path(path).exists() and Path(path).read_text().strip() == "Y"
