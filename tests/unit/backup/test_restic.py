"""The client of restic, with the real program, of whichever version this machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import (
    BadInput,
    ContentError,
    RepositoryAbsent,
    RepositoryError,
)
from ansible_collections.strata.fleet.plugins.module_utils.repositories import (
    Repository,
    environment_of,
    in_memory,
    ssh_options,
    without_secrets,
)
from ansible_collections.strata.fleet.plugins.module_utils.restic import Restic, opened

needs_restic = pytest.mark.skipif(not shutil.which("restic"), reason="no restic; requirements/debian restic brings it")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository("near", str(tmp_path / "repository"), "word")


@pytest.fixture
def restic(repository: Repository, tmp_path: Path) -> t.Iterator[Restic]:
    with opened(repository, tmp_path / "cache", patience=0) as client:
        yield client


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with what is easily lost: hard links, a link to nowhere, modes, attributes, names like patterns."""
    top = tmp_path / "source" / "volumes" / "var"
    (top / "sub").mkdir(parents=True)
    (top / "sub" / "f[1]*").write_text("one")
    (top / "sub" / "f1").write_text("two")
    (top / "big").write_bytes(os.urandom(300_000))
    os.link(top / "big", top / "sub" / "twin")
    (top / "nowhere").symlink_to("/nowhere")
    top.chmod(0o2750)
    return tmp_path / "source"


def owner_and_mode(path: Path) -> tuple[int, int, int]:
    state = path.lstat()
    return state.st_uid, state.st_gid, state.st_mode


@needs_restic
def test_what_is_restored_is_what_was_backed_up(restic: Restic, source: Path, tmp_path: Path) -> None:
    assert restic.prepare() == restic.prepare() != ""
    first = restic.backup(str(source), ["volumes"], "web1")
    again = restic.backup(str(source), ["volumes"], "web1")
    assert first.added > 300_000
    assert again.added < 5_000
    assert [each.id for each in restic.snapshots("web1")] == [first.id, again.id]
    assert [each.id for each in restic.snapshots(snapshot=first.id[:8])] == [first.id]
    assert restic.snapshots("web2") == []

    target = tmp_path / "target"
    target.mkdir()
    restic.restore(again.id, "/volumes/var", target)
    top = source / "volumes" / "var"
    wanted = {path.relative_to(top): owner_and_mode(path) for path in [top, *top.rglob("*")]}
    assert {path.relative_to(target): owner_and_mode(path) for path in [target, *target.rglob("*")]} == wanted
    assert (target / "big").stat().st_ino == (target / "sub" / "twin").stat().st_ino
    assert (target / "big").read_bytes() == (top / "big").read_bytes()

    single = tmp_path / "single"
    single.mkdir()
    restic.restore(again.id, "/volumes/var/sub/f[1]*", single)
    assert {path.name: path.read_text() for path in single.iterdir()} == {"f[1]*": "one"}
    with pytest.raises(BadInput, match="nothing at /volumes/data"):
        restic.restore(again.id, "/volumes/data", single)


