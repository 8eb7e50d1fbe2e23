"""What the role lockdown writes."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path


def read() -> dict[str, t.Any]:
    payload: dict[str, t.Any] = json.loads(
        (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "policy.json").read_text()
    )
    return payload


def test_the_appliance_is_under_both_policies() -> None:
    payload = read()
    web1 = payload["appliances"]["web1"]
    assert web1["names"] == ["web1", "appliances", "web", "all", "base/debian-13", "app/nginx"]
    policy = payload["policies"][web1["policy"]]
    assert (policy["names"], policy["mode"], policy["owner"]) == (["site", "web"], "enforce", "IT security")
    assert policy["rules"]["published-ports"] == {"value": ["80/tcp"], "severity": "medium", "from": "web"}
    assert policy["rules"]["unprivileged"]["from"] == "profile baseline"


def test_the_node_is_under_the_general_one() -> None:
    payload = read()
    policy = payload["policies"][payload["nodes"]["node1"]["policy"]]
    assert (policy["names"], policy["mode"]) == (["site"], "audit")


def test_the_waiver_is_good_for_something() -> None:
    payload = read()
    assert [waiver["expires"] for waiver in payload["waivers"]] == ["2099-12-31"]
    assert (payload["orphans"], payload["conflicts"]) == ([], [])
