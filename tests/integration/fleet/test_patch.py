"""Versions rolled out, good ones and bad ones, to real appliances on two nodes.

The role's modules are played here, as it calls them: rollout, patch and rollout_gate.
"""

from __future__ import annotations

import itertools
import json
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.tests.integration.fleet import site_app
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    STORE,
    Fleet,
    assert_whole,
    fetch,
    inside,
    instance,
    kill_holder,
    page,
    picture,
    wait_unlocked,
)
from ansible_collections.strata.fleet.tests.integration.fleet.test_faults import is_true, when
from ansible_collections.strata.fleet.tests.integration.tools import Node, Ran

Nodes = list[Node]
SETTLE = 2
# Seconds: longer than a good version takes to start on a machine that has much else to do.
SICK_AFTER = 15
# Shell conditions on a node, by how far a swap of the appliance NAME has come when they are first true.
MARKS = f"{STORE}/marks/NAME.json"
MOMENTS = {
    "beginning": f"grep -q snapshot {MARKS}",
    "mapped": "incus config get --project strata NAME user.strata.previous | grep -q base",
    "settling": f"grep -q snapshot {MARKS} && grep -q healthy {MARKS}",
}
CRASHING = {
    "/usr/lib/systemd/system/crash.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/false\n",
    "/usr/lib/systemd/system/multi-user.target.d/crash.conf": "[Unit]\nWants=crash.service\n",
}


