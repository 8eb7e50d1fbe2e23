"""Appliances that go to another node while clients write to them, and everything that may go wrong on the way.

The role's modules are played here, as it calls them: migration, migration_info, migrate_source, migrate_target and
migration_report.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
import typing as t
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils.instance import composition_of
from ansible_collections.strata.fleet.tests.integration.fleet import site_app
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    STORE,
    Fleet,
    assert_whole,
    has_changed,
    inside,
    instance,
    wait_unlocked,
)
from ansible_collections.strata.fleet.tests.integration.tools import Node, Ran, address_of, wait_until

Nodes = list[Node]
PORT = 18080  # of the node
MARK = "incus config get --project strata NAME user.strata.migration | grep -q"
# Quicker to see than the engine's answer, which comes when the copy may be over.
VOLUME = 'find /var/lib/incus/storage-pools/strata -maxdepth 2 -name "*NAME.var*" | grep -q .'
# Shell conditions on the node that it leaves (0) or goes to (1), by how far a migration is when they are first true.
MOMENTS = {
    "prepared": (1, f"{MARK} in"),
    "copying": (1, VOLUME),
    "handed over": (0, f"{MARK} out"),
    "taken over": (1, f"{MARK} taken"),
    "serving": (1, f"{MARK} taken && incus exec --project strata NAME -- systemctl is-active site.service"),
    "committed": (
        1,
        "all=$(incus config show NAME --project strata) && grep -q state-var <<< $all && ! grep -q migration <<< $all",
    ),
}
ROWS = "/var/lib/site/rows"
# Where states arrive, before they get their names; and what keeps them from growing while they do: a disk that is full.
ARRIVING = "/var/lib/incus/storage-pools/strata/custom/migration.*/*/*"
# Btrfs counts no more once something large was deleted, until it has counted anew: only then does a limit hold.
COUNT = "btrfs quota rescan -w /var/lib/incus/storage-pools/strata"
NO_ROOM = f"for n in $(seq 10); do {COUNT}; for each in {ARRIVING}; do btrfs qgroup limit 30M $each; done; done"
STOP_ENGINE = "systemctl --job-mode=ignore-dependencies stop incus.socket incus.service"
# A row is on disk before its client hears of it.
WRITER = site_app.SERVER.replace("use IO::Socket::INET;", "use IO::Socket::INET;\nuse IO::Handle;").replace(
    """    while (defined(my $line = <$client>)) { last if $line =~ /^\\r?$/ }""",
    """    my $asked = <$client> // '';
    while (defined(my $line = <$client>)) { last if $line =~ /^\\r?$/ }
    if ($asked =~ m{^GET /add/(\\d+) }) {
        open my $rows, '>>', '/var/lib/site/rows' or die "$!";
        print $rows "$1\\n";
        $rows->flush;
        $rows->sync or die "$!";
        close $rows;
    }""",
)


class Client:
    """Writes rows, one after the other, to whichever node answers, and remembers those that were committed."""

    def __init__(self, nodes: Nodes) -> None:
        self.committed: list[int] = []
        self.answers: list[float] = []
        self._urls = [f"http://{address_of(node.name)}:{PORT}" for node in nodes]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> t.Self:
        self._thread.start()
        wait_until(lambda: len(self.committed) > 3)
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        numbers = itertools.count(1)
        turns = itertools.cycle(self._urls)
        url = next(turns)
        while not self._ended.is_set():
            number = next(numbers)
            try:
                with urllib.request.urlopen(f"{url}/add/{number}", timeout=1) as answer:  # noqa: S310 - it is http
                    if b"version" in answer.read():
                        self.committed.append(number)
                        self.answers.append(time.monotonic())
            except (OSError, ValueError):
                url = next(turns)
            self._ended.wait(0.01)

    def silence(self) -> float:
        """Return the longest time in seconds in which nothing was answered."""
        return max(after - before for before, after in itertools.pairwise(self.answers))


class Site:
    """One appliance with a client, on the first two nodes."""

    def __init__(self, fleet: Fleet, nodes: Nodes, name: str) -> None:
        self.fleet = fleet
        self.nodes = nodes
        self.name = name

    def migrate(self, to: str = "", *arguments: str, playbook: str = "migrate") -> Ran:
        """Migrate, from whichever node to another."""
        names = ["-e", f"migrate={self.name}"] if playbook == "migrate" else []
        ran = self.fleet.play_on(playbook, self.nodes, *names, *(["-e", f"migrate_to={to}"] if to else []), *arguments)
        assert "Traceback" not in ran.output, ran.output
        return ran

    def holders(self) -> list[str]:
        """Return the nodes on which the appliance runs."""
        return [node.name for node in self.nodes if self.state(node) == "Running"]

    def state(self, node: Node) -> str:
        """Return the engine's word for it on a node, '' where there is none."""
        found = node.run(f"incus query '/1.0/instances/{self.name}?project=strata'", check=False)
        return str(json.loads(found.stdout)["status"]) if found.returncode == 0 else ""

    def rows(self, node: Node) -> set[int]:
        """Return the rows in its state."""
        return {int(line) for line in inside(node, self.name, f"cat {ROWS}").split()}

    def is_at(self, node: Node) -> None:
        """Fail unless it is on this node alone, whole, like any other appliance, and no engine listens."""
        for each in self.nodes:
            assert self.state(each) == ("Running" if each.name == node.name else ""), each.name
            listed = each.query("/1.0/storage-pools/strata/volumes/custom?project=strata&recursion=1")
            own = [body["name"] for body in listed if body["name"].startswith(f"{self.name}.")]
            assert own == ([f"{self.name}.var"] if each.name == node.name else [])
            assert each.query("/1.0")["config"].get("core.https_address", "") == ""
            wait_unlocked(each)
        keys = instance(node, self.name)["config"]
        assert "user.strata.migration" not in keys
        snapshots = node.query(f"/1.0/storage-pools/strata/volumes/custom/{self.name}.var/snapshots?project=strata")
        assert snapshots == []
        self.fleet.appliances[self.name]["appliance_node"] = node.name
        self.fleet.deploy(changed=False)


