"""What it takes to plan a large fleet: `python -m ansible_collections.strata.fleet.tests.bench.planning`.

An inventory of 10 000 appliances on 500 nodes is checked and planned by the collection itself, as every cycle of
GitOps does. Only the nodes are not there: in a copy of the collection, the modules that would ask them answer with what
a real node said (answers.json), for as many appliances. What is measured is the controller, with the start of a Python
and of a module for each question, on this machine. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import yaml
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size
from ansible_collections.strata.fleet.tests.bench.__main__ import draw

CHECKOUT = Path(__file__).resolve().parents[2]
ANSWERS = Path(__file__).with_name("answers.json")
TASK = re.compile(r"^TASK \[(?:strata\.fleet\.)?(.*)\] \*+$")
SHOWN = 6
NONE = "before the first task"
# Ansible gives a module of this old kind its arguments in a file; the node is told by the folder that it is put into.
MODULE = """#!/usr/bin/python3
# WANT_JSON
import sys
folder = sys.argv[0].split("/remote/")[0]
node = sys.argv[0].split("/remote/")[1].split("/")[0]
print(open(folder + "/answers/" + node + "/" + {name!r}).read())
"""

Row = tuple[str, str, str, str]


class Fleet(t.NamedTuple):
    """A fleet that is only data: an inventory, and what its nodes answer."""

    work: Path
    nodes: int
    appliances: int

    def write(self) -> None:
        """Write it, and the collection that answers from it."""
        shutil.rmtree(self.work, ignore_errors=True)
        collection = self.work / "ansible_collections" / "strata" / "fleet"
        collection.mkdir(parents=True)
        for part in ("docs", "meta", "playbooks", "plugins", "roles", "galaxy.yml"):
            (collection / part).symlink_to(CHECKOUT / part)
        self._replace_modules(collection / "plugins")
        recorded = json.loads(ANSWERS.read_text())
        members: dict[str, list[str]] = {f"node{number:03}": [] for number in range(self.nodes)}
        for number in range(self.appliances):
            members[f"node{number % self.nodes:03}"].append(f"app{number:05}")
        for node, names in members.items():
            self._write_answers(self.work / "answers" / node, recorded, names)
        (self.work / "hosts.yml").write_text(yaml.dump(self._inventory(members), Dumper=yaml.CSafeDumper))

    def _replace_modules(self, plugins: Path) -> None:
        plugins.unlink()
        shutil.copytree(CHECKOUT / "plugins", plugins)
        for name in json.loads(ANSWERS.read_text()):
            path = plugins / "modules" / f"{name}.py"
            path.write_text(MODULE.format(name=name))

    def _write_answers(self, folder: Path, recorded: dict[str, t.Any], names: t.Sequence[str]) -> None:
        folder.mkdir(parents=True)
        (layers,) = recorded["store"]["layers"].values()
        (row,) = recorded["appliance_info"]["appliances"]
        answers = {
            **recorded,
            "store": {**recorded["store"], "layers": dict.fromkeys(names, layers), "appliances": list(names)},
            "appliance_info": {
                **recorded["appliance_info"],
                "appliances": [{**row, "name": name, "look": row["look"].replace("NAME", name)} for name in names],
            },
            "verify_info": {**recorded["verify_info"], "appliances": list(names)},
        }
        for name, answer in answers.items():
            (folder / name).write_text(json.dumps(answer))

    def _inventory(self, members: t.Mapping[str, t.Sequence[str]]) -> dict[str, t.Any]:
        (self.work / "site.asc").write_text("")
        nodes = {node: {"ansible_remote_tmp": f"{self.work}/remote/{node}"} for node in members}
        own = {"appliance_app": "site", "appliance_base": "debian-13"}
        hosts = {
            name: {**own, "appliance_node": node, "appliance_config": {"title": name}}
            for node, names in members.items()
            for name in names
        }
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_become": False,
            "depot_url": "https://depot.example.com/repo",
            "depot_trust": [{"name": "site", "key_file": str(self.work / "site.asc"), "refs": ["*"]}],
        }
        return {"all": {"vars": variables, "children": {"nodes": {"hosts": nodes}, "appliances": {"hosts": hosts}}}}


class Played(t.NamedTuple):
    """Seconds of a run, of processors and by the clock, its peak of memory, and the seconds of each of its tasks."""

    seconds: float
    processors: float
    memory: int
    tasks: dict[str, float]


def play(fleet: Fleet, playbook: str, forks: int, **variables: t.Any) -> Played:
    """Run a playbook on the fleet, and measure it. What it says is shown where it fails."""
    argv = ["ansible-playbook", "--inventory", "hosts.yml", f"strata.fleet.{playbook}"]
    argv += ["--forks", str(forks), "--extra-vars", json.dumps(variables)]
    settings = {"ANSIBLE_COLLECTIONS_PATH": str(fleet.work), "ANSIBLE_PIPELINING": "true", "ANSIBLE_NOCOLOR": "true"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, **settings, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "PATH": path}
    began = last = time.monotonic()
    tasks: dict[str, float] = {}
    current, said = NONE, []
    process = subprocess.Popen(argv, cwd=fleet.work, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        said.append(line)
        found = TASK.match(line)
        if found or line.startswith("PLAY RECAP"):
            now = time.monotonic()
            tasks[current] = tasks.get(current, 0) + now - last
            last, current = now, found[1] if found else "the recap"
    _pid, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{playbook} failed:\n{''.join(said[-40:])}")
    return Played(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, tasks)


def describe(what: str, played: Played) -> list[Row]:
    """Return rows for a run: the whole, then its longest tasks."""
    whole = f"{played.seconds:.0f} s, {played.processors:.0f} s of processors, {format_size(played.memory)} at most"
    longest = sorted(played.tasks.items(), key=lambda each: -each[1])[:SHOWN]
    return [(what, whole, "", ""), *((f"    {name}", f"{seconds:.1f} s", "", "") for name, seconds in longest)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--appliances", type=int, default=10_000)
    parser.add_argument("--forks", type=int, default=20)
    options = parser.parse_args()
    fleet = Fleet(CHECKOUT / ".cache" / "bench-planning", options.nodes, options.appliances)
    fleet.write()
    try:
        rows = describe(f"check {options.appliances} appliances", play(fleet, "check", options.forks))
        plan = play(
            fleet, "deploy_plan", options.forks, deploy_plan_verify=True, deploy_plan_file=f"{fleet.work}/plan.json"
        )
        planned = json.loads((fleet.work / "plan.json").read_text())
        if planned["totals"]["none"] != options.appliances:
            sys.exit(f"The plan is not what the answers say: {planned['totals']}")
        rows += describe(f"plan {options.appliances} appliances on {options.nodes} nodes", plan)
    finally:
        shutil.rmtree(fleet.work, ignore_errors=True)
    draw(rows)


if __name__ == "__main__":
    main()
