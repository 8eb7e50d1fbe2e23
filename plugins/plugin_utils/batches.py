# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which appliances are patched together: order, sizes, and how many of one service may be down at once. Pure."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

Amount = int | str


class Service(t.NamedTuple):
    """A group of appliances of which at most ``limit`` may be down at once."""

    group: str
    members: frozenset[str]
    limit: int


class Batch(t.NamedTuple):
    """Appliances that are patched at once. ``kind``: "resume", "canary" or "batch". ``size``: how many may be."""

    number: int
    kind: str
    appliances: tuple[str, ...]
    size: int


class Phase(t.NamedTuple):
    """Some of those to patch, and the sizes of the batches that they are patched in; the last size repeats."""

    kind: str
    names: t.Sequence[str]
    sizes: t.Sequence[Amount]


@dataclasses.dataclass
class Split:
    """The batches; ``unfit`` have no room in a service, whatever is patched before them."""

    batches: list[Batch]
    unfit: list[str]


def amount(said: Amount, total: int) -> int:
    """Return a number given as such, or as a share of ``total``: rounded down, and at least 1."""
    if isinstance(said, int):
        return said
    return max(1, total * percent(said) // 100)


def percent(said: str) -> int:
    """Return the number in front of the percent sign."""
    return int(said.rstrip("%"))


def spread(by_node: t.Mapping[str, t.Sequence[str]]) -> list[str]:
    """Return all names, those of different nodes in turn, so that a batch does not fall on one node."""
    turns = itertools.zip_longest(*by_node.values())
    return [name for turn in turns for name in turn if name is not None]


def split(phases: t.Iterable[Phase], services: t.Sequence[Service], down: t.Collection[str]) -> Split:
    """Return the batches of all phases, in order.

    ``down`` are the members of services that do not serve now. It is taken that what an earlier batch patched serves
    again. Whoever has no room in its own phase is tried again in the next one.
    """
    batches: list[Batch] = []
    still_down = set(down)
    waiting: list[str] = []
    for phase in phases:
        waiting = [*waiting, *phase.names]
        total = len(waiting)
        for said in itertools.chain(phase.sizes, itertools.repeat(phase.sizes[-1])):
            size = amount(said, total)
            picked = pick(waiting, size, services, still_down) if waiting else []
            if not picked:
                break
            batches.append(Batch(len(batches) + 1, phase.kind, tuple(picked), size))
            still_down -= set(picked)
            waiting = [name for name in waiting if name not in picked]
    return Split(batches, waiting)


def pick(names: t.Iterable[str], size: int, services: t.Sequence[Service], down: t.Collection[str]) -> list[str]:
    """Return the first names, at most ``size``, that can be patched at once with room left in every service."""
    picked: list[str] = []
    for name in names:
        if len(picked) == size:
            break
        if not any(is_full(service, name, picked, down) for service in services):
            picked.append(name)
    return picked


def is_full(service: Service, name: str, others: t.Iterable[str], down: t.Collection[str]) -> bool:
    """Whether the service has no room for ``name`` to go down beside ``others``. One that is down takes no room."""
    if name not in service.members or name in down:
        return False
    gone = service.members & {*down, *others, name}
    return len(gone) > service.limit
