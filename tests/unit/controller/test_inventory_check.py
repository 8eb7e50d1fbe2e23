"""What is wrong with an inventory is said at once, before a node is asked."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.action.inventory_check import run_checks
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory

WEB = {"appliance_app": "nginx", "appliance_base": "debian-13"}
REPOSITORIES = {"offsite": {"url": "/srv/backups", "password": "hunter2"}}

Data = dict[str, t.Any]


class Given(Inventory):
    """An inventory of nodes and appliances with these variables; a config that is None cannot be read."""

    def __init__(self, nodes: Data, appliances: Data) -> None:
        self._variables = {**nodes, **appliances}
        self._groups = {"all": [*nodes, *appliances], "nodes": [*nodes], "appliances": [*appliances]}

    def members(self, group: str) -> list[str]:
        return self._groups.get(group, [])

    def groups(self) -> dict[str, list[str]]:
        return self._groups

    def read(self, host: str, prefix: str) -> Data:
        own = self._variables[host]
        return {key: own[key] for key in own if key.startswith(prefix) and key != "appliance_config"}

    def read_config(self, host: str) -> Data:
        config = self._variables[host].get("appliance_config", {})
        if config is None:
            raise BadInput(f"{host}: appliance_config cannot be read: 'title' is undefined.")
        return dict(config)


def faults(nodes: Data, appliances: Data) -> list[str]:
    return run_checks(Given(nodes, appliances))[1]


def test_a_good_inventory_passes() -> None:
    node = {"backup_repositories": REPOSITORIES, "patch_rollout": {"batches": ["50%"]}}
    appliances = {"web1": {**WEB, "appliance_node": "node1", "appliance_backup": {"repository": "offsite"}}}
    assert run_checks(Given({"node1": node, "node2": node}, appliances)) == ([], [])


def test_an_inventory_without_nodes_is_none() -> None:
    assert faults({}, {}) == ["The group nodes has no host: is this the inventory?"]


def test_all_parts_are_checked_and_each_fault_is_said_once() -> None:
    node = {"backup_repositories": REPOSITORIES, "patch_rollout": {"batch": 1}}
    appliances = {
        "web1": {**WEB, "appliance_node": "node1", "appliance_backup": {"repository": "elsewhere"}},
        "web2": {**WEB, "appliance_node": "node1", "appliance_config": None},
    }
    policies = {"lockdown_policies": {"strict": {"groups": ["nobody"], "rules": {}}}}
    hosts = {"node1": {**node, **policies}, "node2": {**node, **policies}}
    found = faults(hosts, {name: {**own, **policies} for name, own in appliances.items()})
    words = ("appliance_backup.repository 'elsewhere'", "appliance_config cannot be read", "'nobody'", "patch_rollout")
    assert len(found) == len(words), found
    assert all(any(word in fault for fault in found) for word in words), found
    assert "hunter2" not in str(found)


def test_backups_of_faulty_appliances_are_not_looked_at() -> None:
    found = faults({"node1": {}}, {"web1": {**WEB, "appliance_backup": {}}})
    assert found == ["Appliance web1: appliance_backup.repository is missing."]


def test_a_pause_that_has_ended_is_told() -> None:
    pause = {"reason": "measurements", "until": "2020-12-24"}
    told, found = run_checks(Given({"node1": {}}, {"web1": {**WEB, "appliance_pause": pause}}))
    assert found == []
    assert len(told) == 1
    assert told[0].startswith("The pause of web1 ended on 2020-12-24")
