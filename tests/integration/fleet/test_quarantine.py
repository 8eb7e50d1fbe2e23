"""What the engine's network lets through: declared ports, own addresses, and nothing of who is in quarantine."""

from __future__ import annotations

import shlex
import subprocess
import typing as t

import pytest
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    OPEN,
    PREFIX,
    Fleet,
    fetch,
    has_changed,
    ingress_ports,
    init_pid,
    inside,
    instance,
    picture,
)
from ansible_collections.strata.fleet.tests.integration.tools import Node, wait_until

Nodes = list[Node]
FIRST, SECOND, SPOOFED = "10.87.0.41", "10.87.0.42", "10.87.0.43"
# Listens on a port that the app does not declare, until the appliance stops.
LISTEN = """
use IO::Socket::INET;
my $socket = IO::Socket::INET->new(LocalPort => 8081, Listen => 9, ReuseAddr => 1) or die "$@";
exit if fork;
open STDIN, '<', '/dev/null'; open STDOUT, '>', '/dev/null'; open STDERR, '>', '/dev/null';
my @kept;
while (1) { push @kept, $socket->accept }
"""
CONNECT = """
use IO::Socket::INET;
my ($address, $port, $own) = @ARGV;
my @own = $own ? (LocalAddr => $own) : ();
print IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port, Timeout => 2, @own) ? 'yes' : 'no';
"""


class Pair(t.NamedTuple):
    """Two appliances on one network of one node."""

    node: Node
    first: str
    second: str


@pytest.fixture
def pair(fleet: Fleet, ready: Nodes) -> Pair:
    node = ready[2]
    first = fleet.want(
        "first",
        node,
        networks=[{"network": "strata0", "address": FIRST}],
        publish=[{"listen": 18080, "port": 8080}],
    )
    second = fleet.want("second", node, networks=[{"network": "strata0", "address": SECOND}])
    fleet.deploy()
    return Pair(node, first, second)


def perl(node: Node, name: str, script: str, *arguments: str) -> str:
    """Return what a script prints inside an appliance."""
    command = f"incus exec --project strata {name} -- perl - {' '.join(arguments)} <<'END'\n{script}\nEND"
    return node.run(command).stdout.strip()


def reaches(node: Node, name: str, address: str, port: int, own: str = "") -> bool:
    """Whether an appliance gets a connection, from its ``own`` address where that is given."""
    return perl(node, name, CONNECT, address, str(port), own) == "yes"


def gets(node: Node, url: str) -> bool:
    """Whether the node gets a page."""
    try:
        return "title" in fetch(node, url)
    except subprocess.CalledProcessError:
        return False


def said(text: str) -> str:
    return " ".join(text.split())


def test_others_reach_declared_ports_only(fleet: Fleet, pair: Pair) -> None:
    perl(pair.node, pair.first, LISTEN)
    assert reaches(pair.node, pair.first, "127.0.0.1", 8081)
    assert reaches(pair.node, pair.second, FIRST, 8080)
    assert not reaches(pair.node, pair.second, FIRST, 8081)
    assert reaches(pair.node, pair.second, "10.87.0.1", 53), "the node's name server"
    assert gets(pair.node, f"http://{FIRST}:8080/")
    assert gets(pair.node, "http://127.0.0.1:18080/")
    acl = pair.node.query("/1.0/network-acls/strata-strata0")
    fleet.deploy(changed=False)
    assert pair.node.query("/1.0/network-acls/strata-strata0") == acl


def test_an_appliance_does_not_take_another_address(pair: Pair) -> None:
    # The base has no program for it; an attacker would bring one.
    pair.node.run(f"nsenter --target {init_pid(pair.node, pair.second)} --net ip address add {SPOOFED}/24 dev eth0")
    assert reaches(pair.node, pair.second, FIRST, 8080)
    assert not reaches(pair.node, pair.second, FIRST, 8080, SPOOFED)


def test_what_was_loosened_by_hand_is_set_right_without_a_restart(fleet: Fleet, pair: Pair) -> None:
    pids = [init_pid(pair.node, name) for name in (pair.first, pair.second)]
    pair.node.run(f"incus config device set --project strata {pair.first} eth0 security.ipv4_filtering=false")
    pair.node.run("incus network unset strata0 security.acls")
    pair.node.run(OPEN)
    fleet.deploy("--check", changed=True)
    assert "security.acls" not in pair.node.query("/1.0/networks/strata0")["config"]
    fleet.deploy(changed=True)
    assert [init_pid(pair.node, name) for name in (pair.first, pair.second)] == pids
    assert pair.node.query("/1.0/networks/strata0")["config"]["security.acls"] == "strata-strata0"
    assert instance(pair.node, pair.first)["devices"]["eth0"]["security.ipv4_filtering"] == "true"
    assert "22" not in ingress_ports(pair.node)
    fleet.deploy(changed=False)


def test_what_another_project_has_on_the_network_is_left_to_it(fleet: Fleet, pair: Pair) -> None:
    node, project = pair.node, "it-other"
    composition = shlex.quote(instance(node, pair.first)["config"]["user.strata.composition"])
    rule = f"description={PREFIX}far action=allow destination=10.87.0.91 protocol=tcp destination_port=22"
    try:
        node.run(
            f"""set -e
            incus project create {project} -c features.networks=false
            incus init --empty {PREFIX}far --project {project} --storage strata --network strata0
            incus config device set {PREFIX}far eth0 ipv4.address=10.87.0.91 --project {project}
            incus config set {PREFIX}far --project {project} user.strata.composition={composition}
            incus network acl rule add strata-strata0 ingress {rule}
            incus network acl rule add strata-strata0 ingress {rule.replace("0.91", "0.92")}"""
        )
        fleet.deploy(changed=True)
        kept = node.query("/1.0/network-acls/strata-strata0")["ingress"]
        assert [each["destination"] for each in kept if "far" in each["description"]] == ["10.87.0.91"]
        fleet.deploy(changed=False)
        assert gets(node, f"http://{FIRST}:8080/")
    finally:
        node.run(f"incus delete --force {PREFIX}far --project {project}; incus project delete {project}", check=False)
    fleet.deploy(changed=True)
    left = node.query("/1.0/network-acls/strata-strata0")["ingress"]
    assert not [each for each in left if "far" in each["description"]]


