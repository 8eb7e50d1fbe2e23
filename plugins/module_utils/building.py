# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules base and app tell of a build."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import apt, changes, promotion
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result

Data = dict[str, t.Any]
# How many packages a sentence names.
MOST_NAMES = 8


class Place(t.NamedTuple):
    """What is built, and the channel that is to name it."""

    kind: str
    name: str
    channel: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclasses.dataclass(frozen=True)
class Before:
    """What the depot had before a build, as commits.

    ``found`` is the version that was made of just the same, ``known`` are all that are in use. What changed is told in
    relation to ``reference``: for a channel's first version, that is what appliances run, named by stable.
    """

    place: Place
    present: str | None
    found: str | None
    reference: str | None
    known: frozenset[str]


def look(depot: Depot, place: Place, inputs: str) -> Before:
    """Read it. Raises BadInput where the channel's name would be taken for a version."""
    promotion.check(f"{place.kind}/{place.name}", place.channel)
    present = depot.channel(*place)
    known = frozenset(depot.heads(*place).values())
    reference = present or depot.channel(place.kind, place.name, "stable")
    return Before(place, present, depot.built_from(*place, inputs), reference, known)


def not_yet(kind: str, name: str) -> Result:
    """Return what check mode reports of a build where the depot itself is yet to be made."""
    step = f"build {kind}/{name} for the depot that is yet to be made"
    return Result(changed=True, steps=[step], facts={"msg": f"would {step}"})


def guess(depot: Depot, before: Before, task: str, debs: t.Sequence[apt.Deb]) -> Result:
    """Return what check mode can say of a build: the packages, but not what their changelogs tell."""
    place = before.place
    changed = changes.nothing()
    if before.reference:
        old = depot.repo.manifest(before.reference)["packages"]
        new = dict(deb.package for deb in debs)
        if place.kind == "base":
            # apt's list has more than is kept, such as apt itself; what really comes is seen when it is built.
            new = {name: version for name, version in new.items() if name in old}
        packages = changes.differences(old, new)
        changed = {**changed, "packages": [{**each, "cves": []} for each in packages], "complete": False}
    present = depot.describe(before.present, place.kind, place.name) if before.present else {}
    steps = [task, f"publish {place.kind}/{place.name} what that gives as {place.channel}"]
    facts = {
        **({"version": present} if present else {}),
        "changes": changed,
        "msg": f"{place} would be built; {summary(changed)}",
    }
    after = {**present, "version": "what building gives", **packages_in(changed, "to")}
    return Result(True, steps, {**present, **packages_in(changed, "from")}, after, facts)


def report(depot: Depot, before: Before, task: str, debs: t.Sequence[apt.Deb], *, check_mode: bool) -> Result:
    """Return the result of a build: ``task`` tells what was tried, the channel what came of it."""
    if check_mode and before.found is None:
        return guess(depot, before, task, debs)
    if not (check_mode or depot.summary_is_current()):
        depot.update_summary()
    place = before.place
    commits = before.present, before.found or depot.channel(*place)
    old, new = (depot.describe(commit, place.kind, place.name) if commit else {} for commit in commits)
    steps = [] if before.found else [task]
    changed = depot.between(before.reference, commits[1])
    message = f"{place} is now {new['version']}; {summary(changed)}"
    if new == old:
        message = f"{place} stays {new['version']}: nothing differs, nothing is published"
        steps += ["publish nothing: the content is that of the present version"] if steps else []
    elif commits[1] in before.known:
        steps.append(f"point {place} at {new['version']}, which is the same")
    else:
        steps.append(f"publish {place.kind}/{place.name} {new['version']} as {place.channel}")
    shown = (
        {**old, **packages_in(changed, "from")},
        {**new, **packages_in(changed, "to"), **({"cves": changed["cves"]} if changed["cves"] else {})},
    )
    return Result(new != old, steps, *shown, {"version": new, "changes": changed, "msg": message})


def packages_in(changed: Data, side: str) -> Data:
    """Return the packages that changed as they are on one side of a diff."""
    found = {each["name"]: each[side] for each in changed["packages"] if each[side]}
    return {"changed_packages": found} if changed["packages"] else {}


def summary(changed: Data) -> str:
    """Return a sentence of what changed."""
    packages, cves = changed["packages"], changed["cves"]
    if not packages:
        return "no package differs"
    listed = [f"{each['name']} {each['from'] or 'new'} -> {each['to'] or 'removed'}" for each in packages]
    more = [f"and {len(listed) - MOST_NAMES} more"] if len(listed) > MOST_NAMES else []
    said = f"{len(packages)} package(s) differ: {', '.join([*listed[:MOST_NAMES], *more])}"
    return f"{said}; fixed: {', '.join(cves)}" if cves else said
