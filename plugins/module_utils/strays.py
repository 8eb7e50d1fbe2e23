# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node has that the inventory knows nothing of, and which of it may be removed unasked. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import instance, migration
from ansible_collections.strata.fleet.plugins.module_utils.drill_network import MINE
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.model import Have, Instance, Removal
from ansible_collections.strata.fleet.plugins.module_utils.plan import find_problems


class Stray(t.NamedTuple):
    """An instance that is no appliance of the inventory.

    ``kept`` is why it is not removed unasked, '' where it is; ``copy``: a drill or a restore made it for a look.
    """

    kept: str
    copy: bool


def find(have: Have, known: t.Collection[str] | None) -> dict[str, Stray]:
    """Return the strays by name. ``known`` are all appliances of the inventory; None: nobody asks for strays."""
    if known is None:
        return {}
    return {name: _judge(present, have) for name, present in sorted(have.instances.items()) if name not in known}


def to_removals(found: t.Mapping[str, Stray], known: t.Collection[str] | None) -> list[Removal]:
    """Return what removes those that may be removed, and keeps their state.

    Raises BadInput for an inventory without any appliance: that is more likely a mistake than a wish.
    """
    names = [name for name, stray in found.items() if not stray.kept]
    if names and not known:
        raise BadInput(
            f"The inventory has no appliance at all, so everything here would be removed: {', '.join(names)}. "
            f"If that is meant: playbooks/remove.yml -e remove={','.join(names)}."
        )
    return [Removal(name, with_state=False) for name in names]


def explain(found: t.Mapping[str, Stray]) -> list[str]:
    """Return a sentence for each that stays, without copies: these are where they should be."""
    return [f"{name} is not removed: {stray.kept}" for name, stray in found.items() if stray.kept and not stray.copy]


def _judge(present: Instance, have: Have) -> Stray:
    cards = [device["network"] for device in present.devices.values() if device.get("network")]
    if instance.composition_of(present.config) is None:
        return Stray("Strata did not make this instance", copy=False)
    if any(MINE in have.networks.get(card, {}) for card in cards):
        return Stray("it is a copy that a drill or a restore made", copy=True)
    mark = migration.read(present.config)
    if mark:
        return Stray(migration.refusal(present.name, mark), copy=False)
    problems = find_problems(Removal(present.name, with_state=False), have)
    if not problems and not cards:
        problems = ["it has no network card, so nothing tells it from a copy that a drill or a restore made"]
    return Stray(" ".join(problems), copy=False)
