"""Config values as data: each file in config/ has an app's options, what was given, and what follows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.config import render_files

CASES = sorted((Path(__file__).parent / "config").glob("*.yml"))
TEMPLATE = {
    "path": "/etc/site.conf",
    "mode": "0644",
    "uid": 0,
    "gid": 0,
    "on_change": "reload",
    "units": ["site.service"],
}
NETWORK = {
    "network": "strata0",
    "address": "10.87.0.11",
    "prefix": 24,
    "gateway": "10.87.0.1",
}
APPLIANCE = {"name": "web1", "networks": [NETWORK]}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_config(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    template = {**TEMPLATE, "content": case.get("content", "")}
    manifest = {"config": {"options": case["options"], "templates": [template]}}
    if "error" in case:
        with pytest.raises(BadInput) as caught:
            render_files(APPLIANCE, manifest, case["given"])
        assert caught.value.message == case["error"]
        return
    *_site, file = render_files(APPLIANCE, manifest, case["given"])
    expected = {key: case[key] for key in ("text", "secret_text") if key in case}
    assert file == {**TEMPLATE, **expected}


def test_the_sites_files_hold_address_and_name_service() -> None:
    files = {
        file["path"]: file["text"] for file in render_files(APPLIANCE, {"config": {"options": {}, "templates": []}}, {})
    }
    assert files["/etc/resolv.conf"] == "nameserver 10.87.0.1\n"
    assert "Address=10.87.0.11/24\nGateway=10.87.0.1\n" in files["/etc/systemd/network/10-eth0.network"]


def test_without_an_address_the_network_hands_one_out() -> None:
    appliance = {"name": "web1", "networks": [{**NETWORK, "address": ""}]}
    files = render_files(appliance, {"config": {"options": {}, "templates": []}}, {})
    assert [file["path"] for file in files] == ["/etc/systemd/network/10-eth0.network"]
    assert "DHCP=ipv4" in files[0]["text"]


def test_only_the_first_card_has_the_way_out() -> None:
    second = {**NETWORK, "address": "10.88.0.11", "gateway": "10.88.0.1"}
    appliance = {"name": "web1", "networks": [NETWORK, second]}
    texts = [file["text"] for file in render_files(appliance, {"config": {"options": {}, "templates": []}}, {})]
    assert sum("Gateway=" in text for text in texts) == 1


def test_no_refusal_holds_a_secret() -> None:
    options = {"password": {"type": "str", "secret": True, "choices": ["a"]}}
    manifest = {"config": {"options": options, "templates": [{**TEMPLATE, "content": "{{ password }} {{ nobody }}"}]}}
    for value in ("hunter2", ["hunter2"]):
        with pytest.raises(BadInput) as caught:
            render_files(APPLIANCE, manifest, {"password": value})
        assert "hunter2" not in json.dumps([caught.value.message, caught.value.facts])
