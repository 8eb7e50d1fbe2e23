"""What somebody does to a node or in an appliance is found by its rule; what nobody touched has no finding."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    STORE,
    Fleet,
    inside,
    instance,
    page,
    picture,
)
from ansible_collections.strata.fleet.tests.integration.fleet.guard import restart, serves
from ansible_collections.strata.fleet.tests.integration.fleet.test_admission import SITE, add_host_path
from ansible_collections.strata.fleet.tests.integration.tools import Node, Ran, wait_until

Nodes = list[Node]
INCUS = "incus --project strata"
# Listens on a port that the app does not declare, until the appliance stops.
LISTEN = """
use IO::Socket::INET;
my $socket = IO::Socket::INET->new(LocalPort => 4444, Listen => 9, ReuseAddr => 1) or die "$@";
exit if fork;
open STDIN, '<', '/dev/null'; open STDOUT, '>', '/dev/null'; open STDERR, '>', '/dev/null';
sleep 600;
"""
FORGET = """
incus delete --force --project strata it-stranger 2> /dev/null
rm -rf {store}/layers/{commit} {store}/repo/state/{commit}.commitpartial
ostree --repo={store}/repo refs --delete held/app/audited
ostree --repo={store}/repo prune --refs-only --depth=0
"""
UNIT = "[Service]\\nExecStart=/usr/bin/sleep 600\\n"


class Audited(t.NamedTuple):
    """How an audit ended, its report, and the rules with bad verdicts by appliance."""

    ran: Ran
    report: dict[str, t.Any]
    bad: dict[str, set[str]]


@pytest.fixture
def audit(fleet: Fleet, tmp_path: Path) -> t.Callable[..., Audited]:
    """Return what runs playbooks/audit.yml."""
    folder = tmp_path / "reports"

    def run(*arguments: str) -> Audited:
        (folder / "audit.json").unlink(missing_ok=True)
        ran = fleet.play("audit", "-e", f"audit_folder={folder}", *arguments)
        assert (folder / "audit.json").exists(), ran.output
        report = json.loads((folder / "audit.json").read_text())
        bad: dict[str, set[str]] = {}
        for finding in report["findings"]:
            for subject in {each for case in finding["cases"] for each in case["subjects"]}:
                bad.setdefault(subject.rpartition("/")[2], set()).add(finding["rule"])
        return Audited(ran, report, bad)

    return run


@pytest.fixture
def name(fleet: Fleet, ready: Nodes) -> t.Iterator[str]:
    """An appliance under the site's policy, of an app that no other test has."""
    fleet.variables["lockdown_policies"] = {"site": {**SITE, "actions": {"critical": "quarantine"}}}
    commit = fleet.depot.publish_app("audited", ballast=1)
    name = fleet.want("audited", ready[1], app="audited", memory="96MiB")
    fleet.deploy()
    yield name
    # What these tests write to is the repository's own file, by its hard link.
    ready[1].run(FORGET.format(store=STORE, commit=commit))


def perl(node: Node, name: str, script: str) -> None:
    """Run a script inside an appliance."""
    node.run(f"{INCUS} exec {name} -- perl - <<'END'\n{script}\nEND")


def test_what_nobody_touched_has_no_finding_and_is_left_as_it_is(
    name: str, ready: Nodes, audit: t.Callable[..., Audited]
) -> None:
    audit()  # facts of versions are kept by the first one
    before = picture(ready[1])
    first = audit()
    assert name not in first.bad, first.ran.output
    assert first.ran.returncode == 0, first.ran.output
    assert all(counts["changed"] == 0 for counts in first.ran.recap.values())
    statuses = {row["status"] for row in first.report["verdicts"]}
    assert {"guaranteed", "pass"} <= statuses
    assert name not in audit("-e", "audit_content=true").bad
    assert name not in audit("--check").bad
    assert picture(ready[1]) == before
    assert "starts 1" in page(ready[1], name)


