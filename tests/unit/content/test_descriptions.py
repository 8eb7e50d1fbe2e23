from __future__ import annotations

import pathlib
import tarfile
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import descriptions

DEMO = descriptions.COLLECTION / "inventories/demo"
APP: dict[str, t.Any] = {
    "name": "tool",
    "version": "1.0",
    "vendor": "acme",
    "base": "debian-13",
    "health": {"type": "tcp", "port": 80},
}


@pytest.mark.parametrize("file", sorted(DEMO.glob("bases/*.yml")), ids=lambda file: file.name)
def test_demo_bases(file: pathlib.Path) -> None:
    assert descriptions.read(file, "base")["name"] == file.stem


@pytest.mark.parametrize("file", sorted(DEMO.glob("apps/*/app.yml")), ids=lambda file: file.parent.name)
def test_demo_apps(file: pathlib.Path) -> None:
    description = descriptions.read(file, "app")
    assert description["name"] == file.parent.name
    for template in description["config"]["templates"]:
        assert (file.parent / template["source"]).is_file()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"packagse": ["nginx"]}, "packagse"),
        ({"version": "one"}, "version: 'one' does not match"),
        ({"accounts": [{"name": "web"}]}, "accounts.0: 'uid' is a required property"),
        ({"archives": [{"source": "a", "sha256": "0", "target": "/opt"}]}, "archives.0.sha256"),
        ({"config": {"options": {"port": {"type": "number", "description": ""}}}}, "config.options.port.type"),
        ({"services": ["nginx"]}, "services.0"),
        ({"name": "Nginx"}, "name: 'Nginx'"),
    ],
)
def test_a_bad_key_is_named(change: dict[str, t.Any], said: str) -> None:
    descriptions.check(APP, "app", "app.yml")
    with pytest.raises(BadInput) as caught:
        descriptions.check({**APP, **change}, "app", "apps/tool/app.yml")
    assert said in caught.value.message
    assert caught.value.message.startswith("apps/tool/app.yml: ")


@pytest.mark.parametrize("text", ["a: [", "- a\n- b\n", "just text", ""])
def test_what_is_not_a_description(tmp_path: pathlib.Path, text: str) -> None:
    file = tmp_path / "app.yml"
    file.write_text(text)
    with pytest.raises(BadInput, match=str(file)):
        descriptions.read(file, "app")
    with pytest.raises(BadInput, match="does not exist"):
        descriptions.read(tmp_path / "none.yml", "app")


def test_packing_twice_gives_the_same_bytes(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "app"
    (folder / "files/usr/bin").mkdir(parents=True)
    (folder / "files/usr/bin/tool").write_text("tool")
    (folder / "files/usr/bin/tool").chmod(0o700)
    (folder / "notes.txt").write_text("not sent")
    descriptions.pack(folder, tmp_path / "one.tar")
    (folder / "files/usr/bin/tool").touch()
    descriptions.pack(folder, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as packed:
        assert [(entry.name, entry.mode) for entry in packed if entry.isfile()] == [("files/usr/bin/tool", 0o755)]
