# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""want, for a rollback: which appliances go back, to what, and what of their state is given up. Pure."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import suggest

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
    """Where appliances go: those of each node in the shape that modules take, and a sentence for each of them."""

    nodes: dict[str, list[Data]]
    sentences: list[str]


def plan_rollback(
    fleet: t.Mapping[str, t.Sequence[Data]], facts: t.Mapping[str, Facts], wanted: Wanted, now: dt.datetime
) -> Back:
    """Return who goes back to what. ``facts`` are the entries of module appliance_info, by appliance.

    Raises BadInput for everything that cannot be, before anything is changed.
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
    back = Back({node: [] for node in fleet}, [])
    faults: list[str] = []
    for node, items in fleet.items():
        for item in (item for item in items if item["name"] in wanted.names):
            own = facts.get(item["name"])
            if own and not is_named(wanted) and went_back(own):
                back.sentences.append(f"{item['name']}: nothing to do, it went back at {own['last_swap']['ended']}")
                continue
            try:
                goal = find_goal(item, own, wanted)
            except BadInput as error:
                faults.append(error.message)
            else:
                back.nodes[node].append(goal)
                back.sentences.append(describe(goal, facts[item["name"]], wanted, now))
    if faults:
        raise BadInput("\n".join(faults))
    return back


def is_named(wanted: Wanted) -> bool:
    """Whether it is said what to go back to."""
    return bool(wanted.base_version or wanted.app_version or wanted.snapshot)


def went_back(facts: Facts) -> bool:
    """Whether the last thing that happened to an appliance is that it was taken back."""
    last = facts.get("last_swap")
    return not facts.get("swap") and last is not None and last["outcome"] in ("reverted", "rolled_back")


def find_goal(item: Data, facts: Facts | None, wanted: Wanted) -> Data:
    """Return the appliance with the base and app that it goes back to, by name and version."""
    name = item["name"]
    if facts is None or not facts["base"]:
        raise BadInput(f"Appliance {name} is not on its node, or the node did not answer.")
    named = {"base": wanted.base_version, "app": wanted.app_version}
    if any(named.values()):
        layers = {
            kind: {**facts[kind], "version": version or facts[kind]["version"]} for kind, version in named.items()
        }
    else:
        layers = find_former(facts) or {}
        if not layers and not wanted.snapshot:
            raise BadInput(
                f"Appliance {name} has nothing to go back to: it runs what it was deployed with. "
                "Name a version: rollback_base_version, rollback_app_version."
            )
        layers = layers or {"base": facts["base"], "app": facts["app"]}
    return {**item, **{kind: {**item[kind], **without_commit(layer)} for kind, layer in layers.items()}}


def find_former(facts: Facts) -> Data | None:
    """Return base and app before the last change: of the swap that is under way, if one is."""
    found = facts["swap"]["from"] if facts.get("swap") else facts["previous"]
    return {kind: found[kind] for kind in ("base", "app")} if found else None


def without_commit(layer: Facts) -> Data:
    return {"name": layer["name"], "version": layer["version"]}


def describe(goal: Data, facts: Facts, wanted: Wanted, now: dt.datetime) -> str:
    """Return what will happen to one appliance, as a sentence."""
    steps = [
        f"{kind} {facts[kind]['name']} {facts[kind]['version']} -> {goal[kind]['name']} {goal[kind]['version']}"
        for kind in ("base", "app")
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
