"""Nothing can be written outside declared state, not even by an appliance's root; declared state survives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import Fleet, inside, page
from ansible_collections.strata.fleet.tests.integration.fleet.guard import ROOT_FOLDER, restart
from ansible_collections.strata.fleet.tests.integration.tools import Node

MIB = 2**20
Nodes = list[Node]
VOLUMES = [
    {"name": "var", "path": "/var", "size": 64 * MIB},
    {"name": "data", "path": "/srv/data", "size": 64 * MIB},
]
# Tries to make a file in every folder but those of the kernel, of memory and of declared state; prints where it could.
TRY_EVERYWHERE = """
cd /
set -- -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var -o -path /srv/data
find / '(' "$@" ')' -prune -o -type d -print >/tmp/folders
while read -r folder; do
    for place in "$folder/strata-try" "$folder/.strata-try"; do
        2>/dev/null true >"$place" && echo "$place"
    done
done </tmp/folders
for file in /usr/bin/perl /etc/passwd /etc/site/page /strata/confext/zz-config/etc/site/page; do
    2>/dev/null true >>"$file" && echo "$file"
done
test "$(wc -l </tmp/folders)" -gt 200 || echo "there was little to try"
rm -f /tmp/folders
"""
# What a person who has become root inside would try first. The mounts live in a view of its own, and end with it.
TRY_AS_ROOT = """
for place in / /usr /etc /strata/sysext/undeclared /strata/confext/undeclared /strata/confext/zz-config; do
    mount -o remount,rw "$place"
    mount -o remount,bind,rw "$place"
    mkdir -p /tmp/again
    mount --bind "$place" /tmp/again && mount -o remount,bind,rw /tmp/again
    true >/tmp/again/strata-try && echo "$place bound elsewhere"
    umount /tmp/again
done 2>/dev/null
"""
AS_APP = "setpriv --reuid=www-data --regid=www-data --clear-groups --no-new-privs"


@pytest.fixture
def name(fleet: Fleet, ready: Nodes) -> str:
    """An appliance with two volumes."""
    fleet.depot.publish_app("undeclared", "1-1", volumes=VOLUMES)
    name = fleet.want("undeclared", ready[1], app="undeclared")
    fleet.deploy()
    return name


def attempt(node: Node, name: str, script: str, prefix: str = "") -> str:
    """Return what a script prints inside an appliance."""
    command = f"incus exec --project strata {name} -- {prefix} sh -s <<'STRATA'\n{script}\nSTRATA"
    return node.run(command, check=False).stdout.strip()


def test_the_app_can_write_nowhere_else(name: str, ready: Nodes) -> None:
    assert attempt(ready[1], name, TRY_EVERYWHERE, AS_APP) == ""
    assert attempt(ready[1], name, f"{TRY_EVERYWHERE}true >/var/lib/site/own && echo yes", AS_APP) == "yes"


def test_its_root_cannot_either(name: str, ready: Nodes) -> None:
    node = ready[1]
    root = ROOT_FOLDER.format(name=name)
    before = node.run(f"find {root} -printf '%p %m %s\\n' | sort").stdout
    assert attempt(node, name, TRY_EVERYWHERE) == ""
    assert attempt(node, name, f"{TRY_AS_ROOT}{TRY_EVERYWHERE}", "unshare --mount") == ""
    # The same in everybody's view: writing is refused by what is mounted, whatever its options say now.
    assert attempt(node, name, f"{TRY_AS_ROOT}{TRY_EVERYWHERE}") == ""
    assert node.run(f"find {root} -printf '%p %m %s\\n' | sort").stdout == before


def test_what_is_declared_survives_and_memory_does_not(name: str, fleet: Fleet, ready: Nodes, tmp_path: Path) -> None:
    node = ready[1]
    places = ("/var/lib/site/kept", "/srv/data/kept", "/tmp/gone", "/run/gone")  # noqa: S108  an appliance's
    inside(node, name, "; ".join(f"echo here > {place}" for place in places))
    inside(node, name, "findmnt --types tmpfs /tmp")

    fleet.depot.publish_app("undeclared", "2-1", volumes=VOLUMES)
    settings = {"patch_rollout": {"settle": 0}, "patch_record_path": str(tmp_path)}
    ran = fleet.play("patch", "-e", json.dumps(settings))
    assert ran.returncode == 0, ran.output
    assert "version 2-1" in page(node, name)
    restart(node, name)
    assert inside(node, name, "systemctl is-system-running --wait") == "running"
    found = [place for place in places if inside(node, name, f"test -e {place} && echo yes || echo no") == "yes"]
    assert found == ["/var/lib/site/kept", "/srv/data/kept"]


def test_the_rest_still_works(name: str, ready: Nodes) -> None:
    node = ready[1]
    assert inside(node, name, "systemctl is-system-running --wait") == "running"
    assert inside(node, name, "journalctl --unit site.service --output cat | grep -c Started") == "1"
    address = inside(node, name, "getent ahostsv4 localhost | head -1").split()[0]
    assert address == "127.0.0.1"
    # By the node's own resolver, over D-Bus.
    assert inside(node, name, f"getent hosts {name}") != ""
