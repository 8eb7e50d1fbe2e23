"""What a restore that is under way needs of the store."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition, Layer
from ansible_collections.strata.fleet.plugins.module_utils.store import locked
from ansible_collections.strata.fleet.plugins.module_utils.store_needs import needing, read_all, require

OURS = Composition(Layer("debian-13", "13.1", "b1"), Layer("nginx", "1", "a1"), "")


def test_it_is_kept_until_the_run_ends(tmp_path: Path) -> None:
    folder = tmp_path / "restores"
    with locked(str(folder)), needing(folder, [OURS, OURS]):
        assert read_all(tmp_path) == {"b1", "a1"}
        with locked(str(tmp_path / "drills")):
            assert read_all(tmp_path) == {"b1", "a1"}
    assert read_all(tmp_path) == set()
    assert not (folder / "needs.json").exists()


def test_what_a_killed_run_left_counts_for_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "restores"
    folder.mkdir()
    (folder / "needs.json").write_text('["a1"]')
    (folder / "lock").touch()
    assert read_all(tmp_path) == set()
    with locked(str(folder)):
        assert read_all(tmp_path) == {"a1"}


def test_what_was_staged_may_be_gone(tmp_path: Path) -> None:
    with pytest.raises(StrataError, match=r"Appliance web1: debian-13 .* was removed from the store"):
        require(tmp_path, "web1", OURS)
