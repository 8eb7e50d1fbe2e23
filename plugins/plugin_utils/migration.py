# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""want, for migrations: which appliances go from where to where, and how far each of them is. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import migration
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.migration import GIVEN_UP, IN, KEPT, OUT, TAKEN
from ansible_collections.strata.fleet.plugins.module_utils.plan import explain_cut_restore
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import suggest
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import reason_of

MARGIN = 256 * 2**20  # bytes that are left free on a pool
# Phases, each of which goes on to the end: what is there decides where a migration is taken up.
COPY, SWITCH, START, FINISH, GIVE_BACK, CLEAN = ("copy", "switch", "start", "finish", "give_back", "clean")
TIDY = "tidy"  # it is there and at rest, only snapshots of the rounds are left
# The phase, by what is on the node that it leaves and on the one that it goes to ('here': an appliance like any other).
PHASES: t.Mapping[tuple[str, str], str] = {
    ("here", ""): COPY,
    ("here", IN): COPY,
    (OUT, ""): SWITCH,
    (OUT, IN): SWITCH,
    (OUT, TAKEN): START,
    ("", TAKEN): START,
    (OUT, "here"): FINISH,
    (OUT, GIVEN_UP): GIVE_BACK,
    ("here", GIVEN_UP): CLEAN,
}
HERE = "here"
STATES = ("running", "stopped")

Data = dict[str, t.Any]
Facts = t.Mapping[str, t.Any]


class Order(t.NamedTuple):
    """What is asked for: appliances by name with the node that each goes to.

    ``give_back`` says that the node they went to is lost, so they are to run where they were.
    """

    targets: t.Mapping[str, str]
    give_back: bool = False


class Move(t.NamedTuple):
    """One appliance on its way: ``facts`` are what its ``source`` knows of it, or its target where it is gone there."""

    name: str
    source: str
    target: str
    phase: str
    facts: Facts

    def to_data(self) -> Data:
        """Return it as plain data."""
        return {**self._asdict(), "facts": dict(self.facts)}


class Found:
    """What module migration_info returned, or Ansible's word that a node did not answer, by node."""

    def __init__(self, answers: t.Mapping[str, Facts]) -> None:
        self.answers = answers
        self.silent = {node: reason_of(answer) for node, answer in answers.items() if "node" not in answer}

    def node(self, name: str) -> Facts:
        """Return what a node says of itself."""
        return t.cast("Facts", self.answers[name]["node"])

    def silence(self, node: str) -> str:
        """Return why it is not known what a node has, '' where it is."""
        return self.silent.get(node, "" if node in self.answers else "it is no part of this run")

    def appliances(self, node: str) -> dict[str, Facts]:
        """Return the appliances that a node has, by name; what is only kept there is none."""
        listed = self.answers[node].get("appliances", [])
        return {each["name"]: each for each in listed if role_of(each) != KEPT}

    def where(self, name: str) -> dict[str, Facts]:
        """Return what each node that has an appliance knows of it."""
        return {node: own[name] for node in self.answers if name in (own := self.appliances(node))}


def role_of(facts: Facts) -> str:
    """Return the part that an appliance has in a migration: 'here' for none."""
    return str(facts["migration"]["role"]) if facts["migration"] else HERE


def size_of(facts: Facts) -> int:
    """Return the bytes of disk that an appliance's state takes, wherever it is."""
    return sum(facts["volumes"].values()) + sum(facts["snapshots"].values())


def plan_moves(order: Order, found: Found) -> tuple[list[Move], list[str]]:
    """Return the moves, and a sentence for each appliance that is asked for.

    Raises BadInput naming everything that cannot be done, before anything is.
    """
    moves, sentences, faults = [], [], []
    for name, target in order.targets.items():
        try:
            move = find_move(name, target, found, give_back=order.give_back)
        except BadInput as error:
            faults.append(error.message)
            continue
        if move is None:
            sentences.append(f"{name}: nothing to do, it is on {target}")
            continue
        moves.append(move)
        sentences.append(describe(move))
    faults += find_shortages([move for move in moves if move.phase == COPY], found)
    if faults:
        raise BadInput("\n".join(faults))
    return moves, sentences


