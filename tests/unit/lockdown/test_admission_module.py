"""The module admission: nobody is let in by having been forgotten."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import have
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import admission
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Facts
from ansible_collections.strata.fleet.plugins.modules import admission as module


def test_an_appliance_that_no_policy_is_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "is_staged", lambda *_: True)
    monkeypatch.setattr(admission, "gather", lambda _library, item, *_: Facts(item["name"]))
    monkeypatch.setattr(have, "read_bodies", lambda _engine: [])
    params: dict[str, t.Any] = {
        "lockdown": {"today": "2026-11-22", "policies": {}, "appliances": {}, "waivers": []},
        "appliances": [{"name": "web9", "state": "present"}],
        "layers": {"web9": {}},
        "files": {},
        "signers": None,
        "repair": [],
        "store_path": str(tmp_path),
        "socket": str(tmp_path / "socket"),
        "project": "strata",
        "pool": "strata",
    }
    with pytest.raises(admission.Refused, match="No policy is for web9"):
        module.work(params, True)
