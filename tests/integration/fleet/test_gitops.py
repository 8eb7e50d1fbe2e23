"""GitOps on a real control node: signed commits become the fleet, everything else leaves it as it is."""

from __future__ import annotations

import copy
import dataclasses
import typing as t

import pytest
from ansible_collections.strata.fleet.tests.integration.fleet import control as controls
from ansible_collections.strata.fleet.tests.integration.fleet import depot as depots
from ansible_collections.strata.fleet.tests.integration.fleet import site_app
from ansible_collections.strata.fleet.tests.integration.fleet.control import MACHINE, Control
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    OPEN,
    Fleet,
    clean,
    ingress_ports,
    init_pid,
    instance,
    page,
    picture,
)
from ansible_collections.strata.fleet.tests.integration.tools import Controller, Node, address_of, lab, wait_until

Data = dict[str, t.Any]
LIMITS = {"remove": 1, "restart": 1}


@dataclasses.dataclass
class Site:
    """A fleet of two appliances that a control node keeps as its repository says."""

    control: Control
    fleet: Fleet
    nodes: list[Node]
    web1: str = ""
    web2: str = ""

    def begin(self) -> None:
        """Have the inventory as every test finds it."""
        self.fleet.appliances.clear()
        self.fleet.variables.pop("lockdown_policies", None)
        self.web1 = self.fleet.want("web1", self.nodes[0], config={"title": "first"}, owner="web team")
        self.web2 = self.fleet.want("web2", self.nodes[1], config={"title": "second"})

    def is_as_it_was(self) -> bool:
        """Whether the last test left all as this one is to find it."""
        self.control.clone.write(self.fleet)
        return not self.control.clone.git("status", "--porcelain") and self.control.status().get("in_sync") is True

    def commit(self, message: str = "Change it", **options: t.Any) -> str:
        return self.control.clone.commit(self.fleet, message, **options)

    def pages(self) -> list[str]:
        """Return the first lines of the pages."""
        return [
            page(node, name).splitlines()[0] for node, name in zip(self.nodes, (self.web1, self.web2), strict=False)
        ]

    def picture(self) -> list[Data]:
        """Return all that a run could change."""
        return [picture(node) for node in self.nodes[:2]]


