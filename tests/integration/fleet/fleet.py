"""An inventory of appliances on the lab's nodes, the playbooks that operators run on it, and what the nodes say."""

from __future__ import annotations

import json
import subprocess
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml
from ansible_collections.strata.fleet.tests.integration.fleet.depot import Depot, Server
from ansible_collections.strata.fleet.tests.integration.tools import CHECKOUT, Controller, Node, Ran, wait_until

# Opens a port in a node's access list, as somebody may do by hand.
OPEN = "incus network acl rule add strata-strata0 ingress action=allow destination_port=22 protocol=tcp"
STORE = "/var/lib/strata/store"
PREFIX = "it-"  # of every appliance that these tests make

# Everything on a node that a run could change, as JSON. What engine and file system change by themselves is left out.
PICTURE = """
import json, os, subprocess, sys
def ask(path):
    return json.loads(subprocess.run(["incus", "query", path], check=True, capture_output=True).stdout)
def instance(body):
    kept = {key: value for key, value in body["config"].items() if not key.startswith("volatile.")}
    return [body["name"], body["status"], kept, body["devices"]]
def entry(path):
    state = os.lstat(path)
    return [path, state.st_mode, state.st_uid, *([] if os.path.isdir(path) else [state.st_size, state.st_mtime_ns])]
store = sys.argv[1]
walked = [entry(os.path.join(folder, name)) for folder, folders, files in os.walk(store) for name in folders + files]
volumes = ask("/1.0/storage-pools/strata/volumes/custom?recursion=1&project=strata")
print(json.dumps({
    "instances": sorted(map(instance, ask("/1.0/instances?recursion=1&project=strata"))),
    "volumes": sorted([body["name"], body["config"]] for body in volumes),
    "store": sorted(each for each in walked if each[0] != store + "/lock"),
}))
"""
# Removes what tests made, also where a test was killed in the middle; fails where something is still there.
CLEAN = """
list="--project strata --format csv --columns n"
instances() {{ incus list $list | grep '^{prefix}'; }}
volumes() {{ incus storage volume list strata $list type=custom | grep '^{prefix}'; }}
for name in $(instances); do
    incus delete --force --project strata "$name"
done
for name in $(volumes); do
    incus storage volume delete strata "$name" --project strata
done
incus config unset core.https_address
for folder in config marks history moved backups; do rm -rf {store}/$folder/{prefix}*; done
! instances && ! volumes
"""


class Fleet:
    """The appliances that a test wants, and Ansible on the nodes that they are on."""

    def __init__(self, controller: Controller, depot: Depot, server: Server, folder: Path) -> None:
        self.controller = controller
        self.depot = depot
        self.server = server
        self.appliances: dict[str, dict[str, t.Any]] = {}
        # What a test fetched stays for the next one, except where collecting is what is tested.
        self.variables: dict[str, t.Any] = {
            "depot_url": server.url,
            "depot_trust": depot.trust(),
            "store_collect": False,
        }
        self.groups: dict[str, list[str]] = {}
        self.inventory = folder / "fleet.yml"

    def want(self, name: str, node: Node, app: str = "site", **variables: t.Any) -> str:
        """Put an appliance into the inventory, or change it there; return its name. Keys are without appliance_."""
        own = {"node": node.name, "app": app, "base": "debian-13", **variables}
        self.appliances[PREFIX + name] = {f"appliance_{key}": value for key, value in own.items()}
        return PREFIX + name

    def start(self, playbook: str, *arguments: str) -> subprocess.Popen[str]:
        """Start one of the collection's playbooks on the nodes that are in use."""
        return self.controller.start(CHECKOUT / "playbooks" / f"{playbook}.yml", *self._place(), *arguments)

    def play(self, playbook: str, *arguments: str) -> Ran:
        """Run one of the collection's playbooks on the nodes that are in use."""
        return self.controller.play(CHECKOUT / "playbooks" / f"{playbook}.yml", *self._place(), *arguments)

    def start_on(self, playbook: str, nodes: t.Iterable[Node], *arguments: str) -> subprocess.Popen[str]:
        """Start one of the collection's playbooks on these nodes, whatever is on them."""
        limit = [*self._place(), "--limit", ",".join(node.name for node in nodes)]
        return self.controller.start(CHECKOUT / "playbooks" / f"{playbook}.yml", *limit, *arguments)

    def play_on(self, playbook: str, nodes: t.Iterable[Node], *arguments: str) -> Ran:
        """Run one of the collection's playbooks on these nodes, whatever is on them."""
        limit = [*self._place(), "--limit", ",".join(node.name for node in nodes)]
        return self.controller.play(CHECKOUT / "playbooks" / f"{playbook}.yml", *limit, *arguments)

    def deploy(self, *arguments: str, changed: bool | None = None) -> Ran:
        """Deploy; the test fails where that fails, or where ``changed`` says otherwise."""
        ran = self.play("deploy", *arguments)
        assert ran.returncode == 0, ran.output
        assert changed in (None, has_changed(ran)), ran.output
        return ran

    def refuse(self, *sentences: str, playbook: str = "deploy") -> Ran:
        """Deploy; the test fails unless that fails with all these words, for each of them."""
        ran = self.play(playbook)
        said = " ".join(ran.output.split())
        assert ran.returncode != 0, ran.output
        for sentence in sentences:
            assert sentence in said, ran.output
        assert "Traceback" not in said, ran.output
        return ran

    def _place(self) -> list[str]:
        groups = {name: {"hosts": dict.fromkeys(members)} for name, members in self.groups.items()}
        children = {"appliances": {"hosts": self.appliances}, **groups}
        inventory = {"all": {"vars": self.variables, "children": children}}
        self.inventory.write_text(yaml.dump(inventory, Dumper=yaml.SafeDumper))
        nodes = {variables["appliance_node"] for variables in self.appliances.values()}
        return ["-i", str(self.inventory), "--limit", ",".join(sorted(nodes))]


