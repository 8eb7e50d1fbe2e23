from __future__ import annotations

import functools
import http.server
import os
import pathlib
import shutil
import threading
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import ostree
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError, Unreachable
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo

if t.TYPE_CHECKING:
    from .conftest import Signer

REF = "app/tool/stable"
Publish = t.Callable[..., str]


def trust(store: Repo, depot: Repo, signer: Signer) -> bool:
    return store.add_remote("site", f"file://{depot.path}", key_text=signer.public)


def objects(repo: Repo, suffix: str) -> list[pathlib.Path]:
    return sorted(pathlib.Path(repo.path, "objects").glob(f"*/*.{suffix}"))


def test_create_is_idempotent_and_refuses_another_mode(store: Repo) -> None:
    assert store.create("bare") is False
    with pytest.raises(ContentError, match="mode 'bare'"):
        store.create("archive")


def test_pull_by_ref_and_by_commit(store: Repo, depot: Repo, site: Signer, publish: Publish) -> None:
    commit = publish(site, REF)
    trust(store, depot, site)
    assert store.pull("site", REF) == commit
    assert store.pull("site", commit) == commit
    assert store.has_content(commit)
    assert store.refs() == {f"site:{REF}": commit}


def test_metadata_first_then_content(store: Repo, depot: Repo, site: Signer, publish: Publish) -> None:
    commit = publish(site, REF)
    trust(store, depot, site)
    store.pull("site", REF, metadata_only=True)
    assert not store.has_content(commit)
    assert store.manifest(commit, kind="app", name="tool")["format"] == 1
    store.pull("site", commit)
    assert store.has_content(commit)


@pytest.mark.parametrize("metadata_only", [True, False])
def test_a_stranger_s_signature_is_refused(
    store: Repo, depot: Repo, site: Signer, stranger: Signer, publish: Publish, *, metadata_only: bool
) -> None:
    commit = publish(stranger, REF)
    trust(store, depot, site)
    with pytest.raises(ContentError, match="not signed by the key of 'site'"):
        store.pull("site", REF, metadata_only=metadata_only)
    assert not store.has_content(commit)


def test_what_is_here_already_is_verified_again(
    store: Repo, depot: Repo, site: Signer, stranger: Signer, publish: Publish
) -> None:
    commit = publish(stranger, REF)
    store.add_remote("stranger", f"file://{depot.path}", key_text=stranger.public)
    store.pull("stranger", REF)
    trust(store, depot, site)
    with pytest.raises(ContentError, match="not signed by the key of 'site'"):
        store.pull("site", commit)


def test_an_unsigned_commit_is_refused(store: Repo, depot: Repo, site: Signer, publish: Publish) -> None:
    publish(site, REF)
    for signature in objects(depot, "commitmeta"):
        signature.unlink()
    trust(store, depot, site)
    with pytest.raises(ContentError, match="not signed"):
        store.pull("site", REF)


def test_tampered_content_is_refused(store: Repo, depot: Repo, site: Signer, publish: Publish) -> None:
    commit = publish(site, REF)
    first, second = objects(depot, "filez")
    shutil.copy(second, first)
    trust(store, depot, site)
    with pytest.raises(ContentError, match="checksum"):
        store.pull("site", REF)
    assert not store.has_content(commit)


def test_a_missing_object_and_a_missing_ref(store: Repo, depot: Repo, site: Signer, publish: Publish) -> None:
    publish(site, REF)
    objects(depot, "filez")[0].unlink()
    trust(store, depot, site)
    with pytest.raises(ContentError, match="is not there, or not all of it"):
        store.pull("site", REF)
    with pytest.raises(ContentError, match=r"app/none/stable .* is not there"):
        store.pull("site", "app/none/stable")


def test_a_depot_that_is_gone(store: Repo, site: Signer) -> None:
    store.add_remote("site", "file:///nonexistent/depot", key_text=site.public)
    with pytest.raises(Unreachable, match="/nonexistent/depot"):
        store.pull("site", REF)
    store.add_remote("site", "http://127.0.0.1:9/depot", key_text=site.public)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        store.pull("site", REF)


def test_a_remote_is_replaced_when_its_key_changes(
    store: Repo, depot: Repo, site: Signer, stranger: Signer, publish: Publish
) -> None:
    publish(stranger, REF)
    assert trust(store, depot, site) is True
    assert trust(store, depot, site) is False
    assert trust(store, depot, stranger) is True
    store.pull("site", REF)


def test_a_key_that_is_none_is_refused(store: Repo, depot: Repo) -> None:
    with pytest.raises(ContentError, match="public key of the signer 'site' is not usable"):
        store.add_remote("site", f"file://{depot.path}", key_text="nonsense")
    assert store.remotes() == {}


