# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An appliance that goes from one node to another: what its instances say of that, on either side. Pure.

The mark stands in a key of the instance, which the engine changes together with the devices: without its layers an
instance has no init, and cannot be started by anybody. So exactly the side that has the layers can run:

    on the node that it leaves         nothing -> OUT -> gone, or KEPT
    on the node that it goes to        IN -> TAKEN -> nothing, or GIVEN_UP -> gone
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

KEY = "user.strata.migration"
AUTOSTART = "boot.autostart"
OUT, KEPT = "out", "kept"
IN, TAKEN, GIVEN_UP = "in", "taken", "given_up"
DAMAGED = "damaged"
SNAPSHOT_PREFIX = "strata-migrate-"  # of each round
ARRIVED = f"{SNAPSHOT_PREFIX}arrived"  # the state as it came, before the appliance wrote to it

Devices = t.Mapping[str, t.Mapping[str, str]]


@dataclasses.dataclass(frozen=True)
class Mark:
    """Which part an instance has in a migration to or from ``node``, since ``when`` (UTC).

    ``devices`` and ``config`` are what it gets to run, and lacks while it may not. ``was_running`` says whether the
    appliance is to run afterwards. ``reason`` is why it was given up, and ``untouched`` says that nothing ran on its
    state here before.
    """

    role: str
    node: str
    when: str
    devices: Devices = dataclasses.field(default_factory=dict)
    config: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    was_running: bool = True
    reason: str = ""
    untouched: bool = False

    def encode(self) -> str:
        """Return it as the value of the key."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def read(config: t.Mapping[str, str]) -> Mark | None:
    """Return the mark of an instance, None where it has none. One that cannot be read has the role DAMAGED."""
    if KEY not in config:
        return None
    try:
        return Mark(**json.loads(config[KEY]))
    except (ValueError, TypeError):
        return Mark(DAMAGED, "an unknown node", "an unknown time")


def is_kept(config: t.Mapping[str, str]) -> bool:
    """Whether an instance is only what stayed after a migration."""
    mark = read(config)
    return mark is not None and mark.role == KEPT


def refusal(name: str, mark: Mark) -> str:
    """Return why nothing else is done with an appliance."""
    if mark.role == KEPT:
        return (
            f"Appliance {name} was migrated to {mark.node} at {mark.when}, and what is here is kept, stopped: set its "
            f"appliance_node to {mark.node}. To let go of what is here: playbooks/remove.yml --limit NODE "
            f"-e remove={name} -e remove_state={name}, with this node's name for NODE."
        )
    if mark.role == DAMAGED:
        return f"Appliance {name}: key {KEY} of its instance cannot be read. Find out which node has its newest state."
    way = f"to {mark.node}" if mark.role == OUT else f"here from {mark.node}"
    return (
        f"Appliance {name} is on its way {way} since {mark.when}, and a run was cut off. End that first: "
        f"playbooks/migrate.yml -e migrate={name}."
    )


def is_own_snapshot(name: str) -> bool:
    """Whether a migration made this snapshot."""
    return name.startswith(SNAPSHOT_PREFIX)
