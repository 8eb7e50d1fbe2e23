"""The plan of a deploy: what it says is what deploy does, and it changes nothing."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.tests.integration.fleet.fleet import PREFIX, Fleet, has_changed, instance, picture
from ansible_collections.strata.fleet.tests.integration.tools import Node, Ran

NODE_AWAY = 4  # how Ansible ends where a host cannot be reached
Nodes = list[Node]


def plan(fleet: Fleet, folder: Path, *arguments: str, ends: int = 0) -> tuple[dict[str, t.Any], dict[str, t.Any], Ran]:
    """Return what the plan has of each of these tests' appliances, the whole plan, and the run."""
    path = folder / "plan.json"
    path.unlink(missing_ok=True)
    markdown = folder / "plan.md"
    ran = fleet.play(
        "deploy_plan", "-e", f"deploy_plan_file={path}", "-e", f"deploy_plan_markdown={markdown}", *arguments
    )
    assert ran.returncode == ends, ran.output
    told = json.loads(path.read_text())
    assert f"**{len(told['appliances'])} appliance" in markdown.read_text()
    return {entry["name"]: entry for entry in told["appliances"] if entry["name"].startswith(PREFIX)}, told, ran


def verdicts(entries: dict[str, t.Any]) -> dict[str, str]:
    return {name.removeprefix(PREFIX): entry["verdict"] for name, entry in entries.items()}


def test_what_is_planned_is_what_a_deploy_does(fleet: Fleet, ready: Nodes, tmp_path: Path) -> None:
    node = ready[0]
    one, two = fleet.want("one", node, owner="web team"), fleet.want("two", node)
    before = picture(node)
    entries, told, _ran = plan(fleet, tmp_path)
    assert picture(node) == before
    assert verdicts(entries) == {"one": "create", "two": "create"}
    assert entries[one]["owner"] == "web team"
    assert entries[one]["steps"][0] == f"create state volume {one}.var (64 MiB)"
    assert told["nodes"][node.name]["problem"] == ""
    fleet.deploy(changed=True)

    entries, told, _ran = plan(fleet, tmp_path, "-e", "deploy_plan_verify=true")
    assert verdicts(entries) == {"one": "none", "two": "none"}
    assert (entries[one]["state"], entries[one]["health"], entries[one]["fault"]) == ("running", "healthy", "")
    assert told["findings"] == []

    node.run(f"incus config set --project strata {one} limits.memory=64MiB")
    node.run(f"incus stop --project strata {two}")
    entries, told, _ran = plan(fleet, tmp_path, "-e", "deploy_plan_verify=true")
    assert verdicts(entries) == {"one": "change", "two": "start"}
    assert {finding["appliance"] for finding in told["findings"]} >= {one}
    fleet.deploy(changed=True)
    entries, _told, _ran = plan(fleet, tmp_path)
    assert verdicts(entries) == {"one": "none", "two": "none"}


@contextlib.contextmanager
def on_the_network_of_copies(node: Node, name: str) -> t.Iterator[None]:
    """Have an appliance where copies of drills and restores are for a while."""
    card = f"incus config device set --project strata {name} eth0 network"
    node.run("incus network create it-copies ipv4.address=10.254.99.1/24 ipv6.address=none user.strata.copies=true")
    node.run(f"{card}=it-copies")
    try:
        yield
    finally:
        node.run(f"{card}=strata0 && incus network delete it-copies")


def test_strays_are_pruned_where_that_is_asked_for(fleet: Fleet, ready: Nodes, tmp_path: Path) -> None:
    node = ready[0]
    fleet.want("stays", node)
    gone = fleet.want("gone", node)
    fleet.deploy()
    del fleet.appliances[gone]
    entries, told, _ran = plan(fleet, tmp_path)
    assert verdicts(entries) == {"stays": "none", "gone": "stray"}
    assert told["totals"]["stray"] == 1
    fleet.deploy(changed=False)

    prune = ["-e", json.dumps({"deploy_prune": True})]
    with on_the_network_of_copies(node, gone):
        entries, _told, _ran = plan(fleet, tmp_path, *prune)
        assert verdicts(entries) == {"stays": "none", "gone": "none"}
        fleet.deploy(*prune)
        assert instance(node, gone)["status"] == "Running"
    fleet.deploy()  # its card is on the list of the other network again
    entries, _told, _ran = plan(fleet, tmp_path, *prune)
    assert verdicts(entries) == {"stays": "none", "gone": "remove"}
    fleet.deploy(*prune, "-e", json.dumps({"store_only": [f"{PREFIX}stays"]}), changed=False)
    fleet.deploy(*prune, changed=True)
    assert node.run(f"incus info --project strata {gone}", check=False).returncode != 0
    assert gone in node.run("incus storage volume list strata --project strata --format csv --columns n").stdout
    fleet.deploy(*prune, changed=False)


def test_what_is_paused_is_left_alone(fleet: Fleet, ready: Nodes, tmp_path: Path) -> None:
    node = ready[0]
    name = fleet.want("paused", node)
    fleet.deploy()
    today = dt.datetime.now(dt.UTC).date()
    fleet.want("paused", node, memory="64MiB", pause={"reason": "measurements", "until": today + dt.timedelta(days=1)})
    assert "measurements" in fleet.deploy(changed=False).output
    assert "limits.memory" not in instance(node, name)["config"]
    entries, _told, _ran = plan(fleet, tmp_path)
    assert verdicts(entries) == {"paused": "paused"}
    assert entries[name]["paused"]["reason"] == "measurements"
    configured = fleet.play("configure")
    assert configured.returncode == 0, configured.output
    assert not has_changed(configured)
    fleet.deploy("-e", json.dumps({"store_only": [name]}), changed=True)
    assert instance(node, name)["config"]["limits.memory"] == str(64 * 2**20)

    fleet.want("paused", node, pause={"reason": "measurements", "until": str(today - dt.timedelta(days=1))})
    ended = fleet.deploy(changed=True)
    assert f"The pause of {name} ended" in " ".join(ended.output.split())


def test_a_node_that_does_not_answer_is_told_beside_the_others(fleet: Fleet, ready: Nodes, tmp_path: Path) -> None:
    one, two = (fleet.want(f"away{number}", node) for number, node in enumerate(ready[:2]))
    # Nobody listens on port 9.
    fleet.variables["ansible_port"] = "{{ 9 if inventory_hostname == '" + ready[0].name + "' else 22 }}"
    entries, told, _ran = plan(fleet, tmp_path, ends=NODE_AWAY)
    assert {name: entries[name]["verdict"] for name in (one, two)} == {one: "unknown", two: "create"}
    assert told["nodes"][ready[0].name]["problem"] != ""
    assert told["nodes"][ready[1].name]["problem"] == ""
