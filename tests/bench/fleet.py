"""Fleets of any size on this machine's engine, by the collection's own playbooks and modules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import yaml
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.status import measure_memory

HERE = Path(__file__).parent
NAME = "strata-bench"
NETWORK = {"name": "stratabench0", "address": "10.89.0.1/24"}
STORE = "/var/lib/strata-bench/store"
FIRST_HOST = 11


class Fleet:
    """The appliances of the bench."""

    def __init__(self, work: Path, depot: Path, url: str) -> None:
        self._work = work
        self._depot = depot
        self._url = url
        self._engine = Engine(project=NAME)

    def deploy(self, nginx: int, databases: int) -> float:
        """Have so many appliances, healthy, and no others; returns the seconds that the playbook took."""
        return self._run("deploy.yml", nginx, databases)

    def deploy_one_by_one(self, nginx: int) -> float:
        """The same, by one module call an appliance."""
        return self._run("one_by_one.yml", nginx, 0)

    def pool_used(self) -> int:
        """Return the bytes that the pool takes."""
        os.sync()
        return int(self._engine.read(f"/storage-pools/{NAME}/resources")[0]["space"]["used"])

    def store_size(self) -> int:
        """Return the bytes that the store takes."""
        return folder_size(Path(STORE))

    def memory_per_instance(self) -> int:
        """Return the mean PSS in bytes of the instances that run."""
        return memory_per_instance(self._engine)

    def _run(self, playbook: str, nginx: int, databases: int) -> float:
        present = [body["name"] for body in self._engine.instances()]
        wanted = [f"web{number}" for number in range(1, nginx + 1)] + [f"db{n}" for n in range(1, databases + 1)]
        gone = [name for name in present if name not in wanted]
        if gone:
            run_playbook("remove.yml", write_inventory(self._work, self._depot, self._url, wanted), {"gone": gone})
        inventory = write_inventory(self._work, self._depot, self._url, wanted)
        started = time.monotonic()
        run_playbook(playbook, inventory)
        return time.monotonic() - started


def prepare(work: Path, depot: Path) -> None:
    """Have project, pool and network of the bench."""
    run_playbook("prepare.yml", write_inventory(work, depot, "", []))


def clean(work: Path, depot: Path) -> None:
    """Remove everything that the bench made."""
    run_playbook("clean.yml", write_inventory(work, depot, "", []))


def write_inventory(work: Path, depot: Path, url: str, wanted: t.Sequence[str]) -> Path:
    """Write the inventory of these appliances; returns its path."""
    hosts = {name: build_appliance(name, number) for number, name in enumerate(wanted, FIRST_HOST)}
    inventory = {
        "all": {
            "vars": {
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
                "depot_url": url,
                "depot_trust": [{"name": "site", "key_file": str(depot / "site.asc"), "refs": ["base/*", "app/*"]}],
                "engine_networks": [NETWORK],
                "bench_name": NAME,
                "bench_store": STORE,
            },
            "children": {"nodes": {"hosts": {"bench": {}}}, "appliances": {"hosts": hosts}},
        }
    }
    path = work / "inventory.yml"
    path.write_text(yaml.safe_dump(inventory))
    return path


def build_appliance(name: str, number: int) -> dict[str, t.Any]:
    """Return an appliance's variables."""
    address = {"network": NETWORK["name"], "address": f"10.89.0.{number}"}
    common = {"appliance_base": "debian-13", "appliance_networks": [address]}
    if name.startswith("db"):
        return {**common, "appliance_app": "postgresql", "appliance_config": {"password": "bench"}}
    return {**common, "appliance_app": "nginx", "appliance_config": {"title": name}}


def run_playbook(name: str, inventory: Path, variables: t.Mapping[str, t.Any] | None = None) -> None:
    """Run one of the bench's playbooks; what it prints is shown when it fails."""
    extra = ["--extra-vars", json.dumps(dict(variables))] if variables else []
    argv: list[str | Path] = [
        Path(sys.executable).parent / "ansible-playbook",
        "--inventory",
        inventory,
        *extra,
        HERE / name,
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stdout}\n{done.stderr}")


def memory_per_instance(engine: Engine) -> int:
    """Return the mean PSS in bytes of an engine's running instances."""
    memory = measure_memory(body["state"]["pid"] for body in engine.instances(with_state=True))
    return sum(memory.values()) // len(memory)


def folder_size(folder: Path) -> int:
    """Return the bytes of the files in a folder, each inode once."""
    if not folder.exists():
        return 0
    return int(subprocess.check_output(["du", "--summarize", "--block-size=1", folder], text=True).split()[0])
