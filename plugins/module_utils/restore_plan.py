# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plan, for a restore: a backup's volumes come beside the present ones, then take their place. Pure.

While restic writes, the appliance goes on running. Then it stops, its volumes are renamed aside, and the new ones take
their names; nothing is deleted. At any moment the state is whole under one name or the other, and the mark ``restore``
together with the key RESTORED of a volume tells the next run how far this one came.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import cut_restores, diff, instance, plan, steps
from ansible_collections.strata.fleet.plugins.module_utils.backup_record import Record, SavedVolume
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.marks import Marks
from ansible_collections.strata.fleet.plugins.module_utils.model import (
    RUNNING,
    Appliance,
    Have,
    Instance,
    Place,
    Plan,
    Step,
)
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size

RESTORED = "user.strata.restored"  # of a volume: the backup that it holds, whole
RESTORING = ".restoring"  # ends the name of a volume while its content comes
AUTOSTART = "boot.autostart"
READS = ("delete_volume", "create_restoring", "read_backup")


class Order(t.NamedTuple):
    """What becomes of one appliance.

    ``item`` is as it is to be; ``volumes`` are those that come out of the backup, by the app's names. ``is_whole``:
    its composition comes from the backup, too. ``may_stop``: it may be running, somebody asked for that by name.
    """

    item: Appliance
    snapshot: str
    repository: str
    record: Record
    volumes: tuple[str, ...]
    is_whole: bool
    may_stop: bool

    @property
    def appliance(self) -> str:
        """The appliance's name."""
        return self.item.name


class Found(t.NamedTuple):
    """What there is. ``restored``: the backup that a volume holds; ``marks``: of appliances that are not there."""

    have: Have
    restored: t.Mapping[str, str]
    marks: t.Mapping[str, Marks]


class Stage(t.NamedTuple):
    """How far an appliance is: the mark of a run that was cut off, and the volumes that are to be put in place yet."""

    mark: t.Mapping[str, t.Any] | None
    volumes: tuple[str, ...]
    moment: str


def restoring_name(volume: str) -> str:
    """Return the name of a volume while its content comes."""
    return f"{volume}{RESTORING}"


def plan_restores(orders: t.Sequence[Order], found: Found, place: Place, moment: str) -> Plan:
    """Return the steps that bring the state back. Raises BadInput naming everything that cannot be done."""
    problems = [problem for order in orders for problem in find_problems(order, found)]
    if problems:
        raise BadInput("\n".join(problems))
    lists = plan.plan_node([order.item for order in orders if order.is_whole], found.have)
    planned = list(lists.steps)
    before, after = dict(lists.before), dict(lists.after)
    for order in orders:
        own = plan_one(order, found, place, moment)
        if own:
            planned += own
            shown = {"restored from": order.snapshot, "volumes": list(order.volumes)}
            before[order.appliance] = diff.show_instance(found.have.instances.get(order.appliance), found.have)
            after[order.appliance] = {**diff.show_appliance(order.item, place), **shown}
    return Plan(tuple(planned), before, after)


def reads_of(planned: Plan) -> Plan:
    """Return the part that reads backups: it may take hours, and touches nothing that is in use."""
    return Plan(tuple(step for step in planned.steps if step.action in READS), {}, {})


def find_problems(order: Order, found: Found) -> list[str]:
    """Return a sentence for everything that stands in the way of one appliance."""
    name = order.appliance
    unknown = [volume for volume in order.volumes if volume not in order.record.volumes]
    if unknown:
        has = ", ".join(sorted(order.record.volumes))
        return [f"Appliance {name}: backup {order.snapshot[:8]} has no volume {unknown[0]!r}; it has {has}."]
    saved = {instance.volume_name(name, volume): order.record.volumes[volume].size for volume in order.volumes}
    problems = plan.find_problems(order.item, dataclasses.replace(found.have, volumes=saved), "state")
    present = found.have.instances.get(name)
    if present and present.marks.get("swap"):
        problems.append(
            f"Appliance {name}: a patch or rollback of it was cut off. Run playbooks/patch.yml, which ends that, and "
            "then restore it."
        )
    if _mark_of(order, found) and not _find_mark(order, found):
        problems += _find_cut_problems(order, _mark_of(order, found) or {})
    elif present and instance.is_up(present.status) and not order.may_stop and not _find_mark(order, found):
        problems.append(
            f"Appliance {name} is running, and its state would be replaced. If that is meant, say so by its name: "
            f"-e restore_over={name}. What it has now is kept aside."
        )
    if not order.is_whole:
        problems += _find_volume_problems(order, present)
    return problems


