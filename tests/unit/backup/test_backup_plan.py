"""Plans of backups as data: each file in cases/ says what is wanted, what is there, and what is done."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils.backup_plan import (
    Hooks,
    Present,
    StateVolume,
    Wish,
    make_plan,
)
from ansible_collections.strata.fleet.plugins.module_utils.migration import Mark
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition, Layer

CASES = sorted((Path(__file__).parent / "cases").glob("*.yml"))
LAYER = Layer("nginx", "1", "a" * 64)


def build_present(name: str, data: dict[str, t.Any]) -> Present:
    data = {"status": "Running", "volumes": ["var"], **data}
    volumes = tuple(StateVolume(each, f"{name}.{each}", f"/{each}") for each in data.pop("volumes"))
    hooks = Hooks(**{kind: tuple(map(tuple, argvs)) for kind, argvs in data.pop("hooks", {}).items()})
    is_foreign = data.pop("foreign", False)
    composition = None if is_foreign else Composition(LAYER, LAYER, "c" * 64)
    leftovers = tuple(data.pop("leftovers", ()))
    move = Mark(**data.pop("move")) if "move" in data else None
    return Present(composition=composition, volumes=volumes, hooks=hooks, leftovers=leftovers, move=move, **data)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_plan(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    wishes = [Wish(name, "offsite", keep or {}, {}) for name, keep in case["want"].items()]
    present = {name: build_present(name, data or {}) for name, data in case["have"].items()}
    plan = make_plan(wishes, present, "strata", case.get("driver", "btrfs"))
    assert plan.sentences() == case["steps"]
    for kind in ("failed", "skipped"):
        reasons = plan.problems(kind)
        assert set(reasons) == set(case.get(kind, {}))
        for name, words in case.get(kind, {}).items():
            assert words in reasons[name]
    for name, args in case.get("moment", {}).items():
        (job,) = [job for job in plan.jobs if job.wish.name == name]
        step = next(step for step in job.steps if step.action == "take_moment")
        assert {key: [*value] if isinstance(value, tuple) else value for key, value in step.args.items()} == {
            key: [tuple(each) if isinstance(each, list) else each for each in value]
            if isinstance(value, list)
            else value
            for key, value in args.items()
        }