@pytest.fixture(scope="module")
def writer(depot: t.Any) -> str:
    """An app that commits rows."""
    depot.publish_app("writer", server=WRITER)
    return "writer"


@pytest.fixture
def site(fleet: Fleet, ready: Nodes, writer: str) -> Site:
    """A deployed appliance with 60 MB of state on the first node, which the second could have, too."""
    publish = [{"listen": PORT, "port": site_app.PORT}]
    network = {"network": "strata0", "address": "10.87.0.31"}
    name = fleet.want(
        "mig", ready[0], app=writer, publish=publish, networks=[network], volumes={"var": {"size": "1GiB"}}
    )
    fleet.deploy()
    inside(ready[0], name, "head -c 60000000 /dev/urandom > /var/lib/site/ballast; sync")
    return Site(fleet, ready[:2], name)


def once(node: Node, condition: str, action: str = "true") -> t.Callable[[], bool]:
    """Do something on a node as soon as a condition is true there; what is returned tells whether that was done."""
    script = f"for n in $(seq 6000); do if {condition}; then {action}; exit 0; fi; sleep 0.01; done; exit 9"
    pool = ThreadPoolExecutor(1)
    future = pool.submit(node.run, f"bash -c '{script}' > /dev/null 2>&1")
    pool.shutdown(wait=False)
    return future.done


def moment(site: Site, name: str) -> tuple[Node, str]:
    """Return the node and the condition of a moment."""
    side, condition = MOMENTS[name]
    return site.nodes[side], condition.replace("NAME", site.name)


def offered(site: Site) -> str:
    """Return the condition that the state is offered, on the node that it leaves."""
    place = f"/var/lib/incus/storage-pools/strata/custom-snapshots/strata_{site.name}.var"
    return f"[ -e {place}/strata-migrate-1 ]"


