# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the appliances of a node go when it is emptied: spread by free memory, and by groups that stay apart. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.migration import OUT
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size
from ansible_collections.strata.fleet.plugins.plugin_utils.migration import HERE, MARGIN, Facts, Found, role_of, size_of


class Spread(t.NamedTuple):
    """The node that each appliance goes to, and a sentence for everyone that could not be kept apart."""

    targets: dict[str, str]
    warnings: list[str]


class Room:
    """What a node has left, and who is or will be there."""

    def __init__(self, name: str, found: Found) -> None:
        self.name = name
        own = found.node(name)
        self.memory = int(own["memory_available"])
        self.disk = int(own["pool_free"]) - MARGIN
        self.members = set(found.appliances(name))

    def fits(self, facts: Facts) -> bool:
        """Whether an appliance has room here."""
        return self.memory >= facts["memory"] and self.disk >= size_of(facts)

    def clashes(self, name: str, apart: t.Iterable[t.Collection[str]]) -> int:
        """Return with how many appliances here it should not share a node."""
        return sum(len(self.members & set(group)) for group in apart if name in group)

    def take(self, facts: Facts) -> None:
        """Count an appliance as one that is here."""
        self.memory -= facts["memory"]
        self.disk -= size_of(facts)
        self.members.add(facts["name"])


def spread(node: str, found: Found, apart: t.Mapping[str, t.Collection[str]]) -> Spread:
    """Return where all appliances of ``node`` go. The largest choose first, where the fewest of their kind are.

    ``apart`` are the members of the groups that should not share a node. Raises BadInput where one has room nowhere.
    """
    if node in found.silent or node not in found.answers:
        raise BadInput(f"Node {node} cannot be emptied: {found.silent.get(node, 'it is not a node of this run')}.")
    rooms = [Room(name, found) for name in found.answers if name != node and name not in found.silent]
    if not rooms:
        raise BadInput(f"Node {node} cannot be emptied: no other node answered that could take its appliances.")
    targets, warnings, faults = {}, [], []
    members = [facts for facts in found.appliances(node).values() if role_of(facts) in (HERE, OUT)]
    for facts in sorted(members, key=lambda each: (-each["memory"], each["name"])):
        name = facts["name"]
        bound = _bound(facts, found)
        fitting = [room for room in rooms if (room.name == bound if bound else room.fits(facts))]
        if not fitting:
            need = f"{format_size(facts['memory'])} of memory, {format_size(size_of(facts))} of state"
            faults.append(f"Appliance {name} ({need}) has room on no other node that answered.")
            continue
        room = min(fitting, key=lambda each: (each.clashes(name, apart.values()), -each.memory, each.name))
        shared = [group for group, own in apart.items() if name in own and room.members & set(own)]
        if shared:
            warnings.append(
                f"{name} shares {room.name} with others of {', '.join(shared)}: no node without them has room"
            )
        room.take(facts)
        targets[name] = room.name
    if faults:
        raise BadInput("\n".join([*faults, "Nothing was changed."]))
    return Spread(targets, warnings)


def _bound(facts: Facts, found: Found) -> str:
    """Return the node that an appliance is on its way to already, '' where it is free."""
    if role_of(facts) == OUT:
        return str(facts["migration"]["node"])
    places = found.where(facts["name"])
    return next((node for node, each in places.items() if role_of(each) not in (HERE, OUT)), "")


def fill(node: str, found: Found, wanted: t.Mapping[str, str]) -> dict[str, str]:
    """Return the appliances that the inventory has on ``node`` (``wanted``, by appliance) and that are elsewhere.

    So the inventory is the record of an evacuation: it was not changed by it.
    """
    own = [name for name, at in wanted.items() if at == node]
    return {name: node for name in own if (places := found.where(name)) and _is_elsewhere(node, places)}


def _is_elsewhere(node: str, places: t.Mapping[str, Facts]) -> bool:
    return node not in places or role_of(places[node]) != HERE or len(places) > 1
