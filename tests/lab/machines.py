"""The lab's pool, bridge, images and machines on the outer engine."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import errors
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.tests.lab import images, keys
from ansible_collections.strata.fleet.tests.lab.definition import CACHE, Lab, Machine

# What lets a container run systemd and an engine with containers of its own.
SETTINGS = {
    "security.privileged": "true",
    "security.nesting": "true",
    "raw.lxc": "lxc.cgroup.devices.allow=a\nlxc.mount.auto = proc:rw sys:rw cgroup:rw\nlxc.cap.drop=",
}
# Digest of the image and the keys that a machine was made from.
MADE_FROM = "user.lab.made-from"
SSH_PORT = 22
START_TIMEOUT = 120


class Outer:
    """The outer engine, and what was changed on it so far."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.steps: list[str] = []
        self.root = Engine(timeout=600)
        self.engine = Engine(project=lab.project, timeout=600)

    def do(self, sentence: str) -> None:
        """Say what is being done, and remember it."""
        sys.stderr.write(f"lab: {sentence}\n")
        self.steps.append(sentence)


@contextlib.contextmanager
def alone() -> t.Iterator[None]:
    """Have no other command of this lab make its pool or an image meanwhile: each would find that there is none."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare(outer: Outer) -> None:
    """Make the lab's pool, bridge and project where they are missing."""
    lab = outer.lab
    network = {"ipv4.address": str(lab.gateway), "ipv4.nat": "true", "ipv6.address": "none", "bridge.mtu": _outer_mtu()}
    features = {f"features.{name}": "true" for name in ("images", "profiles", "storage.volumes")}
    nouns: list[tuple[str, str, dict[str, t.Any]]] = [
        ("storage-pools", lab.pool, {"driver": "btrfs", "config": {"size": lab.pool_size}}),
        ("networks", lab.network, {"type": "bridge", "config": network}),
        ("projects", lab.project, {"config": {**features, "features.networks": "false"}}),
    ]
    for path, name, body in nouns:
        if outer.root.find(f"/{path}/{name}") is None:
            outer.do(f"create {path} {name}")
            outer.root.create(f"/{path}", {"name": name, **body})


def up(outer: Outer, machines: t.Sequence[Machine]) -> None:
    """Have these machines running and reachable over SSH."""
    with alone():
        prepare(outer)
        keys.make(keys.CLIENT_KEY.name)
        keys.write_known_hosts(outer.lab.machines.values())
        for machine in machines:
            _import_image(outer, machine)
    for machine in machines:
        found = outer.engine.find(f"/instances/{machine.name}")
        if found and found["config"].get(MADE_FROM) != _made_from(outer.lab, machine):
            # Of an older recipe, or of another checkout with keys of its own.
            down(outer, [machine])
            found = None
        if found is None:
            _create(outer, machine)
        if found is None or found["status"] != "Running":
            outer.do(f"start {machine.name}")
            outer.engine.set_state(machine.name, "start")
    for machine in machines:
        wait_for_ssh(machine)


def down(outer: Outer, machines: t.Sequence[Machine]) -> None:
    """Have these machines gone."""
    for machine in machines:
        found = outer.engine.find(f"/instances/{machine.name}")
        if found is None:
            continue
        outer.do(f"delete {machine.name}")
        if found["status"] == "Running":
            outer.engine.kill(machine.name)
        outer.engine.delete(f"/instances/{machine.name}")


def clean(outer: Outer) -> None:
    """Remove everything that the lab has on the outer engine."""
    lab = outer.lab
    if outer.root.find(f"/projects/{lab.project}"):
        down(outer, list(lab.machines.values()))
        for image in outer.engine.read("/images")[0]:
            outer.engine.delete("/images/" + image.rsplit("/", 1)[-1].partition("?")[0])
    for path in (f"/projects/{lab.project}", f"/networks/{lab.network}", f"/storage-pools/{lab.pool}"):
        if outer.root.find(path):
            outer.do(f"delete {path.strip('/')}")
            outer.root.delete(path)


