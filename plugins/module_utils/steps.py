# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plans are made of: how an appliance differs from its instance, and a sentence for each change."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import config_layer, instance
from ansible_collections.strata.fleet.plugins.module_utils.model import (
    RUNNING,
    Appliance,
    Composition,
    Have,
    Instance,
    Place,
    Step,
)
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size

# What a running instance takes over at once; everything else waits for its next start.
LIVE_KEYS = ("limits.", "boot.", "user.")
LIVE_DEVICES = ("port-", instance.CONFIG_DEVICE)

Change = dict[str, t.Any]


class Difference(t.NamedTuple):
    """What to change of an instance: keys and devices by name, None for those to remove; and changed config files.

    ``late`` are the devices that a running instance takes only at its next start.
    """

    keys: dict[str, str | None]
    devices: dict[str, dict[str, str] | None]
    files: dict[str, Change]
    late: tuple[str, ...] = ()

    def is_live(self) -> bool:
        """Whether a running instance can take it without a restart."""
        return (
            all(key.startswith(LIVE_KEYS) for key in self.keys)
            and not self.late
            and all(file["on_change"] != "reboot" for file in self.files.values())
        )


def identity(composition: Composition) -> str:
    """Return one short text for what an appliance runs, as the mark of its last good start."""
    return f"{composition.base.commit[:16]}+{composition.app.commit[:16]}+{composition.config[:16]}"


def compare(item: Appliance, present: Instance, place: Place) -> Difference:
    """Return what differs between an appliance and its instance."""
    files = config_layer.describe(item.files, place.key)
    devices = _changes(present.devices, instance.instance_devices(item, place.store, place.pool))
    return Difference(
        _changes(instance.owned_keys(present.config), instance.instance_config(item)),
        devices,
        {path: files.get(path) or dict(present.files[path]) for path in _changes(present.files, files)},
        tuple(name for name, after in devices.items() if not _is_live(name, present.devices.get(name), after)),
    )


def _is_live(name: str, before: t.Mapping[str, str] | None, after: t.Mapping[str, str] | None) -> bool:
    if name.startswith(LIVE_DEVICES):
        return True
    if not before or not after or after["type"] != "nic":
        return False
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    return changed <= set(instance.FILTERS)  # the card stays, and its connections


def volume_steps(item: Appliance, have: Have) -> list[Step]:
    """Return what makes the missing state volumes, and the small ones larger."""
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


def write_config(item: Appliance) -> Step:
    """Return what writes the config layer into the store."""
    args = {"digest": item.composition.config, "files": item.files}
    return Step(item.name, "write_config", f"write config layer {item.composition.config[:12]} of {item.name}", args)


def create(item: Appliance, place: Place) -> Step:
    """Return what makes the instance."""
    base, app, _config = item.composition
    args = {
        "config": instance.instance_config(item),
        "devices": instance.instance_devices(item, place.store, place.pool),
    }
    sentence = f"create {item.name} from base {base.name} {base.version} and app {app.name} {app.version}"
    return Step(item.name, "create_instance", sentence, args)


def update(item: Appliance, difference: Difference, present: Instance, pending: Change | None) -> Step:
    """Return what changes keys and devices; ``pending`` is what has to be told to the units afterwards."""
    keys: dict[str, str | None] = dict(difference.keys)
    if instance.COMPOSITION in difference.keys:
        keys |= previous(item.composition, present)
    named = sorted([*(key.removeprefix("user.strata.") for key in difference.keys), *difference.devices])
    args = {"config": keys, "devices": difference.devices, "pending": pending}
    return Step(item.name, "update_instance", f"change {', '.join(named)} of {item.name}", args)


def previous(after: Composition, present: Instance) -> dict[str, str | None]:
    """Return the key that remembers a way back: what ran before the last change of base or app, whatever its config."""
    before = instance.composition_of(present.config)
    is_same = before is not None and before[:2] == after[:2]
    return {} if is_same else {instance.PREVIOUS: present.config[instance.COMPOSITION]}


def refresh(item: Appliance, pending: Change) -> Step:
    """Return what has a running appliance take over its config layer."""
    units = ", ".join(f"{action} {unit}" for unit, action in sorted(pending["units"].items()))
    sentence = f"merge the new config into {item.name}: {units or 'no unit needs to know'}"
    return Step(item.name, "refresh_config", sentence, {**pending, "systemd": item.systemd})


def start(item: Appliance) -> list[Step]:
    """Return what starts an appliance and waits for it, nothing where it is to be stopped."""
    return [Step(item.name, "start", f"start {item.name}", {}), wait(item)] if item.state == RUNNING else []


def stop(name: str) -> Step:
    """Return what stops an appliance."""
    return Step(name, "stop", f"stop {name}", {})


def wait(item: Appliance) -> Step:
    """Return what waits for health."""
    args = {
        "health": item.health,
        "timeout": item.health_timeout,
        "mark": identity(item.composition),
        "address": item.nics[0].address if item.nics else "",
        "services": item.services,
    }
    return Step(item.name, "wait_healthy", f"wait until {item.name} is healthy", args)


def _changes(before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    gone = {key: None for key in before if key not in after}
    return gone | {key: value for key, value in after.items() if before.get(key) != value}
