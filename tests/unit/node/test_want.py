"""want: what a node's module is told, as appliances; and what it refuses before it looks at the engine."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import want
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.model import Appliance, Place, Removal, Volume

PLACE = Place("/store", "pool", b"key")
BASE = {"name": "debian-13", "version": "13.1", "commit": "b" * 64}
APP = {"name": "nginx", "version": "1-1", "commit": "a" * 64}
HEALTH = {"type": "http", "port": 80}
MANIFESTS: dict[str, t.Any] = {
    BASE["commit"]: {"systemd": "257.9-1~deb13u1"},
    APP["commit"]: {
        "name": "nginx",
        "version": "1-1",
        "health": HEALTH,
        "services": ["nginx.service"],
        "volumes": [{"name": "var", "path": "/var", "size": 2**28}],
    },
}
ITEM: dict[str, t.Any] = {
    "name": "web1",
    "state": "running",
    "base": BASE,
    "app": APP,
    "networks": [],
    "volumes": {},
    "memory": 0,
    "cpus": 0,
    "published": [],
    "autostart": True,
    "health": {},
    "health_timeout": 60,
    "files": [],
}


def build(item: dict[str, t.Any], remove_state: t.Collection[str] = ()) -> Appliance | Removal:
    return want.build([{**ITEM, **item}], MANIFESTS, PLACE, remove_state)[0]


def build_appliance(item: dict[str, t.Any]) -> Appliance:
    made = build(item)
    assert isinstance(made, Appliance)
    return made


def test_what_the_site_does_not_say_the_app_does() -> None:
    made = build_appliance({})
    assert (made.health, made.services, made.systemd) == (HEALTH, ("nginx.service",), 257)
    assert made.volumes == (Volume("var", "/var", 2**28),)


def test_the_sites_word_goes_before_the_apps() -> None:
    made = build_appliance({"health": {"type": "tcp", "port": 8080}, "volumes": {"var": 2**30}})
    assert made.health == {"type": "tcp", "port": 8080}
    assert made.volumes == (Volume("var", "/var", 2**30),)


def test_a_volume_that_the_app_does_not_have_is_refused() -> None:
    with pytest.raises(BadInput) as caught:
        build({"volumes": {"data": 2**30}})
    assert caught.value.message == (
        "Appliance web1: appliance_volumes.data is not a volume of app nginx 1-1; it has var."
    )


def test_state_goes_only_with_an_absent_appliance() -> None:
    assert build({"state": "absent"}, ["web1"]) == Removal("web1", with_state=True)
    assert build({"state": "absent"}) == Removal("web1", with_state=False)
    with pytest.raises(BadInput) as caught:
        build({}, ["web1"])
    assert caught.value.message == (
        "The state of web1 was asked to be deleted, but only that of an absent appliance can be: "
        "set appliance_state to absent as well"
    )


def test_a_secret_is_written_and_not_shown() -> None:
    file = {"path": "/etc/x", "text": "********", "secret_text": "hunter2", "mode": "0640", "uid": 0, "gid": 33}
    made = want.build_file({**file, "on_change": "reload", "units": []})
    assert (made.text, made.shown, made.mode) == ("hunter2", "********", 0o640)


FILE = {"text": "shown", "mode": "0640", "uid": 0, "gid": 910, "on_change": "restart", "units": ["a.service"]}


@pytest.mark.parametrize(
    "path", ["/etc/../usr/bin/sh", "/usr/bin/sh", "/etc/./a", "/etc//a", "etc/a", "/etc/a/", "/etc/"]
)
def test_a_path_out_of_the_config_layer_is_refused(path: str) -> None:
    with pytest.raises(BadInput, match="plain path below /etc"):
        build({"files": [{**FILE, "path": path}]})


def test_what_is_written_is_the_secret_and_what_is_shown_is_not() -> None:
    (file,) = build_appliance({"files": [{**FILE, "path": "/etc/a", "secret_text": "hunter2"}]}).files
    assert (file.text, file.shown, file.mode, file.gid) == ("hunter2", "shown", 0o640, 910)
