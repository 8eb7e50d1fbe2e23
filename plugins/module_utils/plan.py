# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plan: from what is wanted and what is there to the steps between. Pure: no engine, no clock, no module."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import config_layer, diff, instance
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.model import (
    LEAST_DISTURBING_FIRST,
    RUNNING,
    Appliance,
    Composition,
    Have,
    Instance,
    Place,
    Plan,
    Removal,
    Step,
)
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size

# What a running instance takes over at once; everything else waits for its next start.
LIVE_KEYS = ("limits.", "boot.", "user.")
LIVE_DEVICES = ("port-", instance.CONFIG_DEVICE)

Change = dict[str, t.Any]


class Difference(t.NamedTuple):
    """What to change of an instance: keys and devices by name, None for those to remove; and changed config files."""

    keys: dict[str, str | None]
    devices: dict[str, dict[str, str] | None]
    files: dict[str, Change]

    def is_live(self) -> bool:
        """Whether a running instance can take it without a restart."""
        return (
            all(key.startswith(LIVE_KEYS) for key in self.keys)
            and all(device.startswith(LIVE_DEVICES) for device in self.devices)
            and all(file["on_change"] != "reboot" for file in self.files.values())
        )


def make_plan(want: t.Iterable[Appliance | Removal], have: Have, place: Place, scope: str = "all") -> Plan:
    """Return the steps that turn ``have`` into ``want``; with scope ``config``, those that concern the config layer.

    Raises BadInput naming everything that cannot be done, before anything is.
    """
    want = tuple(want)
    problems = [problem for item in want for problem in find_problems(item, have, scope)]
    if problems:
        raise BadInput("\n".join(problems))
    steps: list[Step] = []
    before: dict[str, t.Any] = {}
    after: dict[str, t.Any] = {}
    for item in want:
        own = _steps_of(item, have, place, scope)
        if own:
            steps += own
            before[item.name] = diff.show_instance(have.instances.get(item.name), have)
            after[item.name] = {} if isinstance(item, Removal) else diff.show_appliance(item, place)
    return Plan(tuple(steps), before, after)


def _steps_of(item: Appliance | Removal, have: Have, place: Place, scope: str) -> list[Step]:
    if scope == "config":
        return _configure(item, have.instances[item.name], place) if isinstance(item, Appliance) else []
    return _remove(item, have) if isinstance(item, Removal) else _converge(item, have, place)


def find_problems(item: Appliance | Removal, have: Have, scope: str = "all") -> list[str]:
    """Return a sentence for everything that stands in the way of one appliance."""
    problems = []
    present = have.instances.get(item.name)
    if present and instance.composition_of(present.config) is None:
        problems.append(
            f"Appliance {item.name}: the engine has an instance of that name which Strata did not make; "
            "rename the appliance, or move that instance out of the project."
        )
    elif scope == "config" and isinstance(item, Appliance):
        problems += _find_config_problems(item, present)
    volumes = item.volumes if isinstance(item, Appliance) else ()
    for volume in volumes:
        size = have.volumes.get(instance.volume_name(item.name, volume.name), 0)
        if 0 < volume.size < size:
            problems.append(
                f"Appliance {item.name}: appliance_volumes.{volume.name}.size is {format_size(volume.size)}, but the "
                f"volume has {format_size(size)}, and state is never made smaller; ask for {format_size(size)} or more."
            )
    return problems


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


def identity(composition: Composition) -> str:
    """Return one short text for what an appliance runs, as the mark of its last good start."""
    return f"{composition.base.commit[:16]}+{composition.app.commit[:16]}+{composition.config[:16]}"


def compare(item: Appliance, present: Instance, place: Place) -> Difference:
    """Return what differs between an appliance and its instance."""
    files = config_layer.describe(item.files, place.key)
    return Difference(
        _changes(instance.owned_keys(present.config), instance.instance_config(item)),
        _changes(present.devices, instance.instance_devices(item, place.store, place.pool)),
        {path: files.get(path) or dict(present.files[path]) for path in _changes(present.files, files)},
    )


def _converge(item: Appliance, have: Have, place: Place) -> list[Step]:
    present = have.instances.get(item.name)
    steps = _volume_steps(item, have)
    if present is None:
        return [*steps, _write_config(item), _create(item, place), *_start(item)]
    difference = compare(item, present, place)
    is_running = present.status == "Running"
    if not difference.keys and not difference.devices:
        return [*steps, *_settle(item, present, is_running)]
    if instance.CONFIG_DEVICE in difference.devices:
        steps.append(_write_config(item))
    if is_running and item.state == RUNNING and difference.is_live():
        return [*steps, *_change_live(item, difference, present)]
    stop = [_stop(item.name)] if is_running else []
    return [*steps, *stop, _update(item, difference, present, pending=None), *_start(item)]


