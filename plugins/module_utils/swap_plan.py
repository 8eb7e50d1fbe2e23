# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plan, for a patch or a rollback: how appliances get from one composition to another, and back. Pure.

Only what belongs to a composition changes: layers, config and state volumes. Whatever else differs from the inventory
is left to a deploy.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import diff, instance, steps
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.model import (
    RUNNING,
    Appliance,
    Composition,
    Have,
    Instance,
    Place,
    Plan,
    Step,
    Swap,
)
from ansible_collections.strata.fleet.plugins.module_utils.plan import find_problems

PATCH, ROLLBACK = "patch", "rollback"
SNAPSHOT_PREFIX = "strata-"
GIVEN_UP, TRIED = "-given-up", "-tried"
OWN_SNAPSHOT = re.compile(rf"{SNAPSHOT_PREFIX}\d{{8}}T\d{{6}}Z")
KEEPS_NO_NEWER = "zfs"  # to bring a snapshot back it wants to delete those that came after
OF_A_COMPOSITION = (instance.COMPOSITION, instance.SIZES)


class Manner(t.NamedTuple):
    """How to swap: ``now`` names snapshots (UTC, such as 20261122T171500Z), ``settle`` is in seconds.

    ``keep`` is how many snapshots an appliance keeps; ``restore`` names, by appliance, a snapshot that its state goes
    back to; with ``keep_state`` a rollback runs on state that a newer version may have changed.
    """

    now: str
    purpose: str = PATCH
    settle: float = 30
    keep: int = 2
    restore: t.Mapping[str, str] = {}
    keep_state: bool = False


class Ways(t.NamedTuple):
    """One appliance as it should be, in the composition that is known to be good, and in the one that it has now."""

    item: Appliance
    good: Appliance
    now: Appliance


def came_from(present: Instance) -> Composition | None:
    """Return the composition that an appliance is known to have run well: before a swap that has not ended, or now."""
    mark = present.marks.get("swap")
    return Composition.from_data(mark["from"]) if mark else instance.composition_of(present.config)


def counts_as(present: Instance) -> Composition | None:
    """Return what an appliance runs in the eyes of a patch: one that a rollback has begun to take back runs the old."""
    mark = present.marks.get("swap")
    if mark and mark["purpose"] == ROLLBACK:
        return Composition.from_data(mark["to"])
    return came_from(present)


class Course:
    """Where one appliance stands between the composition that is known to be good and the one that it should have.

    ``kept`` is the snapshot that holds its state as it was before the swap began; ``restore`` is the snapshot that its
    state goes back to, '' where it stays.
    """

    def __init__(self, way: Ways, have: Have, manner: Manner) -> None:
        self.item, self.good, self.now = way
        self.manner = manner
        self.present = have.instances[self.item.name]
        self.is_running = instance.is_up(self.present.status)
        self.mark: t.Mapping[str, t.Any] = self.present.marks.get("swap") or {}
        self.has_moved = self.now.composition[:2] != self.good.composition[:2]
        self.returns = self.item.composition[:2] == self.good.composition[:2]
        is_finishing = self.mark.get("purpose") == ROLLBACK and self._is_goal_of_mark()
        self.purpose = ROLLBACK if is_finishing else manner.purpose
        self.requested = manner.restore.get(self.item.name) or (self.mark["restore"] if is_finishing else "")
        was_touched = bool(self.mark) and (self.has_moved or bool(self.mark["restore"]))
        fresh = f"{SNAPSHOT_PREFIX}{manner.now}{GIVEN_UP if self.requested else ''}"
        self.kept = str(self.mark["snapshot"]) if was_touched else fresh
        self.undoes_state = self.returns and was_touched and (bool(self.mark["restore"]) or self.formats_differ())
        self.restore = self.requested or (self.kept if self.undoes_state else "")

    def _is_goal_of_mark(self) -> bool:
        return self.item.composition[:2] == Composition.from_data(self.mark["to"])[:2]

    def formats_differ(self) -> bool:
        """Whether one of the versions may have changed the state so that another cannot read it."""
        return len({each.state_schema for each in (self.good, self.item, self.now)}) > 1

    def has_arrived(self) -> bool:
        """Whether the composition is the wanted one. Other config alone is no reason to begin a swap."""
        length = None if self.mark else 2
        return self.now.composition[:length] == self.item.composition[:length]

    def is_over(self) -> bool:
        """Whether nothing is to be done."""
        return self.has_arrived() and not self.mark and not self.restore

    def previous(self) -> str | None:
        """Return the key PREVIOUS as it was before the swap, None where there was none."""
        return self.mark["previous"] if self.mark else self.present.config.get(instance.PREVIOUS)

    def leaves(self) -> Composition | None:
        """Return what a rollback turns its back on, None where it changes no version."""
        if self.returns:
            return Composition.from_data(self.mark["to"]) if self.mark else None
        return self.good.composition