def test_an_appliance_goes_and_comes_back_while_a_client_writes(site: Site) -> None:
    first, second = site.nodes
    address = instance(first, site.name)["config"]["volatile.eth0.hwaddr"]
    checked = site.migrate(second.name, "--check")
    assert checked.returncode == 0, checked.output
    assert f"{site.name}: from {first.name} to {second.name}" in checked.output
    assert site.state(second) == ""
    with Client(site.nodes) as client:
        ran = site.migrate(second.name)
        assert ran.returncode == 0, ran.output
        assert f"{site.name}: migrated from {first.name} to {second.name}, away for" in ran.output
        wait_until(lambda: site.rows(second) >= {client.committed[-1]})
        time.sleep(1)
    assert site.rows(second) >= set(client.committed)
    assert client.silence() < 30
    assert instance(second, site.name)["config"]["volatile.eth0.hwaddr"] == address
    site.fleet.refuse(f"Appliance {site.name} was migrated to {second.name}", "set its appliance_node")
    again = site.migrate(second.name)
    assert not has_changed(again), again.output
    assert f"{site.name}: nothing to do, it is on {second.name}" in again.output
    assert "To change in the inventory" in again.output
    site.is_at(second)
    assert site.migrate(first.name).returncode == 0
    site.is_at(first)
    assert site.rows(first) >= set(client.committed)
    for node in site.nodes:
        assert_whole(node)


def test_all_volumes_go_however_long_the_first_one_takes(fleet: Fleet, ready: Nodes, depot: t.Any) -> None:
    volumes = [{"name": "data", "path": "/srv", "size": 2**29}, {"name": "var", "path": "/var", "size": 2**29}]
    depot.publish_app("pair", volumes=volumes)
    name = fleet.want("pair", ready[0], app="pair")
    fleet.deploy()
    inside(ready[0], name, "echo one > /srv/note; head -c 160000000 /dev/urandom > /srv/ballast; sync")
    # The engine knows an offer for 10 s. 160 MB take some 20 s at 8 MB a second.
    limit = "tc qdisc add dev eth0 root tbf rate 64mbit burst 64kb latency 400ms"
    ready[0].run(limit)
    try:
        ran = fleet.play_on("migrate", ready[:2], "-e", f"migrate={name}", "-e", f"migrate_to={ready[1].name}")
    finally:
        ready[0].run("tc qdisc del dev eth0 root")
    assert ran.returncode == 0, ran.output
    assert inside(ready[1], name, "cat /srv/note") == "one"
    assert sorted(volumes_of(ready[1], name)) == [f"{name}.data", f"{name}.var"]
    assert volumes_of(ready[0], name) == []


@pytest.mark.parametrize("name", MOMENTS)
def test_controller_killed(site: Site, name: str) -> None:
    first, second = site.nodes
    arguments = ["-e", f"migrate={site.name}", "-e", f"migrate_to={second.name}"]
    with Client(site.nodes) as client:
        reached = once(*moment(site, name))
        process = site.fleet.start_on("migrate", site.nodes, *arguments)
        site.fleet.controller.kill_once(process, reached)
        for node in site.nodes:
            wait_unlocked(node)
        assert len(site.holders()) <= 1
        ran = site.migrate(second.name)
        assert ran.returncode == 0, ran.output
        wait_until(lambda: site.rows(second) >= {client.committed[-1]})
    assert site.rows(second) >= set(client.committed)
    site.is_at(second)
    assert site.state(first) == ""


def cut_off_once_handed_over(site: Site) -> None:
    """Leave the appliance as a run does that is killed between the two nodes' parts: handed over, and not taken."""
    first, second = site.nodes
    reached = once(*moment(site, "prepared"))
    process = site.fleet.start_on(
        "migrate", site.nodes, "-e", f"migrate={site.name}", "-e", f"migrate_to={second.name}"
    )
    site.fleet.controller.kill_once(process, reached)
    for node in site.nodes:
        wait_unlocked(node)
    runs = composition_of(instance(first, site.name)["config"])
    assert runs
    handed = site.fleet.controller.module(
        first.name,
        "migrate_source",
        phase="hand_over",
        name=site.name,
        to=second.name,
        listen=f"{address_of(first.name)}:8443",
        expect={"base": runs.base.commit, "app": runs.app.commit},
    )
    assert "offer" in handed, handed


