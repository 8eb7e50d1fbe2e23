"""Inventories as data: each file in fleet/ says what the inventory has, and the fleet or the refusal that follows.

``inventory`` are the nodes (one without variables unless said), ``appliances`` what differs from DEFAULTS (null
removes).
"""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import build_fleet, find_pauses

CASES = sorted((Path(__file__).parent / "fleet").glob("*.yml"))
DEFAULTS = {"appliance_app": "nginx", "appliance_base": "debian-13"}


def load(path: Path) -> tuple[dict[str, t.Any], dict[str, t.Any], dict[str, t.Any]]:
    case = yaml.safe_load(path.read_text())
    appliances = {
        name: {key: value for key, value in {**DEFAULTS, **given}.items() if value is not None}
        for name, given in case["appliances"].items()
    }
    return case.get("inventory", {"node1": {}}), appliances, case


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_fleet(path: Path) -> None:
    nodes, appliances, case = load(path)
    if "error" not in case:
        fleet = build_fleet(nodes, appliances)
        assert fleet == case.get("nodes", fleet)
        return
    with pytest.raises(BadInput) as caught:
        build_fleet(nodes, appliances)
    assert caught.value.message == case["error"]


@pytest.mark.parametrize(
    ("today", "holds"), [("2026-12-23", True), ("2026-12-24", True), ("2026-12-25", False), ("2027-01-01", False)]
)
def test_a_pause_holds_until_its_last_day_is_over(today: str, holds: bool) -> None:
    pause = {"reason": "measurements", "until": "2026-12-24"}
    held, ended = find_pauses({"web1": {"appliance_pause": pause}, "web2": {}}, today)
    assert held == ({"web1": pause} if holds else {})
    assert ended == ({} if holds else {"web1": pause})
