# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""want, for a rollback: which appliances go back, to what, and what of their state is given up. Pure."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import suggest
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import KINDS, is_at, layers_of, reason_of

SNAPSHOT_TIME = "strata-%Y%m%dT%H%M%SZ"

Data = dict[str, t.Any]
Facts = t.Mapping[str, t.Any]


class Wanted(t.NamedTuple):
    """What is asked for: versions ('' for those before the last change), and a snapshot ('' to keep the state)."""

    names: t.Sequence[str]
    base_version: str = ""
    app_version: str = ""
    snapshot: str = ""


class Back(t.NamedTuple):
    """Where appliances go: those of each node in the shape that modules take, and a sentence for each of them.

    ``restore``: the snapshot by appliance. ``skipped``: by node, who cannot go back, and why.
    """

    nodes: dict[str, list[Data]]
    sentences: list[str]
    restore: dict[str, str]
    skipped: dict[str, dict[str, str]]


def expand(names: t.Sequence[str], members: t.Mapping[str, t.Sequence[str]], present: t.Collection[str]) -> list[str]:
    """Return the appliances that names and groups stand for, in the order of the inventory.

    ``members`` are those of every group; ``present`` are the appliances of the nodes of this run: of a group, the
    others are left out.
    """
    if not names:
        raise BadInput(
            "Name what goes back: appliances or groups of them, such as -e rollback=web1,web2 (all: appliances)"
        )
    everyone = members.get("appliances", [])
    asked = [each for name in names if name not in members for each in [name]]
    asked += [each for name in names for each in members.get(name, []) if each in present]
    if not asked:
        raise BadInput(f"No appliance of {', '.join(names)} is on the nodes of this run")
    return [name for name in everyone if name in asked and name in present] + [
        name for name in dict.fromkeys(asked) if name not in everyone or name not in present
    ]


def plan_rollback(
    fleet: t.Mapping[str, t.Sequence[Data]], found: t.Mapping[str, Facts], wanted: Wanted, now: dt.datetime
) -> Back:
    """Return who goes back to what. ``found`` is what module appliance_info returned, or why it did not, by node.

    Raises BadInput for what is asked for wrongly, and where nobody can go back, before anything is changed.
    """
    everyone = [item["name"] for items in fleet.values() for item in items]
    unknown = [name for name in wanted.names if name not in everyone]
    if unknown:
        raise BadInput(f"{unknown[0]!r} is not an appliance on the nodes of this run{suggest(unknown[0], everyone)}")
    if wanted.snapshot and len(wanted.names) != 1:
        raise BadInput(
            f"A snapshot belongs to one appliance, and {wanted.snapshot!r} was named for {len(wanted.names)}: "
            "roll back one at a time"
        )
    back = Back({node: [] for node in fleet}, [], {}, {})
    for node, item in [(node, item) for node, items in fleet.items() for item in items if item["name"] in wanted.names]:
        try:
            own = find_facts(item, node, found.get(node, {}))
            goal = find_goal(item, own, wanted)
        except BadInput as error:
            back.skipped.setdefault(node, {})[item["name"]] = error.message
            continue
        if is_done(goal, own, wanted):
            back.sentences.append(f"{item['name']}: nothing to do, it went back at {own['last_swap']['ended']}")
            continue
        back.nodes[node].append(goal)
        back.sentences.append(describe(goal, own, wanted, now))
        back.restore.update({item["name"]: wanted.snapshot} if wanted.snapshot else {})
    faults = [reason for reasons in back.skipped.values() for reason in reasons.values()]
    if faults and not any(back.nodes.values()):
        raise BadInput("\n".join(faults))
    back.sentences.extend(f"stays as it is: {reason}" for reason in faults)
    return back


def find_facts(item: Data, node: str, found: Facts) -> Facts:
    """Return what the node says of an appliance. Raises BadInput where it cannot go back, whatever it ran."""
    name = item["name"]
    if item["state"] == "absent":
        raise BadInput(f"Appliance {name} is to be absent.")
    if "appliances" not in found:
        said = "did not answer" if found.get("unreachable") else "cannot tell"
        raise BadInput(f"Appliance {name}: its node {node} {said}: {reason_of(found)}.")
    own: Facts | None = next((each for each in found["appliances"] if each["name"] == name and each["base"]), None)
    if own is None:
        raise BadInput(f"Appliance {name} is not on its node.")
    return own


def went_back(facts: Facts) -> bool:
    """Whether the last thing that happened to an appliance is that it was taken back, and it still is there."""
    last = facts.get("last_swap")
    if facts.get("swap") or not last:
        return False
    return (last["purpose"], last["outcome"]) == ("rollback", "reverted") and is_at(facts, last["to"])


def is_done(goal: Data, facts: Facts, wanted: Wanted) -> bool:
    """Whether a request like this one was the last thing that happened to an appliance."""
    is_there = all(without_commit(goal[kind]) == without_commit(facts[kind]) for kind in KINDS)
    restored = facts["last_swap"].get("restored", "") if went_back(facts) else None
    return is_there and restored is not None and wanted.snapshot in ("", restored)


def find_goal(item: Data, facts: Facts, wanted: Wanted) -> Data:
    """Return the appliance with the base and app that it goes back to, by name and version."""
    named = {"base": wanted.base_version, "app": wanted.app_version}
    if any(named.values()):
        layers = {
            kind: {**facts[kind], "version": version or facts[kind]["version"]} for kind, version in named.items()
        }
    elif went_back(facts):
        layers = {kind: facts[kind] for kind in KINDS}
    else:
        layers = find_former(facts) or {}
        if not layers and not wanted.snapshot:
            raise BadInput(
                f"Appliance {item['name']} has nothing to go back to: it runs what it was deployed with. "
                "Name a version: rollback_base_version, rollback_app_version."
            )
        layers = layers or {kind: facts[kind] for kind in KINDS}
    return {**item, **{kind: {**item[kind], **without_commit(layer)} for kind, layer in layers.items()}}


def find_former(facts: Facts) -> Data | None:
    """Return base and app before the last change. A rollback under way is finished, a patch under way undone."""
    swap = facts.get("swap")
    if swap:
        return layers_of(swap["to" if swap.get("purpose") == "rollback" else "from"])
    return layers_of(facts["previous"])


def without_commit(layer: Facts) -> Data:
    """Return name and version of a layer."""
    return {"name": layer["name"], "version": layer["version"]}


def describe(goal: Data, facts: Facts, wanted: Wanted, now: dt.datetime) -> str:
    """Return what will happen to one appliance, as a sentence."""
    steps = [
        f"{kind} {facts[kind]['name']} {facts[kind]['version']} -> {goal[kind]['name']} {goal[kind]['version']}"
        for kind in KINDS
        if without_commit(facts[kind]) != without_commit(goal[kind])
    ]
    state = (
        f"state goes back to {wanted.snapshot}{given_up(wanted.snapshot, now)}" if wanted.snapshot else "state stays"
    )
    return f"{goal['name']}: {', '.join(steps) or 'the same versions'}; {state}"


def given_up(snapshot: str, now: dt.datetime) -> str:
    """Return how much newer state a snapshot takes back, '' where its name does not tell."""
    try:
        made = dt.datetime.strptime(snapshot, SNAPSHOT_TIME).replace(tzinfo=dt.UTC)
    except ValueError:
        return ""
    minutes = max(0, int((now - made).total_seconds()) // 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f", which gives up what was written in the {hours} h {minutes} min since (it is kept as a snapshot of its own)"
    )
