"""Deploying: what an operator asks for is there afterwards, nothing more is, and asking again changes nothing."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    Fleet,
    fetch,
    has_changed,
    init_pid,
    inside,
    instance,
    page,
    picture,
)
from ansible_collections.strata.fleet.tests.integration.tools import Node

MIB = 2**20
Nodes = list[Node]


def volume(node: Node, name: str) -> dict[str, t.Any] | None:
    """Return a state volume, or None."""
    done = node.run(f"incus query '/1.0/storage-pools/strata/volumes/custom/{name}?project=strata'", check=False)
    return t.cast("dict[str, t.Any]", json.loads(done.stdout)) if done.returncode == 0 else None


def test_ladder_on_two_nodes(fleet: Fleet, ready: Nodes) -> None:
    names = {node: fleet.want(f"ladder{number}", node) for number, node in enumerate(ready[:2])}
    before = {node: picture(node) for node in names}
    foreseen = fleet.deploy("--check", "--diff", "-v", changed=True)
    assert {node: picture(node) for node in names} == before
    for name in names.values():
        assert f"create {name} from base debian-13" in foreseen.output

    fleet.deploy(changed=True)
    after = {node: picture(node) for node in names}
    for node, name in names.items():
        assert "title untitled" in page(node, name)
    fleet.server.requests.clear()
    fleet.deploy(changed=False)
    fleet.deploy("--check", changed=False)
    assert fleet.server.requests == []
    assert {node: picture(node) for node in names} == after


def test_status(fleet: Fleet, ready: Nodes, tmp_path: Path) -> None:
    node = ready[0]
    name = fleet.want("status", node)
    fleet.deploy()
    found = tmp_path / "status.json"
    arguments = ["-e", json.dumps({"status_file": str(found), "status_fail": True})]

    assert fleet.play("status", *arguments).returncode == 0
    row = next(row for row in json.loads(found.read_text())["appliances"] if row["name"] == name)
    assert (row["node"], row["state"], row["health"], row["fault"]) == (node.name, "running", "healthy", "")
    assert row["app"]["version"] == "1-1"
    assert row["base"]["commit"] == fleet.depot.base
    assert row["memory"] > MIB
    assert 0 < row["boot_seconds"] < 60

    inside(node, name, "systemctl stop site.service")
    assert fleet.play("status", *arguments).returncode != 0
    row = next(row for row in json.loads(found.read_text())["appliances"] if row["name"] == name)
    assert row["health"] == "unhealthy"
    assert ":8080/" in row["fault"]


def test_a_channel_that_moves_moves_nothing(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    first = fleet.depot.publish_app("moving", "1-1")
    name = fleet.want("moving", node, app="moving")
    fleet.deploy()
    second = fleet.depot.publish_app("moving", "2-1")
    fleet.deploy(changed=False)
    assert "version 1-1" in page(node, name)

    fleet.want("moving", node, app="moving", app_version="2-1")
    fleet.deploy(changed=True)
    assert "version 2-1" in page(node, name)
    config = instance(node, name)["config"]
    assert json.loads(config["user.strata.composition"])["app"]["commit"] == second
    assert json.loads(config["user.strata.previous"])["app"]["commit"] == first

    fleet.want("moving", node, app="moving", app_version="1-1")
    fleet.server.requests.clear()
    fleet.deploy(changed=True)
    assert "version 1-1" in page(node, name)
    assert fleet.server.requests == []


def test_only_what_is_needed_is_kept(fleet: Fleet, ready: Nodes) -> None:
    node = ready[2]
    commits = [fleet.depot.publish_app("kept", f"{number}-1") for number in (1, 2, 3)]
    fleet.variables["store_collect"] = True
    for number in (1, 2, 3):
        fleet.want("kept", node, app="kept", app_version=f"{number}-1")
        fleet.deploy(changed=True)
    held = set(node.run("ls /var/lib/strata/store/layers").stdout.split())
    assert held & set(commits) == set(commits[1:])
    configs = node.run("ls -A /var/lib/strata/store/config/it-kept").stdout.split()
    assert configs == [json.loads(instance(node, "it-kept")["config"]["user.strata.composition"])["config"]]


def test_states_and_removal(fleet: Fleet, ready: Nodes) -> None:
    node = ready[1]
    name = fleet.want("states", node, state="stopped")
    fleet.deploy(changed=True)
    assert instance(node, name)["status"] == "Stopped"
    fleet.want("states", node)
    fleet.deploy(changed=True)
    assert "starts 1" in page(node, name)
    fleet.want("states", node, state="stopped")
    fleet.deploy(changed=True)
    assert instance(node, name)["status"] == "Stopped"

    fleet.want("states", node, state="absent")
    fleet.deploy(changed=True)
    fleet.deploy(changed=False)
    assert node.run(f"incus info --project strata {name}", check=False).returncode != 0
    assert volume(node, f"{name}.var")
    fleet.want("states", node)
    fleet.deploy(changed=True)
    assert "starts 2" in page(node, name)

    fleet.want("states", node, state="absent")
    fleet.deploy("-e", json.dumps({"deploy_remove_state": [name]}), changed=True)
    assert volume(node, f"{name}.var") is None


def test_removal_by_name(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    name, other = fleet.want("removed", node), fleet.want("stays", node)
    fleet.deploy()
    before = init_pid(node, other)
    assert fleet.play("remove", "-e", f"remove={name}", "--check").recap[node.name]["changed"] == 1
    assert instance(node, name)["status"] == "Running"
    assert has_changed(fleet.play("remove", "-e", f"remove={name}"))
    assert volume(node, f"{name}.var")
    assert has_changed(fleet.play("remove", "-e", f"remove={name}", "-e", f"remove_state={name}"))
    assert volume(node, f"{name}.var") is None
    again = fleet.play("remove", "-e", f"remove={name}", "-e", f"remove_state={name}")
    assert again.returncode == 0, again.output
    assert not has_changed(again)
    assert init_pid(node, other) == before
    assert fleet.play("remove", "-e", "remove=it-nobody").returncode != 0


def test_ports_limits_and_sizes_change_without_a_restart(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    name = fleet.want("live", node)
    fleet.deploy()
    before = init_pid(node, name)
    fleet.want(
        "live",
        node,
        publish=[{"listen": 18080, "port": 8080}],
        memory="96MiB",
        volumes={"var": {"size": "80MiB"}},
    )
    fleet.deploy(changed=True)
    fleet.deploy(changed=False)
    assert init_pid(node, name) == before
    assert "starts 1" in fetch(node, "http://127.0.0.1:18080/")
    assert instance(node, name)["config"]["limits.memory"] == str(96 * MIB)
    grown = volume(node, f"{name}.var")
    assert grown
    assert grown["config"]["size"] == str(80 * MIB)

    fleet.want("live", node, volumes={"var": {"size": "70MiB"}})
    shown = picture(node)
    fleet.refuse(f"Appliance {name}: appliance_volumes.var.size is 70 MiB", "state is never made smaller")
    assert picture(node) == shown

    fleet.want("live", node, volumes={"var": {"size": "80MiB"}})
    fleet.deploy(changed=True)
    assert init_pid(node, name) == before
    assert not any(device.startswith("port-") for device in instance(node, name)["devices"])


def test_drift_is_undone(fleet: Fleet, ready: Nodes) -> None:
    node = ready[1]
    name = fleet.want("drift", node)
    fleet.deploy()
    shown = picture(node)["instances"]
    refused = node.run(f"incus config set --project strata {name} security.privileged=true", check=False)
    assert refused.returncode != 0
    assert picture(node)["instances"] == shown

    node.run(f"incus config set --project strata {name} limits.memory=64MiB boot.autostart=false environment.X=1")
    window = f"incus config device add --project strata {name} window"
    mapped = node.run(f"{window} disk source=/etc path=/mnt readonly=true", check=False)
    assert mapped.returncode != 0, mapped  # the root of a running appliance takes nothing new
    node.run(f"{window} proxy listen=tcp:127.0.0.1:18081 connect=tcp:127.0.0.1:8080")
    foreseen = fleet.deploy("--check", "--diff", changed=True)
    assert "window" in foreseen.output
    fleet.deploy(changed=True)
    assert picture(node)["instances"] == shown

    node.run(f"incus stop --project strata {name}")
    fleet.deploy(changed=True)
    assert picture(node)["instances"] == shown
    assert "starts 3" in page(node, name)


def test_nothing_can_be_written_where_the_layers_are(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    name = fleet.want("closed", node)
    fleet.deploy()
    for path in ("/usr/lib/new", "/etc/new", "/strata/sysext/site/new", "/strata/confext/zz-config/new"):
        done = node.run(f"incus exec --project strata {name} -- touch {path}", check=False)
        assert "Read-only file system" in done.stderr
    uid_map = inside(node, name, "cat /proc/self/uid_map").split()
    assert int(uid_map[1]) >= 65536
