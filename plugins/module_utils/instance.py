# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine is told about an appliance: the keys and devices of its instance."""

from __future__ import annotations

import json
import re
import typing as t
import uuid

from ansible_collections.strata.fleet.plugins.module_utils.model import Appliance, Composition

NAMESPACE = uuid.UUID("6f0e2b54-6a52-4b52-9e0c-6a7d4d2a52c1")
# Answered with ENOSYS, as by a kernel without them: a bare name would kill the caller, and systemd calls bpf.
DENIED_SYSCALLS = ("bpf", "io_uring_setup", "userfaultfd", "keyctl")
COMPOSITION = "user.strata.composition"
PREVIOUS = "user.strata.previous"  # the composition before the last change, for a way back
SIZES = "user.strata.sizes"  # of the state volumes, as they were last set: reading them all takes long
# Keys under these are Strata's: what inventory does not ask for is not there.
OWNED = ("boot.", "environment.", "limits.", "linux.", "raw.", "security.", "migration.", "nvidia.", "snapshots.")
# Of a network card: it sends with its own addresses alone. Without IPv6 on the network that leaves none.
FILTERS = ("security.mac_filtering", "security.ipv4_filtering", "security.ipv6_filtering")
ASIDE = "aside"
ASIDE_NAME = re.compile(rf"[^.]+\.[^.]+\.{ASIDE}-\d{{8}}T\d{{6}}Z")
FROZEN = "Frozen"  # the engine's word for one whose processes it holds, as a backup has it do
CONFIG_LAYER = "zz-config"
CONFIG_DEVICE = "config"

Keys = dict[str, str]
Devices = dict[str, dict[str, str]]


def volume_name(appliance: str, volume: str) -> str:
    """Return the engine's name for a state volume. An appliance's name has no dot, so no two volumes share one."""
    return f"{appliance}.{volume}"


def aside_name(volume: str, moment: str) -> str:
    """Return the name under which a restore keeps what it replaces, or a migration what was given up.

    ``moment`` is as ``clock.compact`` has it.
    """
    return f"{volume}.{ASIDE}-{moment}"


def is_aside(volume: str) -> bool:
    """Whether a volume is what was moved aside. An app's own may be called aside-x, but its name has no dot."""
    return bool(ASIDE_NAME.fullmatch(volume))


def is_up(status: str) -> bool:
    """Whether an instance has processes, by the engine's word: one that is frozen goes on as it was."""
    return status != "Stopped"


def config_path(store: str, appliance: str, digest: str) -> str:
    """Return the folder that the node maps as the appliance's config layer."""
    return f"{store}/config/{appliance}/{digest}/{CONFIG_LAYER}"


def instance_config(appliance: Appliance) -> Keys:
    """Return the instance's keys."""
    keys = {
        "boot.autostart": str(appliance.autostart).lower(),
        # systemd takes its machine id from here: the same through every patch and move, or the journal starts anew.
        "environment.container_uuid": str(uuid.uuid5(NAMESPACE, appliance.name)),
        "security.guestapi": "false",
        "security.idmap.isolated": "true",
        "security.syscalls.deny": "\n".join(f"{name} errno 38" for name in DENIED_SYSCALLS),
        COMPOSITION: json.dumps(appliance.composition.to_data(), sort_keys=True),
        SIZES: json.dumps({volume.name: volume.size for volume in appliance.volumes}, sort_keys=True),
    }
    if appliance.memory:
        keys["limits.memory"] = str(appliance.memory)
    if appliance.cpus:
        keys["limits.cpu"] = str(appliance.cpus)
    return keys


def instance_devices(appliance: Appliance, store: str, pool: str) -> Devices:
    """Return the instance's devices: root skeleton, mapped strata, state volumes, network cards, published ports."""
    base, app, config = appliance.composition
    devices: Devices = {
        "root": {"type": "disk", "pool": pool, "path": "/"},
        "base-usr": _mapped(f"{store}/layers/{base.commit}/usr", "/usr"),
        "base-etc": _mapped(f"{store}/layers/{base.commit}/etc", "/etc"),
        "app-sysext": _mapped(f"{store}/layers/{app.commit}/sysext", f"/strata/sysext/{app.name}"),
        "app-confext": _mapped(f"{store}/layers/{app.commit}/confext", f"/strata/confext/{app.name}"),
        CONFIG_DEVICE: _mapped(config_path(store, appliance.name, config), f"/strata/confext/{CONFIG_LAYER}"),
    }
    for volume in appliance.volumes:
        source = volume_name(appliance.name, volume.name)
        devices[f"state-{volume.name}"] = {"type": "disk", "pool": pool, "source": source, "path": volume.path}
    for number, nic in enumerate(appliance.nics):
        card = {"type": "nic", "network": nic.network, "name": f"eth{number}", **dict.fromkeys(FILTERS, "true")}
        devices[f"eth{number}"] = {**card, "ipv4.address": nic.address} if nic.address else card
    for port in appliance.published:
        devices[f"port-{port.protocol}-{port.listen}"] = {
            "type": "proxy",
            "listen": f"{port.protocol}:{port.address}:{port.listen}",
            "connect": f"{port.protocol}:127.0.0.1:{port.port}",
        }
    return devices


def is_layer(device: str) -> bool:
    """Whether a device maps a layer or state: what changes with the composition."""
    return device == CONFIG_DEVICE or device.startswith(("base-", "app-", "state-"))


def owned_keys(config: t.Mapping[str, str]) -> Keys:
    """Return the keys of an instance that must be as inventory says."""
    return {key: value for key, value in config.items() if key.startswith(OWNED) or key in (COMPOSITION, SIZES)}


def composition_of(config: t.Mapping[str, str], key: str = COMPOSITION) -> Composition | None:
    """Return what the instance says it is (or was: key PREVIOUS) composed of; None for one that Strata did not make."""
    try:
        return Composition.from_data(json.loads(config[key]))
    except (ValueError, KeyError, TypeError):
        return None


def _mapped(source: str, path: str) -> dict[str, str]:
    return {"type": "disk", "source": source, "path": path, "readonly": "true", "shift": "true"}