@pytest.mark.parametrize("to", [1, 0])
def test_a_module_that_outlived_its_controller_is_not_overtaken(site: Site, to: int) -> None:
    first, second = site.nodes
    with Client(site.nodes) as client:
        cut_off_once_handed_over(site)
        second.run(f"systemd-run --unit=outlived flock {STORE}/lock sleep 600")
        try:
            wait_until(lambda: second.run(f"flock --nonblock {STORE}/lock true", check=False).returncode != 0)
            ran = site.migrate(site.nodes[to].name)
            assert ran.returncode != 0, ran.output
            assert "lock is held" in " ".join(ran.output.split()), ran.output
            assert site.holders() == []
            assert first.run(moment(site, "handed over")[1], check=False).returncode == 0
        finally:
            second.run("systemctl stop outlived")
        ran = site.migrate(site.nodes[to].name)
        assert ran.returncode == 0, ran.output
        wait_until(lambda: site.rows(site.nodes[to]) >= {client.committed[-1]})
    assert site.rows(site.nodes[to]) >= set(client.committed)
    site.is_at(site.nodes[to])


def test_it_can_be_told_to_stay_where_it_was(site: Site) -> None:
    first, second = site.nodes
    with Client(site.nodes) as client:
        cut_off_once_handed_over(site)
        assert first.run(f"incus start --project strata {site.name}", check=False).returncode != 0
        assert second.run(f"incus start --project strata {site.name}", check=False).returncode != 0
        site.fleet.refuse(f"Appliance {site.name} is on its way")
        ran = site.migrate(first.name)
        assert ran.returncode == 0, ran.output
        assert f"{site.name}: is on {first.name}, as before" in ran.output
        wait_until(lambda: site.rows(first) >= {client.committed[-1]})
    assert site.rows(first) >= set(client.committed)
    site.is_at(first)


@pytest.mark.parametrize("side", [0, 1])
def test_engine_stopped_in_mid_copy(site: Site, side: int) -> None:
    first, second = site.nodes
    inside(first, site.name, "head -c 300000000 /dev/urandom >> /var/lib/site/ballast; sync")
    with Client(site.nodes) as client:
        node = site.nodes[side]
        done = once(node, moment(site, "copying")[1] if side else offered(site), STOP_ENGINE)
        try:
            ran = site.migrate(second.name)
        finally:
            wait_until(done)
            node.start_engine()
        assert ran.returncode != 0, ran.output
        assert site.name in ran.output
        wait_until(lambda: site.rows(first) >= {client.committed[-1]})
        for each in site.nodes:
            wait_unlocked(each)
        ran = site.migrate(second.name)
        assert ran.returncode == 0, ran.output
    assert site.rows(second) >= set(client.committed)
    site.is_at(second)


def test_target_engine_stopped_once_it_took_over(site: Site) -> None:
    _first, second = site.nodes
    with Client(site.nodes) as client:
        done = once(*moment(site, "taken over"), STOP_ENGINE)
        try:
            ran = site.migrate(second.name)
        finally:
            wait_until(done)
            second.start_engine()
        assert ran.returncode != 0, ran.output
        assert len(site.holders()) <= 1
        for each in site.nodes:
            wait_unlocked(each)
        ran = site.migrate(second.name)
        assert ran.returncode == 0, ran.output
        wait_until(lambda: site.rows(second) >= {client.committed[-1]})
    assert site.rows(second) >= set(client.committed)
    site.is_at(second)


def test_network_cut_in_mid_copy(site: Site) -> None:
    first, second = site.nodes
    inside(first, site.name, "head -c 300000000 /dev/urandom >> /var/lib/site/ballast; sync")
    with Client(site.nodes) as client:
        chain = "add table inet cut; add chain inet cut out { type filter hook output priority 0; }"
        rule = f"add rule inet cut out ip daddr {address_of(second.name)} tcp sport 8443 drop"
        done = once(first, offered(site), f'nft "{chain}; {rule}"')
        try:
            ran = site.migrate(second.name)
        finally:
            wait_until(done)
            first.run("nft delete table inet cut")
        assert ran.returncode != 0, ran.output
        assert site.holders() == [first.name]
        for each in site.nodes:
            wait_unlocked(each)
        ran = site.migrate(second.name)
        assert ran.returncode == 0, ran.output
        wait_until(lambda: site.rows(second) >= {client.committed[-1]})
    assert site.rows(second) >= set(client.committed)
    site.is_at(second)


