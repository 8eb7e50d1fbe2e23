# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of an engine's set-up: what is wanted, what there is, and a plan between them."""

from __future__ import annotations

import dataclasses
import typing as t

MANAGED = "user.strata.managed"


class Pool(t.NamedTuple):
    """The wanted storage pool: ``driver`` may be auto, ``source`` '' and ``size`` 0 (bytes) where left to Strata."""

    name: str
    driver: str
    source: str
    size: int


class Network(t.NamedTuple):
    """A wanted bridge: ``address`` is its own, with the prefix length; ``mtu`` 0 is left to the engine.

    ``filtered`` says whether appliances are reached on declared ports only.
    """

    name: str
    address: str
    nat: bool
    mtu: int
    filtered: bool = True


@dataclasses.dataclass(frozen=True)
class Want:
    """What inventory asks for. ``https_address`` None: not asked."""

    project: str
    pool: Pool
    networks: tuple[Network, ...]
    https_address: str | None = None


@dataclasses.dataclass(frozen=True)
class Node:
    """What the machine offers a new pool.

    ``filesystem`` is that of the pool's source, ``free`` the bytes where the engine keeps its loop files.
    """

    architecture: str
    drivers: tuple[str, ...]
    filesystem: str
    free: int
    has_loop: bool


@dataclasses.dataclass(frozen=True)
class Noun:
    """A pool, network or project of the engine. ``kind`` is a pool's driver or a network's type."""

    config: t.Mapping[str, str]
    kind: str = ""
    managed: bool = True
    used_by: tuple[str, ...] = ()
    etag: str = ""
    description: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether Strata made it."""
        return self.config.get(MANAGED) == "true"


@dataclasses.dataclass(frozen=True)
class Have:
    """What the engine says.

    ``images`` are the fingerprints in the project, ``skeleton`` is what the alias leads to, ``acls`` are access lists
    by name.
    """

    node: Node
    pool: Noun | None = None
    networks: t.Mapping[str, Noun] = dataclasses.field(default_factory=dict)
    acls: t.Mapping[str, Noun] = dataclasses.field(default_factory=dict)
    project: Noun | None = None
    images: tuple[str, ...] = ()
    skeleton: str = ""
    https_address: str = ""
    etag: str = ""


class Step(t.NamedTuple):
    """One change: a sentence for a person, and what to call on which path with what."""

    sentence: str
    action: str
    path: str
    body: dict[str, t.Any]
    etag: str = ""


@dataclasses.dataclass
class Plan:
    """The steps in order, and what they change as it is and as it will be."""

    steps: list[Step] = dataclasses.field(default_factory=list)
    before: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    after: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    def add(self, noun: str, before: t.Any, after: t.Any, *steps: Step) -> None:
        """Record how ``noun`` changes, and the steps that change it (none: it stays)."""
        self.steps += steps
        self.before[noun] = before
        self.after[noun] = after if steps else before
