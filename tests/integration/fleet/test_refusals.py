"""What cannot be done is refused by name, with what to do, and nothing has changed afterwards."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.strata.fleet.tests.integration.fleet import depot as depots
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    STORE,
    Fleet,
    assert_whole,
    has_changed,
    kill_holder,
    page,
    picture,
)
from ansible_collections.strata.fleet.tests.integration.tools import Node

Nodes = list[Node]
Signer = depots.Signer


def mapped(shown: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a picture without the store's repository, which may keep the good part of a refused pull."""
    return {**shown, "store": [entry for entry in shown["store"] if not entry[0].startswith(f"{STORE}/repo")]}


def test_everything_that_the_depot_does_not_have_is_named(fleet: Fleet, ready: Nodes, stranger: Signer) -> None:
    node, depot = ready[0], fleet.depot
    good = fleet.want("good", node)
    fleet.deploy()
    shown = picture(node)
    fleet.want("good", node, memory="64MiB")
    depot.publish_app("strange", by=stranger)
    depot.publish_unsigned("unsigned", depot.publish_app("signed"))
    depot.repo.set_ref("app/other/stable", depot.publish_app("one"))
    depot.publish_base("debian-13-site", by=stranger)
    for name in ("strange", "unsigned", "other", "unknown"):
        fleet.want(name, node, app=name)
    fleet.want("baseless", node, base="debian-99")
    fleet.want("strangebase", node, base="debian-13-site")
    fleet.want("oldversion", node, app_version="0.1-1")
    fleet.refuse(
        "Appliance it-strange: app/strange/stable",
        "Appliance it-unsigned: app/unsigned/stable",
        "Appliance it-strangebase: base/debian-13-site/stable",
        "is not signed by the key of 'site'",
        "says that its name is 'one', but 'other' was asked for",
        "Appliance it-unknown: app/unknown/stable",
        "Appliance it-baseless: base/debian-99/stable",
        "Appliance it-oldversion: app/site/0.1-1",
        "is not there, or not all of it: check the name",
    )
    assert picture(node) == shown
    assert "starts 1" in page(node, good)


