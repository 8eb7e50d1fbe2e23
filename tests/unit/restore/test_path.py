"""Where a path of an appliance is in its backup, and whose its files are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.backup_record import Record, SavedVolume
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition, Layer
from ansible_collections.strata.fleet.plugins.module_utils.path_restore import (
    check_folder,
    find_volume,
    have_folder,
    inside,
    locate,
    parse_map,
    target_of,
)

LAYER = Layer("x", "1", "c")
RECORD = Record(
    "web1",
    "node1",
    "2026-11-20T02:00:00.000Z",
    Composition(LAYER, LAYER, ""),
    "",
    {},
    {
        "var": SavedVolume("/var", 0, 0, "outer", "/volumes/var"),
        "data": SavedVolume("/var/lib/data", 0, 0, "inner", "/volumes/data"),
    },
)
MAP = json.dumps(
    [
        {"Isuid": True, "Isgid": False, "Hostid": 1065536, "Nsid": 0, "Maprange": 65536},
        {"Isuid": False, "Isgid": True, "Hostid": 2000000, "Nsid": 100, "Maprange": 10},
    ]
)


@pytest.mark.parametrize(
    ("path", "saved", "volume"),
    [
        ("/var", "/volumes/var", "outer"),
        ("/var/log/x", "/volumes/var/log/x", "outer"),
        ("/var/lib/data", "/volumes/data", "inner"),
        ("/var/lib/data/17/main", "/volumes/data/17/main", "inner"),
        ("/var/lib/database", "/volumes/var/lib/database", "outer"),
    ],
)
def test_found(path: str, saved: str, volume: str) -> None:
    assert locate(RECORD, path) == saved
    assert find_volume(RECORD, saved) == volume


def test_what_no_volume_holds() -> None:
    with pytest.raises(
        BadInput, match=r"/etc/passwd is not in a backup of web1: it holds what is below /var, /var/lib/d"
    ):
        locate(RECORD, "/etc/passwd")


def test_owners() -> None:
    ranges = parse_map(MAP)
    assert [inside(number, ranges, users=True) for number in (1065536, 1065569, 5)] == [0, 33, 5]
    assert [inside(number, ranges, users=False) for number in (2000003, 2000010)] == [103, 2000010]
    assert parse_map("") == []


def test_places_on_the_node() -> None:
    folder = Path("/restored")
    paths = ["/var/lib/site", "/var/lib/site/starts", "/var/lib+site/starts", "/var/lib%2Bsite/starts"]
    targets = [target_of(folder, path) for path in paths]
    assert str(targets[0]) == "/restored/var+lib+site/site"
    # None is inside of another, and no two are one.
    assert len({target.parent for target in targets}) == len(paths)
    assert all(target.parent.parent == folder for target in targets)


def test_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "restored" / "web1"
    check_folder(folder)
    have_folder(folder)
    have_folder(folder)
    assert [each.stat().st_mode & 0o777 for each in (folder, folder.parent)] == [0o700, 0o700]


def test_a_folder_below_one_that_many_use(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    have_folder(tmp_path / "web1")


@pytest.mark.parametrize(("mode", "parent"), [(0o750, 0o700), (0o701, 0o700), (0o700, 0o777), (0o700, 0o770)])
def test_a_folder_that_others_reach(tmp_path: Path, mode: int, parent: int) -> None:
    folder = tmp_path / "web1"
    folder.mkdir()
    folder.chmod(mode)
    tmp_path.chmod(parent)
    for check in (check_folder, have_folder):
        with pytest.raises(BadInput, match="into which a path of a backup is to come, has mode 0"):
            check(folder)


def test_a_folder_that_somebody_planted(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder = tmp_path / "web1"
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="is no folder"):
        have_folder(folder)
    folder.unlink()
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        with pytest.raises(BadInput, match="belongs to user 65534"):
            have_folder(folder)