def _find_cut_problems(order: Order, mark: t.Mapping[str, t.Any]) -> list[str]:
    """Return why a restore that was cut off is ended first: what it had moved aside would be missing for good."""
    name = order.appliance
    begun = f"Appliance {name}: a restore of backup {mark['snapshot'][:8]} was cut off"
    end = f"playbooks/restore.yml ({cut_restores.command(name, mark)})"
    left = [f"volume {volume}" for volume in mark["volumes"] if volume not in order.volumes]
    if mark.get("whole", True) and not order.is_whole:
        left.append("its versions of base and app")
    if left:
        return [f"{begun}, and this one leaves out {left[0]}. Run {end}, which ends that, and then restore it."]
    if order.may_stop:
        return []
    is_look = name != order.record.appliance
    instead = f"give it up ({cut_restores.removal(name)})" if is_look else f"say so by its name: -e restore_over={name}"
    return [f"{begun}. Run {end}, which ends that; or, to have backup {order.snapshot[:8]} instead, {instead}."]


def _find_volume_problems(order: Order, present: Instance | None) -> list[str]:
    name = order.appliance
    if present is None:
        return [f"Appliance {name} is not on this node: to have it back, restore all of it, without restore_volume."]
    if order.item.state_schema == order.record.state_schema:
        return []
    app, kept, now = order.item.composition.app, order.record.state_schema, order.item.state_schema
    sentence = (
        f"Appliance {name} runs {app.name} {app.version}, which keeps its state in format {now or '(none)'}, but "
        f"backup {order.snapshot[:8]} holds format {kept or '(none)'}: restore all of it, without restore_volume."
    )
    return [sentence]


def plan_one(order: Order, found: Found, place: Place, moment: str) -> list[Step]:
    """Return the steps of one appliance."""
    present = found.have.instances.get(order.appliance)
    stage = _find_stage(order, found, moment)
    bring = [step for volume in stage.volumes for step in _bring(order, volume, found)]
    begin = [] if stage.mark else [_begin(order, stage.moment)]
    moves = [step for volume in stage.volumes for step in _move(order, volume, found, stage.moment)]
    end = [*([steps.start(order.item)[0]] if order.item.state == RUNNING else []), _end(order, stage.moment)]
    wait = [steps.wait(order.item)] if order.item.state == RUNNING else []
    others = steps.volume_steps(order.item, _after(order, found)) if order.is_whole else []
    if present is None:
        own = [*others, steps.write_config(order.item), steps.create(order.item, place)]
        return [*bring, *begin, *moves, *own, *end, *wait]
    detach, detached = _detach(order, present) if stage.volumes else ([], present)
    attach = _attach(order, detached, place)
    is_running = instance.is_up(present.status)
    stop = [steps.stop(order.appliance)] if is_running and (detach or attach or stage.volumes) else []
    config = [steps.write_config(order.item)] if order.is_whole and attach else []
    return [*bring, *others, *config, *begin, *stop, *detach, *moves, *attach, *end, *wait]


def _mark_of(order: Order, found: Found) -> t.Mapping[str, t.Any] | None:
    """Return what a run that was cut off wrote down, whatever it restored."""
    present = found.have.instances.get(order.appliance)
    marks = present.marks if present else found.marks.get(order.appliance, {})
    return t.cast("t.Mapping[str, t.Any] | None", marks.get("restore"))


def _find_mark(order: Order, found: Found) -> t.Mapping[str, t.Any] | None:
    """Return what a run that was cut off wrote down, where it restored the same."""
    mark = _mark_of(order, found)
    if not mark or mark["snapshot"] != order.snapshot or mark["volumes"] != list(order.volumes):
        return None
    return mark if mark.get("whole", order.is_whole) == order.is_whole else None


def _find_stage(order: Order, found: Found, moment: str) -> Stage:
    mark = _find_mark(order, found)
    left = []
    for volume in order.volumes:
        name = instance.volume_name(order.appliance, volume)
        is_waiting = restoring_name(name) in found.have.volumes
        is_in_place = name in found.have.volumes and found.restored.get(name) == order.snapshot
        if not (mark and is_in_place and not is_waiting):
            left.append(volume)
    return Stage(mark, tuple(left), mark["moment"] if mark else moment)


