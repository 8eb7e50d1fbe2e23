"""Which backup is meant."""

from __future__ import annotations

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.restic import INCOMPLETE, Snapshot
from ansible_collections.strata.fleet.plugins.module_utils.restore_choice import choose, warn

DAYS = [Snapshot(f"{day:02d}ab" + "0" * 60, f"2026-11-{day}T02:00:00.000Z", "web1", ()) for day in (20, 21, 22)]


@pytest.mark.parametrize(
    ("asked", "day"),
    [
        ("latest", 22),
        ("", 22),
        ("20ab", 20),
        ("21ab00000", 21),
        ("2026-11-21", 20),  # the backup of that day was made later than its midnight
        ("2026-11-21T02:00", 21),
        ("2026-11-21T02:30:00+01:00", 20),
        ("2026-11-21T03:00:00+01:00", 21),
        ("2030-01-01", 22),
    ],
)
def test_chosen(asked: str, day: int) -> None:
    assert choose(DAYS, asked, "web1", "offsite").id[:2] == str(day)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("ffff", "'ffff' is no backup of web1: name latest, an id, or a time"),
        ("yesterday", "'yesterday' is no backup of web1"),
        ("2026-11-20T01:59", "There is no complete backup of web1 from 2026-11-20T01:59 or before."),
    ],
)
def test_refused_with_what_there_is(asked: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        choose(DAYS, asked, "web1", "offsite")
    assert sentence in caught.value.message
    assert "offsite has of web1: 22ab0000 of 2026-11-22T02:00:00.000Z, 21ab0000 of" in caught.value.message


def test_an_id_that_several_have() -> None:
    twins = [each._replace(id="aaaa" + each.id) for each in DAYS]
    with pytest.raises(BadInput, match="3 backups of web1 have an id that begins with 'aaaa'"):
        choose(twins, "aaaa", "web1", "offsite")


def test_nothing_to_choose_from() -> None:
    with pytest.raises(BadInput, match="Repository offsite has no backup of web1"):
        choose([], "latest", "web1", "offsite")


def marred(*days: int) -> list[Snapshot]:
    return [each._replace(tags=(INCOMPLETE,)) if int(each.id[:2]) in days else each for each in DAYS]


@pytest.mark.parametrize(("asked", "day"), [("latest", 21), ("2026-11-30", 21), ("22ab", 22)])
def test_an_incomplete_one_is_meant_by_its_id_alone(asked: str, day: int) -> None:
    assert choose(marred(22), asked, "web1", "offsite").id[:2] == str(day)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("latest", "There is no complete backup of web1: files could not be read."),
        ("2026-11-30", "There is no complete backup of web1 from 2026-11-30 or before."),
    ],
)
def test_without_a_complete_one_the_ids_are_told(asked: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        choose(marred(20, 21, 22), asked, "web1", "offsite")
    assert sentence in caught.value.message
    assert "22ab0000 of 2026-11-22T02:00:00.000Z (incomplete), " in caught.value.message


def test_what_is_missing_is_said() -> None:
    assert "backup 22ab0000 is incomplete" in warn("web1", DAYS[-1].id)
