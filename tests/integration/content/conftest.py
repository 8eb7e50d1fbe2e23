"""A depot with a real base, built once for all tests of this folder."""

from __future__ import annotations

import contextlib
import tempfile
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.action import base as base_action
from ansible_collections.strata.fleet.plugins.module_utils import depots
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result
from ansible_collections.strata.fleet.plugins.modules import base, depot
from ansible_collections.strata.fleet.plugins.plugin_utils import descriptions

Data = dict[str, t.Any]


@contextlib.contextmanager
def without_deltas() -> t.Iterator[None]:
    """Have no static deltas made for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depots.Depot, "make_deltas", lambda *_arguments: None)
        yield


def build_base(place: str, check_mode: bool = False, **given: t.Any) -> Result:
    """Run the module base with the demo's description; ``given`` are other options of it."""
    file = descriptions.COLLECTION / "inventories/demo/bases/debian-13.yml"
    init = (descriptions.COLLECTION / "roles/base/files/init").read_text()
    params = {"file": str(file), "depot": place, "channel": "stable", "sources": [], "lockdown": {}, "init": init}
    description = base_action.harden(descriptions.read(file, "base"), {})
    return base.work({**params, "description": description, **given}, check_mode)


@pytest.fixture(scope="session")
def place() -> t.Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="strata-", dir="/var/tmp") as folder:
        path = f"{folder}/depot"
        result = depot.work(
            {"path": path, "signer": "Test", "key_file": None, "mirrors": [], "keep": 5}, check_mode=False
        )
        assert result.changed
        yield path


@pytest.fixture(scope="session")
def debian(place: str) -> Result:
    with without_deltas():
        return build_base(place)