def test_checkout_is_hard_linked_and_survives_a_kill(store: Repo, depot: Repo, site: Signer, publish: Publish) -> None:
    commit = publish(site, REF)
    trust(store, depot, site)
    store.pull("site", REF)
    target = pathlib.Path(store.path).parent / "layers" / commit
    left = target.with_name(f".{commit}.unfinished")
    (left / "usr").mkdir(parents=True)
    assert store.checkout(commit, str(target)) is True
    assert store.checkout(commit, str(target)) is False
    assert not left.exists()
    assert (target / "usr/bin/tool").stat().st_nlink == 2


def test_another_kind_or_name_is_refused(depot: Repo, site: Signer, publish: Publish) -> None:
    commit = publish(site, REF)
    with pytest.raises(ContentError, match="name is 'tool', but 'nginx' was asked for"):
        depot.manifest(commit, kind="app", name="nginx")
    with pytest.raises(ContentError, match="kind is 'app', but 'base'"):
        depot.manifest(commit, kind="base")


def test_a_newer_format_is_refused(depot: Repo, site: Signer, publish: Publish) -> None:
    with pytest.raises(ContentError, match="format 2"):
        depot.manifest(publish(site, REF, format=2))


def test_same_content_has_the_same_checksum(depot: Repo, tree: pathlib.Path, site: Signer, publish: Publish) -> None:
    first = publish(site, REF, version="1")
    second = publish(site, REF, version="2")
    assert first != second
    assert depot.content_checksum(first) == depot.content_checksum(second)
    (tree / "usr/bin/tool").write_text("tool 2\n")
    assert depot.content_checksum(publish(site, REF)) != depot.content_checksum(first)


def test_prune_keeps_what_a_ref_names(depot: Repo, tree: pathlib.Path, site: Signer, publish: Publish) -> None:
    first = publish(site, REF)
    (tree / "usr/bin/tool").write_text("tool 2\n")
    second = publish(site, REF)
    depot.make_delta(second)
    depot.make_delta(second, origin=first)
    depot.update_summary(site.key, site.home)
    assert sorted(depot.deltas()) == sorted([second, f"{first}-{second}"])
    depot.prune()
    assert (depot.has_content(first), depot.has_content(second)) == (False, True)
    assert (depot.rev(REF), depot.rev("app/none/stable")) == (second, None)
    depot.fsck([second])
    with pytest.raises(ContentError, match="not wholly"):
        depot.fsck([first])


def test_fsck_finds_damage(depot: Repo, site: Signer, publish: Publish) -> None:
    publish(site, REF)
    os.truncate(objects(depot, "filez")[0], 3)
    with pytest.raises(ContentError, match="damaged"):
        depot.fsck()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("error: min-free-space-size 100MB would be exceeded, at least 1 kB requested", "full"),
        ("error: Writing content object: No space left on device", "full"),
        ("error: Commit aa: GPG signatures found, but none are in trusted keyring", "signature"),
        ("error: No such branch 'x' in repository summary", "absent"),
        ("error: While fetching http://a/b: Server returned status 502", "other"),
    ],
)
def test_what_ostree_says(text: str, kind: str) -> None:
    assert ostree.kind_of_pull_failure(text) == kind


@pytest.fixture
def served(depot: Repo) -> t.Iterator[str]:
    """The depot's address over HTTP."""
    handler = functools.partial(QuietHandler, directory=depot.path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_pull_over_http(store: Repo, depot: Repo, served: str, site: Signer, publish: Publish) -> None:
    commit = publish(site, REF)
    store.add_remote("site", served, key_text=site.public)
    with pytest.raises(ContentError, match=r"app/none/stable .* is not there"):
        store.pull("site", "app/none/stable")
    taken = objects(depot, "filez")[0]
    content = taken.read_bytes()
    taken.unlink()
    with pytest.raises(ContentError, match="is not there, or not all of it"):
        store.pull("site", REF)
    assert not store.has_content(commit)
    taken.write_bytes(content)
    assert store.pull("site", REF) == commit
    assert store.has_content(commit)


def test_a_broken_delta_does_no_harm(store: Repo, depot: Repo, served: str, site: Signer, publish: Publish) -> None:
    commit = publish(site, REF)
    depot.make_delta(commit)
    depot.update_summary(site.key, site.home)
    for part in pathlib.Path(depot.path, "deltas").rglob("*"):
        if part.is_file():
            part.unlink()
    store.add_remote("site", served, key_text=site.public)
    assert store.pull("site", REF) == commit
    assert store.has_content(commit)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""
