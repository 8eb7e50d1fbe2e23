"""Values of rules as data: each file in settings/ is a kind of setting (or a rule with a form of its own).

``faults``: values and what is wrong with them. ``pairs``: two values, how the first is looser than the second ('' for
not at all), and what they are together.
"""

from __future__ import annotations

import itertools
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import settings
from debian.debian_support import Version

FILES = {path.stem: yaml.safe_load(path.read_text()) for path in (Path(__file__).parent / "settings").glob("*.yml")}
VERSIONS = [
    *("1", "1~", "1~rc1", "1a", "1.0", "1.0-0", "1.0-1", "1.0+b1", "1.0+deb13u1", "1.0.0", "1.10", "1.9", "2:0.1"),
    *("13.20261122.1", "13.20261122.10", "1-1~bpo"),
]


def cases(key: str) -> list[t.Any]:
    return [
        pytest.param(name, file["setting"], case, id=f"{name}-{number}")
        for name, file in sorted(FILES.items())
        for number, case in enumerate(file.get(key, []))
    ]


@pytest.mark.parametrize(("name", "setting", "case"), cases("faults"))
def test_faults(name: str, setting: str, case: tuple[t.Any, str]) -> None:
    value, fault = case
    assert settings.find_fault(name, setting, value) == fault


@pytest.mark.parametrize(("name", "setting", "case"), cases("pairs"))
def test_pairs(name: str, setting: str, case: dict[str, t.Any]) -> None:
    value, than = (settings.normalise(setting, case[key]) for key in ("value", "than"))
    assert settings.find_fault(name, setting, case["value"]) == settings.find_fault(name, setting, case["than"]) == ""
    assert settings.find_looser(setting, value, than) == case["looser"]
    if "merged" in case:
        merged = settings.normalise(setting, case["merged"])
        assert settings.merge(setting, value, than) == settings.merge(setting, than, value) == merged
        assert settings.find_looser(setting, merged, value) == settings.find_looser(setting, merged, than) == ""


def test_contradictions_are_of_what_is_to_be_equal() -> None:
    assert settings.find_contradiction("equal", {"a": "1", "b": "2"}, {"a": "2", "b": "2"}) == "a is 1 and 2"
    assert settings.find_contradiction("only", ["a"], ["b"]) == ""


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        *((setting, [], True) for setting in ("all", "none")),
        *((setting, {}, True) for setting in ("equal", "oldest")),
        *((setting, 0, False) for setting in ("at_most", "at_least")),
        *(("switch", value, not value) for value in (True, False)),
        ("only", [], False),
    ],
)
def test_what_asks_for_nothing(setting: str, value: t.Any, expected: bool) -> None:
    assert settings.asks_nothing(setting, value) is expected


@pytest.mark.parametrize(
    ("word", "pattern", "expected"),
    [
        ("debian-13", "debian-*", True),
        ("debian-13*", "debian-*", True),
        ("debian-*", "debian-13*", False),
        ("a*", "a?", False),
        ("a?", "a*", True),
        ("*", "*", True),
        ("a[12]", "a[12]", True),
        ("a1", "a[12]", False),
        ("80/tcp", "1-1024/tcp", True),
        ("80/tcp", "1-1024/udp", False),
        ("80-2000/tcp", "1-1024/tcp", False),
        ("a*b*c*d*e*f*", "*", False),
    ],
)
def test_what_a_pattern_covers(word: str, pattern: str, expected: bool) -> None:
    assert settings.is_covered(word, ["nothing-like-it", pattern]) is expected


@pytest.mark.parametrize(("one", "two"), list(itertools.product(VERSIONS, VERSIONS)))
def test_versions_are_in_debians_order(one: str, two: str) -> None:
    expected = (Version(one) > Version(two)) - (Version(one) < Version(two))
    assert settings.compare_versions(one, two) == expected