@pytest.fixture(scope="module")
def made(
    ready: list[Node],
    controller: Controller,
    depot: depots.Depot,
    running_server: depots.Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> t.Iterator[Site]:
    folder = tmp_path_factory.mktemp("gitops")
    running_server.reset()
    fleet = Fleet(controller, depot, running_server, folder)
    try:
        site = Site(controls.make(controller, folder, gitops_limits=LIMITS), fleet, ready)
        site.begin()
        site.commit("Begin")
        yield site
    finally:
        clean(ready)
        lab("down", MACHINE)


@pytest.fixture
def site(made: Site) -> Site:
    """The site, with its first inventory applied by a commit on top of whatever there was."""
    made.begin()
    if made.is_as_it_was():
        return made
    made.commit("As it was\n\nStrata-Limit: remove=100%\nStrata-Limit: restart=100%")
    report = made.control.cycle("applied")
    assert report["in_sync"]
    assert {row["name"]: (row["sync"], row["health"]) for row in report["appliances"]} == {
        made.web1: ("synced", "healthy"),
        made.web2: ("synced", "healthy"),
    }
    return made


def test_a_commit_changes_a_page_and_the_next_cycle_nothing(site: Site) -> None:
    pids = [init_pid(node, name) for node, name in zip(site.nodes, (site.web1, site.web2), strict=False)]
    site.fleet.want("web1", site.nodes[0], config={"title": "changed"}, owner="web team")
    commit = site.commit("Change the page")
    report = site.control.cycle("applied")
    assert (report["good"]["commit"], report["accepted"]["signer"]) == (commit, "ops@example.com")
    assert site.pages() == ["title changed", "title second"]
    before = site.picture()
    report = site.control.cycle("synced")
    assert (report["in_sync"], site.picture()) == (True, before)
    assert pids == [init_pid(node, name) for node, name in zip(site.nodes, (site.web1, site.web2), strict=False)]


def test_commits_add_and_remove_appliances(site: Site) -> None:
    name = site.fleet.want("more", site.nodes[0])
    site.commit("One more")
    report = site.control.cycle("applied")
    assert {row["name"]: row["health"] for row in report["appliances"]}[name] == "healthy"
    del site.fleet.appliances[name]
    site.commit("One less")
    report = site.control.cycle("applied")
    assert name not in {row["name"] for row in report["appliances"]}
    node = site.nodes[0]
    assert node.run(f"incus config show {name} --project strata", check=False).returncode
    assert node.run(f"incus storage volume show strata {name}.var --project strata").returncode == 0


def test_what_is_refused_leaves_the_fleet_as_it_was(site: Site) -> None:
    control, clone = site.control, site.control.clone
    good, before = clone.head(), site.picture()

    def refuse(*words: str) -> None:
        report = control.cycle("refused")
        assert report["applied"]["commit"] == good
        assert not report["in_sync"]
        for word in words:
            assert word in report["reason"]
        assert site.picture() == before

    site.fleet.want("web1", site.nodes[0], config={"title": "not by us"})
    site.commit("Not signed", by="")
    refuse("is not signed")
    clone.git("reset", "--quiet", "--hard", good)
    site.commit("Signed by a stranger", by="stranger")
    refuse("is not signed by anybody who is allowed to", "No principal matched")

    # What was accepted is never left for something else.
    clone.git("reset", "--quiet", "--hard", f"{good}~1")
    site.commit("Instead of the last one")
    refuse("history was rewritten", f"strata-gitops accept {clone.head()}")
    clone.git("reset", "--quiet", "--hard", good)

    (clone.folder / "inventory" / "hosts.yml").write_text("all: {children: [")
    clone.commit_files("Broken YAML")
    refuse("The inventory is refused", "hosts.yml")
    site.begin()
    site.fleet.appliances[site.web1]["appliance_memori"] = "64MiB"
    site.commit("A word that nobody knows")
    refuse("appliance_memori is not known (did you mean appliance_memory?)")

    site.begin()
    rules = {"denied-packages": ["perl-base"]}
    site.fleet.variables["lockdown_policies"] = {"it": {"groups": ["all"], "mode": "enforce", "rules": rules}}
    site.commit("A policy that allows nothing of this")
    refuse("It cannot be deployed", "denied-packages", "perl-base")
    site.begin()
    site.fleet.appliances = {"it-other": {**site.fleet.appliances[site.web1]}}
    site.commit("Remove both")
    refuse("It would remove 2 appliances", f"{site.web2}, left behind on node", "1 may be", "Strata-Limit: remove=")


def test_drift_is_found_and_undone_or_only_told(site: Site) -> None:
    first, second = site.nodes[:2]
    site.fleet.appliances[site.web2] |= {"appliance_drift": "report"}
    site.commit("Only tell of web2")
    site.control.cycle("applied")
    wanted = copy.deepcopy(instance(first, site.web1)["devices"])
    first.run(f"incus config set {site.web1} limits.memory 100MiB --project strata")
    second.run(f"incus stop --force {site.web2} --project strata")
    for node in (first, second):
        node.run(OPEN)
    stray = site.fleet.want("stray", first)
    site.fleet.deploy("--extra-vars", f'{{"store_only": ["{stray}"]}}')  # by hand, from elsewhere
    del site.fleet.appliances[stray]
    report = site.control.cycle("drifted")
    rows = {row["name"]: row for row in report["appliances"]}
    assert (rows[site.web1]["sync"], rows[site.web1]["mended"], rows[site.web1]["owner"]) == (
        "synced",
        True,
        "web team",
    )
    assert (rows[site.web2]["sync"], rows[site.web2]["state"]) == ("drifted", "stopped")
    assert rows[site.web2]["differences"][0] == f"start {site.web2}"
    assert "limits.memory" not in instance(first, site.web1)["config"]
    assert instance(first, site.web1)["devices"] == wanted
    assert first.run(f"incus config show {stray} --project strata", check=False).returncode
    for node in (first, second):
        assert "22" not in ingress_ports(node)
    # Once policy says so, it is undone, too.
    site.fleet.appliances[site.web2] |= {"appliance_drift": "undo"}
    site.commit("Undo it")
    assert site.control.cycle("applied")["in_sync"]
    second.run(f"incus stop --force {site.web2} --project strata")
    assert site.control.cycle("synced")["in_sync"]
    # What is of a node alone needs no appliance that drifted.
    second.run(OPEN)
    assert site.control.cycle("synced")["in_sync"]
    assert "22" not in ingress_ports(second)

    # A paused one is left alone, whoever does what to it.
    site.fleet.appliances[site.web2] |= {"appliance_pause": {"reason": "we look for a fault", "until": "2999-12-31"}}
    site.commit("Hands off web2")
    site.control.cycle("applied")
    second.run(f"incus stop --force {site.web2} --project strata")
    report = site.control.cycle("synced")
    row = next(row for row in report["appliances"] if row["name"] == site.web2)
    assert (row["sync"], row["state"], row["paused"]["reason"]) == ("paused", "stopped", "we look for a fault")


def test_a_bad_version_is_undone(site: Site) -> None:
    good = site.control.clone.head()
    site.fleet.depot.publish_app("site", "6-6", server=site_app.SICK)
    site.fleet.depot.publish_app("site", "1-1")
    site.fleet.want("web1", site.nodes[0], app_version="6-6", config={"title": "first"}, health_timeout=10)
    bad = site.commit("The newest version")
    report = site.control.cycle("undone")
    assert (report["bad"]["commit"], report["applied"]["commit"], report["good"]["commit"]) == (bad, good, good)
    assert f"git revert --no-edit {bad[:12]}" in report["reason"]
    assert site.pages() == ["title first", "title second"]
    # It is not tried again until the branch moves.
    before = site.picture()
    assert site.control.cycle("undone")["seen"]["commit"] == bad
    assert site.picture() == before


def test_two_cycles_at_once(site: Site) -> None:
    control = site.control
    control.run("systemd-run --unit=it-holder --collect flock /var/lib/strata-gitops/lock sleep infinity")
    try:
        wait_until(
            lambda: control.run("! flock --nonblock /var/lib/strata-gitops/lock true", check=False).returncode == 0
        )
        done = control.run("strata-gitops now", check=False)
        assert done.returncode == 7
        assert "Another cycle is running" in done.stdout + done.stderr
    finally:
        control.run("systemctl stop it-holder")
    control.cycle("synced")


def test_a_control_node_that_dies_in_mid_apply(site: Site) -> None:
    control = site.control
    for name, node in ((site.web1, site.nodes[0]), (site.web2, site.nodes[1])):
        site.fleet.want(name.removeprefix("it-"), node, config={"title": "after", "motd": "restarts"})
    commit = site.commit("Both\n\nStrata-Limit: restart=2")
    control.start_cycle()
    ledger = (
        "grep -q '\"applying\": {' /var/lib/strata-gitops/ledger.json && pgrep -f ansible-playbook.*strata.fleet.site"
    )
    wait_until(lambda: control.run(ledger, check=False).returncode == 0)
    control.run("systemctl kill --signal=SIGKILL --kill-whom=all strata-gitops.service")
    report = control.cycle("applied")
    assert (report["applied"]["commit"], report["applying"]) == (commit, None)
    assert site.pages() == ["title after", "title after"]


def test_a_repository_that_is_away(site: Site) -> None:
    control = site.control
    with control.cut_off(address_of(MACHINE)):
        site.nodes[0].run(f"incus stop --force {site.web1} --project strata")
        report = control.cycle("unreachable")
        since = report["unreachable"]["since"]
        assert since in report["reason"]
        assert [row["sync"] for row in report["appliances"]] == ["synced", "synced"]
        assert control.cycle("unreachable")["unreachable"]["since"] == since
    assert site.pages() == ["title first", "title second"]
    assert control.cycle("synced")["unreachable"] is None
    assert "strata_gitops_repository_reachable 1" in control.run("cat /var/lib/strata-gitops/*.prom").stdout


def test_no_secret_is_where_it_should_not_be(site: Site) -> None:
    key = (site.control.clone.keys / "server").read_text().splitlines()[2]
    found = site.control.run(
        f"grep -rl '{key}' /etc/strata /var/lib/strata-gitops /opt/strata; journalctl | grep -c '{key}'", check=False
    )
    assert found.stdout.split() == ["0"]
