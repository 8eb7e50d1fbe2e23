"""Real Git, real signatures: what is taken as the branch's head."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError, Unreachable
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.repository import Access, Repository, Trust
from ansible_collections.strata.fleet.tests.unit.gitops.site import Site, run


def mirror(site: Site) -> Repository:
    (site.folder / "state").mkdir(exist_ok=True)
    return Repository(site.folder / "state", Access(str(site.bare)))


def verify(site: Site, commit: str) -> str:
    repository = mirror(site)
    assert repository.fetch("main") == commit
    return repository.verify(commit, Trust(site.signers, ()))


def test_a_commit_that_is_signed_by_somebody_who_may(site: Site) -> None:
    commit = site.commit(message="Change the page")
    assert verify(site, commit) == "ops@example.com"
    told = mirror(site).describe(commit)
    assert (told.id, told.author, told.subject) == (commit, "Ops <ops@example.com>", "Change the page")


def test_one_that_is_not_signed(site: Site) -> None:
    with pytest.raises(ContentError, match=r"is not signed$"):
        verify(site, site.commit(""))


def test_one_that_is_signed_by_a_stranger(site: Site) -> None:
    with pytest.raises(ContentError, match=r"is not signed by anybody who is allowed to: .*No principal matched"):
        verify(site, site.commit("stranger"))


def test_a_signature_taken_from_another_commit(site: Site) -> None:
    good = site.commit()
    body = run("git", "-C", str(site.clone), "cat-file", "commit", good).replace("A change", "Another")
    forged = site.folder / "forged"
    forged.write_text(body)
    commit = site.git("hash-object", "-t", "commit", "-w", str(forged)).strip()
    site.git("reset", "--quiet", "--hard", commit)
    site.push()
    with pytest.raises(ContentError, match="is not signed by anybody who is allowed to"):
        verify(site, commit)


def test_a_key_that_has_expired_or_is_for_something_else(site: Site) -> None:
    commit, key = site.commit(), (site.folder / "allowed.pub").read_text()
    for option in ('valid-before="20200101"', 'namespaces="file"'):
        site.signers.write_text(f"ops@example.com {option} {key}")
        with pytest.raises(ContentError, match="is not signed by anybody who is allowed to"):
            verify(site, commit)
    site.signers.write_text(f'ops@example.com namespaces="git" {key}')
    assert verify(site, commit) == "ops@example.com"


def test_nobody_is_trusted(site: Site) -> None:
    commit, repository = site.commit(), mirror(site)
    repository.fetch("main")
    with pytest.raises(ContentError, match="is not signed by anybody who is allowed to"):
        repository.verify(commit, Trust(None, ()))


def test_openpgp(site: Site, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--batch", "--quiet", "--homedir", str(home)]
    run(*gpg, "--passphrase", "", "--quick-generate-key", "Ops <ops@example.com>", "ed25519", "sign", "never")
    key = tmp_path / "ops.asc"
    key.write_text(run(*gpg, "--armor", "--export", "ops@example.com"))
    program = tmp_path / "gpg"
    program.write_text(f'#!/bin/sh\nexec gpg --homedir {home} "$@"\n')
    program.chmod(0o755)
    for name, value in {"gpg.format": "openpgp", "gpg.program": str(program)}.items():
        site.git("config", name, value)
    site.git("commit", "--quiet", "--allow-empty", "--gpg-sign=ops@example.com", "--message", "Signed")
    commit, repository = site.push(), mirror(site)
    repository.fetch("main")
    assert repository.verify(commit, Trust(None, (key,))) == "Ops <ops@example.com>"
    # Once the key is taken out of the settings, it does not count any more.
    with pytest.raises(ContentError, match="is not signed by anybody who is allowed to"):
        repository.verify(commit, Trust(site.signers, ()))


def test_history(site: Site) -> None:
    first, second = site.commit(), site.commit(message="Second")
    repository = mirror(site)
    repository.fetch("main")
    assert repository.is_ancestor(first, second)
    assert not repository.is_ancestor(second, first)
    assert not repository.is_ancestor("0" * 40, second)
    assert repository.count(first, second) == 1
    site.git("reset", "--quiet", "--hard", first)
    third = site.commit(message="Instead of the second")
    assert third != second
    assert repository.fetch("main") != second
    assert not repository.is_ancestor(second, third)


def test_a_server_that_does_not_answer_and_a_branch_that_is_none(site: Site) -> None:
    site.commit()
    repository = mirror(site)
    with pytest.raises(
        Unreachable, match=r"Branch other of .*site.git cannot be fetched: fatal: couldn't find remote ref"
    ):
        repository.fetch("other")
    site.lose()
    with pytest.raises(
        Unreachable, match=r"Branch main of .*site.git cannot be fetched: fatal: .* does not appear to be a git"
    ):
        repository.fetch("main")


def test_a_password_in_the_url_is_not_shown(site: Site) -> None:
    repository = Repository(site.folder, Access("https://ops:secret@git.example.com/site.git"))
    assert repository.say() == "https://git.example.com/site.git"
    assert Repository(site.folder, Access("git@git.example.com:site.git")).say() == "git@git.example.com:site.git"


def test_files_are_exactly_those_of_the_commit(site: Site) -> None:
    first, second = site.commit(hosts="1"), site.commit(hosts="2", other="3")
    repository = mirror(site)
    repository.fetch("main")
    folder = repository.checkout(second)
    assert (folder / "hosts.yml").read_text() == "2"
    (folder / "hosts.yml").write_text("changed by hand")
    (folder / "more.yml").write_text("added by hand")
    assert {path.name for path in repository.checkout(second).iterdir()} == {".git", "hosts.yml", "other.yml"}
    assert (folder / "hosts.yml").read_text() == "2"
    assert (repository.checkout(first) / "hosts.yml").read_text() == "1"
    repository.forget({first})
    assert not folder.exists()
    assert (repository.checkout(second) / "hosts.yml").read_text() == "2"


def test_a_checkout_that_was_killed_is_made_anew(site: Site) -> None:
    commit = site.commit(hosts="1")
    repository = mirror(site)
    repository.fetch("main")
    folder = site.folder / "state" / "commits" / commit
    folder.mkdir(parents=True)
    (folder / "hosts.yml").write_text("half")
    assert (repository.checkout(commit) / "hosts.yml").read_text() == "1"


def test_limits_in_the_message(site: Site) -> None:
    lines = "Strata-Limit: remove=5\nStrata-Limit: restart=100%"
    first = site.commit(message=f"Remove the old ones\n\nThey are not used.\n\n{lines}\n")
    second = site.commit(
        message="Strata-Limit is only named\n\nNot at its end:\n\nStrata-Limit: remove=5\n\nNot here.\n"
    )
    repository = mirror(site)
    repository.fetch("main")
    assert repository.allowances(first) == ["remove=5", "restart=100%"]
    assert repository.allowances(second) == []