def plan_swaps(ways: t.Iterable[Ways], have: Have, place: Place, manner: Manner) -> list[Swap]:
    """Return the swaps of the appliances that are not what they should be, or were not yet found well as that.

    Raises BadInput naming everything that cannot be done, before anything is.
    """
    courses = [Course(way, have, manner) for way in ways]
    problems = [problem for course in courses for problem in _find_problems(course, have)]
    if problems:
        raise BadInput("\n".join(problems))
    return [_plan_swap(course, have, place) for course in courses if not course.is_over()]


def to_plan(swaps: t.Sequence[Swap], have: Have, place: Place) -> Plan:
    """Return the swaps, as they go if nothing fails, in the shape that is reported."""
    return Plan(
        tuple(step for swap in swaps for step in swap.forward),
        {swap.appliance: diff.show_instance(have.instances[swap.appliance], have) for swap in swaps},
        {swap.appliance: diff.show_appliance(swap.item, place) for swap in swaps},
    )


def _find_problems(course: Course, have: Have) -> list[str]:
    item, good, manner = course.item, course.good, course.manner
    problems = find_problems(item, have, "layers")
    volumes = _volumes(good, have)
    known = _known_snapshots(volumes, have)
    if course.requested and not any(course.requested in have.snapshots.get(name, ()) for name in volumes):
        problems.append(f"Appliance {item.name}: it has no snapshot {course.requested!r} of its state; {known}.")
    is_other = manner.purpose == ROLLBACK and item.state_schema != good.state_schema
    if is_other and not course.requested and not manner.keep_state:
        old, new = (f"app {each.composition.app.name} {each.composition.app.version}" for each in (item, good))
        problems.append(
            f"Appliance {item.name}: {new} keeps its state as {good.state_schema!r}, {old} as {item.state_schema!r}, "
            f"and may not be able to read what is there now. Name a snapshot to go back to ({known}), or ask to keep "
            "the state as it is."
        )
    if have.pool_driver == KEEPS_NO_NEWER and volumes and (course.restore or course.formats_differ()):
        problems.append(
            f"Appliance {item.name}: this may have to bring a snapshot of its state back, and a pool of driver "
            f"{KEEPS_NO_NEWER} cannot do that and keep what is newer. Move the node to a pool of driver btrfs or dir."
        )
    return problems


def _known_snapshots(volumes: t.Iterable[str], have: Have) -> str:
    names = sorted({name for volume in volumes for name in have.snapshots.get(volume, ())})
    return f"its snapshots are {', '.join(names)}" if names else "it has no snapshot"


def _plan_swap(course: Course, have: Have, place: Place) -> Swap:
    has_way_back = not course.returns or bool(course.requested)
    undoes = course.returns and bool(course.mark) and course.purpose == PATCH
    return Swap(
        item=course.item,
        purpose=course.purpose,
        came_from=course.good.composition,
        goal=Composition.from_data(course.mark["to"]) if undoes else course.item.composition,
        started=str(course.mark.get("started", "")),
        snapshot=course.kept,
        forward=tuple(_forward(course, have, place)),
        back=tuple(_back(course, have, place)) if has_way_back else (),
        undoes=undoes,
        leaves=course.leaves() if course.purpose == ROLLBACK else None,
        watched=course.is_running and not course.mark,
        touched=bool(course.mark),
    )


def _forward(course: Course, have: Have, place: Place) -> list[Step]:
    item = course.item
    volumes = _volumes(course.now, have)
    planned = steps.volume_steps(item, have)
    stays = course.has_arrived() and not course.restore
    if not stays:
        planned += [steps.write_config(item), _begin(course)]
        is_patient = course.purpose == PATCH and not course.returns
        planned += [steps.stop(item.name) if is_patient else _halt(item.name)] if course.is_running else []
        planned += _keep_state(course, volumes, have)
        planned.append(_point(item, _changed_keys(course), _changed_devices(course.now, item, place)))
    if item.state == RUNNING:
        planned += [steps.wait(item)] if stays and course.is_running else steps.start(item)
        planned.append(_settle(item, course.manner.settle))
    return planned + _forget_snapshots(course, volumes, have)


def _keep_state(course: Course, volumes: list[str], have: Have) -> list[Step]:
    """Return what keeps the state before another version works on it, and what brings older state back."""
    name = course.item.name
    if course.undoes_state:
        return _restore(name, _having(volumes, course.kept, have), course.kept, _aside(course.kept))
    if course.requested:
        to_restore = _having(volumes, course.requested, have)
        others = [_snapshot(name, volume, course.kept) for volume in volumes if volume not in to_restore]
        return others + _restore(name, to_restore, course.requested, course.kept)
    return [] if course.has_moved else [_snapshot(name, volume, course.kept) for volume in volumes]