def _configure(item: Appliance, present: Instance, place: Place) -> list[Step]:
    """Return the steps for the config layer alone."""
    full = compare(item, present, place)
    keys = {key: value for key, value in full.keys.items() if key == instance.COMPOSITION}
    devices = {name: device for name, device in full.devices.items() if name == instance.CONFIG_DEVICE}
    difference = Difference(keys, devices, full.files)
    if not devices:
        return _settle(item, present, is_running=True) if present.status == "Running" else []
    if present.status != "Running":
        return [_write_config(item), _update(item, difference, present, pending=None)]
    if difference.is_live():
        return [_write_config(item), *_change_live(item, difference, present)]
    return [_write_config(item), _stop(item.name), _update(item, difference, present, pending=None), *_start(item)]


def _settle(item: Appliance, present: Instance, is_running: bool) -> list[Step]:
    """Return the steps for an instance that is as it should be, but for whether it runs and is known to be healthy."""
    if item.state != RUNNING:
        return [_stop(item.name)] if is_running else []
    if not is_running:
        return _start(item)
    if present.marks.get("pending"):
        return [_refresh(item, present.marks["pending"]), _wait(item)]
    return [] if present.marks.get("healthy") == identity(item.composition) else [_wait(item)]


def _change_live(item: Appliance, difference: Difference, present: Instance) -> list[Step]:
    pending = present.marks.get("pending")
    if instance.CONFIG_DEVICE in difference.devices:
        pending = _merge_pending(pending or {"units": {}, "reload_manager": False}, difference.files)
    update = _update(item, difference, present, pending)
    return [update, *([_refresh(item, pending)] if pending else []), _wait(item)]


def _merge_pending(pending: Change, files: t.Mapping[str, Change]) -> Change:
    """Return what has to be told to whom, for these changed files and what an unfinished run left to tell."""
    units = dict(pending["units"])
    for file in files.values():
        for unit in file["units"]:
            units[unit] = max(units.get(unit, "reload"), file["on_change"], key=LEAST_DISTURBING_FIRST.index)
    reload_manager = pending["reload_manager"] or any(path.startswith("/etc/systemd/") for path in files)
    return {"units": units, "reload_manager": reload_manager}


def _volume_steps(item: Appliance, have: Have) -> list[Step]:
    steps = []
    for volume in item.volumes:
        name = instance.volume_name(item.name, volume.name)
        args = {"volume": name, "size": volume.size}
        size = format_size(volume.size) if volume.size else "no size limit"
        if name not in have.volumes:
            steps.append(Step(item.name, "create_volume", f"create state volume {name} ({size})", args))
        elif volume.size > have.volumes[name] > 0:
            steps.append(Step(item.name, "grow_volume", f"grow state volume {name} to {size}", args))
    return steps


def _write_config(item: Appliance) -> Step:
    args = {"digest": item.composition.config, "files": item.files}
    return Step(item.name, "write_config", f"write config layer {item.composition.config[:12]} of {item.name}", args)


def _create(item: Appliance, place: Place) -> Step:
    base, app, _config = item.composition
    args = {
        "config": instance.instance_config(item),
        "devices": instance.instance_devices(item, place.store, place.pool),
    }
    sentence = f"create {item.name} from base {base.name} {base.version} and app {app.name} {app.version}"
    return Step(item.name, "create_instance", sentence, args)


def _update(item: Appliance, difference: Difference, present: Instance, pending: Change | None) -> Step:
    keys: dict[str, str | None] = dict(difference.keys)
    if instance.COMPOSITION in difference.keys:
        keys[instance.PREVIOUS] = present.config[instance.COMPOSITION]
    named = sorted([*(key.removeprefix("user.strata.") for key in difference.keys), *difference.devices])
    args = {"config": keys, "devices": difference.devices, "pending": pending}
    return Step(item.name, "update_instance", f"change {', '.join(named)} of {item.name}", args)


def _refresh(item: Appliance, pending: Change) -> Step:
    units = ", ".join(f"{action} {unit}" for unit, action in sorted(pending["units"].items()))
    sentence = f"merge the new config into {item.name}: {units or 'no unit needs to know'}"
    return Step(item.name, "refresh_config", sentence, {**pending, "systemd": item.systemd})


def _start(item: Appliance) -> list[Step]:
    return [Step(item.name, "start", f"start {item.name}", {}), _wait(item)] if item.state == RUNNING else []


def _stop(name: str) -> Step:
    return Step(name, "stop", f"stop {name}", {})


def _wait(item: Appliance) -> Step:
    args = {
        "health": item.health,
        "timeout": item.health_timeout,
        "mark": identity(item.composition),
        "address": item.nics[0].address if item.nics else "",
        "services": item.services,
    }
    return Step(item.name, "wait_healthy", f"wait until {item.name} is healthy", args)


def _remove(item: Removal, have: Have) -> list[Step]:
    steps = []
    present = have.instances.get(item.name)
    if present:
        if present.status == "Running":
            steps.append(_stop(item.name))
        steps.append(Step(item.name, "delete_instance", f"remove {item.name}, keeping its state", {}))
    if item.with_state:
        volumes = sorted(name for name in have.volumes if name.startswith(f"{item.name}."))
        steps += [Step(item.name, "delete_volume", f"delete state volume {name}", {"volume": name}) for name in volumes]
    return steps


def _changes(before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    gone = {key: None for key in before if key not in after}
    return gone | {key: value for key, value in after.items() if before.get(key) != value}
