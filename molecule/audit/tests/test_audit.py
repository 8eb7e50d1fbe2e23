"""What the role audit writes about an appliance that nobody touched, under the profile hardened."""

from __future__ import annotations

import json
import os
from pathlib import Path

testinfra_hosts = ["ansible://nodes"]
REPORTS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "audit"


def test_an_appliance_that_nobody_touched_has_no_finding() -> None:
    report = json.loads((REPORTS / "audit.json").read_text())
    assert report["good"]
    subjects = {each for finding in report["findings"] for case in finding["cases"] for each in case["subjects"]}
    assert "molecule-engine/web1" not in subjects
    assert report["nodes"]["molecule-engine"]["audited"]


def test_the_report_is_there_for_people_and_for_programs() -> None:
    assert {path.name for path in REPORTS.iterdir()} == {"audit.json", "audit.xml", "audit.sarif", "audit.html"}
    assert "<script" not in (REPORTS / "audit.html").read_text()
