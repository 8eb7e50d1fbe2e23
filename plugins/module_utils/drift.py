# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an instance is one that Strata could have made: its keys and devices against its own composition. Pure.

No inventory is needed: everything but a few values (sizes, addresses, ports, limits) follows from the composition. What
an operator may choose is taken from the instance; ``deploy --check --diff`` compares that with the inventory.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import instance, migration
from ansible_collections.strata.fleet.plugins.module_utils.findings import DEVICE, KEY, Finding
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import quarantine
from ansible_collections.strata.fleet.plugins.module_utils.model import RUNNING, Appliance, Nic, Published, Volume

# Keys that say nothing of what runs: the engine's own notes, where the skeleton came from, and anybody's remarks.
FREE_KEYS = ("volatile.", "image.", "user.")
LISTEN = re.compile(r"(?P<protocol>tcp|udp):(?P<address>.+):(?P<port>\d+)")
REMEDY = "find out who did it, then deploy (playbooks/deploy.yml), which sets it right"

Body = t.Mapping[str, t.Any]
Paths = t.Mapping[str, str]


def find_drift(body: Body, store: str, pool: str, volumes: Paths | None) -> list[Finding]:
    """Return what of an instance, as the engine has it, does not follow from its composition.

    ``volumes`` are the paths by name of the state volumes that its app declares, None where the app is not known.
    """
    name = body["name"]
    appliance = read_appliance(body, volumes)
    if appliance is None:
        sentence = "Strata did not make this instance, or what says what it is made of was removed"
        remedy = "find out whose it is, and move it out of the project or remove it"
        return [Finding(name, KEY, instance.COMPOSITION, sentence, remedy)]
    found = [
        *_migration_faults(body),
        *_quarantine_faults(body),
        *_profile_faults(body),
        *_size_faults(body, volumes),
        *_key_faults(name, _own_keys(body["config"]), _own_keys(instance.instance_config(appliance))),
    ]
    lacks = _taken_away(body)
    devices = instance.instance_devices(appliance, store, pool)
    wanted = {device: keys for device, keys in devices.items() if device not in lacks}
    return found + [
        fault for device in sorted(wanted.keys() | body["devices"]) for fault in _device_faults(body, device, wanted)
    ]


def read_appliance(body: Body, volumes: Paths | None) -> Appliance | None:
    """Return the appliance that an instance says it is, as far as it does."""
    config, devices = body["config"], body["devices"]
    composition = instance.composition_of(config)
    if composition is None:
        return None
    memory, cpus = (config.get(key, "") for key in ("limits.memory", "limits.cpu"))
    paths = {name: devices.get(f"state-{name}", {}).get("path", "") for name in read_sizes(config)}
    return Appliance(
        name=body["name"],
        state=RUNNING,
        composition=composition,
        nics=tuple(read_nics(devices)),
        volumes=tuple(Volume(name, path, 0) for name, path in (paths if volumes is None else volumes).items()),
        published=tuple(_read_ports(devices)),
        memory=int(memory) if memory.isdigit() else 0,
        cpus=int(cpus) if cpus.isdigit() else 0,
        autostart=config.get("boot.autostart") == "true",
    )


def read_sizes(config: Body) -> dict[str, int]:
    """Return the sizes by name of the state volumes that an instance was given, {} where nothing readable says so."""
    try:
        sizes = json.loads(config.get(instance.SIZES, "{}"))
    except ValueError:
        return {}
    return sizes if isinstance(sizes, dict) else {}


def read_nics(devices: Body) -> t.Iterator[Nic]:
    """Return the network cards that Strata gave an instance, eth0 first."""
    number = 0
    while (card := devices.get(f"eth{number}")) is not None:
        yield Nic(card.get("network", ""), card.get("ipv4.address", ""))
        number += 1


def _read_ports(devices: Body) -> t.Iterator[Published]:
    for name, device in devices.items():
        listen, connect = (LISTEN.fullmatch(device.get(key, "")) for key in ("listen", "connect"))
        if name.startswith("port-") and listen and connect:
            yield Published(listen["address"], int(listen["port"]), int(connect["port"]), listen["protocol"])


