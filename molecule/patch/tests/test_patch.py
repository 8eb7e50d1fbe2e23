"""What the role patch leaves on a node and on the controller."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from testinfra.host import Host

testinfra_hosts = ["ansible://nodes"]
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


def composition(host: Host, key: str) -> dict[str, dict[str, str]]:
    text = host.check_output(f"incus config get --project strata web1 user.strata.{key}")
    return t.cast("dict[str, dict[str, str]]", json.loads(text))


def test_the_appliance_runs_the_newer_version_and_knows_the_one_before(host: Host) -> None:
    assert composition(host, "composition")["app"]["version"].endswith(".next")
    assert not composition(host, "previous")["app"]["version"].endswith(".next")


def test_it_serves(host: Host) -> None:
    page = host.check_output(
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://10.87.0.11/\").read().decode())'"
    )
    assert "<h1>molecule</h1>" in page


def test_its_state_was_kept_as_a_snapshot(host: Host) -> None:
    snapshots = host.check_output("incus storage volume snapshot list strata web1.var --project strata --format csv")
    assert len(snapshots.splitlines()) == 1


def test_one_rollout_was_recorded() -> None:
    (file,) = (EPHEMERAL / "records").glob("*.json")
    record = json.loads(file.read_text())
    (entry,) = record["appliances"]
    assert (record["result"], entry["name"], entry["outcome"]) == ("complete", "web1", "patched")
    assert entry["interruption"] > 0
    assert file.with_suffix(".md").read_text().startswith(f"# Rollout {record['id']}: complete\n")


def test_the_last_plan_has_nothing_to_do() -> None:
    plan = json.loads((EPHEMERAL / "plan.json").read_text())
    assert [entry["verdict"] for entry in plan["appliances"]] == ["current"]
    assert plan["batches"] == []
