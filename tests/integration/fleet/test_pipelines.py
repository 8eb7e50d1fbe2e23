"""The definitions in docs/pipelines, command by command: what is proposed is planned, what is merged is applied."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.tests.integration.fleet import pipelines
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import Fleet, instance, page
from ansible_collections.strata.fleet.tests.integration.tools import (
    CHECKOUT,
    NODES,
    Node,
    address_of,
    inventory_variables,
)
from ansible_collections.strata.fleet.tests.unit.gitops.site import Site

PASSWORD = "of the vault"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "site").mkdir()
    return Site(tmp_path / "site")


@pytest.fixture
def api() -> t.Iterator[pipelines.Notes]:
    with pipelines.notes() as server:
        yield server


@pytest.mark.parametrize("name", ["gitlab-ci", "github", "forgejo"])
def test_from_a_proposal_to_what_runs(
    name: str, fleet: Fleet, site: Site, api: pipelines.Notes, tmp_path: Path
) -> None:
    node, settings = Node(NODES[0]), inventory_variables()
    secrets = pipelines.Secrets(
        node_key=Path(settings["ansible_ssh_private_key_file"]).read_text(),
        vault_password=PASSWORD,
        allowed_signers=site.signers.read_text(),
        token="a token",
    )
    (tmp_path / "secrets").mkdir()
    platform = pipelines.make(name, pipelines.Site(site.bare, secrets, api.url), tmp_path / "secrets")
    write_files(site, fleet)
    first = site.commit(hosts=write_hosts(fleet, node))

    # Somebody proposes an appliance: it is planned, shown to those who decide, and not there yet.
    web = fleet.want("pipeline", node, config={"title": "proposed", "password": "{{ vault_password }}"})
    site.commit("", branch="proposal", hosts=write_hosts(fleet, node))
    ran = pipelines.run(platform, "check", tmp_path / "check", branch="proposal")
    assert ran.code == 0, ran.output
    ran = pipelines.run(platform, "plan", tmp_path / "plan", branch="proposal")
    assert ran.code == 0, ran.output
    plan = json.loads((ran.folder / "plan.json").read_text())
    assert [(row["name"], row["verdict"]) for row in plan["appliances"]] == [(web, "create")]
    shown = platform.summary(tmp_path / "plan") or api.written[-1][2]
    assert "1 appliance: 1 to create." in shown
    assert web in shown
    assert [path for path, _token, _text in api.written] == {
        "gitlab-ci": ["/v4/projects/3/merge_requests/7/notes"],
        "github": [],
        "forgejo": ["/v1/repos/example/site/issues/7/comments"],
    }[name]
    assert {token for _path, token, _text in api.written} <= {"a token", "token a token"}
    assert node.run(f"incus info --project strata {web}", check=False).returncode != 0

    # It is merged.
    second = site.commit(message="Merge the proposal", hosts=write_hosts(fleet, node))
    ran = pipelines.run(platform, "apply", tmp_path / "merged", before=first)
    assert ran.code == 0, ran.output
    report = json.loads((ran.folder / "cycle.json").read_text())
    assert (report["result"], report["applied"]["commit"], report["good"]["commit"]) == ("applied", second, second)
    assert "no way back" not in ran.output
    assert "title proposed" in page(node, web)
    assert (instance(node, web)["status"], PASSWORD in ran.output) == ("Running", False)

    # What nobody signed is not applied, and the job fails as the program does.
    fleet.want("pipeline", node, config={"title": "smuggled in"})
    site.commit("", message="Not signed", hosts=write_hosts(fleet, node))
    ran = pipelines.run(platform, "apply", tmp_path / "unsigned", before=second)
    report = json.loads((ran.folder / "cycle.json").read_text())
    assert (ran.code, report["result"], report["applied"]) == (3, "refused", None), ran.output
    assert "is not signed" in ran.output
    assert "title proposed" in page(node, web)


def write_files(site: Site, fleet: Fleet) -> None:
    """Write what a site's repository has beside its hosts."""
    shutil.copy(CHECKOUT / "inventories" / "example" / "gitops.yml", site.clone)
    known = shlex.split(inventory_variables()["ansible_ssh_args"])[-1].partition("=")[2]
    shutil.copy(known, site.clone / "known_hosts")
    (site.clone / "keys").mkdir()
    for entry in fleet.variables["depot_trust"]:
        shutil.copy(entry["key_file"], site.clone / "keys" / f"{entry['name']}.asc")
    vault = site.clone / "group_vars" / "all" / "vault.yml"
    vault.parent.mkdir(parents=True)
    vault.write_text("vault_password: secret of the site\n")
    password = site.folder / "vault-password"
    password.write_text(PASSWORD)
    program = Path(sys.executable).parent / "ansible-vault"
    subprocess.run([program, "encrypt", "--vault-password-file", password, vault], check=True, capture_output=True)


def write_hosts(fleet: Fleet, node: Node) -> str:
    """Return hosts.yml: one node, and the appliances that are wanted."""
    trust = [
        {**entry, "key_file": f"{{{{ inventory_dir }}}}/keys/{entry['name']}.asc"}
        for entry in fleet.variables["depot_trust"]
    ]
    variables = {
        **fleet.variables,
        "depot_trust": trust,
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    children = {
        "nodes": {"hosts": {node.name: {"ansible_host": address_of(node.name)}}},
        "appliances": {"hosts": fleet.appliances},
    }
    return yaml.safe_dump({"all": {"vars": variables, "children": children}})
