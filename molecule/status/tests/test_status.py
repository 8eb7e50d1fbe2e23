"""What the role status writes."""

from __future__ import annotations

import json
import os
from pathlib import Path

testinfra_hosts = ["ansible://nodes"]


def test_the_file_says_that_the_appliance_is_healthy() -> None:
    (row,) = json.loads((Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "status.json").read_text())["appliances"]
    assert (row["name"], row["state"], row["health"], row["fault"]) == ("web1", "running", "healthy", "")
    assert row["address"] == "10.87.0.11"
    assert row["memory"] > 0
    assert row["boot_seconds"] > 0