def order_of(name: str) -> tuple[str, ...]:
    """Return what the playbook is told."""
    return ("-e", f"quarantine={name}", "-e", '{"quarantine_reason": "it calls home"}', "-e", "quarantine_by=ada")


def test_quarantine_cuts_off_until_release(fleet: Fleet, pair: Pair) -> None:
    node, name = pair.node, pair.first
    before, pid = instance(node, name), init_pid(node, name)
    whole = picture(node)
    order = order_of(name)

    ran = fleet.play("quarantine", *order, "--check", "--diff")
    assert ran.returncode == 0, ran.output
    assert has_changed(ran), ran.output
    assert "it calls home" in ran.output
    assert picture(node) == whole

    ran = fleet.play("quarantine", *order)
    assert ran.returncode == 0, ran.output
    assert has_changed(ran), ran.output
    assert init_pid(node, name) == pid, "it runs on"
    assert inside(node, name, "ls /sys/class/net") == "lo"
    assert not gets(node, "http://127.0.0.1:18080/")
    assert not gets(node, f"http://{FIRST}:8080/")
    assert not reaches(node, pair.second, FIRST, 8080)
    assert gets(node, f"http://{SECOND}:8080/"), "others are left alone"
    again = fleet.play("quarantine", *order)
    assert again.returncode == 0, again.output
    assert not has_changed(again), again.output

    node.run(f"incus restart --project strata {name}")
    assert inside(node, name, "ls /sys/class/net") == "lo"

    ran = fleet.play("release", "-e", f"release={name}")
    assert ran.returncode == 0, ran.output
    assert has_changed(ran), ran.output
    after = instance(node, name)
    assert after["devices"] == before["devices"]
    assert after["config"]["volatile.eth0.hwaddr"] == before["config"]["volatile.eth0.hwaddr"]
    assert {key: value for key, value in after["config"].items() if not key.startswith("volatile.")} == {
        key: value for key, value in before["config"].items() if not key.startswith("volatile.")
    }
    wait_until(lambda: gets(node, "http://127.0.0.1:18080/"))
    wait_until(lambda: reaches(node, pair.second, FIRST, 8080))
    again = fleet.play("release", "-e", f"release={name}")
    assert again.returncode == 0, again.output
    assert not has_changed(again), again.output
    fleet.deploy()
    fleet.deploy(changed=False)


def test_who_is_in_quarantine_is_left_so_by_everybody(fleet: Fleet, pair: Pair) -> None:
    node, name = pair.node, pair.first
    ran = fleet.play("quarantine", *order_of(name))
    assert ran.returncode == 0, ran.output
    cut = instance(node, name)
    told = fleet.play("deploy")
    assert told.returncode == 0, told.output
    assert not has_changed(told), told.output
    assert f"{name} is quarantined since" in said(told.output)
    assert "by ada: it calls home" in said(told.output)
    planned = fleet.play("plan")
    assert f"{name} (quarantine): quarantined since" in said(planned.output)
    status = fleet.play("status")
    assert "by ada: it calls home" in said(status.output)
    fleet.appliances[name]["appliance_state"] = "absent"
    fleet.refuse(f"Appliance {name} is quarantined", "Release it first")
    fleet.appliances[name]["appliance_state"] = "running"
    assert instance(node, name)["devices"] == cut["devices"]


def test_a_name_that_nobody_knows_is_refused(fleet: Fleet, pair: Pair) -> None:
    whole = picture(pair.node)
    names = f"{pair.first},{PREFIX}nobody"
    ran = fleet.play("quarantine", "-e", f"quarantine={names}", "-e", "quarantine_reason=x")
    assert ran.returncode != 0
    assert f"No node has {PREFIX}nobody." in said(ran.output)
    assert picture(pair.node) == whole
    ran = fleet.play("quarantine", "-e", f"quarantine={pair.first}")
    assert ran.returncode != 0
    assert "A quarantine needs a reason" in said(ran.output)
    assert picture(pair.node) == whole


def test_quarantine_with_stop_comes_back_running(fleet: Fleet, pair: Pair) -> None:
    node, name = pair.node, pair.second
    before = instance(node, name)
    ran = fleet.play(
        "quarantine", "-e", f"quarantine={name}", "-e", "quarantine_reason=x", "-e", '{"quarantine_stop": true}'
    )
    assert ran.returncode == 0, ran.output
    assert instance(node, name)["status"] == "Stopped"
    assert instance(node, name)["config"]["boot.autostart"] == "false"
    ran = fleet.play("release", "-e", f"release={name}")
    assert ran.returncode == 0, ran.output
    after = instance(node, name)
    assert after["config"]["volatile.eth0.hwaddr"] == before["config"]["volatile.eth0.hwaddr"]
    assert after["status"] == "Running"
    assert after["config"]["boot.autostart"] == before["config"]["boot.autostart"]
    assert after["devices"] == before["devices"]
    wait_until(lambda: gets(node, f"http://{SECOND}:8080/"))
