"""Maintenance windows as data: each file in windows/ has windows, and moments with what is to be said of them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.plugin_utils.gate import say_time
from ansible_collections.strata.fleet.plugins.plugin_utils.windows import is_open, next_opening

CASES = [
    pytest.param(case["windows"], moment, said, id=f"{path.stem}-{moment}")
    for path in sorted((Path(__file__).parent / "windows").glob("*.yml"))
    for case in [yaml.safe_load(path.read_text())]
    for moment, said in case["moments"].items()
]


@pytest.mark.parametrize(("windows", "moment", "said"), CASES)
def test_windows(windows: list[dict[str, str]], moment: str, said: str) -> None:
    now = dt.datetime.fromisoformat(moment)
    assert ("open" if is_open(windows, now) else say_time(next_opening(windows, now))) == said


def test_without_windows_it_is_always_time() -> None:
    assert is_open([], dt.datetime(2026, 11, 22, tzinfo=dt.UTC))