def test_disk_full_in_mid_copy_stops_one_and_not_the_other(site: Site, fleet: Fleet) -> None:
    first, second = site.nodes
    other = fleet.want("other", first)
    fleet.deploy()
    inside(first, site.name, "head -c 300000000 /dev/urandom >> /var/lib/site/ballast; sync")
    with Client(site.nodes) as client:
        done = once(second, f"ls -d {ARRIVING}", NO_ROOM)  # of the other one there are 0.1 MB
        # Some 12 s for the 360 MB: long enough to be seen on its way, whatever else the machine does.
        first.run("tc qdisc add dev eth0 root tbf rate 240mbit burst 256kb latency 400ms")
        try:
            ran = site.migrate(second.name, "-e", f"migrate={site.name},{other}")
        finally:
            first.run("tc qdisc del dev eth0 root")
        wait_until(done)
        assert ran.returncode != 0, ran.output
        assert f"{site.name}: " in ran.output, ran.output
        assert "quota" in ran.output.lower(), ran.output
        assert site.holders() == [first.name]
        assert inside(second, other, "systemctl is-active site.service") == "active"
        wait_until(lambda: site.rows(first) >= {client.committed[-1]})
        # An engine that fails a moment later leaves what it does not know of.
        left = f"/var/lib/incus/storage-pools/strata/custom/strata_{site.name}.var"
        second.run(f"btrfs subvolume create {left}")
        ran = site.migrate(second.name)
        assert ran.returncode != 0, ran.output
        assert f"does not know of what it left in {left}: half of a copy" in " ".join(ran.output.split()), ran.output
        second.run(f"btrfs subvolume delete {left}")
        ran = site.migrate(second.name)
        assert ran.returncode == 0, ran.output
        wait_until(lambda: site.rows(second) >= {client.committed[-1]})
    assert site.rows(second) >= set(client.committed)
    fleet.appliances[other]["appliance_node"] = second.name
    site.is_at(second)


def test_one_that_does_not_start_there_is_given_back(site: Site) -> None:
    first, second = site.nodes
    listener = f"import socket, time; s = socket.create_server(('', {PORT})); time.sleep(600)"
    second.run(f'systemd-run --unit=busy-port python3 -c "{listener}"')
    try:
        with Client([first]) as client:
            ran = site.migrate(second.name)
            assert ran.returncode != 0, ran.output
            assert f"{site.name}: did not migrate to {second.name}, it runs on {first.name} again" in ran.output
            assert "starting proxy device" in " ".join(ran.output.split()), ran.output
            wait_until(lambda: site.rows(first) >= {client.committed[-1]})
    finally:
        second.run("systemctl stop busy-port")
    assert site.rows(first) >= set(client.committed)
    kept = [each for each in volumes(second) if each.startswith(f"{site.name}.var.aside-")]
    assert len(kept) == 1
    # What our own refusals advise takes only what is the appliance's now.
    removed = ["-e", f"remove={site.name}", "-e", f"remove_state={site.name}"]
    assert site.fleet.play_on("remove", [second], *removed).returncode == 0
    assert kept[0] in volumes(second)
    ran = site.fleet.play_on("release_aside", site.nodes, "-e", f"release_aside={kept[0]}")
    assert ran.returncode == 0, ran.output
    assert kept[0] not in volumes(second)
    site.is_at(first)


def volumes(node: Node) -> list[str]:
    """Return the names of a node's state volumes."""
    listed = node.query("/1.0/storage-pools/strata/volumes/custom?project=strata&recursion=1")
    return [body["name"] for body in listed]


def volumes_of(node: Node, name: str) -> list[str]:
    """Return those of one appliance."""
    return [each for each in volumes(node) if each.startswith(f"{name}.")]


