"""Cut off in the middle, at any moment: the next run converges, and nothing half made is left."""

from __future__ import annotations

import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.strata.fleet.tests.integration.fleet import site_app
from ansible_collections.strata.fleet.tests.integration.fleet.depot import Cut, Depot
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    STORE,
    Fleet,
    assert_whole,
    has_changed,
    kill_holder,
    page,
    wait_unlocked,
)
from ansible_collections.strata.fleet.tests.integration.tools import PATIENCE, Node

Nodes = list[Node]
BALLAST = 60  # files of an app that nothing else has
# Shell conditions on a node, by what is going on there when they are first true. NAME is the appliance.
MOMENTS = {
    "creating": "incus storage volume show strata NAME.var --project strata",
    "starting": "incus config show NAME --project strata",
    "booting": "incus exec --project strata NAME -- true",
}


class Gate:
    """A hook of the depot's server: lets ``count`` files through, then holds every request until it is opened."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, path: str) -> None:
        if path.endswith(".filez"):
            self.left -= 1
        if self.left < 0:
            self.reached.set()
            self.opened.wait(PATIENCE)


@pytest.fixture(scope="module")
def slow(depot: Depot) -> str:
    """An app that does not serve before what is to happen has happened."""
    depot.publish_app("slow", server=site_app.SLOW)
    return "slow"


def is_true(node: Node, condition: str, name: str) -> bool:
    """Whether a condition of MOMENTS holds."""
    return node.run(f"{condition.replace('NAME', name)} > /dev/null 2>&1", check=False).returncode == 0


def when(node: Node, condition: str, action: str) -> t.Callable[[], None]:
    """Do something on a node as soon as a shell condition is true there; call what is returned to wait for that."""
    script = (
        f"for n in $(seq 6000); do if {condition}; then {action}; exit; fi; sleep 0.01; done > /dev/null 2>&1; exit 9"
    )
    pool = ThreadPoolExecutor(1)
    future = pool.submit(node.run, script)

    def wait() -> None:
        future.result(PATIENCE)
        pool.shutdown()

    return wait


def converges(fleet: Fleet, node: Node, name: str) -> None:
    """Run again, as an operator would, and find everything as if nothing had happened."""
    wait_unlocked(node)
    fleet.deploy()
    assert "title untitled" in page(node, name)
    assert_whole(node)
    fleet.deploy(changed=False)


def test_controller_killed_while_pulling(fleet: Fleet, ready: Nodes) -> None:
    node = ready[2]
    fleet.depot.publish_app("cutpull", ballast=BALLAST)
    name = fleet.want("cutpull", node, app="cutpull")
    gate = Gate(BALLAST // 2)
    fleet.server.hook = gate
    fleet.controller.kill_once(fleet.start("deploy"), gate.reached.is_set)
    gate.opened.set()
    converges(fleet, node, name)


@pytest.mark.parametrize("moment", MOMENTS)
def test_controller_killed(fleet: Fleet, ready: Nodes, slow: str, moment: str) -> None:
    node = ready[2]
    name = fleet.want("cut", node, app=slow)
    fleet.want("cuttoo", node, app=slow)
    fleet.controller.kill_once(fleet.start("deploy"), lambda: is_true(node, MOMENTS[moment], name))
    converges(fleet, node, name)


def test_module_killed_while_pulling(fleet: Fleet, ready: Nodes) -> None:
    node = ready[2]
    fleet.depot.publish_app("killpull", ballast=BALLAST)
    name = fleet.want("killpull", node, app="killpull")
    gate = Gate(BALLAST // 2)
    fleet.server.hook = gate
    process = fleet.start("deploy")
    assert gate.reached.wait(PATIENCE)
    node.run(kill_holder())
    gate.opened.set()
    process.communicate()
    assert process.returncode != 0
    converges(fleet, node, name)


@pytest.mark.parametrize("moment", MOMENTS)
def test_module_killed(fleet: Fleet, ready: Nodes, slow: str, moment: str) -> None:
    node = ready[2]
    name = fleet.want("kill", node, app=slow)
    wait = when(node, MOMENTS[moment].replace("NAME", name), kill_holder())
    ran = fleet.play("deploy")
    wait()
    assert ran.returncode != 0, ran.output
    converges(fleet, node, name)


def test_module_killed_between_mapping_a_config_and_telling_the_units(fleet: Fleet, ready: Nodes) -> None:
    node = ready[2]
    name = fleet.want("half", node, config={"title": "one"})
    fleet.deploy()
    fleet.want("half", node, config={"title": "two"})
    wait = when(node, f"grep -q reload_manager {STORE}/marks/{name}.json", kill_holder())
    assert fleet.play("configure").returncode != 0
    wait()
    assert "title one" in page(node, name)
    wait_unlocked(node)
    assert has_changed(fleet.play("configure"))
    assert "title two" in page(node, name)
    assert_whole(node)
    fleet.deploy(changed=False)


@pytest.mark.parametrize("moment", ["creating", "booting"])
def test_engine_stopped(fleet: Fleet, ready: Nodes, slow: str, moment: str) -> None:
    node = ready[2]
    name = fleet.want("stopped", node, app=slow)
    try:
        wait = when(node, MOMENTS[moment].replace("NAME", name), "systemctl stop incus.socket incus.service")
        ran = fleet.play("deploy")
        wait()
    finally:
        node.start_engine()
    assert ran.returncode != 0, ran.output
    assert name in ran.output, ran.output
    assert "Traceback" not in ran.output, ran.output
    converges(fleet, node, name)


def test_depot_gone_while_pulling(fleet: Fleet, ready: Nodes) -> None:
    node = ready[2]
    fleet.depot.publish_app("gonepull", ballast=BALLAST)
    name = fleet.want("gonepull", node, app="gonepull")
    left = iter(range(BALLAST // 2))

    def hook(path: str) -> None:
        if path.endswith(".filez") and next(left, None) is None:
            fleet.server.hook = fail
            raise Cut

    def fail(_path: str) -> None:
        raise Cut

    fleet.server.hook = hook
    fleet.refuse("The depot went away while", "run again, it will go on")
    fleet.server.reset()
    converges(fleet, node, name)
    assert BALLAST // 2 <= len(fleet.server.fetched()) < BALLAST


def test_disk_full_while_pulling(fleet: Fleet, ready: Nodes) -> None:
    node = ready[2]
    fleet.depot.publish_app("fullpull", ballast=BALLAST)
    name = fleet.want("fullpull", node, app="fullpull")
    gate = Gate(1000)
    fleet.server.hook = gate
    with node.small_disk(STORE, "450M"):
        try:
            process = fleet.start("deploy")
            assert gate.reached.wait(PATIENCE)
            node.run(f"cat /dev/zero > {STORE}/filler", check=False)
            gate.opened.set()
            said = " ".join(process.communicate()[0].split())
            assert process.returncode != 0
            assert "No room to fetch" in said
            node.run(f"rm {STORE}/filler")
            converges(fleet, node, name)
        finally:
            node.run(f"incus delete --force --project strata {name}", check=False)
