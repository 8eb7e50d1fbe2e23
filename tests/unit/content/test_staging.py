"""A node's store against a real depot: what is chosen, fetched, refused and removed."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import staging, store
from ansible_collections.strata.fleet.plugins.module_utils.errors import (
    BadInput,
    Conflict,
    ContentError,
    DiskFull,
    Unreachable,
)
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition, Layer
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.staging import Request
from ansible_collections.strata.fleet.plugins.module_utils.store import Signer, Store, Wish

from . import conftest

BASE = {"kind": "base", "name": "deb", "version": "1", "abi": "debian-13", "architecture": "all", "size": 1}
APP = {"kind": "app", "name": "tool", "version": "1", "abi": "debian-13", "architecture": "all", "size": 1}
Publish = t.Callable[..., str]


@pytest.fixture
def node(tmp_path: pathlib.Path, depot: Repo, site: conftest.Signer) -> Store:
    signers = [Signer("site", site.public, ["base/*", "app/*"])]
    return Store(str(tmp_path / "node"), f"file://{depot.path}", signers)


@pytest.fixture
def published(site: conftest.Signer, publish: Publish) -> dict[str, str]:
    return {
        "base": publish(site, "base/deb/1", "base/deb/stable", **BASE),
        "app": publish(site, "app/tool/1", "app/tool/stable", **APP),
    }


def request(name: str = "web1", base_version: str = "", app_version: str = "", app: str = "tool") -> Request:
    return Request(name, Wish("base", "deb", base_version, "stable"), Wish("app", app, app_version, "stable"))


def fetch(node: Store, *requests: Request, running: dict[str, Composition] | None = None) -> staging.Staging:
    decided = staging.decide(node, requests or (request(),), running or {})
    node.prepare()
    staging.stage(node, decided)
    return decided


def running_on(published: dict[str, str]) -> dict[str, Composition]:
    composition = Composition(Layer("deb", "1", published["base"]), Layer("tool", "1", published["app"]), "c")
    return {"web1": composition}


def test_deciding_writes_nothing(node: Store, published: dict[str, str]) -> None:
    decided = staging.decide(node, [request()], {})
    assert set(decided.missing) == set(published.values())
    assert not node.path.exists()


def test_what_was_decided_is_there_afterwards(node: Store, published: dict[str, str]) -> None:
    fetch(node)
    assert all(node.holds(commit) for commit in published.values())
    assert (node.layer_path(published["app"]) / "usr/bin/tool").read_text() == "tool 1\n"


def test_an_appliance_that_runs_asks_nobody(node: Store, published: dict[str, str], depot: Repo) -> None:
    fetch(node)
    pathlib.Path(depot.path).rename(f"{depot.path}.gone")
    decided = staging.decide(node, [request()], running_on(published))
    assert decided.missing == {}
    assert not decided.is_new


def test_a_version_that_is_held_asks_nobody(node: Store, published: dict[str, str], depot: Repo) -> None:
    fetch(node)
    pathlib.Path(depot.path).rename(f"{depot.path}.gone")
    decided = staging.decide(node, [request("web2", "1", "1")], {})
    assert decided.layers()["web2"]["app"]["commit"] == published["app"]


def test_a_deploy_does_not_follow_a_channel(
    node: Store, published: dict[str, str], publish: Publish, site: conftest.Signer, tree: pathlib.Path
) -> None:
    fetch(node)
    (tree / "usr/bin/tool").write_text("tool 2\n")
    publish(site, "app/tool/2", "app/tool/stable", **{**APP, "version": "2"})
    stays = staging.decide(node, [request()], running_on(published))
    assert stays.layers()["web1"]["app"]["version"] == "1"


@pytest.mark.usefixtures("published")
def test_the_depot_is_gone_while_something_is_missing(node: Store, depot: Repo) -> None:
    pathlib.Path(depot.path).rename(f"{depot.path}.gone")
    with pytest.raises(Unreachable, match=r"Appliance web1: .* did not answer"):
        staging.decide(node, [request()], {})


@pytest.mark.usefixtures("published")
def test_every_unknown_name_is_named(node: Store) -> None:
    with pytest.raises(ContentError) as caught:
        staging.decide(node, [request(app="tol"), request("web2", base_version="9")], {})
    assert "Appliance web1: app/tol/stable" in caught.value.message
    assert "Appliance web2: base/deb/9" in caught.value.message


def test_an_app_for_another_base_is_refused(node: Store, publish: Publish, site: conftest.Signer) -> None:
    publish(site, "base/deb/stable", **BASE)
    publish(site, "app/tool/stable", **{**APP, "abi": "debian-12"})
    with pytest.raises(BadInput, match="built for debian-12, but base deb 1 is debian-13"):
        staging.decide(node, [request()], {})


def test_one_thing_offered_as_another_is_refused(node: Store, publish: Publish, site: conftest.Signer) -> None:
    publish(site, "base/deb/stable", **BASE)
    publish(site, "app/tool/stable", **{**APP, "name": "other"})
    with pytest.raises(ContentError, match="says that its name is 'other'"):
        staging.decide(node, [request()], {})


def test_a_version_under_another_ones_ref_is_refused(node: Store, publish: Publish, site: conftest.Signer) -> None:
    publish(site, "base/deb/stable", **BASE)
    publish(site, "app/tool/7", **APP)
    with pytest.raises(ContentError, match="offers version 1 as app/tool/7"):
        staging.decide(node, [request(app_version="7")], {})


def test_a_stranger_s_app_is_refused(
    node: Store, publish: Publish, site: conftest.Signer, stranger: conftest.Signer
) -> None:
    publish(site, "base/deb/stable", **BASE)
    publish(stranger, "app/tool/stable", **APP)
    with pytest.raises(ContentError, match=r"Appliance web1: .*not signed by the key of 'site'"):
        staging.decide(node, [request()], {})


def test_a_vendor_s_key_vouches_for_no_base(
    tmp_path: pathlib.Path, depot: Repo, publish: Publish, site: conftest.Signer, stranger: conftest.Signer
) -> None:
    signers = [Signer("vendor", stranger.public, ["app/tool"]), Signer("site", site.public, ["base/*"])]
    node = Store(str(tmp_path / "node"), f"file://{depot.path}", signers)
    publish(stranger, "base/deb/stable", **BASE)
    publish(stranger, "app/tool/stable", **APP)
    with pytest.raises(ContentError, match=r"base/deb/stable .*not signed by the key of 'site'"):
        staging.decide(node, [request()], {})


@pytest.mark.usefixtures("published")
def test_nobody_vouches(tmp_path: pathlib.Path, depot: Repo) -> None:
    with pytest.raises(ContentError, match="No key may vouch for app/tool"):
        staging.decide(Store(str(tmp_path / "n"), f"file://{depot.path}", []), [request()], {})


def test_no_room_is_said_before_anything_is_fetched(node: Store, publish: Publish, site: conftest.Signer) -> None:
    publish(site, "base/deb/stable", **{**BASE, "size": 2**60})
    publish(site, "app/tool/stable", **APP)
    with pytest.raises(DiskFull, match="are free: make room"):
        staging.decide(node, [request()], {})
    assert not node.path.exists()


def test_a_changed_file_is_found_before_it_is_mapped(node: Store, published: dict[str, str]) -> None:
    fetch(node)
    (node.layer_path(published["app"]) / "usr/bin/tool").write_text("tampered\n")
    with pytest.raises(ContentError, match="damaged"):
        fetch(node, request("web2", "1", "1"))


def test_a_cut_checkout_is_made_again(node: Store, published: dict[str, str]) -> None:
    decided = fetch(node)
    path = node.layer_path(published["app"])
    path.rename(path.with_name(f".{path.name}.unfinished"))
    assert not node.holds(published["app"])
    staging.stage(node, staging.decide(node, [request()], {}))
    assert node.holds(decided.chosen["web1"]["app"].layer.commit)


def test_collecting_keeps_what_is_needed(node: Store, published: dict[str, str]) -> None:
    fetch(node)
    leftovers = node.unreferenced({published["base"]})
    assert leftovers == [published["app"]]
    node.collect(leftovers)
    assert node.holds(published["base"])
    assert not node.holds(published["app"])
    node.verify({published["base"]})


def test_two_runs_do_not_meet(tmp_path: pathlib.Path) -> None:
    with store.locked(str(tmp_path)), pytest.raises(Conflict, match="Another run"), store.locked(str(tmp_path)):
        pass


def test_a_version_that_must_be_a_certain_commit(
    node: Store, published: dict[str, str], publish: Publish, site: conftest.Signer
) -> None:
    def asks(commit: str) -> Request:
        return Request("web1", Wish("base", "deb", "1", ""), Wish("app", "tool", "1", "", commit))

    assert fetch(node, asks(published["app"])).chosen["web1"]["app"].layer.commit == published["app"]
    anew = publish(site, "app/tool/1", **{**APP, "note": "published anew"})
    with pytest.raises(ContentError, match=f"has another app/tool/1 .{anew[:12]}. than the one that is asked for"):
        staging.decide(node, [asks("0" * 64)], {})
    # What the store has is that commit still, whatever the depot says now.
    assert staging.decide(node, [asks(published["app"])], {}).missing == {}


def test_those_that_can_be_served_are(node: Store, published: dict[str, str]) -> None:
    decided, faults = staging.decide_each(node, [request("web1"), request("web2", app="absent")], {})
    assert set(decided.chosen) == {"web1"}
    assert list(faults) == ["web2"]
    assert "app/absent/stable" in faults["web2"]
    assert published["app"] == decided.chosen["web1"]["app"].layer.commit
