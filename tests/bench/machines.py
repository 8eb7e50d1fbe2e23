"""The nodes of the lab with fleets of both kinds on them: composed appliances, and instances of a full image."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import yaml
from ansible_collections.strata.fleet.tests.bench import conventional
from ansible_collections.strata.fleet.tests.bench.fleet import HERE, run_playbook
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import CLEAN, STORE
from ansible_collections.strata.fleet.tests.integration.tools import Node, address_of, inventory_variables
from ansible_collections.strata.fleet.tests.lab import keys
from ansible_collections.strata.fleet.tests.lab.definition import CHECKOUT

PREFIX = "bench-"
PLAYBOOKS = CHECKOUT / "playbooks"
BASE = CHECKOUT / "inventories" / "demo" / "bases" / "debian-13.yml"
# What Ansible and a package manager need is in every full image.
PACKAGES = f"{conventional.PACKAGES},udev,openssh-server,python3,python3-apt"
NETWORK = "benchc0"
STRATA_NETWORK = "10.87.0"
FIRST_HOST = 201
WATCHED = 6  # appliances that a client polls
DHCP = "[Match]\nType=ether\n\n[Network]\nDHCP=ipv4\n"
CLEAN_CONVENTIONAL = """
for name in $(incus list --format csv --columns n | grep '^{prefix}'); do incus delete --force "$name"; done
incus image delete {alias} 2>/dev/null
incus network delete {network} 2>/dev/null
rm -f /root/{alias}.tar.xz
true
"""


class Machines:
    """Fleets on the lab's nodes, of a depot that belongs to the bench."""

    def __init__(self, work: Path, nodes: t.Sequence[str], url: str, sources: list[dict[str, t.Any]]) -> None:
        self.work = work
        self.depot = work / "depot"
        self.nodes = {name: Node(name) for name in nodes}
        self._variables = {
            "depot_url": url,
            "depot_trust": [{"name": "site", "key_file": str(self.depot / "site.asc"), "refs": ["base/*", "app/*"]}],
            "depot_path": str(self.depot),
            "base_files": [str(BASE)],
            "base_sources": sources,
            "patch_record_path": str(work / "rollouts"),
        }

    # -- composed appliances ---------------------------------------------------------------------------------------

    def build(self) -> None:
        """Build the base from what the archive has now."""
        self._play("patch_base", {}, [])

    def deploy(self, names: t.Mapping[str, str]) -> None:
        """Have these appliances, by name with their nodes."""
        self._play("engine", names, self.nodes)
        self._play("deploy", names, self.nodes)

    def patch(self, names: t.Mapping[str, str], rollout: dict[str, t.Any], version: str = "") -> None:
        """Patch them to what the channel names, or to one version of the base."""
        self._play("patch", names, self.nodes, {"patch_rollout": rollout}, version)

    def clean(self) -> None:
        """Remove what the bench made on the nodes."""
        for node in self.nodes.values():
            node.run(CLEAN.format(prefix=PREFIX, store=STORE))
            node.run(CLEAN_CONVENTIONAL.format(prefix=PREFIX, alias=conventional.ALIAS, network=NETWORK))

    # -- conventional instances ------------------------------------------------------------------------------------

    def build_image(self, source: dict[str, t.Any]) -> Path:
        """Return a full image that an operator of many machines would have: with sshd, Python and the same nginx."""
        kept = {key: " ".join(value) for key, value in source.items() if isinstance(value, list)}
        lines = {"Types": "deb", "URIs": kept["uris"], "Suites": kept["suites"], "Components": kept["components"]}
        listed = "".join(f"{key}: {value}\n" for key, value in {**lines, "Signed-By": "/etc/apt/fixes.asc"}.items())
        files = {
            # The archive with the fix alone: Debian's own lists would be 10 MB more for each.
            "/etc/apt/sources.list.d/fixes.sources": listed,
            "/etc/apt/sources.list": "",
            "/etc/apt/fixes.asc": Path(source["signed_by"]).read_text(),
            "/etc/systemd/network/80-bench.network": DHCP,
            "/root/.ssh/authorized_keys": keys.make(keys.CLIENT_KEY.name)[1],
        }
        content = conventional.Content(PACKAGES, files, ("systemd-networkd.service",), "gzip -1")
        return conventional.build_image(self.work, content)

    def launch(self, image: Path, each: int) -> dict[str, str]:
        """Have so many instances on each node; returns their addresses by name, once nginx and sshd answer."""
        addresses = {}
        for number, (name, node) in enumerate(self.nodes.items(), 1):
            alias, network = conventional.ALIAS, f"10.89.{number}"
            send(image, name, f"/root/{alias}.tar.xz")
            node.run(f"incus image import /root/{alias}.tar.xz --alias {alias}")
            node.run(f"incus network create {NETWORK} ipv4.address={network}.1/24 ipv4.nat=true ipv6.address=none")
            for count in range(1, each + 1):
                own = f"{PREFIX}{name}-{count}"
                addresses[own] = f"{network}.{10 + count}"
                node.run(f"incus init {alias} {own} --no-profiles --storage strata --network {NETWORK}")
                node.run(f"incus config device set {own} eth0 ipv4.address={addresses[own]}")
                node.run(f"incus start {own}")
        for address in addresses.values():
            wait_until_served(address)
        return addresses

    def play_conventional(self, playbook: str, addresses: t.Mapping[str, str]) -> None:
        """Run one of the bench's playbooks on these instances."""
        common = inventory_variables()
        variables = {
            **common,
            "ansible_host_key_checking": False,
            "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=/dev/null",
        }
        hosts = {name: {"ansible_host": address} for name, address in addresses.items()}
        path = self.work / "conventional.yml"
        path.write_text(yaml.safe_dump({"all": {"vars": variables, "children": {"conventional": {"hosts": hosts}}}}))
        run_playbook(playbook, path)

    def versions(self, package: str, names: t.Iterable[str]) -> set[str]:
        """Return the versions of a package in conventional instances."""
        question = f"dpkg-query --show --showformat='${{Version}}' {package}"
        return {self.nodes[node_of(name)].run(f"incus exec {name} -- {question}").stdout for name in names}

    # -- both ------------------------------------------------------------------------------------------------------

    def _play(
        self,
        playbook: str,
        names: t.Mapping[str, str],
        nodes: t.Iterable[str],
        variables: dict[str, t.Any] | None = None,
        version: str = "",
    ) -> None:
        pinned = {"appliance_base_version": version} if version else {}
        hosts = {name: {**build_appliance(name, node, names), **pinned} for name, node in names.items()}
        groups: dict[str, t.Any] = {
            "nodes": {
                "hosts": {name: {"ansible_host": address_of(name)} for name in nodes},
                "vars": inventory_variables(),
            },
            "depots": {
                "hosts": {"bench": {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}}
            },
            "appliances": {"hosts": hosts},
        }
        path = self.work / f"{playbook}.yml"
        path.write_text(yaml.safe_dump({"all": {"vars": {**self._variables, **(variables or {})}, "children": groups}}))
        run_playbook(str(PLAYBOOKS / f"{playbook}.yml"), path)


