"""Whatever somebody changes on a node behind our back is a finding; what nobody touched has none."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import STORE, Fleet, inside, instance, picture
from ansible_collections.strata.fleet.tests.integration.fleet.guard import ROOT_FOLDER, restart
from ansible_collections.strata.fleet.tests.integration.tools import Node, wait_until

Nodes = list[Node]
FORGET = """
rm -rf {store}/layers/{commit} {store}/{commit}.damaged {store}/repo/state/{commit}.commitpartial
ostree --repo={store}/repo refs --delete held/app/tampered
ostree --repo={store}/repo prune --refs-only --depth=0
"""


class Findings(t.NamedTuple):
    """How verifying ended, and (what, where) of every finding about appliances and layers of these tests."""

    failed: bool
    output: str
    places: set[tuple[str, str]]


@pytest.fixture
def verify(fleet: Fleet, tmp_path: Path) -> t.Callable[..., Findings]:
    """Return what runs playbooks/verify.yml, and gives what concerns these tests."""

    def run(*arguments: str) -> Findings:
        path = tmp_path / "findings.json"
        path.unlink(missing_ok=True)
        ran = fleet.play("verify", "-e", f"verify_file={path}", *arguments)
        print(ran.output)  # noqa: T201  shown where a test fails
        assert "Traceback" not in ran.output, ran.output
        rows = json.loads(path.read_text())["findings"]
        own = [row for row in rows if row["appliance"] in fleet.appliances or row["where"].startswith("app/tampered")]
        assert all(row["sentence"] and row["remedy"] for row in own)
        return Findings(ran.returncode != 0, ran.output, {(row["what"], row["where"]) for row in own})

    return run


@pytest.fixture
def name(fleet: Fleet, ready: Nodes) -> t.Iterator[str]:
    """An appliance whose app has files that no other version has. What was damaged of them is forgotten afterwards."""
    commit = fleet.depot.publish_app("tampered", ballast=2)
    name = fleet.want("tampered", ready[1], app="tampered", networks=[{"network": "strata0"}])
    try:
        fleet.deploy()
        yield name
    finally:
        ready[1].run(FORGET.format(store=STORE, commit=commit))


def layer_of(node: Node, name: str) -> str:
    """Return where the app of an appliance is mapped from."""
    source = instance(node, name)["devices"]["app-sysext"]["source"]
    return str(Path(source).parent)


def test_nobody_touched_it(name: str, fleet: Fleet, ready: Nodes, verify: t.Callable[..., Findings]) -> None:
    fleet.want("stopped", ready[1], app="tampered", state="stopped", publish=[{"listen": 8099, "port": 8080}])
    fleet.deploy()
    fleet.want("tampered", ready[1], app="tampered", config={"title": "changed while it runs"})
    fleet.play("configure")
    before = picture(ready[1])
    assert verify().places == set()
    assert verify("--check").places == set()
    assert picture(ready[1]) == before
    assert inside(ready[1], name, "systemctl is-system-running") == "running"


def test_content(name: str, fleet: Fleet, ready: Nodes, verify: t.Callable[..., Findings]) -> None:
    node = ready[1]
    layer = layer_of(node, name)
    ballast = "sysext/usr/share/ballast"
    node.run(f"echo more >> {layer}/{ballast}/0")  # the repository's own file, by its hard link
    node.run(f"cp {layer}/{ballast}/1 /root/1; rm {layer}/{ballast}/1; mv /root/1 {layer}/{ballast}/1")
    node.run(f"mkdir {layer}/sysext/usr/added; touch {layer}/sysext/usr/added/file; rm {layer}/confext/etc/systemd -r")
    config = Path(instance(node, name)["devices"]["config"]["source"])
    node.run(f"echo more >> {config}/etc/site/page; touch {config}/etc/added")
    expected = {
        ("layer", f"app/tampered/1-1:/{ballast}/0"),
        ("layer", f"app/tampered/1-1:/{ballast}/1"),
        ("layer", "app/tampered/1-1:/sysext/usr/added"),
        ("layer", "app/tampered/1-1:/confext/etc/systemd"),
        ("config", f"{config}/etc/site/page"),
        ("config", f"{config}/etc/added"),
    }
    first = verify()
    assert first.places == expected
    assert first.failed
    assert "What to do:" in first.output
    assert verify().places == expected  # to look does not mend, and does not hide

    commit = Path(layer).name
    node.run(
        f"mv {layer} {STORE}/{commit}.damaged; ostree fsck --all --delete --quiet --repo={STORE}/repo", check=False
    )
    fleet.appliances[name]["appliance_state"] = "absent"
    fleet.deploy()
    fleet.appliances[name]["appliance_state"] = "running"
    fleet.deploy()
    node.run(f"rm -r {STORE}/{commit}.damaged")
    assert verify().places == set()


def test_keys_and_devices(name: str, fleet: Fleet, ready: Nodes, verify: t.Callable[..., Findings]) -> None:
    node = ready[1]
    incus = "incus --project strata"
    node.run(f"{incus} stop {name}")
    node.run(f"{incus} config device add {name} extra disk source=/root path=/mnt/root")
    node.run(f"{incus} config device set {name} app-sysext readonly=false")
    node.run(f"{incus} config device set {name} base-usr source=/usr")
    node.run(f"{incus} config set {name} environment.LD_PRELOAD=/var/lib/evil.so security.syscalls.deny=")
    node.run(f"{incus} config unset {name} user.strata.sizes")
    found = verify()
    assert found.failed
    assert found.places == {
        ("device", "extra"),
        ("device", "app-sysext.readonly"),
        ("device", "base-usr.source"),
        ("key", "environment.LD_PRELOAD"),
        ("key", "security.syscalls.deny"),
        ("key", "user.strata.sizes"),
    }
    fleet.deploy(changed=True)
    assert verify().places == set()

    node.run(f"{incus} config unset {name} user.strata.composition")
    assert verify().places == {("key", "user.strata.composition")}


def test_root_and_mounts(name: str, fleet: Fleet, ready: Nodes, verify: t.Callable[..., Findings]) -> None:
    node = ready[1]
    root = ROOT_FOLDER.format(name=name)
    inside(node, name, "mount -t tmpfs tmpfs /usr/share; mount -t tmpfs tmpfs /var; mount -o remount,bind,rw /")
    inside(node, name, "systemd-confext unmerge --no-reload")
    assert verify("-e", '{"verify_content": false}').places == {
        ("mount", "/usr/share"),
        ("mount", "/var"),
        ("mount", "/"),
        ("mount", "/etc"),
    }
    restart(node, name, "--force")
    assert verify().places == set()

    # From the node, or while an old base without the guard ran.
    node.run(
        f"mkdir {root}/srv/own; echo x > {root}/srv/own/file; echo x > {root}/var/hidden; mkdir -p {root}/opt/empty"
    )
    node.run(f"chmod 777 {root}/home; rm {root}/lib64; ln -s /var/lib64 {root}/lib64")
    assert verify().places == {
        ("root", "/srv/own"),
        ("root", "/var/hidden"),
        ("root", "/home"),
        ("root", "/lib64"),
    }
    fleet.appliances[name]["appliance_state"] = "absent"
    fleet.deploy()
    fleet.appliances[name]["appliance_state"] = "running"
    fleet.deploy()
    assert verify().places == set()


def test_a_node_that_is_busy(name: str, fleet: Fleet, ready: Nodes) -> None:
    node = ready[1]
    holder = node.run(f"flock --no-fork {STORE}/lock sleep 600 >/dev/null 2>&1 & echo $!").stdout.strip()
    wait_until(lambda: node.run(f"flock --nonblock {STORE}/lock true", check=False).returncode != 0)
    try:
        ran = fleet.play("verify")
    finally:
        node.run(f"kill {holder}")
    assert ran.returncode != 0, (name, ran.output)
    assert "not verified: Another run is changing this node's appliances" in " ".join(ran.output.split())