def _own_keys(config: Body) -> dict[str, str]:
    return {key: value for key, value in config.items() if not key.startswith(FREE_KEYS)}


def _key_faults(name: str, found: Body, wanted: Body) -> t.Iterator[Finding]:
    for key in sorted(found.keys() | wanted.keys()):
        if key not in found:
            yield Finding(name, KEY, key, "the key was removed", REMEDY)
        elif key not in wanted:
            yield Finding(name, KEY, key, "Strata does not set this key", _remedy_of_added(name, key))
        elif found[key] != wanted[key]:
            is_now, should_be = (" ".join(text.split()) for text in (found[key], wanted[key]))
            yield Finding(name, KEY, key, f"it is {is_now!r}, and should be {should_be!r}", REMEDY)


def _remedy_of_added(name: str, key: str) -> str:
    unset = f"find out who did it, then take it away (incus config unset {name} {key})"
    return REMEDY if key.startswith(instance.OWNED) else unset


def _size_faults(body: Body, volumes: Paths | None) -> t.Iterator[Finding]:
    sizes = body["config"].get(instance.SIZES)
    if sizes is None:
        yield Finding(body["name"], KEY, instance.SIZES, "the key was removed", REMEDY)
    elif volumes is not None and read_sizes(body["config"]).keys() != volumes.keys():
        declared = ", ".join(sorted(volumes)) or "none"
        sentence = f"it says {sizes}, but the app's state volumes are {declared}"
        yield Finding(body["name"], KEY, instance.SIZES, sentence, REMEDY)


def _taken_away(body: Body) -> t.Collection[str]:
    """Return the devices that an instance lacks because of a migration: what it runs on is on the other node."""
    mark = migration.read(body["config"])
    return mark.devices.keys() if mark and mark.role != migration.TAKEN else ()


def _migration_faults(body: Body) -> t.Iterator[Finding]:
    mark = migration.read(body["config"])
    if mark and mark.role != migration.KEPT:
        name = body["name"]
        remedy = f"end it (playbooks/migrate.yml -e migrate={name}), unless a run is doing so now"
        yield Finding(
            name, KEY, migration.KEY, f"a migration with {mark.node} that began at {mark.when} did not end", remedy
        )


def _quarantine_faults(body: Body) -> t.Iterator[Finding]:
    record = quarantine.read(body["config"])
    for device in quarantine.open_devices(body) if record else ():
        sentence = f"the appliance is {record}, and somebody gave it a way to the network"
        remedy = f"find out who did it, then cut it off again (playbooks/quarantine.yml -e quarantine={body['name']})"
        yield Finding(body["name"], DEVICE, device, sentence, remedy)


def _profile_faults(body: Body) -> t.Iterator[Finding]:
    for profile in body.get("profiles") or ():
        sentence = "a profile adds keys and devices to the instance, and Strata uses none"
        remedy = f"find out who did it, then take it away (incus profile remove {body['name']} {profile})"
        yield Finding(body["name"], KEY, f"profiles.{profile}", sentence, remedy)


def _device_faults(body: Body, device: str, wanted: instance.Devices) -> t.Iterator[Finding]:
    name, devices = body["name"], body["devices"]
    if device not in devices:
        yield Finding(name, DEVICE, device, "the device was removed", REMEDY)
    elif device not in wanted:
        listed = " ".join(f"{key}={value}" for key, value in sorted(devices[device].items()))
        yield Finding(name, DEVICE, device, f"the device was added ({listed})", REMEDY)
    else:
        found, expected = devices[device], wanted[device]
        for key in sorted(found.keys() | expected.keys()):
            if found.get(key) != expected.get(key):
                is_now, should_be = (repr(each[key]) if key in each else "not set" for each in (found, expected))
                yield Finding(name, DEVICE, f"{device}.{key}", f"it is {is_now}, and should be {should_be}", REMEDY)
