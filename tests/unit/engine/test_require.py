"""Engines that Strata refuses."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import engine_state, errors

SERVER: dict[str, t.Any] = {
    "auth": "trusted",
    "api_extensions": [*engine_state.NEEDED_EXTENSIONS, "something_newer"],
    "environment": {"server_version": "5.0.2"},
}


def test_one_that_has_everything() -> None:
    engine_state.require(SERVER)


def test_too_old() -> None:
    extensions = [each for each in SERVER["api_extensions"] if each != "projects_restrictions"]
    with pytest.raises(errors.EngineError) as caught:
        engine_state.require({**SERVER, "api_extensions": extensions})
    assert caught.value.facts == {"missing": ["projects_restrictions"]}
    assert "5.0.2" in caught.value.message
    assert "Upgrade Incus" in caught.value.message


def test_that_does_not_trust_this_user() -> None:
    with pytest.raises(errors.EngineError, match="run as root"):
        engine_state.require({**SERVER, "auth": "untrusted"})
