"""Plans as data: each file in cases/ says what is wanted, what is there, and the steps between.

An appliance is written as what differs from DEFAULTS. An instance is written as the appliance that it was made from
(``like``), and what was changed on it since.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils import config_layer, instance, steps
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.model import (
    Appliance,
    Composition,
    ConfigFile,
    Have,
    Instance,
    Layer,
    Nic,
    Place,
    Published,
    Removal,
    Volume,
)
from ansible_collections.strata.fleet.plugins.module_utils.plan import make_plan

CASES = sorted((Path(__file__).parent / "cases").glob("*.yml"))
PLACE = Place("/store", "pool", b"key")
DEFAULTS: dict[str, t.Any] = {
    "name": "web1",
    "state": "running",
    "base": "debian-13 13.1",
    "app": "nginx 1",
    "files": {"/etc/site.conf": {"text": "one", "on_change": "reload", "units": ["nginx.service"]}},
    "volumes": {"var": 0},
    "published": [],
    "memory": 0,
}


def build_layer(text: str) -> Layer:
    name, version = text.split()
    return Layer(name, version, f"{name}-{version}".encode().hex().ljust(64, "0"))


def build_appliance(data: dict[str, t.Any]) -> Appliance:
    data = {**DEFAULTS, **data}
    files = tuple(
        ConfigFile(
            path, file["text"], file.get("shown", file["text"]), 0o644, 0, 0, file["on_change"], tuple(file["units"])
        )
        for path, file in data["files"].items()
    )
    digest = config_layer.digest(files, PLACE.key)
    return Appliance(
        name=data["name"],
        state=data["state"],
        composition=Composition(build_layer(data["base"]), build_layer(data["app"]), digest),
        files=files,
        nics=(Nic("strata0", "10.0.0.2"),),
        volumes=tuple(Volume(name, f"/{name}", size) for name, size in data["volumes"].items()),
        published=tuple(Published("0.0.0.0", port["listen"], port["port"], "tcp") for port in data["published"]),
        memory=data["memory"],
        health={"type": "tcp", "port": 80},
    )


def build_want(data: dict[str, t.Any]) -> Appliance | Removal:
    if data.get("state") == "absent":
        return Removal(data["name"], data.get("with_state", False))
    return build_appliance(data)


def build_instance(data: dict[str, t.Any]) -> Instance:
    appliance = build_appliance(data["like"])
    config = {
        **instance.instance_config(appliance),
        "volatile.eth0.hwaddr": "00:16:3e:00:00:01",
        **data.get("config", {}),
    }
    marks = {"healthy": steps.identity(appliance.composition)} if data.get("healthy", True) else {}
    marks |= {"pending": data["pending"]} if "pending" in data else {}
    marks |= {key: data[key] for key in ("swap", "restore") if key in data}
    if data.get("foreign"):
        del config[instance.COMPOSITION]
    devices = {**instance.instance_devices(appliance, PLACE.store, PLACE.pool), **data.get("devices", {})}
    files = config_layer.describe(appliance.files, PLACE.key)
    return Instance(appliance.name, data.get("status", "Running"), config, devices, files, marks)


def build_have(data: dict[str, t.Any]) -> Have:
    instances = {one.name: one for one in map(build_instance, data.get("instances", []))}
    moved, restores = data.get("moved", {}), data.get("restores", {})
    return Have(instances, data.get("volumes", {}), moved=moved, restores=restores)


def load(path: Path) -> dict[str, t.Any]:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_steps(path: Path) -> None:
    case = load(path)
    want = [build_want(data) for data in case["want"]]
    if "error" in case:
        with pytest.raises(BadInput) as caught:
            make_plan(want, build_have(case["have"]), PLACE, case.get("scope", "all"))
        assert caught.value.message == case["error"]
        assert type(caught.value).__name__ == case.get("raises", "BadInput")
        return
    plan = make_plan(want, build_have(case["have"]), PLACE, case.get("scope", "all"))
    assert [step.sentence.replace(digest_of(want), "DIGEST") for step in plan.steps] == case["steps"]
    for name, expected in case.get("args", {}).items():
        step = next(step for step in plan.steps if step.action == name)
        for key, value in expected.items():
            assert step.args[key] == value


def digest_of(want: list[Appliance | Removal]) -> str:
    first = want[0]
    return first.composition.config[:12] if isinstance(first, Appliance) else "no config"


def test_nothing_secret_is_shown() -> None:
    file = {"text": "password=hunter2", "shown": "password=********", "on_change": "restart", "units": []}
    plan = make_plan([build_appliance({"files": {"/etc/secret": file}})], Have({}, {}), PLACE)
    assert "hunter2" not in json.dumps([plan.before, plan.after, [step.sentence for step in plan.steps]])
    assert "password=********" in json.dumps(plan.after)


def test_the_same_want_plans_nothing_after_it_is_there() -> None:
    want = build_appliance({"published": [{"listen": 8080, "port": 80}], "memory": 2**28})
    data = {"like": {"published": [{"listen": 8080, "port": 80}], "memory": 2**28}}
    have = Have({"web1": build_instance(data)}, {"web1.var": 0})
    assert make_plan([want], have, PLACE).steps == ()


def test_digests_depend_on_the_nodes_key() -> None:
    files = build_appliance({}).files
    assert config_layer.digest(files, b"one") != config_layer.digest(files, b"two")


def test_an_appliance_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        build_appliance({}).state = "absent"  # type: ignore[misc]