def find_move(name: str, target: str, found: Found, *, give_back: bool = False) -> Move | None:
    """Return how an appliance gets to ``target`` from wherever it is; None where it is there and at rest."""
    places = found.where(name)
    sources = {node: facts for node, facts in places.items() if role_of(facts) in (HERE, OUT)}
    incoming = {node: facts for node, facts in places.items() if role_of(facts) in (IN, TAKEN, GIVEN_UP)}
    _refuse_unclear(name, places, found)
    moving = next((facts["migration"]["node"] for facts in sources.values() if role_of(facts) == OUT), "")
    moving = moving or next(iter(incoming), "")
    asked = target
    if moving and asked not in (moving, *sources):
        raise BadInput(
            f"Appliance {name} is on its way to {moving} already: end that first (playbooks/migrate.yml -e "
            f"migrate={name} -e migrate_to={moving}), then have it go to {asked}."
        )
    target = moving or asked
    source = next((node for node in sources if node != target), "")
    if not source and not incoming:
        own = places[target]
        return Move(name, target, target, TIDY, own) if own["leftovers"] else None
    if found.silence(target):
        return _without_target(name, source, target, found, give_back=give_back)
    there = places.get(target)
    key = (role_of(places[source]) if source else "", role_of(there) if there else "")
    if key not in PHASES:
        origin = str(there["migration"]["node"]) if there and there["migration"] else ""
        if origin and found.silence(origin):  # it may have what is missing
            _refuse_without_source(name, origin, target, found)
        raise BadInput(
            f"Appliance {name} is {_tell(key[0])} on {source or 'no other node'} and {_tell(key[1])} on {target}, "
            "which no migration leaves behind: find out which of them has the newest state before anything is done."
        )
    phase = PHASES[key]
    facts = places[source] if source else t.cast("Facts", there)
    source = source or str(facts["migration"]["node"])
    if asked == source:  # it is to stay where it was
        phase = {COPY: CLEAN, SWITCH: GIVE_BACK}.get(phase, phase)
    if give_back and phase in (SWITCH, START):
        phase = GIVE_BACK
        _refuse_without_source(name, source, target, found)
    move = Move(name, source, target, phase, facts)
    _refuse_unfit(move, found)
    return move


def _refuse_unclear(name: str, places: t.Mapping[str, Facts], found: Found) -> None:
    """Raise BadInput where it is not certain where an appliance is."""
    if not places:
        away = f", and {', '.join(sorted(found.silent))} did not answer" if found.silent else ": deploy it first"
        raise BadInput(f"Appliance {name} is on no node that answered{away}.")
    here = sorted(node for node, facts in places.items() if role_of(facts) == HERE)
    if len(here) > 1:
        raise BadInput(
            f"Appliance {name} is on {' and '.join(here)} at once, and no migration leaves that behind: find out which "
            "of them has the state that counts, and remove the other."
        )
    damaged = [node for node, facts in places.items() if role_of(facts) == migration.DAMAGED]
    if damaged:
        raise BadInput(f"Appliance {name}: key {migration.KEY} of its instance on {damaged[0]} cannot be read.")


def _refuse_without_source(name: str, source: str, target: str, found: Found) -> None:
    """Raise BadInput where an appliance is to be given back, and the node that has to take it back is not there."""
    if source in found.where(name):
        return
    raise BadInput(
        f"Appliance {name} cannot be given back to {source}: {found.silence(source) or 'it has no state of it'}. "
        f"What is on {target} stays as it is. Bring {source} back and run again."
    )


def _without_target(name: str, source: str, target: str, found: Found, *, give_back: bool) -> Move:
    """Return the way back where the node that it went to is lost. Raises BadInput where nobody said so."""
    facts = found.appliances(source).get(name) if source else None
    is_handed = bool(facts and role_of(facts) == OUT)
    if facts and is_handed and give_back:
        return Move(name, source, target, GIVE_BACK, facts)
    hint = (
        " It was handed over, and may run there. Bring the node back and run again. If it is lost for good, and only "
        "then: -e migrate_give_back=true has it run on the state that it had here."
        if is_handed
        else ""
    )
    raise BadInput(f"Appliance {name}: node {target} did not answer: {found.silence(target)}.{hint}")


