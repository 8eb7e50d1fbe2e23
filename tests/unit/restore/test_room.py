"""What a restore needs room for, and what makes room."""

from __future__ import annotations

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import DiskFull
from ansible_collections.strata.fleet.plugins.module_utils.restore_room import (
    ROOM,
    There,
    bytes_to_come,
    check_room,
    leftovers,
)

OURS = "0123abcd" * 8
BACKUP = {
    "snapshot": OURS,
    "volumes": ["data", "var"],
    "record": {"volumes": {"data": {"used": 100}, "var": {"used": 7}, "other": {"used": 1000}}},
}


@pytest.mark.parametrize(
    ("restored", "begun", "needed", "deleted"),
    [
        ({}, "", 107, []),
        ({"web1.data": "", "web1.var": ""}, "", 107, []),
        # Restored once before, and now once more: it comes again.
        ({"web1.data": OURS}, "", 107, []),
        # Cut off while it read, between two volumes, and while they change places.
        ({"web1.data.restoring": ""}, "", 107, ["web1.data.restoring"]),
        ({"web1.data.restoring": "other"}, "", 107, ["web1.data.restoring"]),
        ({"web1.data.restoring": OURS}, "", 7, []),
        ({"web1.data": OURS, "web1.var.restoring": OURS}, OURS, 0, []),
        ({"web1.data": OURS, "web1.var.restoring": OURS}, "other", 100, []),
        ({"web2.data.restoring": OURS}, "", 107, []),
    ],
)
def test_what_is_there_needs_no_room(restored: dict[str, str], begun: str, needed: int, deleted: list[str]) -> None:
    there = There(restored, {"web1": begun})
    assert bytes_to_come("web1", BACKUP, there) == needed
    assert leftovers("web1", BACKUP, there) == deleted


@pytest.mark.parametrize(
    ("needed", "free", "freed"), [(0, 0, 0), (10, ROOM + 10, 0), (10, ROOM, 10), (10, 0, ROOM + 10)]
)
def test_enough(needed: int, free: int, freed: int) -> None:
    check_room("strata", free, needed, lambda: freed)


@pytest.mark.parametrize(("free", "freed"), [(0, 0), (ROOM + 9, 0), (ROOM, 9)])
def test_not_enough(free: int, freed: int) -> None:
    with pytest.raises(DiskFull, match="The pool strata needs 10 B for what is restored"):
        check_room("strata", free, 10, lambda: freed)


def test_nothing_is_measured_where_there_is_room() -> None:
    check_room("strata", ROOM + 10, 10, lambda: pytest.fail("measured"))
