# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one shape in which an appliance before and after is shown to a person."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import config_layer, instance
from ansible_collections.strata.fleet.plugins.module_utils.model import Appliance, Have, Instance, Place


def show_appliance(item: Appliance, place: Place) -> dict[str, t.Any]:
    """Return an appliance as it should be."""
    config = instance.instance_config(item)
    devices = instance.instance_devices(item, place.store, place.pool)
    volumes = {instance.volume_name(item.name, volume.name): volume.size for volume in item.volumes}
    return _show(item.state, config, devices, volumes, config_layer.describe(item.files, place.key))


def show_instance(present: Instance | None, have: Have) -> dict[str, t.Any]:
    """Return an appliance as it is, {} where it is not."""
    if present is None:
        return {}
    volumes = {name: size for name, size in have.volumes.items() if name.startswith(f"{present.name}.")}
    config = instance.owned_keys(present.config)
    return _show(
        "running" if instance.is_up(present.status) else "stopped", config, present.devices, volumes, present.files
    )


def _show(
    state: str,
    config: t.Mapping[str, str],
    devices: t.Mapping[str, t.Mapping[str, str]],
    volumes: t.Mapping[str, int],
    files: t.Mapping[str, t.Mapping[str, t.Any]],
) -> dict[str, t.Any]:
    """Return the one shape in which an appliance is compared before a person's eyes."""
    return {
        "state": state,
        "config": dict(config),
        "devices": {name: dict(device) for name, device in devices.items()},
        "volumes": dict(volumes),
        "files": {path: {**file, "units": list(file["units"])} for path, file in files.items()},
    }
