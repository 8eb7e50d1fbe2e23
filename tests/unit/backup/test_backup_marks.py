"""What a node remembers of backups, while drills, timers and playbooks write it side by side."""

from __future__ import annotations

import json
import shutil
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import backup_marks, marks
from ansible_collections.strata.fleet.plugins.module_utils.errors import RepositoryAbsent, RepositoryError
from ansible_collections.strata.fleet.plugins.module_utils.repositories import Repository
from ansible_collections.strata.fleet.plugins.module_utils.restic import opened

GOOD = backup_marks.Good("a" * 64, "2026-11-22T10:00:00.000Z", 1.0, 2, 3, 4)
PROOF = backup_marks.Proof("a" * 64, "2026-11-22T11:00:00.000Z", 1.0, 2)


def test_those_who_write_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    def fail(_number: int) -> None:
        backup_marks.note_failure(tmp_path, "web1", "near", "2026-11-22T10:00:00.000Z", "odd")

    def drill(_number: int) -> None:
        backup_marks.note_drill(tmp_path, "web1", PROOF)

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(work, number) for number in range(40) for work in (fail, drill)]
        for each in waiting:
            each.result()
    known = backup_marks.read(tmp_path, "web1")
    assert known["failures"] == 40
    assert known["proven"]["snapshot"] == PROOF.snapshot
    assert [path.name for path in (tmp_path / "backups").iterdir() if path.name.endswith(".new")] == []


def test_a_file_that_cannot_be_written_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "web1.json"
    marks.write_durably(path, "old")
    with pytest.raises(UnicodeEncodeError):
        marks.write_durably(path, "\udc80")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_repository_is_remembered_longer_than_who_was_backed_up_to_it(tmp_path: Path) -> None:
    backup_marks.note_good(tmp_path, "web1", "near", "1" * 64, GOOD)
    backup_marks.note_failure(tmp_path, "web2", "near", "2026-11-22T10:00:00.000Z", "odd")
    backup_marks.remove(tmp_path, "web1")
    for is_local in (True, False):
        assert backup_marks.find_ids(tmp_path, "near", is_local=is_local) == {"1" * 64}
        assert backup_marks.find_ids(tmp_path, "far", is_local=is_local) == set()


def write(store: Path, name: str, known: dict[str, t.Any]) -> None:
    path = backup_marks.path_of(store, name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(known))


def test_what_appliances_brought_along_counts_for_what_other_nodes_reach_as_well(tmp_path: Path) -> None:
    write(tmp_path, "web1", {"repository": "near", "id": "1" * 64})
    write(tmp_path, "web2", {"repository": "near", "id": "2" * 64})
    (tmp_path / "backups" / "web1.appliance.json").write_text("{")
    assert backup_marks.find_ids(tmp_path, "near", is_local=False) == {"1" * 64, "2" * 64}
    assert backup_marks.find_ids(tmp_path, "near", is_local=True) == set()
    backup_marks.note_good(tmp_path, "web3", "near", "3" * 64, GOOD)
    assert backup_marks.find_ids(tmp_path, "near", is_local=False) == {"3" * 64}


@pytest.mark.skipif(not shutil.which("restic"), reason="no restic; requirements/debian restic brings it")
def test_a_new_appliance_makes_no_repository_in_the_place_of_one_that_is_gone(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    repository = Repository("near", str(tmp_path / "repository"), "word")
    with opened(repository, tmp_path / "cache", patience=0) as restic:
        known = restic.prepare(backup_marks.find_ids(store, "near", is_local=repository.is_local))
        backup_marks.note_good(store, "web1", "near", known, GOOD)
        backup_marks.remove(store, "web1")
        shutil.rmtree(repository.url)
        with pytest.raises(RepositoryError):  # restic before 0.17 does not tell why
            restic.prepare(backup_marks.find_ids(store, "near", is_local=repository.is_local))
        assert not Path(repository.url).exists()
        restic.init()
        with pytest.raises(RepositoryAbsent, match="another one now"):
            restic.prepare(backup_marks.find_ids(store, "near", is_local=repository.is_local))
