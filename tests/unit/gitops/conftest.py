from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import playbooks, undo
from ansible_collections.strata.fleet.tests.unit.gitops.site import Fleet, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made = Fleet()
    monkeypatch.setattr(playbooks, "run", made.run)
    monkeypatch.setattr(undo, "SECOND_LOOK", 0)
    return made
