"""Who signed a commit, and a second signature beside a vendor's. Keys, depots and stores are real."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import signatures
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, CommandError
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.store import Signer, Store, Wish
from ansible_collections.strata.fleet.plugins.modules import countersign, depot

from . import conftest
from .test_vendors import Vendor, make_vendor

Data = dict[str, t.Any]


@pytest.fixture
def acme(stranger: conftest.Signer, tmp_path: pathlib.Path, tree: pathlib.Path) -> Vendor:
    return make_vendor("acme", stranger, tmp_path, tree)


@pytest.fixture
def own(tmp_path: pathlib.Path) -> t.Iterator[Depot]:
    # gpg's agent wants a short path for its socket; the depot's own folder is as deep as pytest makes it.
    made = Depot(str(tmp_path / "site"))
    yield made
    if made.gpg_home.is_dir():
        made.stop_agent()


def mirror(own: Depot, *mirrors: Data) -> None:
    given = {"path": str(own.path), "signer": "Site", "key_file": None, "keep": 5, "mirrors": list(mirrors)}
    depot.work(given, False)


def sign(own: Depot, source: str = "1-1", *, check_mode: bool = False) -> t.Any:
    return countersign.work({"depot": str(own.path), "name": "app/tool", "source": source}, check_mode)


def names(signers: t.Iterable[Data]) -> list[str]:
    return [each["name"] for each in signers]


def test_a_vendors_version_is_signed_once_more(own: Depot, acme: Vendor) -> None:
    commit = acme.publish(name="tool")
    mirror(own, acme.mirror())
    assert names(own.signers(commit)) == ["acme"]
    planned = sign(own, check_mode=True)
    assert (planned.changed, names(own.signers(commit))) == (True, ["acme"])
    done = sign(own)
    assert (done.changed, done.steps, done.after) == (True, planned.steps, planned.after)
    assert names(own.signers(commit)) == ["acme", ""]
    assert done.facts["signers"] == countersign.short(own.signers(commit))
    again = sign(own, "stable")
    assert (again.changed, again.facts["signers"]) == (False, done.facts["signers"])
    assert len(signatures.parse(own.repo.signatures(commit))) == 2


def test_mirroring_again_keeps_the_signature(own: Depot, acme: Vendor) -> None:
    commit = acme.publish(name="tool")
    mirror(own, acme.mirror())
    sign(own)
    acme.repo.set_ref("app/tool/edge", commit)
    acme.summarize()
    mirror(own, acme.mirror())
    assert own.channel("app", "tool", "edge") == commit
    assert names(own.signers(commit)) == ["acme", ""]


def test_what_was_not_countersigned_is_not_by_mirroring(own: Depot, acme: Vendor) -> None:
    first = acme.publish(name="tool")
    mirror(own, acme.mirror())
    sign(own)
    second = acme.publish(name="tool", version="2-1")
    mirror(own, acme.mirror())
    assert [names(own.signers(each)) for each in (first, second)] == [["acme", ""], ["acme"]]


def test_a_node_that_has_the_version_takes_the_signature_over(own: Depot, acme: Vendor, tmp_path: pathlib.Path) -> None:
    commit = acme.publish(name="tool")
    mirror(own, acme.mirror())
    trust = [Signer("acme", acme.signer.public, ["app/*"]), Signer("site", own.public_key_file.read_text(), ["base/*"])]
    store = Store(str(tmp_path / "node"), f"file://{own.repo.path}", trust)
    store.prepare()
    with store.catalogue() as catalogue:
        found = store.look_up(catalogue, Wish("app", "tool", "1-1", ""))
    store.fetch(found, "app")
    repo = Repo(str(tmp_path / "node/repo"))
    assert names(signatures.signers_of(repo, commit)) == ["acme"]
    assert store.find_new_signatures() == []
    sign(own)
    (renewed,) = store.find_new_signatures()
    assert names(signatures.signers_of(repo, commit)) == ["acme"]
    store.take_signatures([renewed])
    assert names(signatures.signers_of(repo, commit)) == ["acme", "site"]
    assert names(signatures.signers_of(repo, commit, ["site"])) == ["site"]
    assert (store.find_new_signatures(), store.holds(commit)) == ([], True)


def test_versions_that_the_depot_dropped_keep_what_they_have(own: Depot, acme: Vendor, tmp_path: pathlib.Path) -> None:
    acme.publish(name="tool")
    mirror(own, acme.mirror())
    store = Store(str(tmp_path / "node"), f"file://{own.repo.path}", [Signer("acme", acme.signer.public, ["app/*"])])
    store.prepare()
    with store.catalogue() as catalogue:
        store.fetch(store.look_up(catalogue, Wish("app", "tool", "1-1", "")), "app")
    for word in ("1-1", "stable"):
        own.drop(f"app/tool/{word}")
    own.repo.prune()
    assert store.find_new_signatures() == []


def test_a_signature_is_of_one_commit(acme: Vendor, own: Depot) -> None:
    first, second = acme.publish(name="tool"), acme.publish(name="tool", version="2-1")
    mirror(own, acme.mirror())
    moved = signatures.parse(own.repo.signatures(first))
    keyrings = own.repo.keyrings()
    assert signatures.verify(moved, own.repo.commit_file(first), keyrings)
    assert signatures.verify(moved, own.repo.commit_file(second), keyrings) == []
    assert signatures.verify([moved[0][:-1]], own.repo.commit_file(first), keyrings) == []


def test_who_is_not_known_has_not_signed(own: Depot, acme: Vendor, site: conftest.Signer, store: Repo) -> None:
    commit = acme.publish(name="tool")
    mirror(own, acme.mirror())
    store.add_remote("acme", f"file://{own.repo.path}", key_text=acme.signer.public)
    store.pull("acme", "app/tool/1-1")
    store.add_remote("acme", f"file://{own.repo.path}", key_text=site.public)
    assert signatures.signers_of(store, commit) == []


def test_without_gpg_nobody_can_tell(
    own: Depot, acme: Vendor, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = acme.publish(name="tool")
    mirror(own, acme.mirror())
    only = tmp_path / "bin"
    only.mkdir()
    (only / "ostree").symlink_to("/usr/bin/ostree")
    monkeypatch.setenv("PATH", str(only))
    with pytest.raises(CommandError, match="gpg is not installed"):
        signatures.signers_of(own.repo, commit)


def test_a_version_that_is_not_there(own: Depot, acme: Vendor) -> None:
    acme.publish(name="tool")
    mirror(own, acme.mirror())
    with pytest.raises(BadInput, match="has neither channel nor version '9-9'"):
        sign(own, "9-9")


STATUS = "[GNUPG:] VALIDSIG SUB 2026-11-22 1 0 4 0 22 8 00 PRIMARY\n"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["GOODSIG 1 x"], ["PRIMARY"]),
        (["EXPKEYSIG 1 x"], []),
        (["REVKEYSIG 1 x"], []),
        (["EXPSIG 1 x"], []),
        ([], []),
        (["GOODSIG 1 x", "NEWSIG"], []),
    ],
)
def test_only_good_signatures_count(lines: list[str], found: list[str]) -> None:
    status = "".join(f"[GNUPG:] {line}\n" for line in lines) + STATUS
    assert [each["fingerprint"] for each in signatures.read_status(status, "site")] == found
