"""A depot, and fleets on the lab's nodes."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.tests.integration.fleet import depot as depots
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import STORE, Fleet, clean
from ansible_collections.strata.fleet.tests.integration.tools import CHECKOUT, Controller, Node

BUILT = CHECKOUT / ".cache" / "integration" / "depot"
GATEWAY = yaml.safe_load((CHECKOUT / "tests" / "lab" / "lab.yml").read_text())["network"]["address"].partition("/")[0]


@pytest.fixture(scope="session")
def source(controller: Controller) -> Path:
    """A depot with a real base: the one that STRATA_TEST_DEPOT names, or one that is built here, once."""
    given = Path(os.environ.get("STRATA_TEST_DEPOT", BUILT))
    if Repo(str(given / "repo")).exists() and Repo(str(given / "repo")).rev("base/debian-13/stable"):
        return given
    variables = {
        "depot_path": str(BUILT),
        "base_files": [str(CHECKOUT / "inventories" / "demo" / "bases" / "debian-13.yml")],
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    roles = ["strata.fleet.depot", "strata.fleet.base"]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": True, "vars": variables, "roles": roles}
    ran = controller.play(controller.write([play]))
    assert ran.returncode == 0, ran.output
    return BUILT


@pytest.fixture(scope="session")
def stranger() -> t.Iterator[depots.Signer]:
    """Somebody whom no node trusts."""
    with depots.signer("stranger") as made:
        yield made


@pytest.fixture(scope="session")
def depot(source: Path, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[depots.Depot]:
    """A depot of the real base and of app/site."""
    with depots.signer("site") as site:
        made = depots.Depot(tmp_path_factory.mktemp("depot"), site, source)
        made.publish_app("site")
        yield made


@pytest.fixture(scope="session")
def running_server(depot: depots.Depot) -> t.Iterator[depots.Server]:
    server = depots.Server(depot.repo.path, GATEWAY)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running_server: depots.Server) -> depots.Server:
    """The depot's web server, as it should be."""
    running_server.reset()
    return running_server


@pytest.fixture(scope="session")
def ready(nodes: list[Node], controller: Controller) -> list[Node]:
    """The lab's nodes, with the engine made ready and nothing in their stores."""
    bare = [node for node in nodes if node.run("incus project show strata", check=False).returncode]
    if bare:
        ran = controller.play(CHECKOUT / "playbooks" / "engine.yml", "--limit", ",".join(node.name for node in bare))
        assert ran.returncode == 0, ran.output
    clean(nodes)
    for node in nodes:
        # An earlier session had the same versions, of other content: its depot is gone.
        node.run(f'[ -n "$(incus list --project strata --format csv)" ] || rm -rf {STORE}')
    return nodes


@pytest.fixture
def fleet(
    ready: list[Node], controller: Controller, depot: depots.Depot, server: depots.Server, tmp_path: Path
) -> t.Iterator[Fleet]:
    """An empty fleet on nodes that have no appliance of these tests: ``ready`` and the test before removed them."""
    try:
        yield Fleet(controller, depot, server, tmp_path)
    finally:
        server.reset()
        depot.withdraw_deltas()
        clean(ready)
