"""A control node on the lab, the repository that it follows over SSH, and somebody who commits to it."""

from __future__ import annotations

import json
import shlex
import shutil
import typing as t
from pathlib import Path

import yaml
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import Fleet
from ansible_collections.strata.fleet.tests.integration.tools import (
    CHECKOUT,
    INVENTORY,
    Controller,
    Node,
    address_of,
    inventory_variables,
    lab,
)
from ansible_collections.strata.fleet.tests.working_clone import WorkingClone

MACHINE = "control"
BARE = "/srv/git/site.git"
CYCLE = 900  # seconds, of up to six runs of Ansible on a machine that has much else to do
# As a server of Git is: an account that only this key opens, and a repository.
SERVER = f"""
id git > /dev/null 2>&1 || useradd --create-home --home-dir /srv/git --shell /bin/sh git
usermod --password '*' git
[ -d {BARE} ] || runuser -u git -- git init --quiet --bare --initial-branch=main {BARE}
install -d -o git -g git -m 0700 /srv/git/.ssh
install -o git -g git -m 0600 /dev/stdin /srv/git/.ssh/authorized_keys
"""


class Clone(WorkingClone):
    """Where somebody works: what is committed is signed by ``ops`` unless told otherwise, and pushed over SSH."""

    def __init__(self, folder: Path, address: str) -> None:
        keys = folder.parent / "keys"
        hosts = shlex.split(inventory_variables()["ansible_ssh_args"])[-1]
        ssh = ["ssh", "-F", "/dev/null", "-i", str(keys / "server"), "-o", "IdentitiesOnly=yes", "-o", hosts]
        url = f"ssh://git@{address}{BARE}"
        super().__init__(folder, keys, ("ops", "stranger", "server"), url, GIT_SSH_COMMAND=shlex.join(ssh))
        self.signers = self.sign_of("ops")

    def commit(self, fleet: Fleet, message: str, *, by: str = "ops") -> str:
        """Commit the inventory of a fleet and push it; return the commit."""
        self.write(fleet)
        return self.commit_files(message, by=by)

    def write(self, fleet: Fleet) -> None:
        """Have the inventory of a fleet in the clone."""
        write_inventory(self.folder / "inventory", fleet)

    def commit_files(self, message: str, *, by: str = "ops") -> str:
        """Commit what the clone holds and push it; return the commit. ``by`` nobody: it is not signed."""
        self.commit_all(message, by)
        return self.push()


class Control(Node):
    """The control node, set up by its playbook."""

    def __init__(self, controller: Controller, clone: Clone) -> None:
        super().__init__(MACHINE)
        self._controller = controller
        self.clone = clone

    def prepare(self, folder: Path, **variables: t.Any) -> None:
        """Make the server of Git, and the control node that follows it."""
        self.run(
            "command -v git > /dev/null || (apt-get -qq update && apt-get -qq install --no-install-recommends git)",
            timeout=CYCLE,
        )
        self.run(f"printf %s {shlex.quote((self.clone.keys / 'server.pub').read_text())} | sh -c {shlex.quote(SERVER)}")
        known = {**inventory_variables()}
        hosts = Path(shlex.split(known["ansible_ssh_args"])[-1].partition("=")[2])
        own = {
            "gitops_repository": f"ssh://git@{address_of(MACHINE)}{BARE}",
            "gitops_inventory": "inventory/hosts.yml",
            "gitops_allowed_signers": self.clone.signers,
            "gitops_known_hosts": hosts.read_text(),
            "gitops_node_key": Path(known["ansible_ssh_private_key_file"]).read_text(),
            "gitops_repository_key": (self.clone.keys / "server").read_text(),
            "gitops_interval": "1d",  # tests say when
            **variables,
        }
        path = folder / "control.yml"
        path.write_text(yaml.safe_dump({"control": {"hosts": {MACHINE: own}}}))
        path.chmod(0o600)
        ran = self._controller.play(CHECKOUT / "playbooks" / "gitops.yml", "-i", str(path))
        assert ran.returncode == 0, ran.output

    def cycle(self, expected: str) -> dict[str, t.Any]:
        """Run a cycle; the test fails unless it ends with this word. Return the report."""
        done = self.run("strata-gitops now", check=False, timeout=CYCLE)
        report = self.status()
        said = done.stdout + done.stderr + json.dumps(report, indent=1)
        assert report["result"] == expected, said
        assert report["code"] == done.returncode, said
        return report

    def status(self) -> dict[str, t.Any]:
        """Return the last report."""
        return t.cast(
            "dict[str, t.Any]", json.loads(self.run("strata-gitops status --json", check=False).stdout or "{}")
        )

    def start_cycle(self) -> None:
        """Start a cycle, and do not wait for it."""
        self.run("systemctl start --no-block strata-gitops.service")


def write_inventory(folder: Path, fleet: Fleet) -> None:
    """Write what a site keeps in Git: nodes, appliances, and the public keys of those who publish."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "keys").mkdir(parents=True)
    trust = []
    for entry in fleet.variables["depot_trust"]:
        shutil.copy(entry["key_file"], folder / "keys" / f"{entry['name']}.asc")
        trust.append({**entry, "key_file": f"{{{{ inventory_dir }}}}/keys/{entry['name']}.asc"})
    names = sorted({variables["appliance_node"] for variables in fleet.appliances.values()})
    lab_hosts = yaml.safe_load(INVENTORY.read_text())["all"]["vars"]
    variables = {
        **fleet.variables,
        "depot_trust": trust,
        "ansible_user": lab_hosts["ansible_user"],
        "ansible_python_interpreter": lab_hosts["ansible_python_interpreter"],
    }
    children = {
        "nodes": {"hosts": {name: {"ansible_host": address_of(name)} for name in names}},
        "appliances": {"hosts": fleet.appliances},
        **{name: {"hosts": dict.fromkeys(members)} for name, members in fleet.groups.items()},
    }
    inventory = {"all": {"vars": variables, "children": children}}
    (folder / "hosts.yml").write_text(yaml.dump(inventory, Dumper=yaml.SafeDumper))


def make(controller: Controller, folder: Path, **variables: t.Any) -> Control:
    """Return a control node that follows an empty repository."""
    lab("up", MACHINE)
    control = Control(controller, Clone(folder / "clone", address_of(MACHINE)))
    control.prepare(folder, **variables)
    return control
