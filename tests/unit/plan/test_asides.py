"""What a restore moved aside is known by its name, and nothing else is taken for it."""

from __future__ import annotations

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.instance import aside_name, is_aside, volume_name


def test_it_is_known_by_its_name() -> None:
    assert is_aside(aside_name(volume_name("web1", "var"), "20261122T171500Z"))
    assert is_aside(aside_name(volume_name("web1", "aside-x"), "20261122T171500Z"))


@pytest.mark.parametrize(
    "name",
    [
        "web1.var",
        "web1.var.restoring",
        "web1.aside-x",
        "web1.aside-20261122T171500Z",
        "web1.var.aside-x",
        "web1.var.aside-20261122T171500Z.x",
        "web1.var.aside-20261122T171500Z\n",
        "aside-20261122T171500Z",
    ],
)
def test_an_apps_own_volume_is_not(name: str) -> None:
    assert not is_aside(name)
