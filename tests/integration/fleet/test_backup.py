"""Backups of appliances that run, and what goes wrong with them. restic, the engine and SSH are real."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    STORE,
    Fleet,
    has_changed,
    init_pid,
    inside,
    instance,
    kill_holder,
    picture,
)
from ansible_collections.strata.fleet.tests.integration.fleet.site_app import MIB
from ansible_collections.strata.fleet.tests.integration.tools import Node, Ran, address_of, wait_until

PASSWORD = "tell-nobody"
PLACE = "/srv/it-backup"
CLEAN = f"""
systemctl disable --now $(cd /etc/systemd/system; ls strata-backup@*.timer 2>/dev/null) 2>/dev/null
rm -rf {PLACE} /var/cache/strata/restic /etc/strata/backup /usr/local/lib/strata/backup.pyz
rm -rf {STORE}/backups/repositories
rm -f {STORE}/backups/it-* /etc/systemd/system/strata-backup@*
systemctl daemon-reload
"""

INFO = {
    "hosts": "nodes",
    "become": True,
    "gather_facts": False,
    "tasks": [
        {"strata.fleet.backup_info": None, "register": "found"},
        {
            "ansible.builtin.debug": {
                "msg": "{{ item.key }} {{ item.value.snapshots | length }} {{ item.value.snapshots[-1].id }}"
            },
            "loop": "{{ found.appliances | dict2items }}",
            "loop_control": {"label": "{{ item.key }}"},
        },
    ],
}


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
    wait_until(lambda: bool(engine_snapshots(node, name)))
    node.run(f"kill -KILL $(systemctl show --property=MainPID --value {unit})")
    wait_until(lambda: node.run(f"systemctl is-failed {unit}", check=False).stdout == "failed\n")
    assert_nothing_is_left(node, name)

    backed.appliances[name]["appliance_backup"]["schedule"] = ""
    ran = backed.play("backup_schedule")
    assert ran.returncode == 0, ran.output
    left = "ls /etc/strata/backup/* /etc/systemd/system/strata-backup* /usr/local/lib/strata/backup.pyz"
    assert node.run(f"{left} | grep -v :$", check=False).stdout.strip() == ""
    assert json.loads(node.run("systemctl list-timers --output=json 'strata-backup@*'").stdout) == []


def hooked(fleet: Fleet, node: Node, name: str, freeze: str, **changes: t.Any) -> str:
    """Deploy an appliance whose app says so in its state while it is prepared for a backup."""
    quiesce = {
        "freeze": [["/bin/sh", "-c", f"touch /var/lib/site/quiet; {freeze}"]],
        "thaw": [["/bin/sh", "-c", "rm -f /var/lib/site/quiet"]],
    }
    fleet.depot.publish_app(name, quiesce=quiesce, **changes)
    made = want(fleet, node, name)
    fleet.appliances[made]["appliance_app"] = name
    fleet.deploy()
    return made


def test_all_volumes_are_as_they_were_at_one_moment(backed: Fleet, node: Node) -> None:
    volumes = [
        {"name": "var", "path": "/var", "size": 64 * MIB},
        {"name": "data", "path": "/srv", "size": 64 * MIB},
    ]
    name = hooked(backed, node, "pair", "true", volumes=volumes)
    count = "n=$((n+1)); for f in /var/lib/site/a /srv/b; do echo $n > $f.new; mv $f.new $f; done"
    program = f"incus exec --project strata {name} -- sh -c 'n=0; while :; do {count}; done'"
    node.run(f"systemd-run --unit=it-writer --collect {program}")
    try:
        wait_until(lambda: inside(node, name, "cat /srv/b 2>/dev/null || echo 0") > "0")
        back_up(backed)
    finally:
        node.run("systemctl stop it-writer", check=False)
    (snapshot,) = snapshots(node, name)
    first = int(restic(node, "dump", snapshot["id"], "/volumes/var/lib/site/a"))
    second = int(restic(node, "dump", snapshot["id"], "/volumes/data/b"))
    assert 0 <= first - second <= 1, "one volume was snapshotted later than the other"
    restic(node, "dump", snapshot["id"], "/volumes/var/lib/site/quiet")  # fails where the app was not prepared
    assert inside(node, name, "ls /var/lib/site").split().count("quiet") == 0
    assert_nothing_is_left(node, name)


def test_an_app_that_cannot_prepare_itself_is_let_go_and_not_backed_up(backed: Fleet, node: Node) -> None:
    name = hooked(backed, node, "unwilling", "echo too busy >&2; exit 3")
    backed.refuse("ended with 3: too busy", f"Not backed up: {name}", playbook="backup")
    assert inside(node, name, "ls /var/lib/site").split().count("quiet") == 0
    assert snapshots(node, name) == []
    assert_nothing_is_left(node, name)
    told = backed.play("status", "-e", '{"status_fail": true}')
    assert told.returncode != 0
    assert "its last backup failed" in " ".join(told.output.split())


def test_killed_while_the_app_is_held(backed: Fleet, node: Node) -> None:
    name = hooked(backed, node, "slow", "sleep 4")
    process = backed.start("backup")
    backed.controller.wait(lambda: "quiet" in inside(node, name, "ls /var/lib/site"), process)
    node.run(kill_holder())
    process.communicate()
    assert "frozen" in remembered(node, name)
    assert "left it held" in " ".join(backed.play("status").output.split())

    back_up(backed)
    assert inside(node, name, "ls /var/lib/site").split().count("quiet") == 0
    assert_nothing_is_left(node, name)


def test_what_began_while_a_backup_waited(backed: Fleet, node: Node) -> None:
    name = want(backed, node)
    backed.deploy()
    back_up(backed)
    marks = f"{STORE}/marks/{name}.json"
    node.run(f"cp {marks} {marks}.kept; systemd-run --unit=it-holder --collect flock {STORE}/lock sleep infinity")
    try:
        process = backed.start("backup")
        waits = f"! flock --nonblock {STORE}/backups/{name}.lock true"
        backed.controller.wait(lambda: node.run(waits, check=False).returncode == 0, process)
        cut = json.dumps({"swap": {"verb": "patch"}})
        node.run(f"echo {shlex.quote(cut)} > {marks}")  # what a patch leaves that is killed
    finally:
        node.run("systemctl stop it-holder")
    output = process.communicate()[0]
    node.run(f"mv {marks}.kept {marks}")
    assert process.returncode, output
    assert "a patch or rollback of it was cut off" in " ".join(output.split())
    assert len(snapshots(node, name)) == 1
    assert remembered(node, name)["failures"] == 1
    assert_nothing_is_left(node, name)


def test_killed_while_restic_works(backed: Fleet, node: Node) -> None:
    name = want(backed, node)
    backed.deploy()
    back_up(backed)
    inside(node, name, "head -c 40000000 /dev/urandom > /var/lib/site/much")
    # The controller: the node's part goes on without it.
    process = backed.start("backup")
    backed.controller.kill_once(process, lambda: bool(engine_snapshots(node, name)))
    node.run(f"flock --timeout 60 {STORE}/backups/{name}.lock true")
    assert len(snapshots(node, name)) == 2
    assert_nothing_is_left(node, name)

    # The node's part: what it leaves, the next run undoes.
    inside(node, name, "head -c 40000000 /dev/urandom > /var/lib/site/much")
    process = backed.start("backup")
    locks = f"ls {PLACE}/locks"
    backed.controller.wait(lambda: bool(engine_snapshots(node, name) and node.run(locks).stdout), process)
    node.run(kill_holder(f"{STORE}/backups").replace(f"{STORE}/backups/lock", f"{STORE}/backups/{name}.lock"))
    process.communicate()
    assert engine_snapshots(node, name) != []
    wait_until(lambda: node.run("pgrep -x restic", check=False).stdout == "")
    # restic itself was not killed: on a fast disk it may have ended well, with a snapshot that is as good as any.
    before = len(snapshots(node, name))
    assert before in (2, 3)
    back_up(backed)
    assert len(snapshots(node, name)) == before + 1
    assert_nothing_is_left(node, name)


def test_locks_of_the_living_are_respected_and_those_of_the_dead_are_not(backed: Fleet, node: Node) -> None:
    name = want(backed, node)
    backed.variables["backup_wait"] = 5
    backed.deploy()
    back_up(backed)
    # A check takes the repository for itself; here it stops as soon as it has it.
    hold = f"RESTIC_PASSWORD={PASSWORD} restic --no-cache --repo {PLACE} check --read-data > /dev/null 2>&1"
    script = f'{hold} & while [ -z "$(ls {PLACE}/locks)" ]; do sleep 0.01; done; pkill -STOP -x restic; pgrep -x restic'
    holder = node.run(f"bash -c {shlex.quote(script)}").stdout.strip()
    backed.refuse("another backup, prune or check works on it", playbook="backup")
    assert node.run(f"ls {PLACE}/locks").stdout.strip()
    assert_nothing_is_left(node, name)

    node.run(f"kill -KILL {holder}")
    assert node.run(f"ls {PLACE}/locks").stdout.strip()
    back_up(backed)
    assert node.run(f"ls {PLACE}/locks").stdout == ""
    assert len(snapshots(node, name)) == 2


def test_repositories_that_cannot_be_used(backed: Fleet, node: Node) -> None:
    name = want(backed, node)
    backed.deploy()
    back_up(backed)
    repositories = backed.variables["backup_repositories"]
    repositories["local"] = {"url": PLACE, "password": "not-this-one"}
    backed.refuse("opens no key of it", playbook="backup")
    repositories["local"] = {"url": "rest:http://127.0.0.1:9/", "password": PASSWORD}
    backed.refuse("connection refused", playbook="backup")
    assert remembered(node, name)["failures"] == 2
    assert_nothing_is_left(node, name)

    # A disk that is not mounted any more: no new repository in its place.
    repositories["local"] = {"url": PLACE, "password": PASSWORD}
    node.run(f"mv {PLACE} {PLACE}.away")
    backed.refuse("is gone, but this node has backups in", playbook="backup")
    newcomer = want(backed, node, "newcomer")  # of which the node has no backup
    backed.deploy()
    backup = backed.appliances[name].pop("appliance_backup")
    backed.refuse("is gone, but this node has backups in", f"Not backed up: {newcomer}", playbook="backup")
    assert node.run(f"ls {PLACE}", check=False).returncode
    backed.appliances[name]["appliance_backup"] = backup
    node.run(f"mv {PLACE}.away {PLACE}")
    back_up(backed)
    assert "failures" not in remembered(node, name)
    del backed.appliances[newcomer]

    # A disk that is full.
    inside(node, name, "head -c 20000000 /dev/urandom > /var/lib/site/much")
    repositories["small"] = {"url": f"{PLACE}/small", "password": PASSWORD}
    backed.appliances[name]["appliance_backup"]["repository"] = "small"
    with node.small_disk(f"{PLACE}/small", "8M"):
        backed.refuse("no space left on device", playbook="backup")
    assert_nothing_is_left(node, name)

    backed.appliances[name]["appliance_backup"]["repository"] = "locla"
    backed.refuse("'locla' is not in backup_repositories (did you mean local?)", playbook="backup")
    ran = backed.play("backup", "-e", "backup=it-wbe")
    assert "(did you mean it-web?)" in " ".join(ran.output.split())


def test_the_engine_goes_away_while_restic_works(backed: Fleet, node: Node) -> None:
    name = want(backed, node)
    backed.deploy()
    inside(node, name, "head -c 40000000 /dev/urandom > /var/lib/site/much")
    process = backed.start("backup")
    backed.controller.wait(lambda: bool(engine_snapshots(node, name)), process)
    node.stop_engine()
    time.sleep(5)
    node.start_engine()
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert len(snapshots(node, name)) == 1
    assert_nothing_is_left(node, name)


def test_several_appliances_over_sftp_to_another_node(
    backed: Fleet, ready: list[Node], node: Node, tmp_path: Path
) -> None:
    names = [want(backed, node, f"web{number}", keep={"last": 1}) for number in range(3)]
    other = ready[1]
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text().strip()
    hosts = subprocess.run(["ssh-keyscan", address_of(other.name)], check=True, capture_output=True, text=True).stdout
    repository = {
        "url": f"sftp:root@{address_of(other.name)}:{PLACE}",
        "password": PASSWORD,
        "ssh_key": key.read_text(),
        "environment": {"GOMAXPROCS": "1"},  # a secret as short as that is in every other word
    }
    backed.variables["backup_repositories"] = {"local": {**repository, "known_hosts": hosts}}
    other.run(f"rm -rf {PLACE}; echo {shlex.quote(public)} >> /root/.ssh/authorized_keys")
    try:
        backed.deploy()
        back_up(backed, "-e", "backup_parallel=2")
        ran = back_up(backed, "-e", '{"backup_prune": true}')
        assert key.read_text().splitlines()[1] not in ran.output
        assert node.run(f"ls {PLACE}", check=False).returncode
        told = backed.controller.play(backed.controller.write([INFO]), *backed._place())
        for name in names:
            assert f"{name} 1 {remembered(node, name)['good']['snapshot']}" in told.output, told.output

        # Somebody else's machine at that address.
        stranger = hosts.replace("AAAA", "AAAB")
        backed.variables["backup_repositories"]["local"]["known_hosts"] = stranger
        backed.refuse("Not backed up: it-web0, it-web1, it-web2", playbook="backup")
    finally:
        other.run(f"rm -rf {PLACE}; sed -i '\\#{public.split()[1]}#d' /root/.ssh/authorized_keys")