def test_what_root_does_inside_is_found(name: str, ready: Nodes, audit: t.Callable[..., Audited]) -> None:
    node = ready[1]
    perl(node, name, LISTEN)
    inside(node, name, "nft flush ruleset && echo 1 > /proc/sys/net/ipv4/conf/all/accept_redirects")
    inside(node, name, f'printf "{UNIT}" > /run/systemd/system/evil.service && systemctl start evil')
    inside(node, name, "mount -t tmpfs none /usr/lib/strata")
    found = audit()
    expected = {"listening-ports", "loaded-firewall", "effective-sysctls", "runtime-units", "content-intact"}
    assert expected <= found.bad[name], found.bad
    assert found.ran.returncode != 0
    for named in ("4444/tcp", "perl", "evil.service", "accept_redirects"):
        assert named in found.ran.output
    restart(node, name)
    assert name not in audit().bad


def test_what_somebody_does_to_the_node_is_found(name: str, ready: Nodes, audit: t.Callable[..., Audited]) -> None:
    node = ready[1]
    for refused in ("security.privileged=true", "security.nesting=true", "raw.lxc=lxc.cap.drop="):
        assert node.run(f"{INCUS} config set {name} {refused}", check=False).returncode != 0
    node.run(f"{INCUS} config unset {name} security.syscalls.deny")
    node.run(f"{INCUS} config set {name} environment.LD_PRELOAD=/var/lib/evil.so")
    add_host_path(node, name)
    layer = str(Path(instance(node, name)["devices"]["app-sysext"]["source"]).parent)
    node.run(f"echo more >> {layer}/sysext/usr/share/ballast/0")
    node.run(f"{INCUS} init --empty --storage strata it-stranger -c security.idmap.isolated=true")
    found = audit("-e", "audit_fail_on=critical")
    assert {"denied-syscalls", "as-composed", "host-paths", "content-intact"} <= found.bad[name], found.bad
    assert "unknown-instances" in found.bad[node.name]
    assert found.ran.returncode != 0
    # Whoever sets the time back is found by reading the content.
    node.run(f"touch -d @0 {layer}/sysext/usr/share/ballast/0")
    assert "content-intact" not in audit().bad[name]
    assert "content-intact" in audit("-e", "audit_content=true").bad[name]


def test_a_policy_that_quarantines_does_so_only_when_it_is_told_to(
    name: str, fleet: Fleet, ready: Nodes, audit: t.Callable[..., Audited]
) -> None:
    node = ready[1]
    other = fleet.want("other", node, app="audited", memory="96MiB")
    fleet.deploy()
    add_host_path(node, name)
    audit()
    wait_until(lambda: serves(node, name))
    found = audit("-e", "audit_enforce=true")
    assert "cut" in found.ran.output
    devices = instance(node, name)["devices"]
    assert not [key for key, device in devices.items() if device["type"] in ("nic", "proxy")]
    assert instance(node, name)["status"] == "Running"
    assert "starts 1" in page(node, other)
    node.run(f"{INCUS} stop {name}")
    node.run(f"{INCUS} config device remove {name} peek")
    node.run(f"{INCUS} start {name}")
    ran = fleet.play("release", "-e", f"release={name}")
    assert ran.returncode == 0, ran.output
    wait_until(lambda: serves(node, name))
    assert name not in audit().bad


def test_root_inside_reaches_nothing_of_the_node(name: str, ready: Nodes) -> None:
    node = ready[1]
    node.run("echo of-the-node > /root/secret; chmod 600 /root/secret")
    tries = {
        "the engine": "test -e /dev/incus",
        "a module": "modprobe dummy || insmod /usr/lib/dummy.ko",
        "a device": "mknod /tmp/disk b 259 0 && head -c1 /tmp/disk",
        "the kernel's settings": "echo 1 > /proc/sys/kernel/panic",
        "the node's processes": f"kill -0 $(({node.run('pgrep -o incusd').stdout.strip()}))",
        "its own layers": "mount -o remount,rw /usr || umount /usr || touch /usr/bin/new",
        "the node's files": "grep -rqs of-the-node /root /mnt /srv /strata",
    }
    succeeded = [
        what
        for what, command in tries.items()
        if node.run(f"{INCUS} exec {name} -- sh -c '{command}'", check=False).returncode == 0
    ]
    assert succeeded == []
