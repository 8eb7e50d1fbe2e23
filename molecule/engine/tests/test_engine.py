"""What the role engine leaves on a node, seen through the engine's own client."""

from __future__ import annotations

import json
import typing as t

import pytest

if t.TYPE_CHECKING:
    from testinfra.host import Host


def query(host: Host, path: str) -> t.Any:
    return json.loads(host.check_output("incus query %s", path))


def test_unit_runs_and_is_enabled(host: Host) -> None:
    assert host.service("incus.service").is_running
    assert host.service("incus.socket").is_enabled


def test_pool_is_a_btrfs_subvolume(host: Host) -> None:
    pool = query(host, "/1.0/storage-pools/strata")
    assert pool["driver"] == "btrfs"
    assert pool["config"]["source"] == "/var/lib/strata/pool"
    assert "Subvolume ID" in host.check_output("btrfs subvolume show /var/lib/strata/pool")


def test_bridge_is_up(host: Host) -> None:
    assert "10.87.0.1" in host.interface("strata0").addresses


def test_project_is_restricted(host: Host) -> None:
    config = query(host, "/1.0/projects/strata")["config"]
    assert config["restricted"] == "true"
    assert config["restricted.containers.privilege"] == "isolated"


@pytest.mark.parametrize("settings", ["security.privileged=true", "security.idmap.isolated=false", "raw.lxc=x"])
def test_loose_container_is_refused(host: Host, settings: str) -> None:
    isolated = "-c security.idmap.isolated=true"
    made = host.run(f"incus init strata-skeleton bad --project strata -s strata {isolated} -c {settings}")
    assert made.rc != 0
    assert "forbidden" in made.stderr


def test_skeleton_is_the_only_image(host: Host) -> None:
    images = query(host, "/1.0/images?project=strata&recursion=1")
    assert [alias["name"] for image in images for alias in image["aliases"]] == ["strata-skeleton"]
