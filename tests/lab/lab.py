"""The lab's command: up, down, reset, clean, inventory. Prints what it changed as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import typing as t
from pathlib import Path

import yaml

# Run from a checkout, whatever folder it is run in.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError
from ansible_collections.strata.fleet.tests.lab import images, keys, machines
from ansible_collections.strata.fleet.tests.lab.definition import CACHE, Lab, Machine, load, write_whole

INVENTORY = CACHE / "inventory.yml"


def inventory(lab: Lab) -> dict[str, t.Any]:
    """Return Ansible's inventory of the lab: groups nodes and depots, and the test machines in group others."""
    groups: dict[str, t.Any] = {}
    for machine in lab.machines.values():
        hosts = groups.setdefault(machine.group or "others", {"hosts": {}})["hosts"]
        hosts[machine.name] = {"ansible_host": machine.address}
    options = ["-o ControlMaster=auto", "-o ControlPersist=60s", "-o ServerAliveInterval=5", "-o IdentitiesOnly=yes"]
    return {
        "all": {
            "vars": {
                "ansible_user": "root",
                "ansible_python_interpreter": "/usr/bin/python3",
                "ansible_ssh_private_key_file": str(keys.CLIENT_KEY),
                "ansible_ssh_args": " ".join([*options, f"-o UserKnownHostsFile={keys.KNOWN_HOSTS}"]),
            },
            "children": groups,
        }
    }


def connections(selected: t.Iterable[Machine]) -> list[dict[str, t.Any]]:
    """Return how to reach the machines, in the form of molecule's instance configuration."""
    key = str(keys.CLIENT_KEY)
    return [
        {"instance": machine.name, "address": machine.address, "user": "root", "port": 22, "identity_file": key}
        for machine in selected
    ]


def write_inventory(lab: Lab) -> None:
    """Write the inventory where `ansible -i .cache/lab/inventory.yml` finds it."""
    write_whole(INVENTORY, yaml.safe_dump(inventory(lab), sort_keys=False))


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["up", "down", "reset", "clean", "inventory"])
    parser.add_argument("machines", nargs="*", help="names in lab.yml; without any, all that have a group")
    arguments = parser.parse_args()
    lab = load(images.PREPARE.read_text())
    outer = machines.Outer(lab)
    selected = lab.select(arguments.machines)
    write_inventory(lab)
    try:
        if arguments.command == "clean":
            machines.clean(outer)
        if arguments.command in ("down", "reset"):
            machines.down(outer, selected)
        if arguments.command in ("up", "reset"):
            machines.up(outer, selected)
    except StrataError as error:
        sys.stderr.write(f"lab: {error.message}\n")
        return 1
    answer = {"changed": bool(outer.steps), "steps": outer.steps, "connections": connections(selected)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
