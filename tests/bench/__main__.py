"""The figures of the foundation, side by side in one run: `make bench`.

Composed appliances of the demo's nginx and PostgreSQL apps, on this machine's engine in a project, pool, network and
store of their own, against conventional instances of a full image with the same nginx. Figures depend on the machine;
the ratios are what to look at. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import typing as t
from pathlib import Path

import rich.console
import rich.table
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size
from ansible_collections.strata.fleet.tests.bench import conventional, fleet
from ansible_collections.strata.fleet.tests.bench.depot_server import DepotServer

Row = tuple[str, str, str, str]
CLONES = 8


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--depot", type=Path, default=Path("/var/lib/strata/depot"), help="a depot with the demo's apps"
    )
    parser.add_argument("--most", type=int, default=100, help="appliances of the largest run (default: 100)")
    options = parser.parse_args()
    work = Path(".cache/bench").resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    fleet.clean(work, options.depot)
    try:
        rows = measure(work, options.depot, options.most)
    finally:
        fleet.clean(work, options.depot)
    draw(rows)


def measure(work: Path, depot: Path, most: int) -> list[Row]:
    """Return all rows of the table: what was measured, Strata's figure, the other's, and the ratio."""
    fleet.prepare(work, depot)
    image = conventional.build_image(work, conventional.Content())
    rows: list[Row] = []
    with DepotServer(depot / "repo") as server:
        bench = fleet.Fleet(work, depot, server.url)
        rows += measure_bytes(bench, server, image.stat().st_size)
        rows += measure_footprint(bench, image)
        rows += measure_times(bench, most)
    return rows


def measure_bytes(bench: fleet.Fleet, server: DepotServer, image_size: int) -> list[Row]:
    """Bytes that a node fetches for one appliance more."""
    rows = []
    for label, nginx, databases in (
        ("1st appliance (nginx)", 1, 0),
        ("2nd appliance (nginx)", 2, 0),
        ("10th appliance (nginx; 3rd to 10th)", 10, 0),
        ("first PostgreSQL beside them", 10, 1),
    ):
        before = server.sent
        bench.deploy(nginx, databases)
        fetched = server.sent - before
        rows.append(compare(f"bytes fetched, {label}", fetched, image_size, format_size))
    return rows


def measure_footprint(bench: fleet.Fleet, image: Path) -> list[Row]:
    """Disk and memory of appliances that run, against instances of the full image."""
    bench.deploy(0, 0)
    empty = bench.pool_used()
    bench.deploy(1, 0)
    first = bench.pool_used()
    # By now the store holds this appliance's base and app, and nothing else.
    ours_first = first - empty + bench.store_size()
    bench.deploy(CLONES, 0)
    ours_disk = (bench.pool_used() - first) // (CLONES - 1)
    ours_memory = bench.memory_per_instance()
    bench.deploy(0, 0)
    with conventional.clones(image, CLONES) as clones:
        theirs_disk, theirs_first, theirs_memory = clones.disk_each, clones.disk_first, clones.memory_each
    return [
        compare("disk, first appliance (base and app in the store)", ours_first, theirs_first, format_size),
        compare("disk, each further appliance", ours_disk, theirs_disk, format_size),
        compare(f"memory (PSS), each of {CLONES}", ours_memory, theirs_memory, format_size),
    ]


def measure_times(bench: fleet.Fleet, most: int) -> list[Row]:
    """Wall time of whole playbook runs."""
    rows: list[Row] = []
    for count in (1, 20):
        bench.deploy(0, 0)
        rows.append((f"deploy to healthy, {count}", seconds(bench.deploy(count, 0)), "", ""))
    for count in sorted({1, 20, most}):
        bench.deploy(count, 0)
        ours, theirs = bench.deploy(count, 0), bench.deploy_one_by_one(count)
        rows.append(compare(f"run that changes nothing, {count} (against a module call each)", ours, theirs, seconds))
    return rows


def compare(label: str, ours: float, theirs: float, show: t.Callable[[t.Any], str]) -> Row:
    """Return a row with its ratio."""
    return label, show(ours), show(theirs), f"{ours / theirs:.2g}" if theirs else ""


def seconds(value: float) -> str:
    """Return a time for the table."""
    return f"{value:.1f} s"


def draw(rows: t.Iterable[Row]) -> None:
    """Print the table, and the machine."""
    table = rich.table.Table("what", "Strata", "conventional", "ratio", box=rich.box.MARKDOWN)
    for row in rows:
        table.add_row(*row)
    console = rich.console.Console(width=160)
    console.print(f"{os.cpu_count()} CPUs, {os.uname().sysname} {os.uname().release}")
    console.print(table)


if __name__ == "__main__":
    main()
