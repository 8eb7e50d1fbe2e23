"""Plans of the engine's set-up: every file in cases/ says what is wanted, what is there, and what follows.

A case names only what differs from the defaults: `want` and `have` are laid over DEFAULT_WANT and DEFAULT_NODE.
It expects `steps` (sentences), or `error` (a type and words of its message). `removal: true` plans the removal.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils import engine_model, engine_setup, errors, skeleton

CASES = sorted((Path(__file__).parent / "cases").glob("*.yml"))
DEFAULT_WANT = {
    "project": "strata",
    "pool": {"name": "strata", "driver": "auto", "source": "", "size": 0},
    "networks": [{"name": "strata0", "address": "10.87.0.1/24"}],
}
DEFAULT_NODE = {
    "architecture": "x86_64",
    "drivers": ["dir", "btrfs"],
    "filesystem": "ext2/ext3",
    "free": 100 * 2**30,
    "has_loop": True,
}
CURRENT = skeleton.fingerprint(skeleton.build("x86_64"))


def to_want(case: dict[str, t.Any]) -> engine_model.Want:
    data = {**DEFAULT_WANT, **case.get("want", {})}
    return engine_model.Want(
        project=data["project"],
        pool=engine_model.Pool(**{**DEFAULT_WANT["pool"], **data["pool"]}),  # type: ignore[dict-item]
        networks=tuple(engine_model.Network(**{"nat": True, "mtu": 0, **each}) for each in data["networks"]),
        https_address=data.get("https_address"),
    )


def to_noun(data: dict[str, t.Any] | None) -> engine_model.Noun | None:
    if data is None:
        return None
    config = dict(data.get("config", {}))
    if data.get("like") == "project":
        config = {**engine_setup.PROJECT_CONFIG, **config}
    if data.get("ours", True):
        config[engine_model.MANAGED] = "true"
    used_by = tuple(data.get("used_by", ()))
    return engine_model.Noun(config, data.get("kind", ""), data.get("managed", True), used_by, "etag")


def to_have(case: dict[str, t.Any]) -> engine_model.Have:
    data = case.get("have", {})
    node = {**DEFAULT_NODE, **data.get("node", {})}
    networks = {name: to_noun(noun) for name, noun in data.get("networks", {}).items()}
    return engine_model.Have(
        node=engine_model.Node(**{**node, "drivers": tuple(node["drivers"])}),
        pool=to_noun(data.get("pool")),
        networks={name: noun for name, noun in networks.items() if noun},
        acls={name: noun for name, each in data.get("acls", {}).items() if (noun := to_noun(each))},
        project=to_noun(data.get("project")),
        images=tuple(image.replace("CURRENT", CURRENT) for image in data.get("images", [])),
        skeleton=data.get("skeleton", "").replace("CURRENT", CURRENT),
        https_address=data.get("https_address", ""),
    )


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_plan(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    make = engine_setup.plan_removal if case.get("removal") else engine_setup.plan
    if "error" in case:
        with pytest.raises(errors.StrataError) as caught:
            make(to_want(case), to_have(case))
        assert type(caught.value).__name__ == case["error"]["type"]
        for word in case["error"]["words"]:
            assert word in caught.value.message
        return
    plan = make(to_want(case), to_have(case))
    assert [step.sentence for step in plan.steps] == [
        sentence.replace("CURRENT", CURRENT[:12]) for sentence in case["steps"]
    ]
    assert bool(plan.steps) == (plan.before != plan.after)
    for noun, config in case.get("after", {}).items():
        assert config.items() <= plan.after[noun]["config"].items()


def test_cases_are_there() -> None:
    assert len(CASES) >= 20