class Rollout:
    """Runs of the playbook patch, with the record of the last one."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet = fleet
        self.folder = folder
        fleet.variables |= {"patch_record_path": str(folder), "patch_rollout": {"settle": SETTLE}}

    def describe(self, **rollout: t.Any) -> None:
        """Say how it is to go."""
        self.fleet.variables["patch_rollout"] = {"settle": SETTLE, **rollout}

    def run(self, *arguments: str, fails: str = "") -> Ran:
        """Patch; the test fails where that fails, or where it does not fail with the words that are expected."""
        ran = self.fleet.play("patch", *arguments)
        said = " ".join(ran.output.split())
        assert "Traceback" not in said, ran.output
        assert bool(ran.returncode) == bool(fails), ran.output
        assert fails in said, ran.output
        return ran

    def record(self) -> dict[str, t.Any]:
        """Return the newest record's appliances by name."""
        newest = max(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        return {entry["name"]: entry for entry in json.loads(newest.read_text())["appliances"]}

    def outcomes(self) -> dict[str, str]:
        """Return what became of each appliance."""
        return {name: entry["outcome"] for name, entry in self.record().items()}


@pytest.fixture
def rollout(fleet: Fleet, tmp_path: Path) -> Rollout:
    return Rollout(fleet, tmp_path / "rollouts")


def marks(node: Node, name: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads(node.run(f"cat {STORE}/marks/{name}.json").stdout))


def snapshots(node: Node, name: str) -> list[str]:
    bodies = node.query(f"/1.0/storage-pools/strata/volumes/custom/{name}.var/snapshots?project=strata&recursion=1")
    return [body["name"].rpartition("/")[2] for body in sorted(bodies, key=lambda body: body["created_at"])]


def version(node: Node, name: str) -> str:
    """Return the version of the app that an appliance serves."""
    return page(node, name).split("version ")[1].strip()


def test_one_base_patch_serves_two_nodes(rollout: Rollout, ready: Nodes, tmp_path: Path) -> None:
    fleet = rollout.fleet
    old = fleet.depot.publish_next_base("patched", "1", {"/usr/lib/patch": "one\n"})
    names = [fleet.want(f"p{node.name}{n}", node, base="patched") for node in ready[:2] for n in (1, 2)]
    fleet.want(f"p{ready[0].name}1", ready[0], base="patched", publish=[{"listen": 18080, "port": 8080}])
    fleet.deploy()
    before = {node.name: picture(node) for node in ready[:2]}
    new = fleet.depot.publish_next_base("patched", "2", {"/usr/lib/patch": "two\n"})
    fleet.depot.offer_delta(new, old)

    planned = fleet.play("plan", "-e", f"patch_plan_file={tmp_path}/plan.json")
    assert planned.returncode == 0, planned.output
    assert "patched 1 > 2" in planned.output, planned.output
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert {node.name: picture(node) for node in ready[:2]} == before

    rollout.describe(canaries={"count": 1}, batches=[1, "100%"])
    fleet.server.requests.clear()
    rollout.run()
    assert fleet.server.bytes_of_deltas() == sum(node["bytes"] for node in plan["nodes"].values()) > 0
    assert fleet.server.fetched() == []
    assert rollout.outcomes() == dict.fromkeys(names, "patched")
    for node in ready[:2]:
        for name in (name for name in names if node.name in name):
            assert inside(node, name, "cat /usr/lib/patch") == "two"
            assert json.loads(instance(node, name)["config"]["user.strata.composition"])["base"]["commit"] == new
            assert "starts 2" in page(node, name)
            assert 0.3 < rollout.record()[name]["interruption"] < 30
        assert_whole(node)
    assert "starts 2" in fetch(ready[0], "http://127.0.0.1:18080/")

    again = rollout.run()
    assert not any(counts["changed"] for counts in again.recap.values()), again.output
    fleet.deploy(changed=False)


def test_a_base_that_crashes_a_service_undoes_itself_and_is_not_tried_again(rollout: Rollout, ready: Nodes) -> None:
    fleet, node = rollout.fleet, ready[0]
    fleet.depot.publish_next_base("crash", "1", {"/usr/lib/patch": "one\n"})
    first, second = fleet.want("crash1", node, base="crash"), fleet.want("crash2", node, base="crash")
    fleet.deploy()
    fleet.depot.publish_next_base("crash", "2", {"/usr/lib/patch": "two\n", **CRASHING})
    rollout.describe(canaries={"count": 1})

    rollout.run(fails="crash.service")
    assert rollout.outcomes() == {first: "rolled_back", second: "not started"}
    assert "starts 3" in page(node, first)
    assert "starts 1" in page(node, second)
    assert inside(node, first, "cat /usr/lib/patch") == "one"
    [bad] = marks(node, first)["bad"]
    assert bad["base_version"] == "crash 2"

    rollout.run()
    assert "starts 3" in page(node, first)
    assert "starts 1" in page(node, second)
    rollout.run("-e", "patch_retry=true", fails="crash.service")
    assert "starts 5" in page(node, first)

    fleet.depot.publish_next_base("crash", "3", {"/usr/lib/patch": "three\n"})
    rollout.run()
    assert rollout.outcomes() == {first: "patched", second: "patched"}
    fleet.deploy(changed=False)


def test_an_app_that_is_never_healthy(rollout: Rollout, ready: Nodes) -> None:
    fleet, node = rollout.fleet, ready[0]
    fleet.depot.publish_app("sick")
    name = fleet.want("sick", node, app="sick", health_timeout=SICK_AFTER)
    fleet.deploy()
    fleet.depot.publish_app("sick", "2-1", server=site_app.SICK)
    inside(node, name, "echo kept > /var/lib/note")
    rollout.run(fails="answered 500, expected 200")
    assert rollout.outcomes() == {name: "rolled_back"}
    assert version(node, name) == "1-1"
    assert inside(node, name, "cat /var/lib/note") == "kept"
    assert rollout.record()[name]["state"] == "kept"
    assert_whole(node)


def test_an_app_that_fails_after_a_while(rollout: Rollout, ready: Nodes) -> None:
    fleet, node = rollout.fleet, ready[0]
    fleet.depot.publish_app("late")
    name = fleet.want("late", node, app="late")
    fleet.deploy()
    fleet.depot.publish_app("late", "2-1", server=site_app.LATE.replace("SECONDS", "20"))
    rollout.describe(settle=30)
    rollout.run(fails="healthy for some time and failed")
    assert rollout.outcomes() == {name: "rolled_back"}
    assert version(node, name) == "1-1"


def test_state_that_the_new_version_changed_is_brought_back(rollout: Rollout, ready: Nodes) -> None:
    fleet, node = rollout.fleet, ready[0]
    fleet.depot.publish_app("schema", state_schema="1")
    name = fleet.want("schema", node, app="schema", health_timeout=SICK_AFTER)
    fleet.deploy()
    sick = site_app.MIGRATES.replace("200 OK", "500 Oops")
    fleet.depot.publish_app("schema", "2-1", server=sick, state_schema="2")
    rollout.run(fails="answered 500")
    assert rollout.record()[name]["state"] == "restored"
    assert inside(node, name, "ls /var/lib/site") == "starts"
    assert "starts 2" in page(node, name)  # the start that was taken back is not counted
    kept, given_up = snapshots(node, name)
    assert given_up == f"{kept}-given-up"
    assert rollout.record()[name]["snapshot"] == kept


def test_rollback_on_request(rollout: Rollout, ready: Nodes) -> None:
    fleet, node = rollout.fleet, ready[0]
    fleet.depot.publish_app("back", state_schema="1")
    name = fleet.want("back", node, app="back")
    fleet.deploy()
    fleet.depot.publish_app("back", "2-1", server=site_app.MIGRATES, state_schema="2")
    rollout.run()
    inside(node, name, "echo newer > /var/lib/note")
    snapshot = rollout.record()[name]["snapshot"]
    assert snapshots(node, name) == [snapshot]

    refused = fleet.play("rollback", "-e", f"rollback={name}")
    assert refused.returncode != 0
    assert f"its snapshots are {snapshot}" in " ".join(refused.output.split())
    assert version(node, name) == "2-1"

    went = fleet.play("rollback", "-e", f"rollback={name}", "-e", f"rollback_snapshot={snapshot}")
    assert went.returncode == 0, went.output
    assert re.search(r"\b0 h \d min since", " ".join(went.output.split())), went.output
    assert version(node, name) == "1-1"
    assert inside(node, name, "ls /var/lib /var/lib/site | grep -c -e note -e migrated || true") == "0"
    assert len(snapshots(node, name)) == 2  # what was given up is kept

    again = fleet.play("rollback", "-e", f"rollback={name}", "-e", f"rollback_snapshot={snapshot}")
    assert again.returncode == 0, again.output
    assert "nothing to do" in again.output
    rollout.run()
    assert version(node, name) == "1-1"
    rollout.run("-e", "patch_retry=true")
    assert version(node, name) == "2-1"
    assert_whole(node)


def test_controller_killed_in_a_batch(rollout: Rollout, ready: Nodes) -> None:
    fleet, node = rollout.fleet, ready[1]
    app, moment = "cut", "settling"
    fleet.depot.publish_app(app)
    first, second = fleet.want(f"{app}1", node, app=app), fleet.want(f"{app}2", node, app=app)
    fleet.deploy()
    fleet.depot.publish_app(app, "2-1")
    rollout.describe(batches=[1], settle=8)
    fleet.controller.kill_once(fleet.start("patch"), lambda: is_true(node, MOMENTS[moment], first))
    wait_unlocked(node)
    rollout.describe(batches=[1])
    rollout.run()
    assert rollout.outcomes() == {first: "patched", second: "patched"}
    assert [version(node, name) for name in (first, second)] == ["2-1", "2-1"]
    assert marks(node, first).get("swap") is None
    assert_whole(node)


@pytest.mark.parametrize("moment", ["beginning", "mapped"])
def test_module_killed_in_a_batch(rollout: Rollout, ready: Nodes, moment: str) -> None:
    fleet, node = rollout.fleet, ready[1]
    app = f"kill{moment}"
    fleet.depot.publish_app(app)
    name = fleet.want(app, node, app=app)
    fleet.deploy()
    fleet.depot.publish_app(app, "2-1")
    wait = when(node, MOMENTS[moment].replace("NAME", name), kill_holder())
    ran = fleet.play("patch")
    wait()
    assert ran.returncode != 0, ran.output
    rollout.run()
    assert rollout.outcomes() == {name: "patched"}
    assert version(node, name) == "2-1"
    assert_whole(node)
    fleet.deploy(changed=False)


def test_what_a_killed_run_began_is_undone_when_it_turns_out_bad(rollout: Rollout, ready: Nodes) -> None:
    fleet, node = rollout.fleet, ready[1]
    fleet.depot.publish_app("undo")
    name = fleet.want("undo", node, app="undo", health_timeout=SICK_AFTER)
    fleet.deploy()
    fleet.depot.publish_app("undo", "2-1", server=site_app.SICK)
    fleet.controller.kill_once(
        fleet.start("patch"),
        lambda: node.run(f"grep -q snapshot {STORE}/marks/{name}.json", check=False).returncode == 0,
    )
    node.run(
        f"kill -KILL $(awk -v inode=:$(stat -c %i {STORE}/lock)$ '$6 ~ inode {{print $5}}' /proc/locks)", check=False
    )
    rollout.run(fails="answered 500")
    assert rollout.outcomes() == {name: "rolled_back"}
    assert version(node, name) == "1-1"
    assert marks(node, name).get("swap") is None


def test_a_node_rebooted_in_a_batch(rollout: Rollout, ready: Nodes) -> None:
    fleet, node, other = rollout.fleet, ready[1], ready[0]
    fleet.depot.publish_app("reboot")
    first, second = fleet.want("reboot1", node, app="reboot"), fleet.want("reboot2", other, app="reboot")
    fleet.deploy()
    fleet.depot.publish_app("reboot", "2-1")
    process = fleet.start("patch")
    fleet.controller.wait(lambda: "snapshot" in node.run(f"cat {STORE}/marks/{first}.json").stdout, process)
    node.reboot()
    said = process.communicate()[0]
    assert process.returncode != 0, said
    assert first in said
    rollout.run()
    assert {version(node, first), version(other, second)} == {"2-1"}
    assert marks(node, first).get("swap") is None
    assert_whole(node)


def test_the_depot_is_not_needed_after_staging(rollout: Rollout, ready: Nodes) -> None:
    fleet, node = rollout.fleet, ready[0]
    fleet.depot.publish_app("gone")
    name = fleet.want("gone", node, app="gone")
    fleet.deploy()
    fleet.depot.publish_app("gone", "2-1")
    process = fleet.start("patch")
    fleet.controller.wait(lambda: "snapshot" in node.run(f"cat {STORE}/marks/{name}.json").stdout, process)
    fleet.server.stop()
    said = process.communicate()[0]
    assert process.returncode == 0, said
    assert version(node, name) == "2-1"


def test_a_disk_that_is_full_at_staging_touches_nothing(rollout: Rollout, ready: Nodes) -> None:
    fleet, node, other = rollout.fleet, ready[0], ready[1]
    fleet.depot.publish_app("full")
    first, second = fleet.want("full1", node, app="full"), fleet.want("full2", other, app="full")
    fleet.deploy()
    fleet.depot.publish_app("full", "2-1", size=10**15)
    rollout.run(fails="are free: make room")
    assert [version(node, first), version(other, second)] == ["1-1", "1-1"]
    assert "starts 1" in page(node, first)
    assert "swap" not in marks(node, first)


def test_no_more_of_a_service_are_down_than_may_be(rollout: Rollout, ready: Nodes) -> None:
    fleet = rollout.fleet
    fleet.depot.publish_app("service")
    names = [fleet.want(f"service{n}", ready[n % 2], app="service") for n in range(4)]
    fleet.deploy()
    fleet.depot.publish_app("service", "2-1")
    rollout.describe(services=[{"group": "appliances", "max_unavailable": 1}], settle=0)
    rollout.run()
    entries = sorted(rollout.record().values(), key=lambda entry: str(entry["started"]))
    assert [entry["name"] for entry in entries if entry["outcome"] == "patched"]
    assert {entry["name"] for entry in entries} == set(names)
    for before, after in itertools.pairwise(entries):
        assert before["ended"] <= after["started"]
