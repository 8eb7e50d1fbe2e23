# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plan: from what is wanted and what is there to the steps between. Pure: no engine, no clock, no module."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import (
    cut_restores,
    diff,
    instance,
    migration,
    moved,
    steps,
)
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, Held
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import network_plan, quarantine
from ansible_collections.strata.fleet.plugins.module_utils.model import (
    LEAST_DISTURBING_FIRST,
    RUNNING,
    Appliance,
    Have,
    Instance,
    Place,
    Plan,
    Removal,
    Step,
)
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size

SETTLED = (migration.KEPT, migration.DAMAGED)  # no migration is under way

Change = dict[str, t.Any]


def make_plan(want: t.Iterable[Appliance | Removal], have: Have, place: Place, scope: str = "all") -> Plan:
    """Return the steps that turn ``have`` into ``want``; with scope ``config``, those that concern the config layer.

    Raises BadInput naming everything that cannot be done, before anything is; Held where nothing but something that was
    begun is in the way.
    """
    want = tuple(want)
    lists = plan_node(want, have) if scope == "all" else Plan((), {}, {})
    problems = [problem for item in want for problem in find_problems(item, have, scope)]
    if problems:
        holds = {hold for item in want for hold in find_holds(item, have, scope)}
        raise (Held if holds.issuperset(problems) else BadInput)("\n".join(problems))
    planned: list[Step] = list(lists.steps)
    before: dict[str, t.Any] = dict(lists.before)
    after: dict[str, t.Any] = dict(lists.after)
    for item in want:
        own = [] if quarantine_of(item.name, have) else _steps_of(item, have, place, scope)
        if own:
            planned += own
            before[item.name] = diff.show_instance(have.instances.get(item.name), have)
            after[item.name] = {} if isinstance(item, Removal) else diff.show_appliance(item, place)
    return Plan(tuple(planned), before, after)


def plan_node(want: t.Iterable[Appliance | Removal], have: Have) -> Plan:
    """Return what makes the access lists of the node's networks as the apps declare, for what will be there then."""
    want = tuple(want)
    gone = [item.name for item in want if isinstance(item, Removal)]
    appliances = [item for item in want if isinstance(item, Appliance)]
    return network_plan.plan_lists(network_plan.find_reaches(appliances, gone, have), have)


def quarantine_of(name: str, have: Have) -> quarantine.Quarantine | None:
    """Return why an appliance is cut off, and so left alone; None where it is not."""
    present = have.instances.get(name)
    return quarantine.read(present.config) if present else None


def _steps_of(item: Appliance | Removal, have: Have, place: Place, scope: str) -> list[Step]:
    if scope == "config":
        return _configure(item, have.instances[item.name], place) if isinstance(item, Appliance) else []
    return _remove(item, have) if isinstance(item, Removal) else _converge(item, have, place)


def find_problems(item: Appliance | Removal, have: Have, scope: str = "all") -> list[str]:
    """Return a sentence for everything that stands in the way of one appliance.

    ``scope`` is all, config or layers, or state for a restore, which may take up one that was cut off.
    """
    problems = []
    present = have.instances.get(item.name)
    if present and instance.composition_of(present.config) is None:
        problems.append(
            f"Appliance {item.name}: the engine has an instance of that name which Strata did not make; "
            "rename the appliance, or move that instance out of the project."
        )
    elif scope == "config" and isinstance(item, Appliance):
        problems += _find_config_problems(item, present)
    problems += [*find_holds(item, have, scope), *_find_moves(item, present, have)]
    cut = quarantine_of(item.name, have)
    if cut and (scope in ("layers", "state") or isinstance(item, Removal)):
        problems.append(quarantine.refusal(item.name, cut))
    volumes = item.volumes if isinstance(item, Appliance) else ()
    for volume in volumes:
        size = have.volumes.get(instance.volume_name(item.name, volume.name), 0)
        if 0 < volume.size < size:
            problems.append(
                f"Appliance {item.name}: appliance_volumes.{volume.name}.size is {format_size(volume.size)}, but the "
                f"volume has {format_size(size)}, and state is never made smaller; ask for {format_size(size)} or more."
            )
    return problems


