# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of a node: what an appliance is, as wanted and as found."""

from __future__ import annotations

import dataclasses
import typing as t

RUNNING, STOPPED, ABSENT = "running", "stopped", "absent"
LEAST_DISTURBING_FIRST = ("reload", "restart", "reboot")


class Layer(t.NamedTuple):
    """A version of a base or an app: the ``commit`` is its identity, the rest is for people."""

    name: str
    version: str
    commit: str


class Composition(t.NamedTuple):
    """The digests of everything that an appliance runs."""

    base: Layer
    app: Layer
    config: str

    @property
    def commits(self) -> tuple[str, str]:
        """Base and app by commit: what fits and what fails, whatever the config."""
        return self.base.commit, self.app.commit

    def to_data(self) -> dict[str, t.Any]:
        """Return it as plain data, for JSON."""
        return {"base": self.base._asdict(), "app": self.app._asdict(), "config": self.config}

    @classmethod
    def from_data(cls, data: t.Mapping[str, t.Any]) -> Composition:
        """Return what ``to_data`` gave."""
        return cls(Layer(**data["base"]), Layer(**data["app"]), data["config"])


class Volume(t.NamedTuple):
    """State: an engine volume of ``size`` bytes (0: as large as the pool allows) at ``path``."""

    name: str
    path: str
    size: int


class Nic(t.NamedTuple):
    """A network card on one of the node's networks; the address is '' where the network hands one out."""

    network: str
    address: str


class Published(t.NamedTuple):
    """A port of the node that leads to a port of the appliance."""

    address: str
    listen: int
    port: int
    protocol: str


class ConfigFile(t.NamedTuple):
    """A file of the config layer.

    ``shown`` is its text with secrets replaced, fit for a diff; ``text`` is what is written. ``on_change`` is one of
    reload, restart, reboot: what ``units`` need when the file changes.
    """

    path: str
    text: str
    shown: str
    mode: int
    uid: int
    gid: int
    on_change: str
    units: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Appliance:
    """One appliance as it should be."""

    name: str
    state: str
    composition: Composition
    files: tuple[ConfigFile, ...] = ()
    nics: tuple[Nic, ...] = ()
    volumes: tuple[Volume, ...] = ()
    published: tuple[Published, ...] = ()
    memory: int = 0
    cpus: int = 0
    autostart: bool = True
    health: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    health_timeout: int = 60
    services: tuple[str, ...] = ()
    systemd: int = 255
    state_schema: str = ""
    ports: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Removal:
    """An appliance that should not be; its state volumes go only when ``with_state``."""

    name: str
    with_state: bool


@dataclasses.dataclass(frozen=True)
class Instance:
    """An instance as the engine has it.

    ``files`` is the config layer it runs, as ``config_layer.read`` returns it; ``marks`` are those of ``marks.read``.
    """

    name: str
    status: str
    config: t.Mapping[str, str]
    devices: t.Mapping[str, t.Mapping[str, str]]
    files: t.Mapping[str, t.Mapping[str, t.Any]]
    marks: t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Have:
    """What the engine and the store say: instances by name, sizes in bytes of volumes by name (0: no limit).

    ``snapshots`` are the names of a volume's snapshots, oldest first, and ``pool_driver`` is where they are kept; both
    only where they were asked for. ``networks`` (keys by name) and ``acls`` (access lists by name) are the engine's,
    ``ports`` what apps declare, such as 80/tcp, by commit; a plan without networks leaves these alone. ``neighbours``
    are the appliances of other projects: network, name, and address ('': the network hands one out). ``moved`` are
    those that went to another node, as ``moved.read_all`` returns them; ``restores`` those of which a restore was cut
    off before they had an instance, as ``cut_restores.read_all`` does.
    """

    instances: t.Mapping[str, Instance]
    volumes: t.Mapping[str, int]
    snapshots: t.Mapping[str, t.Sequence[str]] = dataclasses.field(default_factory=dict)
    pool_driver: str = ""
    networks: t.Mapping[str, t.Mapping[str, str]] = dataclasses.field(default_factory=dict)
    acls: t.Mapping[str, t.Mapping[str, t.Any]] = dataclasses.field(default_factory=dict)
    ports: t.Mapping[str, t.Sequence[str]] = dataclasses.field(default_factory=dict)
    neighbours: t.Collection[tuple[str, str, str]] = ()
    moved: t.Mapping[str, t.Mapping[str, str]] = dataclasses.field(default_factory=dict)
    restores: t.Mapping[str, t.Mapping[str, t.Any]] = dataclasses.field(default_factory=dict)


class Place(t.NamedTuple):
    """Where a node keeps things: the store's folder, the engine's pool, and the key of config digests."""

    store: str
    pool: str
    key: bytes


class Step(t.NamedTuple):
    """One change: a sentence for a person, and what to call. ``appliance`` is '' where it concerns the node."""

    appliance: str
    action: str
    sentence: str
    args: t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that is to be done on a node, in order within each appliance."""

    steps: tuple[Step, ...]
    before: t.Mapping[str, t.Any]
    after: t.Mapping[str, t.Any]

    def by_appliance(self) -> dict[str, list[Step]]:
        """Return the steps of each appliance that has any."""
        grouped: dict[str, list[Step]] = {}
        for step in self.steps:
            grouped.setdefault(step.appliance, []).append(step)
        return grouped


@dataclasses.dataclass(frozen=True)
class Swap:
    """An appliance on its way from one composition to another, and what takes it ``back`` when that fails.

    ``goal`` is where it was to lead, also for one that ``undoes`` what an earlier run did not end. ``started`` is ''
    unless an earlier run began it; then the state may be ``touched``. ``leaves`` is what a rollback turns its back on.
    ``snapshot`` holds the state as it was. ``watched`` says that the appliance may be serving, so that its interruption
    can be measured.
    """

    item: Appliance
    purpose: str
    came_from: Composition
    goal: Composition
    started: str
    snapshot: str
    forward: tuple[Step, ...]
    back: tuple[Step, ...]
    undoes: bool
    leaves: Composition | None
    watched: bool
    touched: bool

    @property
    def appliance(self) -> str:
        """The appliance's name."""
        return self.item.name