def _bring(order: Order, volume: str, found: Found) -> list[Step]:
    """Return what has a volume of the backup beside the present one, whole."""
    target = restoring_name(instance.volume_name(order.appliance, volume))
    if found.restored.get(target) == order.snapshot:
        return []
    saved = order.record.volumes[volume]
    size = next((each.size for each in order.item.volumes if each.name == volume), saved.size)
    own = []
    if target in found.have.volumes:
        sentence = f"delete {target}, which a run that was cut off left unfinished"
        own.append(Step(order.appliance, "delete_volume", sentence, {"volume": target}))
    shown = format_size(size) if size else "no size limit"
    make = {"volume": target, "size": size, "idmap": saved.idmap}
    own.append(Step(order.appliance, "create_restoring", f"create volume {target} ({shown})", make))
    sentence = (
        f"read volume {volume} out of backup {order.snapshot[:8]} of {order.record.appliance} ({order.record.made}, "
        f"{format_size(saved.used)}) into {target}"
    )
    args = {"volume": target, **_source(order, saved)}
    return [*own, Step(order.appliance, "read_backup", sentence, args)]


def _source(order: Order, saved: SavedVolume) -> dict[str, t.Any]:
    return {
        "repository": order.repository,
        "snapshot": order.snapshot,
        "path": saved.saved,
        "host": order.record.appliance,
    }


def _begin(order: Order, moment: str) -> Step:
    args = {
        "snapshot": order.snapshot,
        "volumes": list(order.volumes),
        "moment": moment,
        "whole": order.is_whole,
        "of": order.record.appliance,
        "repository": order.repository,
    }
    return Step(order.appliance, "begin_restore", f"write down that {order.appliance} is restored", args)


def _end(order: Order, moment: str) -> Step:
    args = {"snapshot": order.snapshot, "made": order.record.made, "moment": moment}
    return Step(order.appliance, "end_restore", f"write down that {order.appliance} is restored and whole", args)


def _move(order: Order, volume: str, found: Found, moment: str) -> list[Step]:
    name = instance.volume_name(order.appliance, volume)
    moves = []
    if name in found.have.volumes:
        aside = instance.aside_name(name, moment)
        args = {"volume": name, "to": aside}
        moves.append(Step(order.appliance, "rename_volume", f"move the present state {name} aside, to {aside}", args))
    args = {"volume": restoring_name(name), "to": name}
    moves.append(Step(order.appliance, "rename_volume", f"put the restored state in place, as {name}", args))
    return moves


def _after(order: Order, found: Found) -> Have:
    """Return what there is once the volumes are in place: others that the app declares are made empty."""
    there = {instance.volume_name(order.appliance, volume): 0 for volume in order.volumes}
    return dataclasses.replace(found.have, volumes={**found.have.volumes, **there})


def _detach(order: Order, present: Instance) -> tuple[list[Step], Instance]:
    """Return what lets go of the volumes, and the instance after it.

    To rename a volume that an instance has takes the engine half a minute. Without its state it must not start with
    the node, should that go down now.
    """
    gone = {f"state-{volume}": None for volume in order.volumes if f"state-{volume}" in present.devices}
    if not gone:
        return [], present
    sentence = f"let {order.appliance} go of {', '.join(sorted(gone))}"
    args = {"config": {AUTOSTART: "false"}, "devices": gone, "pending": None}
    after = dataclasses.replace(
        present,
        config={**present.config, AUTOSTART: "false"},
        devices={name: keys for name, keys in present.devices.items() if name not in gone},
    )
    return [Step(order.appliance, "update_instance", sentence, args)], after


def _attach(order: Order, detached: Instance, place: Place) -> list[Step]:
    """Return what makes the instance as it is to be; without the composition, only what it was let go of."""
    full = steps.compare(order.item, detached, place)
    if order.is_whole:
        return [steps.update(order.item, full, detached, pending=None)] if full.keys or full.devices else []
    own = [f"state-{volume}" for volume in order.volumes]
    devices = {name: keys for name, keys in full.devices.items() if name in own}
    keys = {key: value for key, value in full.keys.items() if key == AUTOSTART}
    difference = steps.Difference(keys, devices, {})
    return [steps.update(order.item, difference, detached, pending=None)] if keys or devices else []
