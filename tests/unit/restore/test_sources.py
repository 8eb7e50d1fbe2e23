"""A backup is believed what it says of itself only where it says so of the right appliance. With the real restic."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.backup_record import NAME, Record, SavedVolume, saved_path
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition, Layer
from ansible_collections.strata.fleet.plugins.module_utils.repositories import Repository
from ansible_collections.strata.fleet.plugins.module_utils.restic import opened
from ansible_collections.strata.fleet.plugins.module_utils.restore_sources import Request, find_backup

needs_restic = pytest.mark.skipif(not shutil.which("restic"), reason="no restic; requirements/debian restic brings it")


def write_record(folder: Path, appliance: str) -> None:
    layer = Layer("x", "1", "c")
    volumes = {"var": SavedVolume("/var", 0, 7, "[]", saved_path("var"))}
    made = "2026-11-20T02:00:00.000Z"
    record = Record(appliance, "node1", made, Composition(layer, layer, ""), "", {}, volumes)
    (folder / NAME).write_text(record.to_text())


@needs_restic
def test_a_record_of_another_appliance_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with opened(Repository("near", str(tmp_path / "repository"), "word"), tmp_path / "cache", patience=0) as restic:
        restic.prepare()
        write_record(source, "web1")
        restic.backup(str(source), [NAME], "web1")
        assert find_backup(restic, Request("web1", "near", "latest"))["bytes"] == 7
        write_record(source, "../../etc")
        restic.backup(str(source), [NAME], "web1")
        with pytest.raises(ContentError, match="is filed under web1, but its record says that it is of '"):
            find_backup(restic, Request("web1", "near", "latest"))
