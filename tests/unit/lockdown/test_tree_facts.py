"""How facts are collected, and kept by digest."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import facts_cache, tree_facts
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Facts
from ansible_collections.strata.fleet.plugins.module_utils.model import ConfigFile
from ansible_collections.strata.fleet.tests.unit.lockdown.plots import APP, BASE, CONFIG, collect, find, make

BASE_COMMIT, APP_COMMIT, DIGEST = "b" * 64, "a" * 64, "c" * 32
FORMAT = facts_cache.FORMAT
MANIFESTS = {"base": {"commit": BASE_COMMIT}, "app": {"commit": APP_COMMIT}}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", "")  # without the programs it is fast; what they tell is tested with the rules
    make(tmp_path / "layers" / BASE_COMMIT, BASE)
    make(tmp_path / "layers" / APP_COMMIT, APP)
    make(tmp_path / "config/shop1" / DIGEST / "zz-config", CONFIG)
    return tmp_path


def test_every_file_folder_and_link_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    facts = collect(tmp_path)
    assert facts.trees is not None
    counted = {kind: len(list((tmp_path / kind).rglob("*"))) for kind in ("base", "app", "config")}
    assert {kind: tree["entries"] for kind, tree in facts.trees.items()} == counted


def test_facts_are_plain_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    trees = collect(tmp_path).trees
    assert json.loads(json.dumps(trees)) == trees


def test_paths_are_those_of_the_appliance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    trees = collect(tmp_path).trees or {}
    assert set(trees["app"]["texts"]) == {"/etc/strata/ports.d/shop.nft", "/usr/lib/sysusers.d/strata-shop.conf"}
    assert trees["app"]["name"] == "shop"
    assert list(trees["app"]["wants"]) == ["/etc/systemd/system/multi-user.target.wants/shop.service"]


def test_what_was_read_once_is_kept_for_root_alone(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = facts_cache.layer_facts(store, MANIFESTS)
    files = sorted((store / "facts").iterdir())
    assert [file.name for file in files] == [
        f"{FORMAT}-{APP_COMMIT}-{BASE_COMMIT}.json",
        f"{FORMAT}-{BASE_COMMIT}.json",
    ]
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    monkeypatch.setattr(tree_facts, "collect", None)
    assert facts_cache.layer_facts(store, MANIFESTS) == first


def test_nothing_is_kept_where_nothing_may_be_written(store: Path) -> None:
    assert facts_cache.layer_facts(store, MANIFESTS, write=False)["app"]["entries"]
    assert not (store / "facts").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"entries": 0, "missing": []}', '{"entries": 7}'])
def test_a_damaged_file_is_made_anew(store: Path, text: str) -> None:
    first = facts_cache.layer_facts(store, MANIFESTS)
    (store / f"facts/{FORMAT}-{BASE_COMMIT}.json").write_text(text)
    assert facts_cache.layer_facts(store, MANIFESTS) == first
    assert json.loads((store / f"facts/{FORMAT}-{BASE_COMMIT}.json").read_text()) == first["base"]


def test_facts_are_completed_when_a_missing_program_is_there(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert facts_cache.layer_facts(store, MANIFESTS)["base"]["missing"] == ["systemd-analyze", "nft"]
    calls: list[str] = []
    collect_for_real = tree_facts.collect

    def count(kind: str, folder: Path, base: Path | None = None) -> dict[str, t.Any]:
        calls.append(kind)
        return collect_for_real(kind, folder, base)

    monkeypatch.setattr(tree_facts, "collect", count)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    facts_cache.layer_facts(store, MANIFESTS)
    assert calls == ["base", "app"]


@pytest.mark.parametrize(
    ("gone", "left"), [(BASE_COMMIT, {"base": False, "app": False}), (APP_COMMIT, {"base": True, "app": False})]
)
def test_a_layer_that_is_not_there_has_no_entries(store: Path, gone: str, left: dict[str, bool]) -> None:
    (store / "layers" / gone).rename(store / "gone")
    found = facts_cache.layer_facts(store, MANIFESTS)
    assert {kind: bool(tree["entries"]) for kind, tree in found.items()} == left


def test_config_is_read_each_time(store: Path) -> None:
    layers = facts_cache.layer_facts(store, MANIFESTS)
    found = facts_cache.config_facts(store, "shop1", DIGEST, BASE_COMMIT, layers)
    assert found["entries"] == len(list((store / "config/shop1" / DIGEST / "zz-config").rglob("*")))
    assert facts_cache.config_facts(store, "shop1", "absent", BASE_COMMIT, layers)["entries"] == 0
    assert len(list((store / "facts").iterdir())) == 2


def test_config_that_is_yet_to_be_written_is_judged_as_it_will_be(store: Path) -> None:
    layers = facts_cache.layer_facts(store, MANIFESTS)
    text = "u toor 0\n"
    uid, gid = os.getuid(), os.getgid()
    files = [ConfigFile("/etc/sysusers.d/a.conf", text, text, 0o666, uid, gid, "reload", ())]
    found = facts_cache.planned_config_facts(files, store / "layers" / BASE_COMMIT, layers)
    assert found["texts"] == {"/etc/sysusers.d/a.conf": text}
    assert found["writable"] == {"/etc/sysusers.d/a.conf": "0666"}
    trees = {**layers, "config": found}
    assert [fault.what for fault in find(Facts("shop1", trees=trees), "extra-root", True)] == ["toor"]


def test_facts_of_versions_that_are_gone_are_forgotten(store: Path) -> None:
    facts_cache.layer_facts(store, MANIFESTS)
    (store / f"facts/0-{BASE_COMMIT}.json").write_text("{}")
    facts_cache.forget(store, [BASE_COMMIT])
    assert [file.name for file in (store / "facts").iterdir()] == [f"{FORMAT}-{BASE_COMMIT}.json"]


@pytest.mark.parametrize(
    ("built", "age"),
    [
        ("2026-11-01T10:00:00Z", 21),
        ("2026-11-22T23:59:59Z", 0),
        ("2026-11-23T00:10:00Z", 0),
        ("2027-01-01T00:00:00Z", -40),
        ("lately", None),
        (None, None),
    ],
)
def test_age(built: str | None, age: int | None) -> None:
    assert facts_cache.age_of(built, "2026-11-22") == age
