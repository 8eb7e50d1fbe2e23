# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cycle does, from what is remembered and what was found. Pure: no network, no clock."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.batches import amount, percent
from ansible_collections.strata.fleet.plugins.plugin_utils.deploy_plan import (
    CHANGING,
    NONE,
    PAUSED,
    REMOVE,
    STRAY,
    UNDO,
)
from ansible_collections.strata.fleet.plugins.plugin_utils.gate import first_line
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.ledger import Data, Ledger, commit_of
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.settings import Amount
from ansible_collections.strata.fleet.plugins.plugin_utils.status_table import GOOD
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import say_some

KNOWN = ("healthy", "unhealthy", "absent")  # of others nobody can say whether the commit is to blame
SHOWN = 5
ALLOWANCE = re.compile(r"(?P<key>[a-z]+)\s*=\s*((?P<share>100|[1-9]?[0-9])%|(?P<number>[0-9]{1,6}))")
Plan = t.Mapping[str, t.Any]


class Target(t.NamedTuple):
    """What the fleet is to be. ``is_new``: it is not, as far as is known. ``resumed``: an earlier cycle began it."""

    commit: str
    is_new: bool
    resumed: bool


def choose(ledger: Ledger, head: str) -> Target | None:
    """Return what the fleet is to be, None where that is nothing yet.

    ``head``: the branch's head, '' where it is refused or was not to be had. One that was undone counts like one that
    is refused: the fleet stays on what was good, until the branch moves.
    """
    begun, applied = commit_of(ledger.applying), commit_of(ledger.applied)
    wanted = head if head != commit_of(ledger.bad) else ""
    commit = wanted or begun or applied
    if not commit:
        return None
    return Target(commit, is_new=commit != applied or bool(begun), resumed=commit == begun)


def say_rewritten(earlier: str, accepted: Data | None, head: str) -> str:
    """Return why a head that did not come of the earlier one is refused."""
    what = f"was accepted at {accepted['at']}" if accepted else "the branch was at before"
    return (
        f"The branch's history was rewritten: {head[:12]} did not come of {earlier[:12]}, which {what}. Put the branch "
        f"back, and undo with git revert. If the rewriting was meant, run strata-gitops accept {head}"
    )


def read_allowances(lines: t.Iterable[str]) -> dict[str, Amount]:
    """Return the limits that a commit's message sets for itself. Raises BadInput where they are none."""
    found: dict[str, Amount] = {}
    for line in lines:
        said = ALLOWANCE.fullmatch(line)
        if not said or said["key"] not in CHANGING:
            raise BadInput(
                f"Strata-Limit: {line!r} in the commit's message is not one of {', '.join(CHANGING)}, an equals sign "
                "and a number or share, such as remove=5 or restart=100%"
            )
        found[said["key"]] = f"{said['share']}%" if said["share"] else int(said["number"])
    return found


def say_plan(plan: Plan) -> str:
    """Return what applying the plan's commit would do, after whose name this is said."""
    names = {key: [row["name"] for row in plan["appliances"] if row["verdict"] == key] for key in CHANGING}
    said = [f"{key} {len(some)} ({say_some(some, SHOWN)})" for key, some in names.items() if some]
    nodes = list(find_drifted_nodes(plan))
    said += [f"change what is of no single appliance on {say_some(nodes, SHOWN)}"] if nodes else []
    return f"would {', '.join(said)}" if said else "changes nothing that runs"


def weigh(rows: t.Sequence[Data], total: int, limits: t.Mapping[str, Amount]) -> list[str]:
    """Return a sentence for every limit that rows of a plan exceed. Shares are of ``total``, the fleet."""
    said = []
    for key, limit in limits.items():
        names = [row["name"] for row in rows if row["verdict"] == key]
        allowed = 0 if limit in (0, "0%") else amount(limit, total)
        if len(names) > allowed:
            said.append(f"It would {key} {len(names)} appliances ({say_some(names, SHOWN)}), {limit} may be")
    return said


def health_of(plan: Plan) -> dict[str, str]:
    """Return the health of every appliance that is there."""
    return {row["name"]: row["health"] for row in plan["appliances"] if "absent" not in (row["state"], row["health"])}


def versions_of(plan: Plan) -> dict[str, Data]:
    """Return what every appliance runs: where a commit names no version, this is the only way back."""
    return {row["name"]: row["runs"] for row in plan["appliances"] if row["runs"]}


def places_of(plan: Plan) -> dict[str, str]:
    """Return on which node every appliance is that the commit asks for."""
    return {row["name"]: row["node"] for row in plan["appliances"] if row["wanted"]}


def find_abandoned(plan: Plan, places: t.Mapping[str, str]) -> list[Data]:
    """Return rows for appliances whose node the commit does not have any more: nobody would look after them.

    ``places``: where they were when the fleet was last as a commit said.
    """
    names = {row["name"] for row in plan["appliances"]}
    gone = {name: node for name, node in places.items() if node not in plan["nodes"] and name not in names}
    return [{"name": f"{name}, left behind on {node}", "verdict": REMOVE} for name, node in sorted(gone.items())]


