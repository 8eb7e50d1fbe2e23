"""What somebody does to a mapped version is found by the marks that it leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import layer_marks
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ostree"), reason="only root checks out as it is in a store"
)


class Stored(t.NamedTuple):
    """A store with one version."""

    store: Path
    commit: str

    @property
    def folder(self) -> Path:
        return self.store / "layers" / self.commit

    def faults(self) -> list[tuple[str, str]]:
        entries = layer_marks.read_entries(self.store, self.commit, write=True)
        return layer_marks.find_faults(self.store / "repo", self.folder, entries)


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    store, tree = tmp_path / "store", tmp_path / "tree"
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/ls").write_text("list")
    (tree / "usr/bin/ls").chmod(0o755)
    (tree / "usr/bin/dir").symlink_to("ls")
    (tree / "usr/empty").touch()
    (store / "layers").mkdir(parents=True)
    repo = Repo(str(store / "repo"))
    repo.create("bare")
    commit = repo.write_tree(str(tree))
    repo.checkout(commit, str(store / "layers" / commit))
    return Stored(store, commit)


def write(folder: Path) -> None:
    with (folder / "usr/bin/ls").open("a") as file:
        file.write("more")


def replace(folder: Path) -> None:
    file = folder / "usr/bin/ls"
    file.unlink()
    file.write_text("list")
    file.chmod(0o755)
    os.utime(file, (0, 0))


def relink(folder: Path) -> None:
    (folder / "usr/bin/dir").unlink()
    (folder / "usr/bin/dir").symlink_to("evil")


def add(folder: Path) -> None:
    (folder / "usr/bin/evil").write_text("evil")
    os.utime(folder / "usr/bin/evil", (0, 0))


ATTACKS: list[tuple[t.Callable[[Path], t.Any], str, str]] = [
    (write, "/usr/bin/ls", "was written to"),
    (replace, "/usr/bin/ls", "was replaced"),
    (relink, "/usr/bin/dir", "was replaced"),
    (add, "/usr/bin/evil", "was added"),
    (lambda folder: (folder / "usr/bin/ls").chmod(0o4755), "/usr/bin/ls", "has another mode"),
    (lambda folder: (folder / "usr/bin").chmod(0o777), "/usr/bin", "has another mode"),
    (lambda folder: os.chown(folder / "usr/empty", 1, 1), "/usr/empty", "has another owner"),
    (lambda folder: (folder / "usr/empty").write_text("evil"), "/usr/empty", "was replaced"),
    (lambda folder: (folder / "usr/bin/ls").unlink(), "/usr/bin/ls", "was removed"),
    (lambda folder: shutil.rmtree(folder / "usr/bin"), "/usr/bin", "was removed"),
]


def test_what_nobody_touched_has_no_fault(stored: Stored) -> None:
    assert stored.faults() == stored.faults() == []


@pytest.mark.parametrize(("attack", "path", "words"), ATTACKS)
def test_an_attack_leaves_a_mark(stored: Stored, attack: t.Callable[[Path], t.Any], path: str, words: str) -> None:
    assert stored.faults() == []
    attack(stored.folder)
    found = dict(stored.faults())
    assert list(found) == [path]
    assert found[path].startswith(words)


def test_what_follows_from_a_digest_is_kept_once(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    first = layer_marks.read_entries(stored.store, stored.commit, write=False)
    assert not (stored.store / "facts").exists()
    layer_marks.read_entries(stored.store, stored.commit, write=True)
    (kept,) = (stored.store / "facts").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(subprocess, "run", None)
    assert layer_marks.read_entries(stored.store, stored.commit, write=False) == first


def test_what_was_kept_and_is_damaged_is_read_anew(stored: Stored) -> None:
    first = layer_marks.read_entries(stored.store, stored.commit, write=True)
    (kept,) = (stored.store / "facts").iterdir()
    kept.write_text('{"/": [')
    assert layer_marks.read_entries(stored.store, stored.commit, write=True) == first


def test_of_versions_that_are_gone_nothing_is_kept(stored: Stored) -> None:
    (stored.store / "facts").mkdir()
    old = stored.store / "facts" / f"{layer_marks.FORMAT}-{'0' * 64}.entries"
    old.write_text("{}")
    layer_marks.read_entries(stored.store, stored.commit, write=True)
    assert not old.exists()
