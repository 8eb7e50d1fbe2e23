from __future__ import annotations

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import depots, mirrors, versions
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError
from ansible_collections.strata.fleet.plugins.module_utils.sbom import Package, cyclonedx

ACME = mirrors.Mirror("acme", "https://depot.acme.example/repo", "key", ("app/*/*",))


def test_prune_keeps_the_newest_and_what_channels_name() -> None:
    refs = {f"app/nginx/1.9-{number}": f"commit {number}" for number in (1, 2, 9, 10)}
    refs |= {"app/nginx/stable": "commit 1", "base/debian-13/13.20260101.1": "b", "acme:app/nginx/1.9-2": "commit 2"}
    assert depots.plan_prune(refs, 2) == ["app/nginx/1.9-2"]
    assert depots.plan_prune(refs, 9) == []


@pytest.mark.parametrize(
    ("word", "answer"), [("1.26-1", True), ("13.20261122.1", True), ("stable", False), ("v2", False)]
)
def test_versions_begin_with_a_digit(word: str, answer: bool) -> None:
    assert versions.is_version(word) is answer


def test_mirror_takes_what_is_new() -> None:
    published = {"app/crm/stable": "c2", "app/crm/2-1": "c2", "app/crm/1-1": "c1"}
    present = {"app/crm/stable": "c1", "acme:app/crm/stable": "c1", "app/crm/1-1": "c1", "acme:app/crm/1-1": "c1"}
    assert mirrors.plan_one(ACME, published, present) == {"app/crm/stable": "c2", "app/crm/2-1": "c2"}


def test_mirror_replaces_nothing_of_another_owner() -> None:
    with pytest.raises(ContentError, match="app/nginx/stable"):
        mirrors.plan_one(ACME, {"app/nginx/stable": "c2"}, {"app/nginx/stable": "c1"})


def test_a_version_never_changes() -> None:
    present = {"app/crm/1-1": "c1", "acme:app/crm/1-1": "c1"}
    with pytest.raises(ContentError, match="versions never change"):
        mirrors.plan_one(ACME, {"app/crm/1-1": "c2"}, present)


@pytest.mark.parametrize(
    ("ref", "answer"),
    [("app/crm/stable", True), ("base/x/stable", False), ("app/crm/x/stable", False), ("app/crm", False)],
)
def test_which_refs_are_mirrored(ref: str, answer: bool) -> None:
    assert mirrors.matches(ref, ["app/*/*"]) is answer


def test_sbom_is_the_same_each_time() -> None:
    packages = [Package("libc6", "2.41-12+deb13u4", "amd64", "glibc", "")]
    document = cyclonedx("nginx", packages, [{"name": "tool.tar.gz", "sha256": "0" * 64}])
    assert document == cyclonedx("nginx", packages, [{"name": "tool.tar.gz", "sha256": "0" * 64}])
    assert document["components"][0]["purl"] == "pkg:deb/debian/libc6@2.41-12%2Bdeb13u4?arch=amd64"
    assert document["components"][1]["hashes"] == [{"alg": "SHA-256", "content": "0" * 64}]
