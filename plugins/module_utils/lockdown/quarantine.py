# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quarantine: an appliance is cut off from every network, keeps its state, and stays so until it is released. Pure.

Its network cards and published ports are taken away by the engine, out of its reach, and kept in a key of the instance
that says why, when and by whom. An access list alone would not do: it lets established connections live on.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.model import Plan, Step

KEY = "user.strata.quarantine"
NETWORK_DEVICES = ("nic", "proxy", "infiniband")
AUTOSTART = "boot.autostart"
MASK = {"type": "none"}  # hides a device that a profile brings

Body = t.Mapping[str, t.Any]
Devices = t.Mapping[str, t.Mapping[str, str]]


@dataclasses.dataclass(frozen=True)
class Quarantine:
    """Why an appliance is cut off, since when (UTC), by whom, and what it gets back: ``devices`` and ``config`` keys.

    ``was_running`` says whether it is to run again when it is released.
    """

    reason: str
    when: str
    by: str
    devices: Devices = dataclasses.field(default_factory=dict)
    config: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    was_running: bool = True

    def __str__(self) -> str:
        return f"quarantined since {self.when} by {self.by}: {self.reason}"


class Order(t.NamedTuple):
    """What is asked for: a quarantine of these appliances, with ``stop`` not running either."""

    names: t.Sequence[str]
    reason: str
    when: str
    by: str
    stop: bool = False


def read(config: t.Mapping[str, str]) -> Quarantine | None:
    """Return why an instance is in quarantine, None where it is not. What cannot be read is one, too."""
    if KEY not in config:
        return None
    try:
        return Quarantine(**json.loads(config[KEY]))
    except (ValueError, TypeError):
        return Quarantine("its record was damaged", "an unknown time", "somebody unknown")


def refusal(name: str, found: Quarantine) -> str:
    """Return why nothing else is done with an appliance."""
    return f"Appliance {name} is {found}. Release it first (playbooks/release.yml -e release={name})."


def open_devices(body: Body) -> dict[str, dict[str, str]]:
    """Return the devices by which an instance reaches a network, or is reached, those that profiles bring too."""
    devices = {**body["devices"], **(body.get("expanded_devices") or {})}
    return {name: dict(keys) for name, keys in sorted(devices.items()) if keys.get("type") in NETWORK_DEVICES}


def plan_cut(order: Order, instances: t.Mapping[str, Body]) -> Plan:
    """Return what cuts these instances off. Raises BadInput for one that is not there."""
    _refuse_unknown(order.names, instances)
    steps: list[Step] = []
    before: dict[str, t.Any] = {}
    after: dict[str, t.Any] = {}
    for name in order.names:
        body = instances[name]
        found, devices = read(body["config"]), open_devices(body)
        record = _record(order, body, found, devices)
        own = [_cut(body, record, devices)] if devices or found != record else []
        if order.stop and body["status"] != "Stopped":
            own.append(Step(name, "halt", f"stop {name}, by force if it does not", {}))
        if own:
            steps += own
            before[name] = show(body, found)
            state = "stopped" if order.stop else before[name]["state"]
            after[name] = {"state": state, "quarantine": tell(record), "network": []}
    return Plan(tuple(steps), before, after)


def plan_release(names: t.Sequence[str], instances: t.Mapping[str, Body]) -> Plan:
    """Return what gives these instances back what they had. Raises BadInput for one that is not there."""
    _refuse_unknown(names, instances)
    steps: list[Step] = []
    before: dict[str, t.Any] = {}
    after: dict[str, t.Any] = {}
    for name in names:
        body = instances[name]
        found = read(body["config"])
        if not found:
            continue
        steps.append(_release(body, found))
        starts = found.was_running and body["status"] == "Stopped"
        steps += [Step(name, "start", f"start {name}", {})] if starts else []
        before[name] = show(body, found)
        state = "running" if starts else before[name]["state"]
        after[name] = {"state": state, "quarantine": None, "network": sorted(found.devices)}
    return Plan(tuple(steps), before, after)


def show(body: Body, found: Quarantine | None) -> dict[str, t.Any]:
    """Return an instance in the shape of a diff."""
    return {
        "state": body["status"].lower(),
        "quarantine": tell(found) if found else None,
        "network": sorted(open_devices(body)),
    }


def tell(found: Quarantine) -> dict[str, str]:
    """Return what people are to know of it."""
    return {"reason": found.reason, "when": found.when, "by": found.by}


def _record(order: Order, body: Body, found: Quarantine | None, devices: Devices) -> Quarantine:
    """Return what is to be remembered. What the first cut found counts: a card added since is not given back."""
    kept = {AUTOSTART: body["config"][AUTOSTART]} if order.stop and AUTOSTART in body["config"] else {}
    if found:
        return dataclasses.replace(found, config={**kept, **found.config})
    kept |= {key: value for key in map(_mac_key, devices) if (value := body["config"].get(key))}
    own = {name: dict(keys) for name, keys in devices.items() if name in body["devices"]}
    return Quarantine(order.reason, order.when, order.by, own, kept, body["status"] == "Running")


def _mac_key(device: str) -> str:
    """Return the key of a card's MAC. It goes with the card, while neighbours go on sending to it."""
    return f"volatile.{device}.hwaddr"


def _cut(body: Body, record: Quarantine, devices: Devices) -> Step:
    name = body["name"]
    inherited = devices.keys() - body["devices"].keys()
    gone = {device: dict(MASK) if device in inherited else None for device in devices}
    off = {AUTOSTART: "false"} if AUTOSTART in record.config else {}
    config = {KEY: json.dumps(dataclasses.asdict(record), sort_keys=True), **off}
    sentence = f"cut {name} off from the network ({', '.join(devices)})" if devices else f"keep {name} cut off"
    return Step(name, "update_instance", sentence, {"config": config, "devices": gone})


def _release(body: Body, found: Quarantine) -> Step:
    name = body["name"]
    masks = {device: None for device, keys in body["devices"].items() if keys == MASK}
    config = {KEY: None, **found.config}
    devices = {**masks, **{device: dict(keys) for device, keys in found.devices.items()}}
    sentence = f"give {name} back its network ({', '.join(sorted(found.devices)) or 'it had none'})"
    return Step(name, "update_instance", sentence, {"config": config, "devices": devices})


def _refuse_unknown(names: t.Iterable[str], instances: t.Mapping[str, Body]) -> None:
    unknown = sorted(set(names) - instances.keys())
    if unknown:
        known = ", ".join(sorted(instances)) or "none"
        raise BadInput(
            f"{', '.join(unknown)}: no such appliance on this node; it has {known}. Nothing was changed.",
            unknown=unknown,
        )