def find_holds(item: Appliance | Removal, have: Have, scope: str = "all") -> list[str]:
    """Return a sentence for everything that was begun with one appliance, and has to end first."""
    present = have.instances.get(item.name)
    holds = []
    if scope == "all" and isinstance(item, Appliance) and _is_between_versions(item, present):
        holds.append(
            f"Appliance {item.name}: a patch or rollback of it was cut off. Run playbooks/patch.yml, which ends that, "
            "before another version is deployed."
        )
    if present and present.status == instance.FROZEN:
        holds.append(
            f"Appliance {item.name} is held for a backup, which was cut off or is under way: run playbooks/backup.yml "
            f"-e backup={item.name}, which ends that. Where somebody paused it by hand, resume it."
        )
    mark = migration.read(present.config) if present else None
    if mark and mark.role not in SETTLED:
        holds.append(migration.refusal(item.name, mark))
    return holds if scope == "state" else [*holds, *_find_cut_restores(item, present, have)]


def _find_moves(item: Appliance | Removal, present: Instance | None, have: Have) -> list[str]:
    """Return why an appliance that went to another node is left alone here."""
    mark = migration.read(present.config) if present else None
    if mark and mark.role in SETTLED:
        is_let_go = isinstance(item, Removal) and mark.role == migration.KEPT
        return [] if is_let_go else [migration.refusal(item.name, mark)]
    if isinstance(item, Removal) or present or item.name not in have.moved:
        return []
    return [moved.refusal(item.name, have.moved[item.name])]


def _find_cut_restores(item: Appliance | Removal, present: Instance | None, have: Have) -> list[str]:
    """Return why an appliance is left alone whose state is being replaced, also before it has an instance."""
    mark = present.marks.get("restore") if present else have.restores.get(item.name)
    if not mark or (isinstance(item, Removal) and item.with_state):
        return []
    sentence = explain_cut_restore(item.name, mark)
    given_up = f" To give it up with its state: {cut_restores.removal(item.name)}."
    return [sentence + (given_up if isinstance(item, Removal) else "")]


def _is_between_versions(item: Appliance, present: Instance | None) -> bool:
    """Whether a swap has not ended, and this would change base or app beside it."""
    running = instance.composition_of(present.config) if present else None
    return bool(present and present.marks.get("swap") and running and running[:2] != item.composition[:2])


def explain_cut_restore(name: str, mark: t.Mapping[str, t.Any]) -> str:
    """Return why an appliance whose state is being replaced is left alone: what is missing now would be made anew."""
    return (
        f"Appliance {name}: a restore of backup {mark['snapshot'][:8]} was cut off. Run playbooks/restore.yml again "
        f"({cut_restores.command(name, mark)}), which ends that, before anything else."
    )


def _find_config_problems(item: Appliance, present: Instance | None) -> list[str]:
    """Return why a config cannot be put on its own under what the appliance runs: its templates come from the app."""
    running = instance.composition_of(present.config) if present else None
    if running is None:
        return [f"Appliance {item.name} is not there yet: deploy it before configuring it."]
    changes = [
        f"{before.name} {before.version} to {after.name} {after.version}"
        for before, after in zip(running[:2], item.composition[:2], strict=True)
        if before.commit != after.commit
    ]
    return [f"Appliance {item.name} is to change from {'; '.join(changes)}: deploy does that."] if changes else []


