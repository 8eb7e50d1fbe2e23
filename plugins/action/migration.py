# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: decides which appliances go from where to where, and how far each of them is."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.migrate_plan import COPIES
from ansible_collections.strata.fleet.plugins.plugin_utils import evacuation, migration
from ansible_collections.strata.fleet.plugins.plugin_utils.fleet import build_fleet, find_node
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import suggest

SPEC = {
    "found": {"type": "dict", "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
    "to": {"type": "str", "default": ""},
    "evacuate": {"type": "str", "default": ""},
    "fill": {"type": "str", "default": ""},
    "apart": {"type": "list", "elements": "str", "default": []},
    "give_back": {"type": "bool", "default": False},
}
BEFORE_START = (migration.COPY, migration.SWITCH, migration.START)
BACK = (migration.GIVE_BACK, migration.CLEAN)

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.migration."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Print what is going to happen, and return ``moves``: what happens to each appliance, in order."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        inventory = Inventory(self._loader, task_vars or {})
        with failures():
            found = migration.Found(arguments["found"])
            variables = {name: inventory.read(name, "appliance_") for name in inventory.members("appliances")}
            nodes = {name: inventory.read(name, "engine_networks") for name in inventory.members("nodes")}
            wanted = {name: find_node(own, nodes) for name, own in variables.items()}
            targets, warnings = read_order(arguments, found, wanted, inventory)
            planned, sentences = migration.plan_moves(migration.Order(targets, arguments["give_back"]), found)
            moves = with_items(planned, found, variables, nodes)
        for sentence in (*sentences, *warnings):
            self._display.display(sentence)
        settled = {name: node for name, node in targets.items() if name not in {move.name for move in planned}}
        settled |= {move.name: move.target for move in planned if move.phase == migration.TIDY}
        return {"changed": bool(moves), "moves": moves, "settled": settled, "steps": sentences, "warnings": warnings}


def read_order(
    arguments: Data, found: migration.Found, wanted: t.Mapping[str, str], inventory: Inventory
) -> tuple[dict[str, str], list[str]]:
    """Return the node that each appliance is to go to, and what has to be said about that."""
    groups = inventory.groups()
    unknown = [group for group in arguments["apart"] if group not in groups]
    if unknown:
        raise BadInput(f"migrate_apart: {unknown[0]!r} is not a group{suggest(unknown[0], groups)}")
    asked = [key for key in ("evacuate", "fill") if arguments[key]]
    if len(asked) + bool(arguments["names"]) > 1:
        raise BadInput("Ask for one thing: appliances by name, a node to evacuate, or a node to fill")
    for key in asked:
        if arguments[key] not in found.answers:
            raise BadInput(f"{arguments[key]!r} is not a node of this run{suggest(arguments[key], found.answers)}")
    if arguments["evacuate"]:
        spread = evacuation.spread(arguments["evacuate"], found, {group: groups[group] for group in arguments["apart"]})
        strange = sorted(set(spread.targets) - set(wanted))
        if strange:
            raise BadInput(
                f"{', '.join(strange)} on node {arguments['evacuate']} is not in the inventory, so nobody knows how it "
                "should be elsewhere: add it, or remove it. Nothing was changed."
            )
        return spread.targets, spread.warnings
    if arguments["fill"]:
        return evacuation.fill(arguments["fill"], found, wanted), []
    return migration.resolve(arguments["names"], arguments["to"], wanted, found.answers), []


def with_items(
    moves: t.Sequence[migration.Move],
    found: migration.Found,
    variables: t.Mapping[str, Data],
    nodes: t.Mapping[str, Data],
) -> list[Data]:
    """Return the moves, each with its appliance as it is to be where it will run: in the versions that it runs now.

    Raises BadInput where the inventory does not fit that node, such as an address that its networks do not have.
    """
    goals = {move.name: move.source if move.phase in BACK else move.target for move in moves}
    placed = {name: {**variables[name], "appliance_node": goal} for name, goal in goals.items()}
    fleet = build_fleet(nodes, {**variables, **placed})
    items = {item["name"]: item for own in fleet.values() for item in own}
    answer = []
    for move in moves:
        item = items[move.name]
        layers = {
            kind: {**item[kind], "name": move.facts[kind]["name"], "version": move.facts[kind]["version"]}
            for kind in ("base", "app")
        }
        prepares = move.phase in BEFORE_START
        is_lost = bool(found.silence(move.target))
        # There is no difference to fetch where every round copies all of it; 0 are as many as the role does.
        rounds = 1 if move.phase == migration.COPY and found.node(move.source)["driver"] == COPIES else 0
        own = {"item": {**item, **layers}, "prepares": prepares, "is_lost": is_lost, "rounds": rounds}
        answer.append({**move.to_data(), **own})
    return answer
