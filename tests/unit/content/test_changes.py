from __future__ import annotations

import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import changes, manifests
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.tests.unit.content.conftest import Signer

Data = dict[str, t.Any]


def version(number: int, **packages: str) -> Data:
    return {"version": f"13.20260101.{number}", "packages": packages}


def entry(number: int, origin: int, **packages: list[str]) -> Data:
    listed = [
        {"name": name, "source": name, "from": "a", "to": "b", "cves": cves, "advisories": [], "changes": []}
        for name, cves in packages.items()
    ]
    return {"version": f"13.20260101.{number}", "from": f"13.20260101.{origin}", "packages": listed}


HISTORY = [
    entry(10, 9, openssl=["CVE-2026-10"]),
    entry(9, 2, openssl=["CVE-2026-9", "CVE-2026-1000"], zlib=["CVE-2026-7"]),
    entry(2, 1, tzdata=[]),
]


def test_a_jump_over_several_versions_names_all_fixes() -> None:
    old, new = version(2, openssl="3.1", zlib="1.0", gone="1"), version(10, openssl="3.3", zlib="1.0", came="2")
    assert changes.between(HISTORY, old, new) == {
        "packages": [
            {"name": "came", "from": None, "to": "2", "cves": []},
            {"name": "gone", "from": "1", "to": None, "cves": []},
            {"name": "openssl", "from": "3.1", "to": "3.3", "cves": ["CVE-2026-9", "CVE-2026-10", "CVE-2026-1000"]},
        ],
        "cves": ["CVE-2026-9", "CVE-2026-10", "CVE-2026-1000"],
        "advisories": [],
        "complete": True,
    }


def test_nothing_lies_between_a_version_and_itself() -> None:
    same = version(2, openssl="3.1")
    assert changes.between([], same, same) == {"packages": [], "cves": [], "advisories": [], "complete": True}


def test_going_back_fixes_nothing() -> None:
    found = changes.between(HISTORY[2:], version(10, openssl="3.3"), version(2, openssl="3.1"))
    assert found["packages"] == [{"name": "openssl", "from": "3.3", "to": "3.1", "cves": []}]
    assert (found["cves"], found["complete"]) == ([], False)


@pytest.mark.parametrize(
    ("history", "old", "cves"),
    [
        (HISTORY[:1], 2, ["CVE-2026-10"]),
        (HISTORY, 5, ["CVE-2026-9", "CVE-2026-10", "CVE-2026-1000"]),
        ([], 2, []),
        ([entry(10, 10, openssl=["CVE-2026-10"])], 2, ["CVE-2026-10"]),
    ],
    ids=["too short", "another branch", "none", "damaged"],
)
def test_a_history_that_does_not_reach_back_says_so(history: list[Data], old: int, cves: list[str]) -> None:
    found = changes.between(history, version(old, openssl="3.1"), version(10, openssl="3.3"))
    assert (found["cves"], found["complete"]) == (cves, False)


def test_what_is_in_a_commit(depot: Repo, tree: object, site: Signer) -> None:
    def commit(**metadata: str) -> str:
        return depot.commit_tree(str(tree), refs=[], metadata=metadata, gpg_key=site.key, gpg_home=site.home)

    assert changes.read(depot, commit()) == []
    assert changes.read(depot, commit(**{changes.CHANGES_KEY: manifests.encode(HISTORY)})) == HISTORY
    good = HISTORY[0]
    package = good["packages"][0]
    for bad in (
        {"version": "1"},
        {**good, "from": 1},
        {**good, "packages": 5},
        {**good, "packages": ["openssl"]},
        {**good, "packages": [{**package, "name": None}]},
        {**good, "packages": [{**package, "cves": [["CVE-2026-1234"]]}]},
        {**good, "packages": [{**package, "cves": ["CVE-2026-1234\x1b[2J"]}]},
    ):
        assert not changes.is_entry(bad), bad
    with pytest.raises(ContentError, match="history of"):
        changes.read(depot, commit(**{changes.CHANGES_KEY: manifests.encode([{"version": "1"}])}))