def _converge(item: Appliance, have: Have, place: Place) -> list[Step]:
    present = have.instances.get(item.name)
    first = steps.volume_steps(item, have)
    if present is None:
        return [*first, steps.write_config(item), steps.create(item, place), *steps.start(item)]
    difference = steps.compare(item, present, place)
    is_running = instance.is_up(present.status)
    if not difference.keys and not difference.devices:
        return [*first, *_settle(item, present, is_running)]
    if instance.CONFIG_DEVICE in difference.devices:
        first.append(steps.write_config(item))
    if is_running and item.state == RUNNING and difference.is_live():
        return [*first, *_change_live(item, difference, present)]
    stop = [steps.stop(item.name)] if is_running else []
    return [*first, *stop, steps.update(item, difference, present, pending=None), *steps.start(item)]


def _configure(item: Appliance, present: Instance, place: Place) -> list[Step]:
    """Return the steps for the config layer alone."""
    full = steps.compare(item, present, place)
    keys = {key: value for key, value in full.keys.items() if key == instance.COMPOSITION}
    devices = {name: device for name, device in full.devices.items() if name == instance.CONFIG_DEVICE}
    difference = steps.Difference(keys, devices, full.files)
    if not devices:
        return _settle(item, present, is_running=True) if instance.is_up(present.status) else []
    if not instance.is_up(present.status):
        return [steps.write_config(item), steps.update(item, difference, present, pending=None)]
    if difference.is_live():
        return [steps.write_config(item), *_change_live(item, difference, present)]
    return [
        steps.write_config(item),
        steps.stop(item.name),
        steps.update(item, difference, present, pending=None),
        *steps.start(item),
    ]


def _settle(item: Appliance, present: Instance, is_running: bool) -> list[Step]:
    """Return the steps for an instance that is as it should be, but for whether it runs and is known to be healthy."""
    if item.state != RUNNING:
        return [steps.stop(item.name)] if is_running else []
    if not is_running:
        return steps.start(item)
    if present.marks.get("pending"):
        return [steps.refresh(item, present.marks["pending"]), steps.wait(item)]
    return [] if present.marks.get("healthy") == steps.identity(item.composition) else [steps.wait(item)]


def _change_live(item: Appliance, difference: steps.Difference, present: Instance) -> list[Step]:
    pending = present.marks.get("pending")
    if instance.CONFIG_DEVICE in difference.devices:
        pending = _merge_pending(pending or {"units": {}, "reload_manager": False}, difference.files)
    update = steps.update(item, difference, present, pending)
    return [update, *([steps.refresh(item, pending)] if pending else []), steps.wait(item)]


def _merge_pending(pending: Change, files: t.Mapping[str, Change]) -> Change:
    """Return what has to be told to whom, for these changed files and what an unfinished run left to tell."""
    units = dict(pending["units"])
    for file in files.values():
        for unit in file["units"]:
            units[unit] = max(units.get(unit, "reload"), file["on_change"], key=LEAST_DISTURBING_FIRST.index)
    reload_manager = pending["reload_manager"] or any(path.startswith("/etc/systemd/") for path in files)
    return {"units": units, "reload_manager": reload_manager}


def _remove(item: Removal, have: Have) -> list[Step]:
    planned = []
    present = have.instances.get(item.name)
    if present:
        if instance.is_up(present.status):
            planned.append(steps.stop(item.name))
        planned.append(Step(item.name, "delete_instance", f"remove {item.name}, keeping its state", {}))
    if item.name in have.moved:
        to = have.moved[item.name]["to"]
        planned.append(Step(item.name, "forget_move", f"forget that {item.name} went to {to}", {}))
    if item.with_state:
        # What a restore moved aside is released by its own name alone.
        volumes = sorted(
            name for name in have.volumes if name.startswith(f"{item.name}.") and not instance.is_aside(name)
        )
        planned += [
            Step(item.name, "delete_volume", f"delete state volume {name}", {"volume": name}) for name in volumes
        ]
        if not present and item.name in have.restores:
            sentence = f"forget the restore of {item.name} that was cut off"
            planned.append(Step(item.name, "forget_restore", sentence, {}))
    return planned
