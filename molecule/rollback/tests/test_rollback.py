"""What the role rollback leaves on a node."""

from __future__ import annotations

import json
import typing as t

if t.TYPE_CHECKING:
    from testinfra.host import Host

testinfra_hosts = ["ansible://nodes"]


def composition(host: Host, key: str) -> dict[str, dict[str, str]]:
    text = host.check_output(f"incus config get --project strata web1 user.strata.{key}")
    return t.cast("dict[str, dict[str, str]]", json.loads(text))


def test_the_appliance_runs_the_version_before(host: Host) -> None:
    assert not composition(host, "composition")["app"]["version"].endswith(".next")
    assert composition(host, "previous")["app"]["version"].endswith(".next")


def test_it_serves(host: Host) -> None:
    page = host.check_output(
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://10.87.0.11/\").read().decode())'"
    )
    assert "<h1>molecule</h1>" in page


def test_what_was_left_is_remembered_as_bad(host: Host) -> None:
    marks = json.loads(host.file("/var/lib/strata/store/marks/web1.json").content_string)
    (bad,) = marks["bad"]
    assert bad["app_version"].endswith(".next")
    assert bad["reason"] == "rolled back on request"
