"""What the role drill leaves on a node: what it proved, and nothing else."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from testinfra.host import Host

testinfra_hosts = ["ansible://nodes"]


def ask(host: Host, path: str) -> t.Any:
    return json.loads(host.check_output("incus query %s", path))


def test_the_backup_is_proven(host: Host) -> None:
    remembered = json.loads(host.file("/var/lib/strata/store/backups/web1.json").content_string)
    assert remembered["proven"]["snapshot"] == remembered["good"]["snapshot"]
    assert remembered["proven"]["reason"] == ""
    assert remembered["proven"]["seconds"] > 0


def test_the_report_has_it(host: Host) -> None:
    report = json.loads(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "drill.json").read_text())
    assert [(row["appliance"], row["outcome"]) for row in report["drills"]] == [("web1", "proven")]
    assert [check["fault"] for check in report["checks"]] == [""]
    assert host.file("/srv/backups/config").exists


def test_the_copy_is_gone(host: Host) -> None:
    assert [body["name"] for body in ask(host, "/1.0/instances?recursion=1&project=strata")] == ["web1"]
    volumes = ask(host, "/1.0/storage-pools/strata/volumes/custom?recursion=1&project=strata")
    assert [body["name"] for body in volumes] == ["web1.var"]
    assert "strata-drill" not in [body["name"] for body in ask(host, "/1.0/networks?recursion=1")]
    assert host.check_output("ls /var/lib/strata/store/config") == "web1"


def test_the_appliance_was_left_alone(host: Host) -> None:
    assert host.check_output("incus exec --project strata web1 -- cat /var/lib/note") == "after"
