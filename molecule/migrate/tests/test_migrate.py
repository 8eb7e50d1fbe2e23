"""What the role migrate leaves on two nodes."""

from __future__ import annotations

import json
import typing as t

import pytest

if t.TYPE_CHECKING:
    from testinfra.host import Host

testinfra_hosts = ["ansible://nodes"]


def is_target(host: Host) -> bool:
    return host.backend.get_hostname() == "molecule-second"


def names(host: Host, path: str) -> list[str]:
    answer = json.loads(host.check_output(f"incus query '/1.0/{path}&project=strata'"))
    return [body["name"] for body in answer if body.get("type") in ("container", "custom")]


def test_appliance_and_state_are_on_one_node(host: Host) -> None:
    assert names(host, "instances?recursion=1") == (["web1"] if is_target(host) else [])
    own = names(host, "storage-pools/strata/volumes/custom?recursion=1")
    assert own == (["web1.var"] if is_target(host) else [])


def test_no_engine_listens(host: Host) -> None:
    assert host.check_output("incus config get core.https_address") == ""


def test_it_serves_there(host: Host) -> None:
    if not is_target(host):
        pytest.skip("this is the node that it left")
    page = host.check_output(
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://10.87.0.11/\").read().decode())'"
    )
    assert "<h1>molecule</h1>" in page


def test_the_node_that_it_left_knows_where_it_is(host: Host) -> None:
    if is_target(host):
        pytest.skip("this is the node that it went to")
    note = json.loads(host.file("/var/lib/strata/store/moved/web1.json").content_string)
    assert note["to"] == "molecule-second"