def _refuse_unfit(move: Move, found: Found) -> None:
    """Raise BadInput where an appliance cannot migrate, whatever room there is."""
    name, source, target, phase, facts = move
    for node in (source, target):
        if node in found.answers and node not in found.silent and found.node(node)["clustered"]:
            raise BadInput(
                f"Appliance {name}: the engine of {node} is a member of a cluster, and Strata migrates between engines "
                "of their own: no command moved its custom volumes along. Nothing was changed."
            )
    if phase in (COPY, SWITCH, START):
        for own in found.where(name).values():
            _refuse_underway(name, own)
    if phase != COPY:
        return
    if facts["type"] != "container":
        raise BadInput(
            f"Appliance {name} is a {facts['type']}: live migration of virtual machines is the engine's (incus move), "
            "where it is operational, and Strata does not ask for it: its appliances are system containers."
        )
    if facts["base"] is None:
        raise BadInput(f"Appliance {name}: Strata did not make the instance of that name on {source}.")
    if found.node(source)["architecture"] != found.node(target)["architecture"]:
        kinds = " and ".join(f"{node} is {found.node(node)['architecture']}" for node in (source, target))
        raise BadInput(f"Appliance {name}: what it runs does not run on {target}: {kinds}.")
    if found.node(source)["driver"] != found.node(target)["driver"]:
        kinds = " and ".join(f"{node} is of driver {found.node(node)['driver']}" for node in (source, target))
        raise BadInput(f"Appliance {name}: state goes only between pools of one driver: that of {kinds}.")


def _refuse_underway(name: str, facts: Facts) -> None:
    """Raise BadInput where something that was begun with an appliance has to end first."""
    if facts["quarantine"]:
        raise BadInput(f"Appliance {name} is {facts['quarantine']}. Release it first (playbooks/release.yml).")
    if facts["swap"]:
        raise BadInput(f"Appliance {name}: a patch or rollback of it was cut off. Run playbooks/patch.yml first.")
    if facts["restore"]:
        raise BadInput(explain_cut_restore(name, facts["restore"]))
    if facts["state"] == "frozen":
        raise BadInput(f"Appliance {name} is held: a backup of it was cut off. Run playbooks/backup.yml first.")
    if facts["state"] not in STATES:
        raise BadInput(
            f"Appliance {name} is neither running nor stopped, the engine says {facts['state']!r}: see what it does, "
            "and run again when that is over."
        )


def find_shortages(moves: t.Sequence[Move], found: Found) -> list[str]:
    """Return a sentence for every node that has no room for all that is to come."""
    faults = []
    for target in dict.fromkeys(move.target for move in moves):
        coming = [move for move in moves if move.target == target]
        names = ", ".join(move.name for move in coming)
        needs = {
            "pool_free": sum(size_of(move.facts) for move in coming) + MARGIN,
            "memory_available": sum(move.facts["memory"] for move in coming),
        }
        for key, what in (("pool_free", "its pool"), ("memory_available", "memory")):
            free = found.node(target)[key]
            if needs[key] > free:
                faults.append(
                    f"Node {target} has no room for {names}: {format_size(needs[key])} of {what} are needed, and "
                    f"{format_size(free)} are free. Nothing was changed; name fewer, or another node."
                )
    return faults


def resolve(names: t.Sequence[str], to: str, wanted: t.Mapping[str, str], nodes: t.Collection[str]) -> dict[str, str]:
    """Return the node that each named appliance goes to: ``to``, or what the inventory says (``wanted``)."""
    if not names:
        raise BadInput("Name what is to migrate: -e migrate=web1,web2, and where to: -e migrate_to=node2")
    unknown = [name for name in names if name not in wanted]
    if unknown:
        raise BadInput(f"{unknown[0]!r} is not an appliance{suggest(unknown[0], wanted)}")
    targets = {name: to or wanted[name] for name in names}
    strange = [node for node in targets.values() if node not in nodes]
    if strange:
        raise BadInput(f"{strange[0]!r} is not a node of this run{suggest(strange[0], nodes)}")
    return targets


def describe(move: Move) -> str:
    """Return what will happen to one appliance, as a sentence."""
    size = format_size(size_of(move.facts))
    said = {
        COPY: f"from {move.source} to {move.target} ({size} of state)",
        SWITCH: f"goes on from {move.source} to {move.target}: a run was cut off after it was handed over",
        START: f"is started on {move.target}: a run was cut off after that took it over",
        FINISH: f"serves on {move.target}, and is removed from {move.source}",
        GIVE_BACK: f"is given back to {move.source}",
        TIDY: f"is on {move.target}, and snapshots that its migration left there are let go of",
        CLEAN: f"is on {move.source} again, and what is left of it on {move.target} is removed",
    }
    return f"{move.name}: {said[move.phase]}"


def _tell(role: str) -> str:
    return {"": "absent", HERE: "an appliance like any other"}.get(role, repr(role))
