"""The figures of patching, side by side in one run: `python -m ansible_collections.strata.fleet.tests.bench.patching`.

Twenty nginx appliances on two nodes of the lab get one package's fix by a new base. Twenty instances of a full Debian
with the same nginx, ten a node, get it by `apt`, which Ansible runs over SSH: the same package of the same archive.
Then a client polls appliances every 10 ms while they are swapped. Takes the lab and the tests' depot (make lab
content), and a machine that does nothing else. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size
from ansible_collections.strata.fleet.tests.bench.__main__ import Row, compare, draw, seconds
from ansible_collections.strata.fleet.tests.bench.depot_server import DepotServer
from ansible_collections.strata.fleet.tests.bench.machines import (
    PREFIX,
    WATCHED,
    Machines,
    Polling,
    address_in,
    cpu_seconds,
    set_routes,
)
from ansible_collections.strata.fleet.tests.integration.tools import lab
from ansible_collections.strata.fleet.tests.lab import archive
from ansible_collections.strata.fleet.tests.lab.definition import CHECKOUT, load

PACKAGE = "libssl3t64"
CVE = "CVE-2026-99999"
REF = "base/debian-13/stable"


class Cost(t.NamedTuple):
    """What something took: wall time and CPU time of the whole machine in seconds, bytes that a server sent."""

    wall: float
    cpu: float
    sent: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--depot", type=Path, default=CHECKOUT / ".cache" / "content", help="a depot with base debian-13 and app nginx"
    )
    parser.add_argument("--each", type=int, default=10, help="appliances a node (default: 10)")
    parser.add_argument(
        "--nodes", nargs="+", default=["node1", "node2"], help="nodes of the lab (default: node1 node2)"
    )
    options = parser.parse_args()
    lab("up", *options.nodes)
    gateway = str(load("").gateway.ip)
    # Packages are read by a user of apt's own: not below a folder of root's.
    with tempfile.TemporaryDirectory(prefix="strata-bench-", dir="/var/tmp") as folder:
        work = Path(folder)
        work.chmod(0o755)
        subprocess.run(["cp", "--archive", "--reflink=auto", options.depot, work / "depot"], check=True)
        with (
            archive.archive(work / "archive") as fixes,
            DepotServer(work / "depot" / "repo", gateway) as depot,
            DepotServer(work / "archive", gateway) as packages,
        ):
            machines = Machines(work, options.nodes, depot.url, [*archive.debian(), fixes.source(packages.url)])
            rows = measure(machines, fixes, depot, packages, options.each)
    draw(rows)


def measure(
    machines: Machines, fixes: archive.Archive, depot: DepotServer, packages: DepotServer, each: int
) -> list[Row]:
    """Return all rows of the table."""
    nodes = list(machines.nodes)
    machines.clean()
    set_routes(nodes, "replace")
    try:
        machines.build()
        before = version(machines.depot)
        names = {f"{PREFIX}{node}-{number}": node for node in nodes for number in range(1, each + 1)}
        machines.deploy(names)
        image = machines.build_image(fixes.source(packages.url))
        _old, new = fixes.fix(PACKAGE, CVE)
        built = cost(packages, machines.build)
        rows = measure_fix(machines, depot, names)
        machines.clean()
        theirs, addresses = measure_upgrade(machines, packages, image, each, new)
        restarts = watch(machines, list(addresses.values())[:WATCHED], lambda: restart(machines, addresses))
        machines.clean()
        return [
            *compare_fix(f"{len(names)} on {len(nodes)} nodes", built, rows, theirs),
            *measure_interruption(machines, before, restarts),
        ]
    finally:
        set_routes(nodes, "delete")
        machines.clean()


def measure_fix(machines: Machines, depot: DepotServer, names: dict[str, str]) -> tuple[Cost, int]:
    """Return what patching all appliances costs, and the bytes that their nodes would fetch without deltas."""
    patched = cost(depot, lambda: machines.patch(names, {"settle": 0}))
    return patched, len(machines.nodes) * bytes_without_delta(machines.depot, depot)


def measure_upgrade(
    machines: Machines, packages: DepotServer, image: Path, each: int, new: str
) -> tuple[Cost, dict[str, str]]:
    """Return what upgrading as many conventional instances costs, and their addresses."""
    addresses = machines.launch(image, each)
    machines.play_conventional("warm.yml", addresses)
    upgraded = cost(packages, lambda: machines.play_conventional("upgrade.yml", addresses))
    found = machines.versions(PACKAGE, addresses)
    if found != {new}:
        raise SystemExit(f"The instances have {found}, and should have {new}")
    return upgraded, addresses


def compare_fix(what: str, built: Cost, ours: tuple[Cost, int], theirs: Cost) -> list[Row]:
    """Return the rows of one fix."""
    patched, whole = ours
    return [
        compare(f"bytes fetched, one fix for {what}", patched.sent, theirs.sent, format_size),
        compare("the same, had the depot no deltas", whole, theirs.sent, format_size),
        compare(f"wall time, one fix for {what}", patched.wall, theirs.wall, seconds),
        compare(f"CPU time of the whole machine, one fix for {what}", patched.cpu, theirs.cpu, seconds),
        ("wall time, building the base before that, once", seconds(built.wall), "", ""),
        ("CPU time, building the base", seconds(built.cpu), "", ""),
    ]


def measure_interruption(machines: Machines, before: str, restarts: list[float]) -> list[Row]:
    """Return how long appliances of one node do not answer while they are swapped."""
    node = next(iter(machines.nodes))
    names = {f"{PREFIX}{number}": node for number in range(1, WATCHED + 1)}
    addresses = [address_in(name, names) for name in names]
    machines.deploy(names)
    one = [
        *watch(machines, addresses, lambda: machines.patch(names, {"settle": 0, "batches": [1]}, before)),
        *watch(machines, addresses, lambda: machines.patch(names, {"settle": 0, "batches": [1]})),
    ]
    together = watch(machines, addresses, lambda: machines.patch(names, {"settle": 0}, before))
    return [
        ("interruption, one at a time (restart of nginx)", spread(one), spread(restarts), ratio(one, restarts)),
        ("interruption, 4 at a time", spread(together), "", ""),
    ]


def watch(machines: Machines, addresses: t.Sequence[str], action: t.Callable[[], None]) -> list[float]:
    """Return the interruption in seconds of each address while something is done."""
    with Polling(machines.work, addresses) as polling:
        action()
    return polling.interruptions()


def restart(machines: Machines, addresses: dict[str, str]) -> None:
    """Restart the service in the instances that are watched, one after the other."""
    machines.play_conventional("restart.yml", dict(list(addresses.items())[:WATCHED]))


def cost(server: DepotServer, action: t.Callable[[], None]) -> Cost:
    """Return what it takes to do something."""
    wall, cpu, sent = time.monotonic(), cpu_seconds(), server.sent
    action()
    return Cost(time.monotonic() - wall, cpu_seconds() - cpu, server.sent - sent)


def bytes_without_delta(depot: Path, server: DepotServer) -> int:
    """Return the bytes that a node which has the version before would fetch file by file."""
    repo = Repo(str(depot / "repo"))
    new = repo.rev(REF) or ""
    old = previous(repo, new)
    with tempfile.TemporaryDirectory(prefix="strata-bench-", dir="/var/tmp") as folder:
        ostree = ["ostree", f"--repo={folder}/repo"]
        subprocess.run([*ostree, "init", "--mode=bare"], check=True)
        subprocess.run([*ostree, "remote", "add", "--no-gpg-verify", "site", server.url], check=True)
        subprocess.run([*ostree, "pull-local", repo.path, old], check=True, capture_output=True)
        sent = server.sent
        subprocess.run([*ostree, "pull", "--disable-static-deltas", "site", new], check=True, capture_output=True)
        return server.sent - sent


def previous(repo: Repo, commit: str) -> str:
    """Return the newest version before a commit, by the time at which it was built."""
    others = {found for ref, found in repo.refs().items() if ref.startswith("base/debian-13/") and found != commit}
    return max(others, key=lambda each: str(repo.manifest(each)["built"]))


def version(depot: Path) -> str:
    """Return the version that the channel names."""
    repo = Repo(str(depot / "repo"))
    return str(repo.manifest(repo.rev(REF) or "")["version"])


def spread(times: t.Sequence[float]) -> str:
    """Return median, least and most of these times."""
    return f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f}, {len(times)} swaps)"


def ratio(ours: t.Sequence[float], theirs: t.Sequence[float]) -> str:
    """Return how many times as long ours take."""
    return f"{statistics.median(ours) / statistics.median(theirs):.2g}"


if __name__ == "__main__":
    main()