class Polling:
    """A client that polls these addresses every 10 ms while the context lasts."""

    def __init__(self, work: Path, addresses: t.Sequence[str]) -> None:
        self._path = work / "polled.json"
        self._urls = [f"http://{address}/" for address in addresses]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> t.Self:
        self._process = subprocess.Popen([sys.executable, HERE / "poller.py", self._path, *self._urls])
        time.sleep(2)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process:
            time.sleep(2)
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()

    def interruptions(self) -> list[float]:
        """Return, for each address, the longest time in seconds between two answers."""
        seen: dict[str, list[float]] = json.loads(self._path.read_text())
        if silent := [url for url, times in seen.items() if len(times) < 2]:
            raise SystemExit(f"{', '.join(silent)} never answered")
        return sorted(max(after - before for before, after in itertools.pairwise(each)) for each in seen.values())


def build_appliance(name: str, node: str, names: t.Mapping[str, str]) -> dict[str, t.Any]:
    """Return an appliance's variables. Its address is one of its node's network, which is called the same on each."""
    network = {"network": "strata0", "address": address_in(name, names)}
    config = {"title": name}
    common = {"appliance_node": node, "appliance_base": "debian-13", "appliance_app": "nginx"}
    return {**common, "appliance_networks": [network], "appliance_config": config}


def address_in(name: str, names: t.Iterable[str]) -> str:
    """Return the address of one of these appliances."""
    return f"{STRATA_NETWORK}.{FIRST_HOST + sorted(names).index(name)}"


def node_of(name: str) -> str:
    """Return the node of a conventional instance."""
    return name.removeprefix(PREFIX).rpartition("-")[0]


def send(file: Path, node: str, path: str) -> None:
    """Copy a file to a node."""
    variables = inventory_variables()
    options = variables["ansible_ssh_args"].split()
    key = variables["ansible_ssh_private_key_file"]
    subprocess.run(["scp", "-q", *options, "-i", key, file, f"root@{address_of(node)}:{path}"], check=True)


def wait_until_served(address: str, timeout: float = 120) -> None:
    """Return once an instance answers by HTTP and by SSH."""
    deadline = time.monotonic() + timeout
    for port in ("80", "22"):
        probe = [sys.executable, "-c", f"import socket; socket.create_connection(({address!r}, {port}), 2)"]
        while subprocess.run(probe, capture_output=True, check=False).returncode:
            if time.monotonic() > deadline:
                raise TimeoutError(address)
            time.sleep(0.5)


def set_routes(nodes: t.Sequence[str], action: str) -> None:
    """Add (replace) or delete the routes to all conventional instances, and to the first node's watched appliances."""
    routes = {f"10.89.{number}.0/24": node for number, node in enumerate(nodes, 1)}
    # One by one: this machine may have a network of the same name and addresses.
    routes |= {f"{STRATA_NETWORK}.{FIRST_HOST + number}/32": nodes[0] for number in range(WATCHED)}
    for network, node in routes.items():
        argv = ["ip", "route", action, network, "via", address_of(node)]
        subprocess.run(argv, check=action == "replace", capture_output=action == "delete")


def cpu_seconds() -> float:
    """Return the seconds that this machine's CPUs have worked, all nodes included. Source: proc_stat(5)."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
