"""How far appliances move along their channels, against a real depot: what is new, what does not fit, what failed."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import moves, staging
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition, Layer
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.staging import Request
from ansible_collections.strata.fleet.plugins.module_utils.store import Signer, Store, Wish

from . import conftest

BASE = {"kind": "base", "name": "deb", "version": "1", "abi": "debian-13", "architecture": "all", "size": 1}
APP = {
    "kind": "app",
    "name": "tool",
    "vendor": "Acme",
    "version": "1",
    "abi": "debian-13",
    "architecture": "all",
    "size": 1,
}
BASE, APP = ({**each, "packages": {}, "built": "2026-01-01T00:00:00Z"} for each in (BASE, APP))


class Site:
    """A depot that publishes, and a node with one appliance on version 1 of everything."""

    def __init__(self, node: Store, publish: t.Callable[..., str], signer: conftest.Signer, tree: pathlib.Path) -> None:
        self.node = node
        self._publish = publish
        self._signer = signer
        self._tree = tree
        self.commits = {"base": self.publish("base", "1"), "app": self.publish("app", "1")}
        node.prepare()
        staging.stage(node, staging.decide(node, [self.request()], {}))
        self.running = {"web1": Composition(*self.layers("1", "1"), "c")}

    def publish(self, kind: str, version: str, **changes: t.Any) -> str:
        (self._tree / "usr/bin/tool").write_text(f"{kind} {version}\n")
        manifest = {**(BASE if kind == "base" else APP), "version": version, **changes}
        name = manifest["name"]
        return self._publish(self._signer, f"{kind}/{name}/{version}", f"{kind}/{name}/stable", **manifest)

    def layers(self, base: str, app: str) -> tuple[Layer, Layer]:
        return Layer("deb", base, self.commits["base"]), Layer("tool", app, self.commits["app"])

    def request(self, base_version: str = "", app_version: str = "") -> Request:
        return Request("web1", Wish("base", "deb", base_version, "stable"), Wish("app", "tool", app_version, "stable"))

    def decide(self, *avoid: dict[str, str], **pins: str) -> moves.Moves:
        return moves.decide_moves(self.node, [self.request(**pins)], self.running, moves.Holds(avoid))


@pytest.fixture
def site(
    tmp_path: pathlib.Path, depot: Repo, site: conftest.Signer, publish: t.Callable[..., str], tree: pathlib.Path
) -> Site:
    signers = [Signer("site", site.public, ["base/*", "app/*"])]
    return Site(Store(str(tmp_path / "node"), f"file://{depot.path}", signers), publish, site, tree)


def versions(decided: moves.Moves) -> tuple[str, str]:
    layers = decided.staging.layers()["web1"]
    return layers["base"]["version"], layers["app"]["version"]


def bad(base: str, app: str) -> dict[str, str]:
    return {
        "base": base,
        "app": app,
        "base_version": "deb X",
        "app_version": "tool Y",
        "reason": "no\nlog",
        "at": "then",
    }


def test_nothing_is_new(site: Site) -> None:
    decided = site.decide()
    assert versions(decided) == ("1", "1")
    assert (decided.blocked, decided.held, decided.changes, decided.staging.missing) == ({}, {}, {}, {})
    assert not decided.staging.is_new


def test_both_move(site: Site) -> None:
    old = site.commits["base"]
    new = site.publish("base", "2")
    site.publish("app", "2")
    decided = site.decide()
    assert versions(decided) == ("2", "2")
    assert decided.staging.is_new
    assert f"{old}..{new}" in decided.changes


def test_an_app_that_is_not_ready_for_the_base_blocks_it(site: Site) -> None:
    site.publish("base", "2", abi="debian-14")
    decided = site.decide()
    assert versions(decided) == ("1", "1")
    obstacle = decided.blocked["web1"]
    assert (obstacle.cause, obstacle.vendor) == (moves.ABI, "Acme")
    assert "app tool 1 was built for debian-13, but base deb 2 is debian-14" in obstacle.reason


def test_an_app_that_is_ahead_of_the_base_waits_and_the_base_moves(site: Site) -> None:
    site.publish("base", "2")
    site.publish("app", "2", abi="debian-14")
    decided = site.decide()
    assert versions(decided) == ("2", "1")
    assert decided.blocked == {}
    assert decided.held["web1"].version == "2"


def test_both_ready_for_the_next_os_move_together(site: Site) -> None:
    site.publish("base", "2", abi="debian-14")
    site.publish("app", "2", abi="debian-14")
    assert versions(site.decide()) == ("2", "2")


def test_what_failed_is_not_tried_again(site: Site) -> None:
    newer = site.publish("base", "2")
    decided = site.decide(bad(newer, site.commits["app"]))
    assert versions(decided) == ("1", "1")
    assert decided.blocked["web1"].cause == moves.BAD
    assert decided.blocked["web1"].reason == "base deb X with app tool Y failed at then: no"


def test_a_bad_app_does_not_hold_the_base_back(site: Site) -> None:
    base, app = site.publish("base", "2"), site.publish("app", "2")
    decided = site.decide(bad(base, app), bad(site.commits["base"], app))
    assert versions(decided) == ("2", "1")
    assert decided.held["web1"].name == "tool"


def test_a_pin_is_told(site: Site) -> None:
    site.publish("base", "2")
    decided = site.decide(base_version="1")
    assert versions(decided) == ("1", "1")
    assert decided.blocked["web1"].cause == moves.PIN
    assert decided.blocked["web1"].reason == "appliance_base_version is 1, while stable is 2"


def test_a_pin_on_a_newer_version_moves(site: Site) -> None:
    site.publish("base", "2")
    site.publish("base", "3")
    assert versions(site.decide(base_version="2")) == ("2", "1")


def test_content_of_a_stranger_blocks_only_itself(
    site: Site, stranger: conftest.Signer, publish: t.Callable[..., str]
) -> None:
    site.publish("base", "2")
    publish(stranger, "app/tool/2", "app/tool/stable", **{**APP, "version": "2"})
    decided = site.decide()
    assert versions(decided) == ("2", "1")
    assert decided.held["web1"].cause == moves.CONTENT
    assert "is not signed by the key of 'site'" in decided.held["web1"].reason


def test_appliances_that_are_not_there_are_left_to_a_deploy(site: Site) -> None:
    decided = moves.decide_moves(site.node, [site.request()], {}, moves.Holds())
    assert decided.staging.layers() == {}


def test_an_older_version_with_state_of_another_format_is_not_moved_to(site: Site) -> None:
    site.publish("app", "0", state_schema="old", built="2000-01-01T00:00:00Z")
    site.commits["app"] = site.publish("app", "2", state_schema="new", built="2026-01-01T00:00:00Z")
    staging.stage(site.node, staging.decide(site.node, [site.request(app_version="2")], {}))
    site.running = {"web1": Composition(*site.layers("1", "2"), "c")}
    decided = site.decide(app_version="0")
    assert versions(decided) == ("1", "2")
    assert decided.blocked["web1"].cause == moves.STATE


def test_going_to_an_older_version_is_said(site: Site) -> None:
    older = site.publish("base", "0", built="2000-01-01T00:00:00Z")
    decided = site.decide()
    assert versions(decided) == ("0", "1")
    assert decided.changes[f"{site.commits['base']}..{older}"]["older"]


def test_a_rollback_that_was_cut_off_is_not_overtaken(site: Site) -> None:
    site.publish("base", "2")
    decided = moves.decide_moves(site.node, [site.request()], site.running, moves.Holds((), {"web1"}))
    assert versions(decided) == ("1", "1")
    assert decided.blocked["web1"].cause == moves.ROLLBACK


def test_one_in_quarantine_stays_as_it_is(site: Site) -> None:
    site.publish("base", "2")
    holds = moves.Holds(quarantined={"web1": "quarantined since now by ada: why"})
    decided = moves.decide_moves(site.node, [site.request()], site.running, holds)
    assert versions(decided) == ("1", "1")
    assert decided.blocked["web1"].cause == moves.QUARANTINE
    assert decided.blocked["web1"].reason == "quarantined since now by ada: why"
