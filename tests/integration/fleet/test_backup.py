"""Backups of appliances that run, and what goes wrong with them. restic, the engine and SSH are real."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    STORE,
    Fleet,
    has_changed,
    init_pid,
    inside,
    instance,
    picture,
)
from ansible_collections.strata.fleet.tests.integration.tools import Node, Ran, wait_until

PASSWORD = "tell-nobody"
PLACE = "/srv/it-backup"
CLEAN = f"""
systemctl disable --now $(cd /etc/systemd/system; ls strata-backup@*.timer 2>/dev/null) 2>/dev/null
rm -rf {PLACE} /var/cache/strata/restic /etc/strata/backup /etc/systemd/system/strata-backup@* /usr/local/lib/strata/backup.pyz
rm -f {STORE}/backups/it-*
systemctl daemon-reload
"""


@pytest.fixture
def node(ready: list[Node]) -> t.Iterator[Node]:
    """A node without backups of these tests."""
    ready[0].run(CLEAN)
    yield ready[0]
    ready[0].run(CLEAN)


@pytest.fixture
def backed(fleet: Fleet, node: Node) -> Fleet:  # noqa: ARG001 - it comes first
    """A fleet whose appliances are backed up to a folder of their node."""
    fleet.variables["backup_repositories"] = {"local": {"url": PLACE, "password": PASSWORD}}
    return fleet


def want(fleet: Fleet, node: Node, name: str = "web", **settings: t.Any) -> str:
    """Want an appliance that is backed up."""
    return fleet.want(name, node, backup={"repository": "local", **settings})


def back_up(fleet: Fleet, *arguments: str) -> Ran:
    ran = fleet.play("backup", *arguments)
    assert ran.returncode == 0, ran.output
    assert PASSWORD not in ran.output
    return ran


def restic(node: Node, *words: str) -> t.Any:
    """Return what restic itself says of the repository, with nothing of Strata in between."""
    command = f"RESTIC_PASSWORD={PASSWORD} restic --no-cache --repo {PLACE} --json {' '.join(words)}"
    return node.run(command).stdout


def snapshots(node: Node, name: str) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", json.loads(restic(node, "snapshots", f"--host={name}")))


def remembered(node: Node, name: str) -> dict[str, t.Any]:
    """Return what the node remembers of an appliance's backups."""
    return t.cast("dict[str, t.Any]", json.loads(node.run(f"cat {STORE}/backups/{name}.json").stdout))


def engine_snapshots(node: Node, name: str) -> list[str]:
    return t.cast(
        "list[str]", node.query(f"/1.0/storage-pools/strata/volumes/custom/{name}.var/snapshots?project=strata")
    )


def assert_nothing_is_left(node: Node, name: str) -> None:
    """Fail where a backup left anything but its backup."""
    assert engine_snapshots(node, name) == []
    assert "frozen" not in remembered(node, name)
    assert instance(node, name)["status"] == "Running"
    assert node.run(f"ls {STORE}/backups/ | grep appliance.json", check=False).stdout == ""
    assert node.run("ls /run/strata/backup", check=False).stdout == ""


def test_a_backup_has_the_files_and_what_they_belong_to(backed: Fleet, node: Node) -> None:
    name = want(backed, node, keep={"last": 2})
    backed.deploy()
    inside(node, name, "echo one > /var/lib/site/note; ln /var/lib/site/note /var/lib/site/twin")
    before, process = picture(node), init_pid(node, name)

    checked = backed.play("backup", "--check")
    assert checked.returncode == 0, checked.output
    assert node.run(f"ls {PLACE}", check=False).returncode, "a check made the repository"
    assert picture(node) == before

    back_up(backed)
    (snapshot,) = snapshots(node, name)
    assert snapshot["tags"] == ["strata"]
    assert restic(node, "dump", snapshot["id"], "/volumes/var/lib/site/note") == "one\n"
    record = json.loads(restic(node, "dump", snapshot["id"], "/appliance.json"))
    config = instance(node, name)["config"]
    volume = node.query(f"/1.0/storage-pools/strata/volumes/custom/{name}.var?project=strata")
    assert record["composition"] == json.loads(config["user.strata.composition"])
    assert record["node"] == node.name
    assert record["volumes"]["var"]["idmap"] == volume["config"]["volatile.idmap.last"] != ""
    assert str(record["volumes"]["var"]["size"]) == volume["config"]["size"]
    assert record["variables"]["appliance_app"] == "site"
    good = remembered(node, name)["good"]
    assert good["snapshot"] == snapshot["id"]
    assert good["files"] > 3
    assert init_pid(node, name) == process, "the appliance was restarted"
    assert_nothing_is_left(node, name)

    # Again: only what changed is read and added, and older ones are let go of.
    inside(node, name, "head -c 300000 /dev/urandom > /var/lib/site/news")
    back_up(backed)
    again = remembered(node, name)["good"]
    assert 300_000 < again["added"] < 400_000
    assert again["processed"] > good["processed"]
    back_up(backed)
    assert len(snapshots(node, name)) == 2
    assert snapshot["id"] not in [each["id"] for each in snapshots(node, name)]


def test_nodes_back_up_by_themselves(backed: Fleet, node: Node) -> None:
    name = want(backed, node, keep={"last": 3}, schedule="*-*-* 02:00")
    other = want(backed, node, "quiet")
    backed.deploy()
    checked = backed.play("backup_schedule", "--check", "--diff")
    assert checked.returncode == 0, checked.output
    assert "OnCalendar=*-*-* 02:00" in checked.output
    assert PASSWORD not in checked.output
    assert node.run("ls /etc/strata/backup", check=False).returncode
    for changed in (True, False):
        ran = backed.play("backup_schedule", "--diff")
        assert ran.returncode == 0, ran.output
        assert PASSWORD not in ran.output
        assert has_changed(ran) == changed
    assert node.run("stat --format=%a /etc/strata/backup/repositories/local.json").stdout == "600\n"
    timers = node.run("systemctl list-timers --output=json 'strata-backup@*'").stdout
    assert [each["unit"] for each in json.loads(timers)] == [f"strata-backup@{name}.timer"]

    node.run(f"systemctl start strata-backup@{name}.service")
    (snapshot,) = snapshots(node, name)
    assert remembered(node, name)["good"]["snapshot"] == snapshot["id"]
    assert snapshots(node, other) == []
    assert_nothing_is_left(node, name)
    assert PASSWORD not in node.run(f"journalctl --unit=strata-backup@{name}.service --output=cat").stdout

    # Killed while restic works: systemd has the rest undone.
    inside(node, name, "head -c 30000000 /dev/urandom > /var/lib/site/much")
    unit = f"strata-backup@{name}.service"
    node.run(f"systemctl start --no-block {unit}")
    wait_until(lambda: bool(engine_snapshots(node, name)), 30)
    node.run(f"systemctl kill --signal=KILL {unit}")
    wait_until(lambda: node.run(f"systemctl is-failed {unit}", check=False).stdout == "failed\n", 30)
    assert_nothing_is_left(node, name)

    backed.appliances[name]["appliance_backup"]["schedule"] = ""
    ran = backed.play("backup_schedule")
    assert ran.returncode == 0, ran.output
    left = "ls /etc/strata/backup/* /etc/systemd/system/strata-backup* /usr/local/lib/strata/backup.pyz"
    assert node.run(f"{left} | grep -v :$", check=False).stdout.strip() == ""
    assert json.loads(node.run("systemctl list-timers --output=json 'strata-backup@*'").stdout) == []
