"""The role and the modules of the engine, on machines of the lab."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.tests.integration.tools import Controller, Node

MakeNode = t.Callable[[str], Node]
LAUNCHER = "/usr/local/libexec/strata/incusd-detached"
LAUNCHER_SOURCE = Path(__file__).resolve().parents[2] / "roles" / "engine" / "files" / "incusd-detached"


@pytest.fixture
def node(make_node: MakeNode) -> Node:
    """A machine with the engine's packages, and nothing set up."""
    return make_node("test-engine")


def picture(node: Node) -> list[t.Any]:
    """Return everything that the module could change."""
    paths = ("storage-pools", "networks", "projects", "images?project=strata&")
    return [node.run(f"incus query '/1.0/{path}?recursion=1'".replace("&?", "&"), check=False).stdout for path in paths]


def test_ladder(node: Node, controller: Controller) -> None:
    before = picture(node)
    foreseen = controller.module("test-engine", "engine", check=True)
    assert foreseen["changed"], foreseen
    assert picture(node) == before

    done = controller.module("test-engine", "engine")
    assert done["steps"] == foreseen["steps"]
    after = picture(node)
    for check in (False, True):
        again = controller.module("test-engine", "engine", check=check)
        assert (again["changed"], again["steps"]) == (False, [])
    assert picture(node) == after

    assert controller.module("test-engine", "engine_info")["engine"]["pool_driver"] == "btrfs"
    assert controller.module("test-engine", "engine", state="absent")["changed"]
    assert not controller.module("test-engine", "engine", state="absent")["changed"]
    assert picture(node) == before


def test_only_what_differs_is_corrected(node: Node, controller: Controller) -> None:
    controller.module("test-engine", "engine")
    node.run(
        "incus project set strata restricted.containers.privilege=allow && incus network set strata0 ipv4.nat=false"
    )
    node.run("incus project set strata user.note=mine")
    corrected = controller.module("test-engine", "engine")
    assert corrected["steps"] == [
        "set ipv4.nat=true on network strata0",
        "set restricted.containers.privilege=isolated on project strata",
    ]
    assert node.query("/1.0/projects/strata")["config"]["user.note"] == "mine"


def test_pool_of_somebody_else_is_used_as_it_is(node: Node, controller: Controller) -> None:
    node.run("incus storage create strata dir")
    done = controller.module("test-engine", "engine")
    assert not any("pool" in step for step in done["steps"])
    assert "user.strata.managed" not in node.query("/1.0/storage-pools/strata")["config"]
    controller.module("test-engine", "engine", state="absent")
    assert node.query("/1.0/storage-pools/strata")["driver"] == "dir"


def test_pool_of_somebody_else_that_does_not_fit_is_refused(node: Node, controller: Controller) -> None:
    node.run("incus storage create strata dir")
    before = picture(node)
    refused = controller.module("test-engine", "engine", pool_driver="btrfs")
    assert refused["error"] == "BadInput"
    assert "pool strata exists with driver dir" in refused["msg"]
    assert picture(node) == before


def test_network_of_somebody_else_is_refused(node: Node, controller: Controller) -> None:
    node.run("incus network create strata0 ipv4.address=10.99.0.1/24 ipv6.address=none")
    before = picture(node)
    refused = controller.module("test-engine", "engine")
    assert "network strata0 exists, was not made by Strata" in refused["msg"]
    assert picture(node) == before


def test_removal_is_refused_while_an_instance_is_there(node: Node, controller: Controller) -> None:
    controller.module("test-engine", "engine")
    node.run("incus init strata-skeleton web --project strata -s strata -c security.idmap.isolated=true")
    refused = controller.module("test-engine", "engine", state="absent")
    assert "/1.0/instances/web" in refused["msg"]
    assert node.query("/1.0/projects/strata")["config"]["restricted"] == "true"


def test_engine_stopped(node: Node, controller: Controller) -> None:
    node.stop_engine()
    refused = controller.module("test-engine", "engine_info")
    assert refused["error"] == "Unreachable"
    assert "role strata.fleet.engine" in refused["msg"]
    ran = controller.play_role("test-engine", "engine")
    assert ran.returncode == 0, ran.output
    assert controller.module("test-engine", "engine_info")["engine"]["project_present"]


def test_engine_missing(make_node: MakeNode, controller: Controller) -> None:
    make_node("test-bare")
    for module in ("engine", "engine_info"):
        refused = controller.module("test-bare", module)
        assert refused["error"] == "Unreachable"
        assert "install and start Incus" in refused["msg"]


def test_not_root(node: Node, controller: Controller) -> None:
    node.run("useradd --create-home visitor && cp -r /root/.ssh /home/visitor/ && chown -R visitor: /home/visitor/.ssh")
    refused = controller.module("test-engine", "engine", user="visitor")
    assert refused["error"] == "Unreachable"
    assert "run as root" in refused["msg"]


def test_detached_launcher_starts_and_finds_the_engine(node: Node, controller: Controller) -> None:
    assert controller.play_role("test-engine", "engine").returncode == 0
    node.stop_engine()
    node.run(f"install -D /dev/stdin {LAUNCHER} <<'END'\n{LAUNCHER_SOURCE.read_text()}\nEND\nchmod 755 {LAUNCHER}")
    assert node.run(LAUNCHER).stdout.strip() == "started"
    assert node.run(LAUNCHER).stdout.strip() == ""
    assert controller.module("test-engine", "engine_info")["engine"]["project_present"]
    node.run("incus admin shutdown")
    assert node.run(LAUNCHER).stdout.strip() == "started"


def test_controller_killed_in_the_middle(node: Node, controller: Controller) -> None:
    play = {"hosts": "test-engine", "gather_facts": False, "roles": ["strata.fleet.engine"]}
    process = controller.start(controller.write([play]))
    controller.kill_once(process, lambda: "strata" in node.run("incus storage list -f csv", check=False).stdout)
    ran = controller.play_role("test-engine", "engine")
    assert ran.returncode == 0, ran.output
    again = controller.play_role("test-engine", "engine")
    assert again.recap["test-engine"]["changed"] == 0, again.output