def has_changed(ran: Ran) -> bool:
    """Whether a playbook changed anything anywhere."""
    return any(counts["changed"] for counts in ran.recap.values())


def picture(node: Node, store: str = STORE) -> dict[str, t.Any]:
    """Return everything on a node that a run could change."""
    return t.cast("dict[str, t.Any]", json.loads(node.run(f"python3 - {store} <<'END'\n{PICTURE}\nEND").stdout))


def clean(nodes: t.Sequence[Node]) -> None:
    """Remove every appliance of these tests, with its state, on all nodes at once."""
    script = CLEAN.format(prefix=PREFIX, store=STORE)

    def empty(node: Node) -> None:
        # What a killed run left in the engine may still be busy.
        wait_until(lambda: node.run(script, check=False).returncode == 0)

    with ThreadPoolExecutor(len(nodes)) as pool:
        list(pool.map(empty, nodes))


def instance(node: Node, name: str) -> dict[str, t.Any]:
    """Return an instance as the node's engine has it."""
    return t.cast("dict[str, t.Any]", node.query(f"/1.0/instances/{name}?project=strata"))


def init_pid(node: Node, name: str) -> int:
    """Return the process that an appliance is: another one after a restart."""
    return int(node.query(f"/1.0/instances/{name}/state?project=strata")["pid"])


def inside(node: Node, name: str, command: str) -> str:
    """Return what a shell command prints inside an appliance."""
    return node.run(f"incus exec --project strata {name} -- sh -c '{command}'").stdout.strip()


def ingress_ports(node: Node) -> set[str]:
    """Return what the access list of the appliances' network lets in."""
    return {rule.get("destination_port", "") for rule in node.query("/1.0/network-acls/strata-strata0")["ingress"]}


def page(node: Node, name: str) -> str:
    """Return the page that an appliance serves, fetched from its node."""
    addresses = node.query(f"/1.0/instances/{name}/state?project=strata")["network"]["eth0"]["addresses"]
    address = next(each["address"] for each in addresses if each["family"] == "inet")
    return fetch(node, f"http://{address}:8080/")


def fetch(node: Node, url: str) -> str:
    """Return what a node gets from an address."""
    program = f"import urllib.request as r; print(r.urlopen({url!r}, timeout=5).read().decode())"
    return node.run(f'python3 -c "{program}"').stdout


def kill_holder(store: str = STORE) -> str:
    """Return the shell command that kills whoever has a node's lock: the module that works there."""
    return f"kill -KILL $(awk -v inode=:$(stat -c %i {store}/lock)$ '$6 ~ inode {{print $5}}' /proc/locks)"


def wait_unlocked(node: Node, store: str = STORE) -> None:
    """Return when no module that outlived its controller works on the node any more."""
    node.run(f"flock --timeout 60 {store}/lock true")


def assert_whole(node: Node, store: str = STORE) -> None:
    """Fail where anything half made is on a node: a layer, a config layer, a pull, an instance without its parts."""
    unfinished = node.run(
        f"find {store}/layers {store}/config {store}/marks -maxdepth 2 -name '.*' -o -maxdepth 2 -name '*.new'"
    )
    assert unfinished.stdout == ""
    partial = node.run(f"find {store}/repo/state {store}/repo/tmp -name '*.commitpartial'")
    assert partial.stdout == ""
    node.run(f"ostree --repo={store}/repo fsck --quiet")
    for body in node.query("/1.0/instances?recursion=1&project=strata"):
        sources = [device["source"] for device in body["devices"].values() if device.get("source", "").startswith("/")]
        assert len(sources) == 5
        node.run("ls -d " + " ".join(sources))
