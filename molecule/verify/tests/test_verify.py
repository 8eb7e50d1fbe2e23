"""What the role verify writes about a node that nobody touched."""

from __future__ import annotations

import json
import os
from pathlib import Path

testinfra_hosts = ["ansible://nodes"]


def test_there_is_no_finding() -> None:
    report = json.loads((Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "verify.json").read_text())
    assert report["findings"] == []
    assert report["nodes"] == {"molecule-engine": {"appliances": 1, "fault": "", "unchecked": [], "verified": True}}
