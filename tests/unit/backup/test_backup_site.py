"""What the inventory says of backups: who is backed up where, and what is refused before a node is touched."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import backup
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import find_faults

REPOSITORIES = {
    "offsite": {"url": "sftp:backup@depot:/srv/backup", "password": "p"},
    "near": {"url": "/srv", "password": "q"},
}
GROUPS = {
    "nodes": ["node1", "node2"],
    "databases": ["db1", "db2"],
    "appliances": ["web1", "db1", "db2", "bare", "gone"],
}


def appliance(node: str, repository: str = "", **own: t.Any) -> dict[str, t.Any]:
    settings = {"appliance_backup": {"repository": repository, "keep": {"last": 2}}} if repository else {}
    return {"appliance_node": node, **settings, **own}


def site(**changes: t.Any) -> backup.Site:
    appliances = {
        "web1": appliance("node1", "offsite"),
        "db1": appliance("node2", "near"),
        "db2": appliance("node1", "near"),
        "bare": appliance("node1"),
        "gone": appliance("node1", "near", appliance_state="absent"),
    }
    return backup.Site(**{"groups": GROUPS, "appliances": appliances, "repositories": REPOSITORIES, **changes})


@pytest.mark.parametrize(
    ("names", "nodes", "chosen"),
    [
        ([], ["node1", "node2"], ["web1", "db1", "db2"]),
        ([], ["node1"], ["web1", "db2"]),
        (["databases"], ["node1", "node2"], ["db1", "db2"]),
        (["databases", "web1"], ["node1"], ["web1", "db2"]),
        (["appliances"], ["node1", "node2"], ["web1", "db1", "db2"]),
    ],
)
def test_who_is_backed_up(names: list[str], nodes: list[str], chosen: list[str]) -> None:
    assert backup.choose(site(), names, nodes) == chosen


@pytest.mark.parametrize(
    ("names", "nodes", "words"),
    [
        (["web2"], ["node1"], "'web2' is neither an appliance nor a group of them (did you mean web1?)"),
        (["bare"], ["node1"], "Appliance bare has no backups: set appliance_backup"),
        (["db1"], ["node1"], "No appliance of db1 that has backups is on the nodes of this run"),
    ],
)
def test_names_that_are_refused(names: list[str], nodes: list[str], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        backup.choose(site(), names, nodes)
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"url": "/srv", "pasword": "x"}, "backup_repositories.near.pasword is not known (did you mean password?)"),
        ({"url": "/srv"}, "backup_repositories.near.password is missing"),
        ({"url": "rest:https://a:b@host/", "password": "x"}, "backup_repositories.near.url holds a password"),
        ({"url": "srv", "password": "x"}, "backup_repositories.near.url"),
    ],
)
def test_repositories_that_are_refused(body: dict[str, t.Any], words: str) -> None:
    with pytest.raises(BadInput) as refused:
        backup.check(site(repositories={**REPOSITORIES, "near": body}), [])
    assert words in refused.value.message


def test_an_appliance_names_a_repository_that_is_there() -> None:
    wrong = site(appliances={"web1": appliance("node1", "offsit")})
    with pytest.raises(BadInput) as refused:
        backup.check(wrong, ["web1"])
    assert "appliance_backup.repository 'offsit' is not in backup_repositories (did you mean offsite?)" in str(
        refused.value
    )


def test_secrets_travel_apart() -> None:
    shown, hidden = backup.split(REPOSITORIES, {"near"})
    assert (shown, hidden) == ({"near": {"url": "/srv"}}, {"near": '{"password": "q"}'})


def test_each_repository_is_pruned_once() -> None:
    chosen = backup.choose(site(), [], ["node1", "node2"])
    pruned = {node: backup.find_pruned(site(), chosen, node) for node in GROUPS["nodes"]}
    assert pruned == {"node1": ["offsite"], "node2": ["near"]}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"repository": "near", "objective": "a day"}, "appliance_backup.objective"),
        ({"repository": "near", "keep": {}}, "appliance_backup.keep"),
        (
            {"repository": "near", "keep": {"dayly": 2}},
            "appliance_backup.keep.dayly is not known (did you mean daily?)",
        ),
        ({"keep": {"last": 2}}, "appliance_backup.repository is missing"),
        ({"repository": "near", "keep": {"last": 1, "within": "14d"}, "objective": "2d", "schedule": "daily"}, ""),
    ],
)
def test_settings_of_an_appliance(settings: dict[str, t.Any], words: str) -> None:
    variables = {"appliance_app": "nginx", "appliance_base": "debian-13", "appliance_backup": settings}
    faults = find_faults(variables, "appliance")
    assert words in " ".join(faults)
    assert bool(faults) == bool(words)