@needs_restic
def test_what_is_let_go_of_and_what_damage_is_found(restic: Restic, source: Path, repository: Repository) -> None:
    restic.prepare()
    for _each in range(3):
        restic.backup(str(source), ["volumes"], "web1")
    other = restic.backup(str(source), ["volumes"], "web2")
    assert restic.forget("web1", {"last": 1}) == 2
    assert [each.id for each in restic.snapshots("web2")] == [other.id]
    restic.prune()
    restic.check("100%")
    pack = max(Path(repository.url, "data").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    content = bytearray(pack.read_bytes())
    content[100] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    with pytest.raises(ContentError, match="check of repository near failed"):
        restic.check("100%")


def unable(source: Path) -> list[str]:
    """Return words before restic's, with which it cannot read all of the source."""
    top = source / "volumes" / "var"
    (top / "shut").write_text("three")
    (top / "shut").chmod(0)
    away = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    return [*away, "env", f"--chdir={source}"]


@needs_restic
def test_what_lacks_files_displaces_nothing_whole(restic: Restic, source: Path) -> None:
    restic.prepare()
    whole = [restic.backup(str(source), ["volumes"], "web1") for _each in range(2)]
    halves = [restic.backup(str(source), ["volumes"], "web1", unable(source)) for _each in range(3)]
    made = [(each.id, each.is_complete) for each in (*whole, *halves)]
    assert [is_complete for _id, is_complete in made] == [True, True, False, False, False]
    assert [(each.id, each.is_complete) for each in restic.snapshots("web1")] == made
    assert restic.snapshots(snapshot=halves[0].id[:8])[0].is_complete is False

    assert restic.forget("web1", {"last": 2}) == 0, "the newest may hold what no other does"
    assert {each.id for each in whole} < {each.id for each in restic.snapshots("web1")}
    (source / "volumes" / "var" / "shut").unlink()
    last = restic.backup(str(source), ["volumes"], "web1")
    assert restic.forget("web1", {"last": 2}) == 4
    assert [each.id for each in restic.snapshots("web1")] == [whole[1].id, last.id]


@needs_restic
def test_nothing_is_made_in_the_place_of_what_is_gone(restic: Restic, repository: Repository) -> None:
    known = restic.prepare()
    assert restic.prepare({known}) == known
    with pytest.raises(RepositoryAbsent, match="another one now"):
        restic.prepare({"0" * 64})
    shutil.rmtree(repository.url)
    with pytest.raises(RepositoryError):
        restic.prepare({known})
    assert not Path(repository.url).exists()


@needs_restic
def test_another_password_makes_no_other_repository(restic: Restic, repository: Repository, tmp_path: Path) -> None:
    restic.prepare()
    before = sorted(Path(repository.url).rglob("*"))
    wrong = repository._replace(password="other")
    with (
        opened(wrong, tmp_path / "cache", patience=0) as client,
        pytest.raises(RepositoryError, match="wrong password"),
    ):
        client.prepare()
    assert sorted(Path(repository.url).rglob("*")) == before


def test_secrets_are_only_in_the_environment() -> None:
    own = {"RESTIC_REST_USERNAME": "me", "RESTIC_REST_PASSWORD": "a/b", "OTHER": "x"}
    environment = environment_of(Repository("far", "rest:https://host:8000/way", "word", own))
    assert environment["RESTIC_REPOSITORY"] == "rest:https://me:a%2Fb@host:8000/way"
    assert environment["RESTIC_PASSWORD"] == "word"
    assert environment["OTHER"] == "x"
    with pytest.raises(BadInput, match="far has no password"):
        environment_of(Repository("far", "/srv", ""))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sftp:me@host:/srv", "me@host -s sftp"),
        ("sftp:host:srv", "host -s sftp"),
        ("sftp://me@host:2222//srv", "-p2222 me@host -s sftp"),
    ],
)
def test_ssh_is_told_where_and_with_what(url: str, words: str) -> None:
    flag, command = ssh_options(url, "/key", "/hosts")
    assert flag == "--option"
    assert command.startswith("sftp.command=ssh -oBatchMode=yes -oStrictHostKeyChecking=yes ")
    assert command.endswith(words)
    assert "-oIdentityFile=/key" in command
    assert "-oUserKnownHostsFile=/hosts" in command
    assert ssh_options("/srv", "/key", "/hosts") == []


def test_a_key_in_memory_is_read_by_other_programs_and_gone_afterwards() -> None:
    with in_memory("secret") as path:
        assert subprocess.run(["cat", path], check=True, capture_output=True, text=True).stdout == "secret\n"
        assert Path(path).stat().st_mode & 0o777 == 0o600
    assert not Path(path).exists()


def test_what_a_program_said_is_shown_without_secrets() -> None:
    own = {"AWS_SECRET_ACCESS_KEY": "a-long-key", "GOMAXPROCS": "1"}
    repository = Repository("far", "s3:https://host/way", "word-of-it", own)
    said = without_secrets("401: word-of-it, a-long-key", repository)
    assert said == "401: ********, ********"
