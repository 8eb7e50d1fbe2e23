"""Two vendors with keys of their own: neither can sign what is the other's, nor a base. Keys and depots are real."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import manifests, staging
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.staging import Request
from ansible_collections.strata.fleet.plugins.module_utils.store import Signer as Trusted
from ansible_collections.strata.fleet.plugins.module_utils.store import Store, Wish
from ansible_collections.strata.fleet.plugins.modules import depot

from . import conftest

Data = dict[str, t.Any]
COMMON = {"format": 1, "abi": "debian-13", "architecture": "all", "size": 1, "packages": {}, "built": ""}


class Vendor(t.NamedTuple):
    """A vendor's own depot, and the key that signs what is in it."""

    name: str
    signer: conftest.Signer
    repo: Repo
    tree: pathlib.Path

    def publish(self, *refs: str, kind: str = "app", name: str, version: str = "1-1", text: str = "") -> str:
        (self.tree / "usr/bin/tool").write_text(f"{self.name} {kind} {name} {version} {text}\n")
        manifest = {**COMMON, "kind": kind, "name": name, "version": version, "vendor": self.name}
        wanted = refs or tuple(f"{kind}/{name}/{word}" for word in (version, "stable"))
        metadata = {manifests.MANIFEST_KEY: manifests.encode(manifest)}
        commit = self.repo.commit_tree(
            str(self.tree), refs=wanted, metadata=metadata, gpg_key=self.signer.key, gpg_home=self.signer.home
        )
        self.summarize()
        return commit

    def summarize(self) -> None:
        self.repo.update_summary(self.signer.key, self.signer.home)

    def mirror(self, *refs: str, key: str = "") -> Data:
        url = f"file://{self.repo.path}"
        return {"name": self.name, "url": url, "key": key or self.signer.public, "refs": list(refs or ("app/*/*",))}


@pytest.fixture(scope="session")
def other() -> t.Iterator[conftest.Signer]:
    yield from conftest.make_signer("other")


def make_vendor(name: str, signer: conftest.Signer, folder: pathlib.Path, tree: pathlib.Path) -> Vendor:
    repo = Repo(str(folder / name))
    repo.create("archive")
    return Vendor(name, signer, repo, tree)


@pytest.fixture
def acme(site: conftest.Signer, tmp_path: pathlib.Path, tree: pathlib.Path) -> Vendor:
    return make_vendor("acme", site, tmp_path, tree)


@pytest.fixture
def bolt(other: conftest.Signer, tmp_path: pathlib.Path, tree: pathlib.Path) -> Vendor:
    return make_vendor("bolt", other, tmp_path, tree)


@pytest.fixture
def run(tmp_path: pathlib.Path) -> t.Callable[..., Data]:
    """Return what runs the module depot with these mirrors, and returns the refs afterwards."""

    def _run(*mirrors: Data, check_mode: bool = False) -> Data:
        given = {"path": str(tmp_path / "site"), "signer": "Site", "key_file": None, "keep": 5}
        result = depot.work({**given, "mirrors": list(mirrors)}, check_mode)
        return t.cast("Data", result.facts["depot"]["refs"])

    return _run


Run = t.Callable[..., Data]


def test_two_vendors_are_mirrored_into_one_depot(run: Run, acme: Vendor, bolt: Vendor) -> None:
    crm, erp = acme.publish(name="crm"), bolt.publish(name="erp")
    expected = {"app/crm/1-1": crm, "app/crm/stable": crm, "app/erp/1-1": erp, "app/erp/stable": erp}
    assert run(acme.mirror(), bolt.mirror()) == expected
    assert run(acme.mirror(), bolt.mirror()) == expected


def test_a_vendor_cannot_publish_under_the_others_name(run: Run, acme: Vendor, bolt: Vendor) -> None:
    bolt.publish(name="erp")
    run()
    # Both for the first time, in either order.
    acme.publish(name="erp", version="9-9")
    for mirrors in ((acme.mirror(), bolt.mirror()), (bolt.mirror(), acme.mirror())):
        with pytest.raises(ContentError, match="app/erp is of the vendor"):
            run(*mirrors)
    assert run() == {}


def test_a_vendor_cannot_add_a_version_to_the_others_app(run: Run, acme: Vendor, bolt: Vendor) -> None:
    bolt.publish(name="erp")
    before = run(bolt.mirror())
    acme.publish("app/erp/9-9", name="erp", version="9-9")
    with pytest.raises(ContentError, match="publishes app/erp/9-9, but app/erp is of the vendor 'bolt' here"):
        run(acme.mirror(), bolt.mirror())
    with pytest.raises(ContentError, match="app/erp is of the vendor 'bolt' here"):
        run(acme.mirror())
    assert run() == before


def test_a_vendor_cannot_pass_on_what_another_key_signed(run: Run, acme: Vendor, bolt: Vendor) -> None:
    forged = Vendor("acme", bolt.signer, acme.repo, acme.tree)
    forged.publish(name="crm")
    with pytest.raises(ContentError, match="not signed by the key of 'acme'"):
        run(acme.mirror(), bolt.mirror())
    assert run() == {}


def test_a_vendor_cannot_offer_one_thing_as_another(run: Run, acme: Vendor) -> None:
    acme.publish("app/crm/1-1", "base/debian-13/stable", name="crm")
    with pytest.raises(ContentError, match="says that its kind is 'app', but 'base'"):
        run(acme.mirror("app/*", "base/*"))
    acme.repo.set_ref("app/other/stable", acme.repo.rev("app/crm/1-1") or "")
    acme.summarize()
    with pytest.raises(ContentError, match="says that its name is 'crm', but 'other'"):
        run(acme.mirror())


