"""The figures of migration: `python -m ansible_collections.strata.fleet.tests.bench.migration`.

An nginx appliance with 10 MB, 300 MB and 2 GB of state goes to another node of the lab and back, and a full Debian with
the same nginx and as much data goes as the engine has it: stopped, copied, started. A client polls both nodes'
published port every 10 ms. Takes the lab and the tests' depot (make lab content), and a machine that does nothing else.
Nothing is asserted.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import tempfile
import typing as t
import urllib.request
from pathlib import Path

import yaml
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size
from ansible_collections.strata.fleet.tests.bench import conventional
from ansible_collections.strata.fleet.tests.bench.__main__ import compare, draw, seconds
from ansible_collections.strata.fleet.tests.bench.depot_server import DepotServer
from ansible_collections.strata.fleet.tests.bench.fleet import run_playbook
from ansible_collections.strata.fleet.tests.bench.machines import (
    CLEAN_CONVENTIONAL,
    PLAYBOOKS,
    PREFIX,
    Polling,
    send,
)
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import CLEAN, STORE, inside
from ansible_collections.strata.fleet.tests.integration.tools import (
    Node,
    address_of,
    inventory_variables,
    lab,
    wait_until,
)
from ansible_collections.strata.fleet.tests.lab.definition import CHECKOUT, load

NAME, PEER = f"{PREFIX}mig", f"{PREFIX}peer"
PORT, PEER_PORT = 18081, 18082
NETWORK = "benchc0"
MB = 10**6
SIZES = (10 * MB, 300 * MB, 2000 * MB)
# What an operator without a migration of custom volumes does: stop, copy the instance, start it there.
TAKE = """
python3 - <<'END'
import json, subprocess
body = json.loads({body!r})
done = subprocess.run(["incus", "query", "--wait", "-X", "POST", "-d", json.dumps(body), "/1.0/instances"])
raise SystemExit(done.returncode)
END
"""


class Away(Polling):
    """A client of one service that may be on either of two nodes."""

    def __init__(self, work: Path, port: int, nodes: t.Iterable[Node]) -> None:
        super().__init__(work, [f"{address_of(node.name)}:{port}" for node in nodes])

    def seconds(self) -> float:
        """Return the longest time in seconds between two answers, from wherever they came."""
        seen: dict[str, list[float]] = json.loads(self._path.read_text())
        times = sorted(itertools.chain(*seen.values()))
        return max(after - before for before, after in itertools.pairwise(times))


class Ours:
    """An appliance on one of two nodes."""

    def __init__(self, work: Path, nodes: t.Sequence[Node], depot: Path, url: str) -> None:
        self.work = work
        self.nodes = nodes
        self._depot = depot
        self._url = url

    def play(self, playbook: str, **variables: t.Any) -> None:
        """Run one of the collection's playbooks."""
        trust = [{"name": "site", "key_file": str(self._depot / "site.asc"), "refs": ["base/*", "app/*"]}]
        appliance = {
            "appliance_node": self.nodes[0].name,
            "appliance_base": "debian-13",
            "appliance_app": "nginx",
            "appliance_networks": [{"network": "strata0", "address": "10.87.0.241"}],
            "appliance_publish": [{"listen": PORT, "port": 80}],
            "appliance_volumes": {"var": {"size": "8GiB"}},
        }
        hosts = {node.name: {"ansible_host": address_of(node.name)} for node in self.nodes}
        children = {
            "nodes": {"hosts": hosts, "vars": inventory_variables()},
            "appliances": {"hosts": {NAME: appliance}},
        }
        common = {"depot_url": self._url, "depot_trust": trust, "store_collect": False}
        path = self.work / "inventory.yml"
        path.write_text(yaml.safe_dump({"all": {"vars": common, "children": children}}))
        run_playbook(str(PLAYBOOKS / f"{playbook}.yml"), path, variables)

    def measure(self, size: int) -> list[float]:
        """Return for how long it was away on its way there and on its way back, with so many bytes of state."""
        inside(self.nodes[0], NAME, f"head -c {size} /dev/urandom > /var/lib/ballast; sync")
        found = []
        for node in reversed(self.nodes):
            with Away(self.work, PORT, self.nodes) as client:
                self.play("migrate", migrate=NAME, migrate_to=node.name)
            found.append(client.seconds())
        return found


