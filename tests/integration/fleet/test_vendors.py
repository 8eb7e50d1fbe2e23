"""Two vendors' depots with different keys, mirrored into one: no key vouches for the other's apps, nor for a base."""

from __future__ import annotations

import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import depots as content
from ansible_collections.strata.fleet.plugins.module_utils import manifests
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.modules import depot as depot_module
from ansible_collections.strata.fleet.tests.integration.fleet import depot as depots
from ansible_collections.strata.fleet.tests.integration.fleet import site_app
from ansible_collections.strata.fleet.tests.integration.fleet.conftest import GATEWAY
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import STORE, Fleet, page, picture
from ansible_collections.strata.fleet.tests.integration.tools import Node

Data = dict[str, t.Any]


class Vendor(t.NamedTuple):
    """A vendor's own depot, and the key that signs what is in it."""

    name: str
    signer: depots.Signer
    folder: Path

    def publish(self, app: str, version: str, *refs: str, into: Repo | None = None, **changes: t.Any) -> str:
        """Publish the test app as this vendor's, and return the commit."""
        tree = self.folder / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        site_app.write_tree(tree, app, version, 0)
        manifest = {**site_app.manifest(app, version, tree), "vendor": self.name, **changes}
        repo = into or Repo(str(self.folder / "repo"))
        commit = repo.commit_tree(
            str(tree),
            refs=refs or [f"app/{app}/{version}", f"app/{app}/stable"],
            metadata={manifests.MANIFEST_KEY: manifests.encode(manifest)},
            gpg_key=self.signer.key,
            gpg_home=self.signer.home,
        )
        repo.update_summary(self.signer.key, self.signer.home)
        return commit

    def mirror(self) -> Data:
        key = self.signer.public.read_text()
        return {"name": self.name, "url": f"file://{self.folder}/repo", "key": key, "refs": ["app/*/*"]}


@pytest.fixture(scope="module")
def vendors(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[Vendor, Vendor]]:
    with depots.signer("acme") as first, depots.signer("bolt") as second:
        made = [Vendor(name, key, tmp_path_factory.mktemp(name)) for name, key in (("acme", first), ("bolt", second))]
        for vendor in made:
            Repo(str(vendor.folder / "repo")).create("archive")
        made[0].publish("crm", "1-1")
        made[1].publish("erp", "1-1")
        yield made[0], made[1]


class Site(t.NamedTuple):
    """The site's own depot, into which others' are mirrored."""

    folder: Path
    mirrors: list[Data]

    @property
    def repo(self) -> Repo:
        return Repo(str(self.folder / "repo"))

    def mirror(self) -> Data:
        given: Data = {"path": str(self.folder), "signer": "Site", "key_file": None, "keep": 5}
        result = depot_module.work({**given, "mirrors": self.mirrors}, check_mode=False)
        return t.cast("Data", result.facts["depot"]["refs"])


@pytest.fixture(scope="module")
def site(vendors: tuple[Vendor, Vendor], source: Path, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    base = {"name": "maker", "url": f"file://{source}/repo", "refs": ["base/debian-13/stable"]}
    base["key"] = (source / "site.asc").read_text()
    with pytest.MonkeyPatch.context() as patch:
        # They take a minute, and are tested by themselves.
        patch.setattr(content.Depot, "make_deltas", lambda *_arguments: None)
        made = Site(tmp_path_factory.mktemp("site") / "depot", [base, *(vendor.mirror() for vendor in vendors)])
        made.mirror()
        yield made


@pytest.fixture
def mirrored(fleet: Fleet, site: Site, vendors: tuple[Vendor, Vendor], source: Path) -> t.Iterator[Fleet]:
    """Give the fleet with the site's depot, and each vendor trusted for its own."""
    server = depots.Server(site.repo.path, GATEWAY)
    server.start()
    trust: list[Data] = [{"name": "maker", "key_file": str(source / "site.asc"), "refs": ["base/*"]}]
    for vendor, app in zip(vendors, ("crm", "erp"), strict=True):
        trust.append({"name": vendor.name, "key_file": str(vendor.signer.public), "refs": [f"app/{app}"]})
    fleet.variables |= {"depot_url": server.url, "depot_trust": trust}
    try:
        yield fleet
    finally:
        server.stop()


def layers(node: Node) -> set[str]:
    return set(node.run(f"ls {STORE}/layers").stdout.split())


def test_apps_of_two_vendors_come_from_one_depot(mirrored: Fleet, ready: list[Node]) -> None:
    node = ready[0]
    names = [mirrored.want(name, node, app=name) for name in ("crm", "erp")]
    mirrored.deploy(changed=True)
    assert ["version 1-1" in page(node, name) for name in names] == [True, True]


def test_a_vendors_key_signs_nothing_of_another(
    mirrored: Fleet, ready: list[Node], site: Site, vendors: tuple[Vendor, Vendor]
) -> None:
    acme, _bolt = vendors
    node = ready[0]
    refs = site.mirror()
    # Where it is mirrored
    acme.publish("erp", "9-9", "app/erp/9-9")
    with pytest.raises(ContentError, match="publishes app/erp/9-9, but app/erp is of the vendor 'bolt' here"):
        site.mirror()
    assert {ref: commit for ref, commit in site.repo.refs().items() if ":" not in ref} == refs
    # And on the node, should it come into the depot all the same.
    mirrored.want("crm", node, app="crm")
    mirrored.deploy()
    shown, held = picture(node)["instances"], layers(node)
    bad = acme.publish("erp", "9-9", "app/erp/stable", into=site.repo)
    also_bad = acme.publish("debian-13", "99", "base/forged/stable", into=site.repo, kind="base", name="forged")
    mirrored.want("forged", node, app="erp")
    mirrored.want("based", node, app="crm", base="forged")
    mirrored.refuse(
        "Appliance it-forged: app/erp/stable",
        "is not signed by the key of 'bolt'",
        "Appliance it-based: base/forged/stable",
        "is not signed by the key of 'maker'",
    )
    assert picture(node)["instances"] == shown
    assert layers(node) == held
    assert not {bad, also_bad} & held
    # The vendor itself sets its channel right.
    site.repo.set_ref("app/erp/stable", refs["app/erp/stable"])
