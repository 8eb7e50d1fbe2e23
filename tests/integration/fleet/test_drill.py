"""Drills of real backups: what is proven, what is not, and what is left of them.

The role's modules are played here, as it calls them: drill, drill_report and repository_check.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.tests.integration.fleet import backups, site_app
from ansible_collections.strata.fleet.tests.integration.fleet.backups import Vault, back_up, count, remembered, volumes
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    STORE,
    Fleet,
    init_pid,
    inside,
    kill_holder,
    picture,
    wait_unlocked,
)
from ansible_collections.strata.fleet.tests.integration.fleet.test_faults import when
from ansible_collections.strata.fleet.tests.integration.tools import Node

Nodes = list[Node]
CUTS = "nft delete table inet strata-copies-strata-drill; incus network delete strata-drill"
CLEAN = "for n in $(incus list --project strata --format csv --columns n | grep ^drill-it-); do incus delete --force \
--project strata $n; incus storage volume delete strata $n.var --project strata; done; rm -rf {store}/config/drill-it-*"


@pytest.fixture
def vault(fleet: Fleet, ready: Nodes) -> t.Iterator[Vault]:
    """A repository on node3 for a fleet on the others."""
    with backups.kept_on(ready[2], ready) as kept:
        fleet.variables["backup_repositories"] = {"offsite": kept.repository()}
        fleet.variables["drill_check"] = False
        yield kept
        for node in ready:
            node.run(CLEAN.format(store=STORE), check=False)
            node.run(CUTS, check=False)


def want(fleet: Fleet, node: Node, name: str, **settings: t.Any) -> str:
    """Want an appliance that is backed up."""
    return fleet.want(name, node, backup={"repository": "offsite"}, **settings)


def drill(fleet: Fleet, folder: Path, *words: str) -> tuple[int, str, dict[str, t.Any]]:
    """Drill; return the exit code, what was said, and the rows by appliance."""
    file = folder / "drill.json"
    ran = fleet.play("drill", "-e", f"drill_file={file}", *words)
    assert "Traceback" not in ran.output
    assert backups.PASSWORD not in ran.output
    rows = json.loads(file.read_text())["drills"] if file.exists() else []
    return ran.returncode, " ".join(ran.output.split()), {row["appliance"]: row for row in rows}


def assert_nothing_is_left(node: Node) -> None:
    """Fail where anything of a copy is on a node."""
    names = [body["name"] for body in node.query("/1.0/instances?recursion=1&project=strata")]
    assert not [name for name in names if name.startswith("drill-")]
    assert volumes(node, "drill-it-good") == volumes(node, "drill-it-sick") == []
    assert "strata-drill" not in [body["name"] for body in node.query("/1.0/networks?recursion=1")]
    assert "drill-" not in node.run(f"ls {STORE}/config {STORE}/marks").stdout
    assert node.run("nft list tables").stdout.count("strata-copies") == 0


def test_several_at_once_and_one_is_not_good(fleet: Fleet, ready: Nodes, vault: Vault, tmp_path: Path) -> None:
    node = ready[0]
    fleet.depot.publish_app("frail", "1-1", server=FRAIL)
    good, sick = want(fleet, node, "good"), want(fleet, node, "sick", app="frail", health_timeout=10)
    fleet.deploy()
    inside(node, sick, "touch /var/lib/site/poison")
    for name in (good, sick):
        back_up(fleet, vault, name)
    process, before = init_pid(node, good), picture(node)
    checked = fleet.play("drill", "--check")
    assert checked.returncode == 0, checked.output
    assert picture(node) == before

    code, said, rows = drill(fleet, tmp_path)
    assert code != 0
    assert (rows[good]["outcome"], rows[sick]["outcome"]) == ("proven", "failed")
    assert rows[good]["bytes"] > 0
    assert rows[good]["seconds"] > 0
    assert f"drill-{sick} is not healthy" in rows[sick]["reason"]
    assert f"{sick}: Appliance drill-{sick}" in said
    proof = remembered(node, good)["proven"]
    assert (proof["snapshot"], proof["bytes"]) == (vault.ids(good)[-1], rows[good]["bytes"])
    assert "proven" not in remembered(node, sick)
    assert "not healthy" in remembered(node, sick)["drill"]["reason"]
    assert_nothing_is_left(node)
    assert (init_pid(node, good), count(node, good)) == (process, 1)
    status = fleet.play("status", "-e", "status_fail=true")
    assert status.returncode != 0
    assert "its last drill failed" in " ".join(status.output.split())


# Serves until it is started a second time on the same state: a backup that restores well, and is good for nothing.
FRAIL = site_app.SERVER.replace("my $socket", "die 'poisoned' if $starts > 1 && -e '/var/lib/site/poison';\nmy $socket")


def test_what_a_killed_drill_left_is_removed_by_the_next(
    fleet: Fleet, ready: Nodes, vault: Vault, tmp_path: Path
) -> None:
    node = ready[0]
    name = want(fleet, node, "good")
    fleet.deploy()
    back_up(fleet, vault, name)
    wait = when(node, f"incus exec --project strata drill-{name} -- true", kill_holder(f"{STORE}/drills"))
    assert drill(fleet, tmp_path)[0] != 0
    wait()
    wait_unlocked(node, f"{STORE}/drills")
    assert volumes(node, f"drill-{name}") == [f"drill-{name}.var"]
    code, _said, rows = drill(fleet, tmp_path)
    assert code == 0
    assert rows[name]["outcome"] == "proven"
    assert_nothing_is_left(node)

    # One that is kept is there for a look, until the next.
    assert drill(fleet, tmp_path, "-e", "drill_keep=true")[0] == 0
    assert count(node, f"drill-{name}") == 2
    assert drill(fleet, tmp_path)[0] == 0
    assert_nothing_is_left(node)

    # What has such a name, and is no copy, is nobody's to delete.
    node.run(f"incus storage volume create strata drill-{name}.var --project strata")
    code, said, _rows = drill(fleet, tmp_path)
    assert code != 0
    assert f"Volume drill-{name}.var has the name that a copy's would have" in said
    assert volumes(node, f"drill-{name}") == [f"drill-{name}.var"]
    node.run(f"incus storage volume delete strata drill-{name}.var --project strata")


def test_a_damaged_repository_is_found(fleet: Fleet, ready: Nodes, vault: Vault, tmp_path: Path) -> None:
    node = ready[0]
    name = want(fleet, node, "good")
    fleet.deploy()
    older = back_up(fleet, vault, name)
    good = vault.packs()
    inside(node, name, "head -c 3000000 /dev/urandom > /var/lib/site/news")
    back_up(fleet, vault, name)
    vault.damage(vault.node.run(f"ls -S {' '.join(vault.packs() - good)} | head -1").stdout.split())
    code, said, rows = drill(fleet, tmp_path, "-e", "drill_check=true", "-e", "drill_check_data=100%")
    assert code != 0
    assert rows[name]["outcome"] == "failed"
    assert f"Older backups: {older[:8]}" in rows[name]["reason"]
    assert "The check of repository offsite failed" in said
    assert_nothing_is_left(node)
    assert "proven" not in remembered(node, name)


def test_what_cannot_be_tried_counts_as_failed(fleet: Fleet, ready: Nodes, vault: Vault, tmp_path: Path) -> None:
    node = ready[0]
    fleet.depot.publish_app("fleeting", "1-1")
    name, gone = want(fleet, node, "good"), want(fleet, node, "gone", app="fleeting")
    fleet.deploy()
    for each in (name, gone):
        back_up(fleet, vault, each)
    removed = fleet.play("remove", "-e", f"remove={gone}", "-e", f"remove_state={gone}")
    assert removed.returncode == 0, removed.output
    fleet.depot.repo.delete_ref("app/fleeting/1-1")
    node.run(f"ostree --repo={STORE}/repo refs --delete held/app/fleeting/1-1")
    never = want(fleet, node, "never")
    code, _said, rows = drill(fleet, tmp_path)
    assert code != 0
    assert rows[name]["outcome"] == "proven"
    assert "app/fleeting/1-1" in rows[gone]["reason"]
    assert f"has no backup of {never}" in rows[never]["reason"]
    assert_nothing_is_left(node)