def test_one_makers_key_does_not_vouch_for_another(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    shown = picture(node)
    fleet.variables["depot_trust"][1]["refs"] = ["app/nothing"]
    fleet.want("any", node)
    fleet.refuse("Appliance it-any: No key may vouch for app/site: add a signer whose refs match it to depot_trust")
    fleet.variables["depot_trust"][1]["refs"] = ["base/*"]
    fleet.variables["depot_trust"][0]["refs"] = ["*/*"]
    fleet.refuse("app/site/stable", "is not signed by the key of 'maker'")
    assert picture(node) == shown


def test_app_for_another_base(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    shown = picture(node)
    fleet.depot.publish_app("ancient", abi="debian-12")
    fleet.depot.publish_app("alien", architecture="s390x")
    fleet.want("ancient", node, app="ancient")
    fleet.want("alien", node, app="alien")
    fleet.refuse(
        "Appliance it-ancient: app ancient 1-1 was built for debian-12, but base debian-13",
        "choose a base of debian-12, or an app built for debian-13",
        "Appliance it-alien: app alien is for s390x, but this node is",
    )
    assert picture(node) == shown


def test_too_large_for_the_disk(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    shown = picture(node)
    fleet.depot.publish_app("large", size=2**50)
    fleet.want("large", node, app="large")
    fleet.refuse(f"The store {STORE} needs 1024.0 TiB", "make room, or put store_path on a larger disk")
    assert picture(node) == shown


def test_volume_that_the_app_does_not_have(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    shown = picture(node)
    fleet.want("volume", node, volumes={"data": {"size": "1GiB"}})
    fleet.refuse("Appliance it-volume: appliance_volumes.data is not a volume of app site 1-1; it has var")
    assert picture(node) == shown


def test_tampered_in_the_depot(fleet: Fleet, ready: Nodes) -> None:
    node = ready[1]
    commit = fleet.depot.publish_app("tampered", ballast=2)
    place, other = (fleet.depot.content_object(commit, f"/sysext/usr/share/ballast/{number}") for number in (0, 1))
    right = place.read_bytes()
    place.write_bytes(other.read_bytes())
    shown = mapped(picture(node))
    fleet.want("tampered", node, app="tampered")
    fleet.refuse("could not be fetched or is not what its checksum says")
    assert mapped(picture(node)) == shown
    place.write_bytes(right)
    fleet.deploy(changed=True)
    assert "version 1-1" in page(node, "it-tampered")


def test_tampered_on_the_node(fleet: Fleet, ready: Nodes) -> None:
    node = ready[1]
    commit = fleet.depot.publish_app("altered", ballast=1)
    fleet.want("first", node, app="altered")
    fleet.deploy()
    fleet.want("second", node, app="altered")
    layer = f"{STORE}/layers/{commit}"
    path = f"{layer}/sysext/usr/share/ballast/0"
    ways = {
        f"touch {path}.new": f"rm {path}.new",
        f"mv {path} {STORE}/kept && cp --preserve {STORE}/kept {path}": f"mv {STORE}/kept {path}",
        f"chmod 777 {layer}/sysext/usr": f"chmod 755 {layer}/sysext/usr",
    }
    for change, undo in ways.items():
        node.run(change)
        shown = picture(node)
        fleet.refuse("is not as it was signed", f"Then remove {layer} and run again")
        assert picture(node) == shown
        node.run(undo)
    node.run(f"echo not what was signed > {path}")
    shown = picture(node)
    fleet.refuse("damaged", f"ostree fsck --delete --repo={STORE}/repo")
    assert picture(node) == shown
    # As the message says.
    node.run(f"ostree fsck --delete --repo={STORE}/repo; rm -r {layer}", check=False)
    fleet.deploy(changed=True)
    assert "version 1-1" in page(node, "it-second")
    assert_whole(node)


def test_depot_gone(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    fleet.want("gone", node, app_version="1-1", base_version=fleet.depot.base_manifest()["version"])
    fleet.deploy()
    fleet.server.stop()
    fleet.want("gone", node, app_version="1-1", config={"title": "needs no depot"})
    fleet.want("second", node, app_version="1-1", base_version=fleet.depot.base_manifest()["version"])
    fleet.deploy(changed=True)
    assert "needs no depot" in page(node, "it-gone")
    shown = picture(node)
    fleet.depot.publish_app("late")
    fleet.want("late", node, app="late")
    fleet.refuse("Appliance it-late", fleet.server.url, "did not answer")
    assert picture(node) == shown


def test_engine_stopped_or_missing(fleet: Fleet, ready: Nodes) -> None:
    node = ready[1]
    name = fleet.want("engine", node)
    fleet.deploy()
    shown = picture(node)
    fleet.want("engine", node, memory="64MiB")
    socket = "/var/lib/incus/unix.socket"
    node.stop_engine()
    try:
        fleet.refuse("start the engine (role strata.fleet.engine does)")
        status = fleet.play("status", "-e", json.dumps({"status_fail": True}))
        assert status.returncode != 0
        assert "its node did not answer" in " ".join(status.output.split())
        node.run(f"mv {socket} {socket}.away")
        fleet.refuse("there is no such socket: install and start Incus (role strata.fleet.engine does)")
    finally:
        node.run(f"mv {socket}.away {socket}", check=False)
        node.start_engine()
    assert picture(node) == shown
    assert "starts 1" in page(node, name)


def test_not_root(fleet: Fleet, ready: Nodes) -> None:
    node = ready[1]
    shown = picture(node)
    fleet.want("visitor", node)
    home = "/home/it-visitor"
    node.run(f"useradd --create-home it-visitor && cp -r /root/.ssh {home}/ && chown -R it-visitor: {home}/.ssh")
    try:
        fleet.variables |= {"ansible_user": "it-visitor", "ansible_become": False}
        ran = fleet.play("deploy", "-e", json.dumps({"ansible_user": "it-visitor", "ansible_become": False}))
        assert ran.returncode != 0
        assert "run as root" in ran.output
        assert "Traceback" not in ran.output
    finally:
        node.run("pkill -KILL -u it-visitor; sleep 0.2; userdel --remove it-visitor", check=False)
    assert picture(node) == shown


def test_instance_of_somebody_else(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    options = "--project strata --storage strata --config security.idmap.isolated=true"
    node.run(f"incus init strata-skeleton it-foreign {options}")
    shown = picture(node)
    fleet.want("foreign", node)
    fleet.want("another", node)
    fleet.refuse("Appliance it-foreign: the engine has an instance of that name which Strata did not make")
    fleet.want("foreign", node, state="absent")
    fleet.refuse("Appliance it-foreign: the engine has an instance of that name which Strata did not make")
    assert mapped(picture(node)) == mapped(shown)


def test_two_runs_at_once(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    fleet.want("twice", node)
    node.run(f"mkdir -p {STORE}; setsid --fork flock --no-fork {STORE}/lock sleep 600 > /dev/null 2>&1 < /dev/null")
    try:
        fleet.refuse("Another run is changing this node's appliances", "wait until it is done and run again")
    finally:
        node.run(kill_holder())
    assert has_changed(fleet.deploy())