def test_a_base_is_taken_over_only_from_whom_that_is_said_of(run: Run, acme: Vendor) -> None:
    crm = acme.publish(name="crm")
    acme.publish(kind="base", name="debian-13", version="13.1")
    assert set(run(acme.mirror("app/*"))) == {"app/crm/1-1", "app/crm/stable"}
    for pattern in ("*/*/*", "*", "[ab]*/*/*"):
        with pytest.raises(BadInput, match="begin each with app/ or base/"):
            run(acme.mirror(pattern))
    assert run()["app/crm/stable"] == crm


def test_a_vendor_cannot_replace_the_sites_own_base(
    run: Run, acme: Vendor, tmp_path: pathlib.Path, tree: pathlib.Path, stranger: conftest.Signer
) -> None:
    run()
    own = Vendor("site", stranger, Repo(str(tmp_path / "site/repo")), tree)
    own.publish(kind="base", name="debian-13", version="13.1")
    acme.publish("base/debian-13/13.2", kind="base", name="debian-13", version="13.2")
    with pytest.raises(ContentError, match="base/debian-13 is this site's own here"):
        run(acme.mirror("base/*"))


def test_a_vendor_with_another_key_is_looked_at_anew(run: Run, acme: Vendor, bolt: Vendor) -> None:
    acme.publish(name="crm")
    before = run(acme.mirror())
    with pytest.raises(ContentError, match="not signed by the key of 'acme'"):
        run(acme.mirror(key=bolt.signer.public))
    assert run() == before


def test_a_site_may_have_a_channel_of_its_own_for_a_vendors_app(run: Run, acme: Vendor, tmp_path: pathlib.Path) -> None:
    first = acme.publish(name="crm")
    run(acme.mirror())
    Repo(str(tmp_path / "site/repo")).set_ref("app/crm/approved", first)
    second = acme.publish(name="crm", version="2-1")
    refs = run(acme.mirror())
    assert (refs["app/crm/approved"], refs["app/crm/stable"]) == (first, second)
    acme.publish("app/crm/approved", name="crm", version="3-1")
    with pytest.raises(ContentError, match="that is this site's own channel here"):
        run(acme.mirror())


# On a node


@pytest.fixture
def node(tmp_path: pathlib.Path, acme: Vendor, bolt: Vendor, stranger: conftest.Signer) -> Store:
    signers = [
        Trusted("acme", acme.signer.public, ["app/crm"]),
        Trusted("bolt", bolt.signer.public, ["app/erp"]),
        Trusted("site", stranger.public, ["base/*"]),
    ]
    return Store(str(tmp_path / "node"), f"file://{tmp_path}/site/repo", signers)


@pytest.fixture
def shelf(
    run: Run, tmp_path: pathlib.Path, acme: Vendor, bolt: Vendor, stranger: conftest.Signer
) -> t.Callable[..., str]:
    """Return what puts a version into the site's depot past all its checks, as whoever broke into it could."""
    run()
    repo = Repo(str(tmp_path / "site/repo"))
    keys = {"acme": acme.signer, "bolt": bolt.signer, "site": stranger}

    def _put(by: str, *refs: str, kind: str = "app", name: str, version: str = "1-1", text: str = "") -> str:
        put = Vendor(by, keys[by], repo, acme.tree)
        return put.publish(*refs, kind=kind, name=name, version=version, text=text)

    return _put


def request(app: str, base: str = "deb") -> Request:
    return Request(app, Wish("base", base, "", "stable"), Wish("app", app, "", "stable"))


def stage(node: Store, *apps: str) -> None:
    decided = staging.decide(node, [request(app) for app in apps], {})
    node.prepare()
    staging.stage(node, decided)


def test_a_node_takes_from_each_vendor_what_is_its_own(node: Store, shelf: t.Callable[..., str]) -> None:
    commits = [
        shelf("site", kind="base", name="deb", version="13.1"),
        shelf("acme", name="crm"),
        shelf("bolt", name="erp"),
    ]
    stage(node, "crm", "erp")
    assert all(node.holds(commit) for commit in commits)


@pytest.mark.parametrize(
    ("by", "kind", "name"), [("acme", "app", "erp"), ("bolt", "app", "crm"), ("acme", "base", "deb")]
)
def test_a_node_refuses_what_anothers_key_signed(
    node: Store, shelf: t.Callable[..., str], by: str, kind: str, name: str
) -> None:
    shelf("site", kind="base", name="deb", version="13.1")
    shelf("acme", name="crm")
    shelf("bolt", name="erp")
    bad = shelf(by, kind=kind, name=name, version="2-1")
    with pytest.raises(ContentError, match="is not signed by the key of"):
        stage(node, "crm", "erp")
    assert not node.holds(bad)


def test_what_one_vendor_signed_is_not_taken_for_the_others_because_it_is_here_already(
    node: Store, shelf: t.Callable[..., str]
) -> None:
    """A commit that was verified with one key, and pulled, must be verified again for the other's name."""
    shelf("site", kind="base", name="deb", version="13.1")
    bad = shelf("acme", "app/crm/stable", "app/erp/stable", name="erp", version="2-1")
    for apps in (("crm", "erp"), ("erp", "crm")):
        with pytest.raises(ContentError):
            stage(node, *apps)
        with node.catalogue() as catalogue:
            with pytest.raises(ContentError, match="says that its name is 'erp'"):
                node.look_up(catalogue, Wish("app", "crm", "", "stable"))
            with pytest.raises(ContentError, match="is not signed by the key of 'bolt'"):
                node.look_up(catalogue, Wish("app", "erp", "", "stable"))
    assert not node.holds(bad)
