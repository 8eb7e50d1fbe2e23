"""The figures of backups: `python -m ansible_collections.strata.fleet.tests.bench.backups`.

An nginx appliance with 1 GB of state in a thousand files is backed up, then once more with one in a hundred of them
changed, is restored from nothing, and is drilled. Beside it a full Debian with the same nginx and the same data is
exported by the engine's own means, each time whole. Takes the lab and the tests' depot (make lab content), and a
machine that does nothing else. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import typing as t
from pathlib import Path

import yaml
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size
from ansible_collections.strata.fleet.tests.bench import conventional
from ansible_collections.strata.fleet.tests.bench.__main__ import Row, compare, draw, seconds
from ansible_collections.strata.fleet.tests.bench.depot_server import DepotServer
from ansible_collections.strata.fleet.tests.bench.fleet import run_playbook
from ansible_collections.strata.fleet.tests.bench.machines import CLEAN_CONVENTIONAL, DHCP, PLAYBOOKS, PREFIX, send
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import CLEAN, STORE, inside
from ansible_collections.strata.fleet.tests.integration.tools import Node, address_of, inventory_variables, lab
from ansible_collections.strata.fleet.tests.lab.definition import CHECKOUT, load

NAME, PEER = f"{PREFIX}saved", f"{PREFIX}exported"
DRILLED = tuple(f"{PREFIX}drilled{number}" for number in range(1, 5))
NETWORK = "benchc0"
REPOSITORY = "/var/lib/bench-repository"
FILES, FILE = 1000, 10**6
CHANGED = FILES // 100
FILL = "mkdir -p {folder} && for n in $(seq {count}); do head -c {size} /dev/urandom > {folder}/$n; done; sync"
DATA = "/var/lib/ballast"


class Cost(t.NamedTuple):
    """What a backup took: seconds, and bytes that it added to what is kept."""

    seconds: float
    bytes: int


class Ours:
    """Appliances on one node, with a repository there."""

    def __init__(self, work: Path, node: Node, depot: Path, url: str) -> None:
        self.work = work
        self.node = node
        self._depot = depot
        self._url = url

    def play(self, playbook: str, **variables: t.Any) -> float:
        """Run one of the collection's playbooks; returns how many seconds it took."""
        trust = [{"name": "site", "key_file": str(self._depot / "site.asc"), "refs": ["base/*", "app/*"]}]
        common = {
            "depot_url": self._url,
            "depot_trust": trust,
            "store_collect": False,
            "backup_repositories": {"bench": {"url": REPOSITORY, "password": "of the bench"}},
        }
        groups: dict[str, t.Any] = {
            "nodes": {"hosts": {self.node.name: {"ansible_host": address_of(self.node.name)}}},
            "appliances": {
                "hosts": {name: build(name, number) for number, name in enumerate((NAME, *DRILLED), 231)},
            },
        }
        groups["nodes"]["vars"] = inventory_variables()
        path = self.work / "inventory.yml"
        path.write_text(yaml.safe_dump({"all": {"vars": common, "children": groups}}))
        begun = time.monotonic()
        run_playbook(str(PLAYBOOKS / f"{playbook}.yml"), path, variables)
        return time.monotonic() - begun

    def back_up(self) -> Cost:
        """Return what a backup of the large one cost, as its node remembers it."""
        self.play("backup", backup=NAME)
        good = json.loads(self.node.run(f"cat {STORE}/backups/{NAME}.json").stdout)["good"]
        return Cost(good["seconds"], good["added"])

    def lose(self) -> None:
        """Remove the large one with its state."""
        self.play("remove", remove=NAME, remove_state=NAME)

    def clean(self) -> None:
        """Remove everything."""
        self.node.run(f"{CLEAN.format(prefix=PREFIX, store=STORE)}\nrm -rf {REPOSITORY} {STORE}/backups/repositories")