def _back(course: Course, have: Have, place: Place) -> list[Step]:
    """Return what takes the appliance back to the composition that was good, from wherever it is by then."""
    item, good = course.item, course.good
    planned = [_halt(item.name)]
    if course.requested or course.formats_differ():
        is_old = course.kept == course.mark.get("snapshot")
        volumes = _volumes(course.now, have)
        planned += _restore(
            item.name, _having(volumes, course.kept, have) if is_old else volumes, course.kept, _aside(course.kept)
        )
    wanted = instance.instance_config(good)
    keys = {**{key: wanted[key] for key in OF_A_COMPOSITION}, instance.PREVIOUS: course.previous()}
    planned.append(_point(good, keys, _changed_devices(item, good, place)))
    return [*planned, *steps.start(good), *_forget_snapshots(course, _volumes(good, have), have)]


def _halt(name: str) -> Step:
    return Step(name, "halt", f"stop {name}, by force if it does not", {})


def _having(volumes: t.Iterable[str], snapshot: str, have: Have) -> list[str]:
    return [volume for volume in volumes if snapshot in have.snapshots.get(volume, ())]


def _restore(name: str, volumes: t.Sequence[str], snapshot: str, kept_as: str) -> list[Step]:
    """Return what keeps the state under another name, and brings a snapshot back."""
    return [
        *(_snapshot(name, volume, kept_as) for volume in volumes),
        *(
            Step(
                name,
                "restore_volume",
                f"bring {volume} back to snapshot {snapshot}; what was written since is kept as snapshot {kept_as}",
                {"volume": volume, "snapshot": snapshot},
            )
            for volume in volumes
        ),
    ]


def _aside(kept: str) -> str:
    """Return the name under which state is kept that ``kept`` replaces. Such a snapshot goes only by hand."""
    return f"{kept.removesuffix(GIVEN_UP)}{TRIED}" if kept.endswith(GIVEN_UP) else f"{kept}{GIVEN_UP}"


def _begin(course: Course) -> Step:
    mark = {
        "purpose": course.purpose,
        "from": course.good.composition.to_data(),
        "to": course.item.composition.to_data(),
        "snapshot": course.kept,
        "restore": course.requested,
        "previous": course.previous(),
    }
    base, app, _config = course.item.composition
    sentence = f"swap {course.item.name} to base {base.name} {base.version} and app {app.name} {app.version}"
    return Step(course.item.name, "begin_swap", sentence, mark)


def _changed_keys(course: Course) -> dict[str, str | None]:
    wanted, good = (instance.instance_config(each) for each in (course.item, course.good))
    previous = course.previous() if course.returns else good[instance.COMPOSITION]
    return {**{key: wanted[key] for key in OF_A_COMPOSITION}, instance.PREVIOUS: previous}


def _changed_devices(before: Appliance, after: Appliance, place: Place) -> dict[str, dict[str, str] | None]:
    old, new = (instance.instance_devices(each, place.store, place.pool) for each in (before, after))
    gone: dict[str, dict[str, str] | None] = {name: None for name in old if name not in new}
    return {name: device for name, device in (gone | new).items() if instance.is_layer(name)}


def _point(item: Appliance, keys: dict[str, str | None], devices: dict[str, dict[str, str] | None]) -> Step:
    base, app, _config = item.composition
    sentence = f"map base {base.name} {base.version} and app {app.name} {app.version} into {item.name}"
    return Step(item.name, "update_instance", sentence, {"config": keys, "devices": devices, "pending": None})


def _snapshot(name: str, volume: str, snapshot: str) -> Step:
    args = {"volume": volume, "snapshot": snapshot}
    return Step(name, "snapshot_volume", f"keep the state in {volume} as snapshot {snapshot}", args)


def _settle(item: Appliance, seconds: float) -> Step:
    args = {**steps.wait(item).args, "seconds": seconds}
    return Step(item.name, "settle", f"see {item.name} stay healthy for {seconds:g} s", args)


def _forget_snapshots(course: Course, volumes: t.Iterable[str], have: Have) -> list[Step]:
    """Return what lets go of the oldest snapshots that swaps made, and of no other."""
    needed = {course.kept, course.restore} - {""}
    planned = []
    for volume in volumes:
        own = [name for name in have.snapshots.get(volume, ()) if OWN_SNAPSHOT.fullmatch(name)]
        added = {course.kept} if OWN_SNAPSHOT.fullmatch(course.kept) else set()
        surplus = max(0, len({*own, *added}) - course.manner.keep)
        for name in [name for name in own if name not in needed][:surplus]:
            args = {"volume": volume, "snapshot": name}
            sentence = f"let go of snapshot {name} of {volume}"
            planned.append(Step(course.item.name, "delete_snapshot", sentence, args))
    return planned


def _volumes(item: Appliance, have: Have) -> list[str]:
    """Return the engine's names of an appliance's state volumes, those that are there."""
    names = (instance.volume_name(item.name, volume.name) for volume in item.volumes)
    return [name for name in names if name in have.volumes]
