from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.strata.fleet.tests.unit.gitops.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