def test_what_cannot_be_done_is_refused_before_anything_changes(site: Site, fleet: Fleet) -> None:
    first, second = site.nodes
    for arguments, sentence in (
        (
            ["-e", "migrate=it-mog", "-e", f"migrate_to={second.name}"],
            f"'it-mog' is not an appliance (did you mean {site.name}?)",
        ),
        (
            ["-e", f"migrate={site.name}", "-e", f"migrate_to=x{second.name}"],
            f"'x{second.name}' is not a node of this run (did you mean {second.name}?)",
        ),
        ([], "Name what is to migrate"),
    ):
        ran = fleet.play_on("migrate", site.nodes, *arguments)
        assert ran.returncode != 0, ran.output
        assert sentence in " ".join(ran.output.split()), ran.output
    twin = fleet.want("twin", first)
    fleet.deploy()
    second.run(f"incus storage volume create strata {twin}.var --project strata")
    ran = fleet.play_on("migrate", site.nodes, "-e", f"migrate={site.name},{twin}", "-e", f"migrate_to={second.name}")
    assert ran.returncode != 0
    assert "this node has state of an earlier one of that name" in " ".join(ran.output.split()), ran.output
    assert site.state(second) == ""
    fleet.appliances[site.name]["appliance_memory"] = "1TiB"  # more than any node has
    fleet.deploy()
    ran = site.migrate(second.name)
    assert ran.returncode != 0
    assert f"Node {second.name} has no room for {site.name}" in " ".join(ran.output.split()), ran.output
    assert site.state(second) == ""
    site.is_at(first)


def test_the_inventory_is_changed_by_one_line(site: Site, fleet: Fleet) -> None:
    _first, second = site.nodes
    ran = site.migrate(second.name, "-e", "migrate_write_inventory=true", "-e", "migrate_keep=true")
    assert ran.returncode == 0, ran.output
    written = yaml.safe_load(fleet.inventory.read_text())["all"]["children"]["appliances"]["hosts"]
    assert written[site.name]["appliance_node"] == second.name
    assert site.state(site.nodes[0]) == "Stopped"
    assert site.nodes[0].run(f"incus start --project strata {site.name}", check=False).returncode != 0
    fleet.appliances[site.name]["appliance_node"] = second.name
    fleet.deploy(changed=False)
    fleet.appliances[site.name]["appliance_node"] = site.nodes[0].name
    fleet.refuse(f"Appliance {site.name} was migrated to {second.name}", "is kept, stopped")


def test_a_node_is_emptied_and_filled_again(site: Site, fleet: Fleet, ready: Nodes) -> None:
    first = site.nodes[0]
    names = [site.name, *(fleet.want(f"twin{n}", first) for n in (1, 2))]
    fleet.deploy()
    fleet.groups["twins"] = names[1:]
    ran = fleet.play_on("evacuate", ready, "-e", f"evacuate={first.name}", "-e", '{"migrate_apart": ["twins"]}')
    assert ran.returncode == 0, ran.output
    assert running(first) == []
    others = [running(node) for node in ready[1:]]
    assert sorted(itertools.chain(*others)) == sorted(names)
    assert all(len(set(names[1:]) & set(each)) == 1 for each in others)
    ran = fleet.play_on("fill", ready, "-e", f"fill={first.name}")
    assert ran.returncode == 0, ran.output
    assert running(first) == sorted(names)
    fleet.deploy(changed=False)


def running(node: Node) -> list[str]:
    """Return the tests' appliances that run on a node."""
    bodies = node.query("/1.0/instances?recursion=1&project=strata")
    return sorted(body["name"] for body in bodies if body["status"] == "Running")


def test_one_that_is_elsewhere_is_not_made_anew(site: Site, fleet: Fleet) -> None:
    first, second = site.nodes
    fleet.appliances[site.name]["appliance_node"] = second.name
    ran = fleet.play_on("deploy", site.nodes)
    assert ran.returncode != 0
    assert "another node of this run has it, with its state" in " ".join(ran.output.split()), ran.output
    assert site.holders() == [first.name]
    assert site.migrate().returncode == 0
    site.is_at(second)
