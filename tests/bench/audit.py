"""The figures of the audit: `python -m ansible_collections.strata.fleet.tests.bench.audit`.

Appliances of the demo's nginx app on this machine's engine, in a project, pool, network and store of their own, under
the profile hardened. First is the first audit, of which every digest is new; again is one after it. The playbook's time
has all of Ansible in it, and the report. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
import typing as t
from pathlib import Path

import yaml
from ansible_collections.strata.fleet.plugins.module_utils import verify
from ansible_collections.strata.fleet.plugins.module_utils.engine import SOCKET, Engine
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import auditing
from ansible_collections.strata.fleet.tests.bench import fleet
from ansible_collections.strata.fleet.tests.bench.__main__ import Row, draw, seconds
from ansible_collections.strata.fleet.tests.bench.depot_server import DepotServer

POLICIES = {"bench": {"profile": "hardened", "mode": "audit", "owner": "bench"}}
AGAIN = 3  # of so many the quickest


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--depot", type=Path, default=Path("/var/lib/strata/depot"), help="a depot with the demo's apps"
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 20, 100], help="appliances (default: 1 20 100)")
    options = parser.parse_args()
    work = Path(".cache/bench-audit").resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    fleet.clean(work, options.depot)
    try:
        draw(measure(work, options.depot, options.counts))
    finally:
        fleet.clean(work, options.depot)


def measure(work: Path, depot: Path, counts: t.Iterable[int]) -> list[Row]:
    """Return the table's rows: what was measured, in all, and for each appliance."""
    fleet.prepare(work, depot)
    rows: list[Row] = []
    with DepotServer(depot / "repo") as server:
        bench = fleet.Fleet(work, depot, server.url)
        for count in counts:
            bench.deploy(count, 0)
            payload = work / "payload.json"
            wall = run_playbook(work, payload)
            shutil.rmtree(Path(fleet.STORE, "facts"), ignore_errors=True)
            lockdown = json.loads(payload.read_text())
            first, verdicts = run_audit(lockdown)
            again = min(run_audit(lockdown)[0] for _time in range(AGAIN))
            rows += [
                row(f"{count} appliances ({verdicts} verdicts), first", first, count),
                row(f"{count} appliances, again", again, count),
                row(f"{count} appliances, playbooks/audit.yml", wall, count),
            ]
    return rows


def run_playbook(work: Path, payload: Path) -> float:
    """Return the seconds that the playbook takes; it writes what modules are given as ``lockdown``."""
    inventory = work / "inventory.yml"
    known = yaml.safe_load(inventory.read_text())
    known["all"]["vars"] |= {"lockdown_policies": POLICIES, "bench_payload": str(payload)}
    inventory.write_text(yaml.safe_dump(known))
    started = time.monotonic()
    fleet.run_playbook("audit.yml", inventory)
    return time.monotonic() - started


def run_audit(lockdown: dict[str, t.Any]) -> tuple[float, int]:
    """Return the seconds that the node needs, and how many verdicts there are."""
    engine = Engine(project=fleet.NAME)
    started = time.monotonic()
    node = verify.Node(engine, Path(SOCKET).parent, verify.server_pid(engine), Path(fleet.STORE), fleet.NAME)
    report = auditing.audit(node, "bench", SOCKET, lockdown, signers=None, read_content=False, write=True)
    return time.monotonic() - started, len(report.verdicts)


def row(label: str, took: float, count: int) -> Row:
    """Return a row; its last column is what each appliance takes."""
    return label, seconds(took), "", f"{took / count:.3f} s each"


if __name__ == "__main__":
    main()
