"""What app.yml says of an app's own lock-down: rights, sandboxes, ports."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import base_units, hardened_app, sandbox
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import descriptions

SCHEMA = json.loads((descriptions.COLLECTION / "docs/schemas/app.schema.json").read_text())
APP: dict[str, t.Any] = {
    "name": "tool",
    "version": "1.0",
    "vendor": "acme",
    "base": "debian-13",
    "health": {"type": "tcp", "port": 80},
}


@pytest.fixture
def upper(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("usr/lib/systemd/system/tool.service", "usr/bin/tool"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text\n")
    return tmp_path


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_lists_replace_what_the_unit_lists() -> None:
    assert lines(sandbox.render({"CapabilityBoundingSet": [], "ReadWritePaths": ["/a", "/b"]})) == [
        "[Service]",
        "CapabilityBoundingSet=",
        "ReadWritePaths=",
        "ReadWritePaths=/a /b",
    ]


def test_each_filter_of_system_calls_is_a_line() -> None:
    assert sandbox.render_setting("SystemCallFilter", ["@system-service", "~@privileged @resources"]) == [
        "SystemCallFilter=",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
    ]


def test_switches_and_words() -> None:
    assert lines(sandbox.render({"PrivateTmp": True, "PrivateUsers": False, "ProtectSystem": "strict"}))[1:] == [
        "PrivateTmp=yes",
        "PrivateUsers=no",
        "ProtectSystem=strict",
    ]


def test_what_is_said_replaces_what_the_preset_has() -> None:
    found = sandbox.settings_of({"preset": "strict", "PrivateUsers": False, "ReadWritePaths": ["/var/lib/tool"]})
    assert found == {**sandbox.STRICT, "PrivateUsers": False, "ReadWritePaths": ["/var/lib/tool"]}
    assert sandbox.settings_of("moderate") == sandbox.MODERATE
    assert sandbox.settings_of({"PrivateTmp": True}) == {"PrivateTmp": True}


@pytest.mark.parametrize("preset", [*sandbox.PRESETS.values(), *base_units.SANDBOXES.values()])
def test_every_setting_is_one_that_app_yml_knows(preset: dict[str, t.Any]) -> None:
    descriptions.check({**APP, "sandbox": {"tool.service": dict(preset)}}, "app", "app.yml")


def test_the_schema_names_every_preset() -> None:
    assert sorted(SCHEMA["$defs"]["preset"]["enum"]) == sorted(sandbox.PRESETS)


@pytest.mark.parametrize(
    "wanted",
    [
        {"tool.service": "none"},
        {"tool.socket": "strict"},
        {"tool.service": {"ExecStart": "/bin/sh"}},
        {"tool.service": {"CapabilityBoundingSet": ["cap_net_raw"]}},
        {"tool.service": {"ReadWritePaths": ["var"]}},
        {"tool.service": {"UMask": "22\nExecStart=/bin/sh"}},
        {"tool.service": {"SystemCallFilter": ["@basic-io\nX=y"]}},
        {"tool.service": {}},
    ],
)
def test_a_faulty_sandbox(wanted: dict[str, t.Any]) -> None:
    with pytest.raises(BadInput, match="sandbox"):
        descriptions.check({**APP, "sandbox": wanted}, "app", "app.yml")


def test_a_sandbox_is_a_drop_in(upper: pathlib.Path) -> None:
    hardened_app.restrict({**APP, "sandbox": {"tool.service": "strict"}}, upper)
    file = upper / "usr/lib/systemd/system/tool.service.d/50-strata-sandbox.conf"
    assert file.read_text() == sandbox.render(sandbox.STRICT)
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_unit_that_the_app_does_not_bring(upper: pathlib.Path) -> None:
    with pytest.raises(BadInput, match=r"no unit toll\.service"):
        hardened_app.restrict({**APP, "sandbox": {"toll.service": "strict"}}, upper)


def test_rights_of_programs(upper: pathlib.Path) -> None:
    (upper / "usr/bin/tool").chmod(0o6755)
    (upper / "usr/bin/link").symlink_to("/etc/shadow")
    hardened_app.restrict({**APP, "strip": ["/usr/bin/*"]}, upper)
    assert (upper / "usr/bin/tool").stat().st_mode & 0o7777 == 0o755
    with pytest.raises(BadInput, match="no file /usr/bin/ping"):
        hardened_app.restrict({**APP, "strip": ["/usr/bin/ping"]}, upper)


def test_declared_ports_are_opened(upper: pathlib.Path) -> None:
    hardened_app.open_ports({**APP, "ports": [{"port": 80}]}, upper)
    assert "tcp_ports { 80 }" in (upper / "etc/strata/ports.d/tool.nft").read_text()


def test_the_file_is_there_without_ports(upper: pathlib.Path) -> None:
    hardened_app.open_ports(APP, upper)
    assert "add" not in (upper / "etc/strata/ports.d/tool.nft").read_text()


def test_an_app_opens_nothing_by_itself(upper: pathlib.Path) -> None:
    (upper / "etc/strata/ports.d").mkdir(parents=True)
    with pytest.raises(BadInput, match="/etc/strata is not the app's to write"):
        hardened_app.open_ports(APP, upper)


@pytest.mark.parametrize("path", ["/etc/strata/ports.d/x.nft", "/etc/strata"])
def test_no_template_opens_a_port(upper: pathlib.Path, path: str) -> None:
    with pytest.raises(BadInput, match=f"{path} is not the app's to write"):
        hardened_app.open_ports({**APP, "config": {"templates": [{"source": "x", "path": path}]}}, upper)