class Theirs:
    """A full Debian on one of two nodes, that goes with the engine's own means."""

    def __init__(self, work: Path, nodes: t.Sequence[Node]) -> None:
        self.work = work
        self.nodes = nodes

    def launch(self) -> None:
        """Have one on the first node."""
        # It needs no address, as the engine's proxy enters it; and nginx starts without waiting for one.
        content = conventional.Content(compression="gzip -1")
        image = conventional.build_image(self.work, content)
        for number, node in enumerate(self.nodes, 1):
            node.run(f"incus network create {NETWORK} ipv4.address=10.89.{number}.1/24 ipv4.nat=true ipv6.address=none")
            node.run(f"incus config set core.https_address {address_of(node.name)}:8443")
        first, alias = self.nodes[0], conventional.ALIAS
        send(image, first.name, f"/root/{alias}.tar.xz")
        first.run(f"incus image import /root/{alias}.tar.xz --alias {alias}")
        first.run(f"incus init {alias} {PEER} --no-profiles --storage strata --network {NETWORK}")
        proxy = f"proxy listen=tcp:0.0.0.0:{PEER_PORT} connect=tcp:127.0.0.1:80"
        first.run(f"incus config device add {PEER} port {proxy} && incus start {PEER}")

    def measure(self, size: int) -> list[float]:
        """Return for how long it was away on its way there and on its way back, with so many bytes of data."""
        self.nodes[0].run(f"incus exec {PEER} -- sh -c 'head -c {size} /dev/urandom > /var/lib/ballast; sync'")
        found = []
        for source, target in (self.nodes, self.nodes[::-1]):
            wait_until(functools.partial(serves, source))
            with Away(self.work, PEER_PORT, self.nodes) as client:
                self._go(source, target)
                wait_until(functools.partial(serves, target))
            found.append(client.seconds())
        return found

    def _go(self, source: Node, target: Node) -> None:
        source.run(f"incus stop {PEER}")
        body = source.query(f"/1.0/instances/{PEER}")
        offer = source.run(
            f"incus query -X POST -d '{json.dumps({'name': PEER, 'migration': True})}' /1.0/instances/{PEER}"
        )
        made = json.loads(offer.stdout)
        kept = {key: value for key, value in body["config"].items() if not key.startswith("volatile.")}
        taken = {
            "name": PEER,
            "type": "container",
            "architecture": body["architecture"],
            "profiles": [],
            "config": kept,
            "devices": body["devices"],
            "source": {
                "type": "migration",
                "mode": "pull",
                "operation": f"https://{address_of(source.name)}:8443/1.0/operations/{made['id']}",
                "certificate": source.query("/1.0")["environment"]["certificate"],
                "secrets": made["metadata"],
            },
        }
        target.run(TAKE.format(body=json.dumps(taken)))
        target.run(f"incus start {PEER}")
        source.run(f"incus delete {PEER}")

    def clean(self) -> None:
        """Remove it."""
        for node in self.nodes:
            node.run(CLEAN_CONVENTIONAL.format(prefix=PREFIX, alias=conventional.ALIAS, network=NETWORK))
            node.run("incus config unset core.https_address", check=False)


def serves(node: Node) -> bool:
    """Whether the conventional instance answers on a node."""
    try:
        with urllib.request.urlopen(f"http://{address_of(node.name)}:{PEER_PORT}/", timeout=1):
            return True
    except OSError:
        return False


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--depot", type=Path, default=CHECKOUT / ".cache" / "content", help="a depot with base debian-13 and app nginx"
    )
    parser.add_argument("--nodes", nargs=2, default=["node1", "node2"], help="nodes of the lab (default: node1 node2)")
    options = parser.parse_args()
    lab("up", *options.nodes)
    nodes = [Node(name) for name in options.nodes]
    gateway = load("").gateway.ip
    ours: dict[int, list[float]] = {}
    theirs: dict[int, list[float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as folder,
        DepotServer(options.depot / "repo", str(gateway)) as served,
    ):
        work = Path(folder)
        mine, peer = Ours(work, nodes, options.depot, served.url), Theirs(work, nodes)
        try:
            mine.play("engine")
            mine.play("deploy")
            for size in SIZES:
                ours[size] = mine.measure(size)
            peer.launch()
            for size in SIZES:
                theirs[size] = peer.measure(size)
        finally:
            peer.clean()
            for node in nodes:
                node.run(CLEAN.format(prefix=PREFIX, store=STORE))
    draw(
        compare(f"away with {format_size(size)}, {way}", ours[size][index], theirs[size][index], seconds)
        for size in SIZES
        for index, way in enumerate(("there", "back"))
    )


if __name__ == "__main__":
    main()
