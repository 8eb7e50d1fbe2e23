# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plan, for backups: who is backed up in which steps, and who is not and why. Pure: no engine, no clock, no restic."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import migration
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition, Step
from ansible_collections.strata.fleet.plugins.module_utils.plan import explain_cut_restore

SNAPSHOT = "strata-backup"  # of the engine's, while restic reads it; the name is constant, so that paths are
DRIVERS = ("btrfs", "dir")  # their snapshots are folders that the node can read
SAVED, FAILED, SKIPPED = "saved", "failed", "skipped"

Data = t.Mapping[str, t.Any]
Commands = tuple[tuple[str, ...], ...]


class Wish(t.NamedTuple):
    """An appliance to back up: where to, and what to keep of it there by restic's words ({}: everything)."""

    name: str
    repository: str
    keep: t.Mapping[str, t.Any]
    variables: Data


class StateVolume(t.NamedTuple):
    """A volume by its short name, the engine's name for it, and where the appliance has it."""

    name: str
    engine_name: str
    path: str


class Hooks(t.NamedTuple):
    """What the app wants to have run inside before and after its volumes are snapshotted."""

    freeze: Commands = ()
    thaw: Commands = ()


NO_HOOKS = Hooks()


@dataclasses.dataclass(frozen=True)
class Present:
    """An appliance as the node has it.

    ``composition`` is None for an instance that Strata did not make. ``cut`` says why it is in quarantine.
    ``is_moving``: a patch of it was cut off. ``restore`` is what a restore that was cut off wrote down, ``move`` its
    part in a migration. ``frozen`` and ``leftovers`` (volumes by the engine's name) are what a backup left that died.
    """

    status: str
    composition: Composition | None
    state_schema: str = ""
    hooks: Hooks = NO_HOOKS
    volumes: tuple[StateVolume, ...] = ()
    cut: str = ""
    is_moving: bool = False
    restore: Data | None = None
    move: migration.Mark | None = None
    frozen: Data | None = None
    leftovers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Job:
    """One appliance: ``mend`` undoes what a killed run left, ``steps`` back it up.

    ``problem`` says why there are no steps. That is a fault, unless it ``is_cut`` off. ``is_ours``: Strata made it.
    """

    wish: Wish
    mend: tuple[Step, ...]
    steps: tuple[Step, ...] = ()
    problem: str = ""
    is_cut: bool = False
    is_ours: bool = True

    @property
    def outcome(self) -> str:
        """What becomes of it, if nothing goes wrong."""
        if not self.problem:
            return SAVED
        return SKIPPED if self.is_cut else FAILED

    def args(self, action: str) -> Data:
        """Return the arguments of the step with this action."""
        return next(step.args for step in self.steps if step.action == action)


class BackupPlan(t.NamedTuple):
    """What is to be done with each appliance."""

    jobs: tuple[Job, ...]

    def sentences(self) -> list[str]:
        """Return what will be done, a sentence a step."""
        return [step.sentence for job in self.jobs for step in (*job.mend, *job.steps)]

    def problems(self, outcome: str) -> dict[str, str]:
        """Return why appliances are FAILED or SKIPPED, by name."""
        return {job.wish.name: job.problem for job in self.jobs if job.problem and job.outcome == outcome}


def make_plan(wishes: t.Iterable[Wish], present: t.Mapping[str, Present], pool: str, driver: str) -> BackupPlan:
    """Return what is done with each appliance of one call."""
    return BackupPlan(tuple(make_job(wish, present.get(wish.name), pool, driver) for wish in wishes))


def make_job(wish: Wish, found: Present | None, pool: str, driver: str) -> Job:
    """Return what is done with an appliance. What a killed backup left of it is undone in any case."""
    problem = find_problem(wish.name, found, pool, driver)
    mended = tuple(mend(wish.name, found))
    if found is None or problem:
        is_ours = bool(found and found.composition)
        return Job(wish, mended, problem=problem, is_cut=bool(found and found.cut), is_ours=is_ours)
    return Job(wish, mended, tuple(save(wish, found)))


def find_problem(name: str, found: Present | None, pool: str, driver: str) -> str:
    """Return why an appliance cannot be backed up, '' where it can."""
    if found is None:
        return f"Appliance {name} is not on this node: deploy it first."
    if found.composition is None:
        return f"Appliance {name}: the engine has an instance of that name which Strata did not make."
    if found.cut:
        # What it holds now must not push out, by and by, what it held before.
        return f"Appliance {name} is {found.cut}. Its state may not be sound: its backups stay, and none is added."
    underway = find_underway(name, found)
    if underway:
        return underway
    if driver not in DRIVERS:
        return (
            f"Appliance {name}: the pool {pool} has driver {driver}, of which the node cannot read snapshots; backups "
            f"take {' or '.join(DRIVERS)}."
        )
    return ""


def find_underway(name: str, found: Present) -> str:
    """Return what was begun with an appliance and is to be ended before it has a state to back up, '' for nothing."""
    if found.move:
        return migration.refusal(name, found.move)
    if found.restore:
        return explain_cut_restore(name, found.restore)
    if found.is_moving:
        return (
            f"Appliance {name}: a patch or rollback of it was cut off. Run playbooks/patch.yml, which ends that, "
            "before it is backed up."
        )
    return ""


def mend(name: str, found: Present | None) -> list[Step]:
    """Return what undoes what a backup left that was killed; nothing for an instance that Strata did not make."""
    steps: list[Step] = []
    if found is None or found.composition is None:
        return steps
    if found.frozen:
        sentence = f"thaw {name}, of which a backup was cut off at {found.frozen['at']}"
        steps.append(Step(name, "thaw", sentence, {"commands": found.frozen["thaw"]}))
    if found.leftovers:
        sentence = f"delete snapshot {SNAPSHOT} of {', '.join(found.leftovers)}, which a backup left that was cut off"
        steps.append(Step(name, "release", sentence, {"volumes": found.leftovers}))
    return steps


def save(wish: Wish, found: Present) -> list[Step]:
    """Return how an appliance is backed up."""
    name, is_running = wish.name, found.status == "Running"
    volumes = tuple(volume.engine_name for volume in found.volumes)
    hooks = found.hooks if is_running else NO_HOOKS
    moment = {
        "volumes": volumes,
        "freeze": hooks.freeze,
        "thaw": hooks.thaw,
        # The engine snapshots one volume after the other.
        "pause": is_running and len(volumes) > 1,
    }
    quietly = f", with {name} quiescent" if any((hooks.freeze, moment["pause"])) else ""
    steps = [
        Step(name, "take_moment", f"snapshot {', '.join(volumes)} as they are at one moment{quietly}", moment),
        Step(name, "save", f"back up {name} to repository {wish.repository}", {"volumes": found.volumes}),
        Step(name, "release", f"delete snapshot {SNAPSHOT} of {', '.join(volumes)}", {"volumes": volumes}),
    ]
    if wish.keep:
        kept = ", ".join(f"{word} {value}" for word, value in wish.keep.items())
        sentence = f"let go of backups of {name} in {wish.repository} but for {kept}"
        steps.append(Step(name, "forget", sentence, {}))
    return steps
