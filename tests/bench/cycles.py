"""What a cycle of GitOps takes: `python -m ansible_collections.strata.fleet.tests.bench.cycles`.

A control node (this machine) follows a repository and keeps 1, 20 and 100 nginx appliances on three nodes of the lab as
it says. For each number: a cycle with nothing to do, and one that takes a commit which changes a page, from
the commit to the end of the cycle, when it has seen that everybody is healthy. Takes the lab and the tests' depot
(make lab content), and a machine that does nothing else. Nothing is asserted.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import yaml
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import outcome
from ansible_collections.strata.fleet.tests.bench.__main__ import draw, seconds
from ansible_collections.strata.fleet.tests.bench.depot_server import DepotServer
from ansible_collections.strata.fleet.tests.bench.fleet import run_playbook
from ansible_collections.strata.fleet.tests.bench.machines import PLAYBOOKS, PREFIX
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import CLEAN, STORE
from ansible_collections.strata.fleet.tests.integration.tools import Node, address_of, inventory_variables, lab
from ansible_collections.strata.fleet.tests.lab.definition import CHECKOUT, load
from ansible_collections.strata.fleet.tests.working_clone import WorkingClone

PROGRAM = "ansible_collections.strata.fleet.plugins.plugin_utils.gitops"
NUMBERS = (1, 20, 100)
FIRST = 50  # the last part of the first address


class Site:
    """A repository, the key that signs its commits, and the control node that follows it."""

    def __init__(self, work: Path, nodes: t.Sequence[str], depot: Path, url: str) -> None:
        self._work, self._nodes = work, nodes
        known = inventory_variables()
        hosts = shlex.split(known["ansible_ssh_args"])[-1].partition("=")[2]
        self._clone = WorkingClone(work / "clone", work, ("key",), "")
        (work / "signers").write_text(self._clone.sign_of("key"))
        (self._clone.folder / "site.asc").write_bytes((depot / "site.asc").read_bytes())
        settings = {
            "repository": str(self._clone.folder),
            "inventory": "hosts.yml",
            "state": str(work / "state"),
            "allowed_signers": str(work / "signers"),
            "known_hosts": hosts,
            "limits": {},
            "content_every": "0s",
        }
        (work / "settings.json").write_text(json.dumps(settings))
        trust = {"name": "site", "key_file": "{{ inventory_dir }}/site.asc", "refs": ["base/*", "app/*"]}
        self._variables = {**known, "depot_url": url, "depot_trust": [trust]}
        self._variables.pop("ansible_ssh_args")

    def commit(self, number: int, title: str) -> None:
        """Commit an inventory of so many appliances; the first one's page has this title."""
        hosts = {}
        for index in range(number):
            node = self._nodes[index % len(self._nodes)]
            address = {"network": "strata0", "address": f"10.87.0.{FIRST + index}"}
            config = {"title": title if index == 0 else f"page {index}"}
            own = {"node": node, "base": "debian-13", "app": "nginx", "networks": [address], "config": config}
            hosts[f"{PREFIX}git{index:03}"] = {f"appliance_{key}": value for key, value in own.items()}
        nodes = {name: {"ansible_host": address_of(name)} for name in self._nodes}
        inventory = {"nodes": {"hosts": nodes}, "appliances": {"hosts": hosts}}
        text = yaml.safe_dump({"all": {"vars": self._variables, "children": inventory}})
        (self._clone.folder / "hosts.yml").write_text(text)
        self._clone.commit_all(title, "key")

    def cycle(self, expected: str) -> float:
        """Return the seconds of a cycle; end the bench where it does not end with this word."""
        argv = [sys.executable, "-m", PROGRAM, "--settings", str(self._work / "settings.json"), "cycle", "--json"]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / ".collections")}
        began = time.monotonic()
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        took = time.monotonic() - began
        if json.loads(done.stdout or "{}").get("result") != expected:
            sys.exit(f"A cycle did not end {expected}:\n{done.stderr}")
        return took


def measure(site: Site) -> list[tuple[str, str, str, str]]:
    """Return the rows."""
    rows = []
    for number in NUMBERS:
        site.commit(number, f"{number} appliances")
        site.cycle(outcome.APPLIED)
        rows.append((f"a cycle with nothing to do, {number}", seconds(site.cycle(outcome.SYNCED)), "", ""))
        site.commit(number, f"{number} appliances, changed")
        rows.append((f"a changed page, from commit to healthy, {number}", seconds(site.cycle(outcome.APPLIED)), "", ""))
    return rows


def main() -> None:
    """Measure and print."""
    names = ["node1", "node2", "node3"]
    lab("up", *names)
    nodes = [Node(name) for name in names]
    depot = CHECKOUT / ".cache" / "content"
    gateway = str(load("").gateway.ip)
    with tempfile.TemporaryDirectory(prefix="bench-gitops-") as folder, DepotServer(depot / "repo", gateway) as server:
        work = Path(folder)
        hosts = {name: {"ansible_host": address_of(name)} for name in names}
        (work / "engine.yml").write_text(yaml.safe_dump({"nodes": {"hosts": hosts, "vars": inventory_variables()}}))
        run_playbook(str(PLAYBOOKS / "engine.yml"), work / "engine.yml")
        try:
            rows = measure(Site(work, names, depot, server.url))
        finally:
            for node in nodes:
                node.run(CLEAN.format(prefix=PREFIX, store=STORE), check=False)
            shutil.rmtree(work / "state", ignore_errors=True)
    draw(rows)


if __name__ == "__main__":
    main()