def build(name: str, host: int) -> dict[str, t.Any]:
    """Return an appliance of the inventory."""
    return {
        "appliance_base": "debian-13",
        "appliance_app": "nginx",
        "appliance_networks": [{"network": "strata0", "address": f"10.87.0.{host}"}],
        "appliance_volumes": {"var": {"size": "4GiB" if name == NAME else "256MiB"}},
        "appliance_backup": {"repository": "bench", "keep": {"last": 10}, "objective": "24h"},
    }


class Theirs:
    """A full Debian on the same node."""

    def __init__(self, work: Path, node: Node) -> None:
        self.work = work
        self.node = node

    def launch(self) -> None:
        """Have it running."""
        files = {"/etc/systemd/network/80-bench.network": DHCP}
        content = conventional.Content(files=files, enabled=("systemd-networkd.service",), compression="gzip -1")
        alias = conventional.ALIAS
        send(conventional.build_image(self.work, content), self.node.name, f"/root/{alias}.tar.xz")
        self.node.run(f"incus network create {NETWORK} ipv4.address=10.89.1.1/24 ipv4.nat=true ipv6.address=none")
        self.node.run(f"incus image import /root/{alias}.tar.xz --alias {alias}")
        self.node.run(f"incus init {alias} {PEER} --no-profiles --storage strata --network {NETWORK}")
        self.node.run(f"incus start {PEER}")
        self.node.run(f"incus exec {PEER} -- sh -c '{FILL.format(folder=DATA, count=FILES, size=FILE)}'")

    def export(self) -> Cost:
        """Return what an export costs. It is not compressed: random bytes would only make it slower."""
        begun = time.monotonic()
        self.node.run(f"incus export {PEER} /root/{PEER}.tar --compression none --instance-only < /dev/null")
        taken = time.monotonic() - begun
        size = int(self.node.run(f"stat --format %s /root/{PEER}.tar && rm /root/{PEER}.tar").stdout)
        return Cost(taken, size)

    def clean(self) -> None:
        """Remove it."""
        self.node.run(CLEAN_CONVENTIONAL.format(prefix=PREFIX, alias=conventional.ALIAS, network=NETWORK))


def measure(mine: Ours, peer: Theirs) -> list[Row]:
    """Return the rows."""
    mine.play("engine")
    mine.play("deploy")
    inside(mine.node, NAME, FILL.format(folder=DATA, count=FILES, size=FILE))
    first = mine.back_up()
    inside(mine.node, NAME, FILL.format(folder=DATA, count=CHANGED, size=FILE))
    second = mine.back_up()
    mine.lose()
    restored = mine.play("restore", restore=NAME)
    drilled = mine.play("drill", drill=NAME)
    mine.play("backup", backup=",".join(DRILLED))
    several = mine.play("drill", drill=",".join(DRILLED))
    peer.launch()
    exported = [peer.export(), peer.export()]
    return [
        compare("backup of 1 GB, first: time", first.seconds, exported[0].seconds, seconds),
        compare("backup of 1 GB, first: bytes kept", first.bytes, exported[0].bytes, format_size),
        compare("1 % changed: time", second.seconds, exported[1].seconds, seconds),
        compare("1 % changed: bytes kept", second.bytes, exported[1].bytes, format_size),
        ("from nothing to healthy, 1 GB", seconds(restored), "", ""),
        ("drill of 1 GB", seconds(drilled), "", ""),
        ("drills an hour, small state, 2 at a time", f"{3600 / several * len(DRILLED):.0f}", "", ""),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--depot", type=Path, default=CHECKOUT / ".cache" / "content", help="a depot with base debian-13 and app nginx"
    )
    parser.add_argument("--node", default="node1", help="a node of the lab (default: node1)")
    options = parser.parse_args()
    lab("up", options.node)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as folder,
        DepotServer(options.depot / "repo", str(load("").gateway.ip)) as served,
    ):
        node = Node(options.node)
        mine, peer = Ours(Path(folder), node, options.depot, served.url), Theirs(Path(folder), node)
        try:
            rows = measure(mine, peer)
        finally:
            peer.clean()
            mine.clean()
    draw(rows)


if __name__ == "__main__":
    main()
