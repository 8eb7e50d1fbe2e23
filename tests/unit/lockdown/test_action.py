"""The action reads the inventory as Ansible has it: whole playbooks over small inventories."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[3]
PLAY = Path(sys.executable).parent / "ansible-playbook"
SITE = {"rules": {"allowed-bases": ["debian-13"]}}
WAIVER = "{control: allowed-bases, subject: web1, reason: r, owner: o, approver: a, expires: 2099-12-31}"


def run(inventory: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    argv: list[str | Path] = [PLAY, "--inventory", inventory, CHECKOUT / "playbooks" / "policy.yml", *arguments]
    return subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def write(folder: Path, everybody: dict[str, t.Any], web: dict[str, t.Any]) -> Path:
    web1 = {"appliance_base": "debian-12", "appliance_app": "nginx"}
    inventory = {
        "all": {
            "vars": everybody,
            "children": {
                "nodes": {"hosts": {"node1": None}},
                "appliances": {"children": {"web": {"hosts": {"web1": web1}, "vars": web}}},
            },
        }
    }
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump(inventory))
    return path


@pytest.mark.parametrize("name", ["demo", "example"])
def test_the_inventories_that_the_project_brings_have_good_policies(name: str, tmp_path: Path) -> None:
    folder = CHECKOUT / "inventories" / name
    password = folder / "vault-password"
    vault: list[str | Path] = ["--vault-password-file", password] if password.exists() else []
    done = run(folder / "hosts.yml", *vault, "--extra-vars", f"lockdown_file={tmp_path / 'policy.json'}")
    assert done.returncode == 0, done.stdout + done.stderr
    payload = json.loads((tmp_path / "policy.json").read_text())
    assert (payload["orphans"], payload["conflicts"]) == ([], [])
    assert payload["appliances"]
    assert payload["nodes"]


def test_hosts_have_to_agree_on_what_the_policies_are(tmp_path: Path) -> None:
    done = run(write(tmp_path, {}, {"lockdown_policies": {"site": SITE}}))
    assert done.returncode != 0
    assert (
        "lockdown_policies is not the same for node1 and web1: define it once, in group all, and have each policy name "
        "its groups."
    ) in " ".join(done.stdout.split())


def test_what_an_appliance_asks_for_gives_way(tmp_path: Path) -> None:
    inventory = write(tmp_path, {"lockdown_policies": {"site": SITE}}, {})
    done = run(inventory)
    assert done.returncode != 0
    assert "The policy stands and the appliance gives way" in " ".join(done.stdout.split())
    assert run(inventory, "--extra-vars", '{"lockdown_check_needs": false}').returncode == 0


def test_a_day_needs_no_quotes(tmp_path: Path) -> None:
    waivers = yaml.safe_load(f"[{WAIVER}]")
    assert not isinstance(waivers[0]["expires"], str)
    inventory = write(tmp_path, {"lockdown_policies": {"site": SITE}, "lockdown_waivers": waivers}, {})
    done = run(inventory)
    assert done.returncode == 0, done.stdout + done.stderr