def judge(plan: Plan, before: t.Mapping[str, str], threshold: str) -> str:
    """Return why an applied commit is to be undone, '' where it is not.

    It is where the share of healthy appliances is below the threshold, *and* some of the others were healthy before or
    are new. What was ill before, or does not answer, does not count against the commit.
    """
    rows = [row for row in plan["appliances"] if row["wanted"] and row["want_state"] == "running" and not row["paused"]]
    known = [row for row in rows if row["health"] in KNOWN]
    good = [row for row in known if row["health"] == GOOD]
    harmed = [row for row in known if row["health"] != GOOD and before.get(row["name"], GOOD) == GOOD]
    if not harmed or len(good) * 100 >= len(known) * percent(threshold):
        return ""
    names = say_some([f"{row['name']} ({first_line(row['fault'] or row['health'])})" for row in harmed], SHOWN)
    share = f"{len(good)} of {len(known)} appliances are healthy, {threshold} must be"
    return f"{share}. Not healthy since this commit: {names}"


def doubt(plan: Plan, threshold: str) -> str:
    """Return why the fleet is not what the plan's commit says, or is not well; '' where it is both."""
    names = [row["name"] for row in plan["appliances"] if row["verdict"] in CHANGING]
    if names:
        return f"the fleet is not as it says ({say_some(names, SHOWN)})"
    return judge(plan, {}, threshold)


def find_drift(plan: Plan) -> list[dict[str, t.Any]]:
    """Return the appliances that are not as the commit says: rows of the plan, with ``differences`` to show."""
    found: dict[tuple[str, str], list[str]] = {}
    for finding in plan["findings"]:
        found.setdefault((finding["node"], finding["appliance"]), []).append(finding["sentence"])
    drifted = []
    for row in plan["appliances"]:
        differences = list(row["steps"] if row["verdict"] in CHANGING else ())
        differences += found.get((row["node"], row["name"]), [])
        differences += ["the commit does not ask for it"] if row["verdict"] == STRAY else []
        if differences and row["verdict"] != PAUSED:
            drifted.append({**row, "differences": differences})
    return drifted


def find_drifted_nodes(plan: Plan) -> dict[str, list[str]]:
    """Return by node what is not as the commit says and is of no single appliance, such as a network's access list."""
    return {name: node["steps"] for name, node in plan["nodes"].items() if node["steps"]}


def choose_mended_nodes(plan: Plan) -> list[str]:
    """Return the nodes that drifted and are put right.

    One that has an appliance whose drift is only told is not: its list is to have what that is to be, and as long as it
    is not that, no deploy of others makes it so.
    """
    told = {row["node"] for row in plan["appliances"] if row["drift"] != UNDO and row["verdict"] in CHANGING}
    return [node for node in find_drifted_nodes(plan) if node not in told]


def choose_carrier(plan: Plan) -> list[str]:
    """Return an appliance to deploy although it is as it should be, so that what is of the nodes is put right with it.

    Every deploy does that on every node, however few appliances it is for. Returns [] where none is as it should be.
    """
    free = [row["name"] for row in plan["appliances"] if row["wanted"] and row["verdict"] == NONE and not row["steps"]]
    return free[:1]


def find_unseen(plan: Plan) -> list[str]:
    """Return the nodes that could not be looked at, and why."""
    return [f"{name}: {first_line(node['problem'])}" for name, node in plan["nodes"].items() if node["problem"]]


def find_loose(plan: Plan) -> list[str]:
    """Return the drift that is of no appliance of the plan: of a node, its store, or an instance beside them."""
    names = {(row["node"], row["name"]) for row in plan["appliances"]}
    loose = [finding for finding in plan["findings"] if (finding["node"], finding["appliance"]) not in names]
    said = [f"{' '.join(filter(None, (each['node'], each['appliance'])))}: {each['sentence']}" for each in loose]
    return [*said, *(f"{node}: {step}" for node, steps in find_drifted_nodes(plan).items() for step in steps)]


def choose_mended(drifted: t.Iterable[Data]) -> tuple[list[str], list[str]]:
    """Return whom to deploy again, and whom to remove: where policy says undo and a deploy can."""
    rows = [row for row in drifted if row["drift"] == UNDO and row["verdict"] in CHANGING]
    return (
        [row["name"] for row in rows if row["verdict"] != REMOVE],
        [row["name"] for row in rows if row["verdict"] == REMOVE],
    )


def suggest_revert(entry: Data, count: int) -> str:
    """Return what a person may run in a clone to take out of the branch what an entry of the ledger undoes."""
    bad = entry["undoes"][:12]
    return f"git revert --no-edit {bad}" if count == 1 else f"git revert --no-edit {entry['commit'][:12]}..{bad}"