def wait_for_ssh(machine: Machine) -> None:
    """Return once the machine greets over SSH. Raises Unreachable when it does not in time."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((machine.address, SSH_PORT), 2) as connection:
            if connection.recv(4) == b"SSH-":
                return
        time.sleep(0.1)
    raise errors.Unreachable(f"{machine.name} ({machine.address}) does not answer over SSH after {START_TIMEOUT} s")


def _import_image(outer: Outer, machine: Machine) -> None:
    image = machine.image
    if outer.engine.find(f"/images/aliases/{image.alias}"):
        return
    outer.do(f"build and import image {image.alias} (about a minute)")
    tarball = images.build(image, CACHE / "images").read_bytes()
    outer.engine.upload_image(tarball, {"description": f"Lab {image.name}"}, image.alias)
    for alias in outer.engine.read("/images/aliases", recursion=1)[0]:
        if alias["name"].rpartition("-")[0] == image.name and alias["name"] != image.alias:
            outer.do(f"delete image {alias['name']}, which is of an older recipe")
            outer.engine.delete(f"/images/{alias['target']}")


def _create(outer: Outer, machine: Machine) -> None:
    outer.do(f"create {machine.name} from {machine.image.alias}")
    devices = {
        "root": {"type": "disk", "path": "/", "pool": outer.lab.pool},
        "eth0": {"type": "nic", "network": outer.lab.network, "name": "eth0", "hwaddr": _hardware_address(machine)},
    }
    source = {"type": "image", "alias": machine.image.alias}
    config = {**SETTINGS, MADE_FROM: _made_from(outer.lab, machine)}
    body = {"name": machine.name, "source": source, "config": config, "devices": devices}
    outer.engine.create("/instances", body)
    for path, text, mode in _personal_files(outer.lab, machine):
        outer.engine.write_file(machine.name, path, text, mode)


def _made_from(lab: Lab, machine: Machine) -> str:
    parts = [machine.image.alias, *(f"{path}\n{text}" for path, text, _mode in _personal_files(lab, machine))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _hardware_address(machine: Machine) -> str:
    # Always the same one, or the bridge looks for a machine made anew where the old one was, for half a minute.
    return ":".join(["10", "66", "6a", *(f"{int(part):02x}" for part in machine.address.split(".")[1:])])


def _personal_files(lab: Lab, machine: Machine) -> list[tuple[str, str, int]]:
    network = f"ADDRESS={machine.address}/{lab.gateway.network.prefixlen}\nGATEWAY={lab.gateway.ip}\n"
    private, public = keys.make(machine.name)
    return [
        ("/etc/hostname", f"{machine.name}\n", 0o644),
        ("/etc/hosts", f"127.0.0.1 localhost\n{machine.address} {machine.name}\n", 0o644),
        ("/etc/resolv.conf", f"nameserver {_resolver(lab)}\n", 0o644),
        ("/etc/default/lab-network", network, 0o644),
        ("/etc/ssh/ssh_host_ed25519_key", private, 0o600),
        ("/etc/ssh/ssh_host_ed25519_key.pub", public, 0o644),
        ("/root/.ssh/authorized_keys", keys.make(keys.CLIENT_KEY.name)[1], 0o600),
    ]


def _resolver(lab: Lab) -> str:
    words = [line.split() for line in Path("/etc/resolv.conf").read_text().splitlines()]
    servers = [line[1] for line in words if line[:1] == ["nameserver"]]
    # A resolver on the outer machine's loopback cannot be reached from inside; the bridge forwards to it.
    return next((each for each in servers if not each.startswith("127.") and ":" not in each), str(lab.gateway.ip))


def _outer_mtu() -> str:
    routes = json.loads(
        subprocess.run(["ip", "-json", "route", "show", "default"], capture_output=True, text=True, check=True).stdout
    )
    device = routes[0]["dev"] if routes else "lo"
    return str(min(1500, int(Path(f"/sys/class/net/{device}/mtu").read_text())))
