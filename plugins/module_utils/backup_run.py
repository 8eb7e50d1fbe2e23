# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apply, for backups: each appliance to its repository, several at once. What becomes of them is data."""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import functools
import shutil
import time
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import backup_have, backup_marks, backup_moment, clock
from ansible_collections.strata.fleet.plugins.module_utils.backup_moment import Node
from ansible_collections.strata.fleet.plugins.module_utils.backup_plan import (
    FAILED,
    SAVED,
    SNAPSHOT,
    BackupPlan,
    Job,
    StateVolume,
    Wish,
    make_job,
)
from ansible_collections.strata.fleet.plugins.module_utils.backup_record import NAME, VOLUMES, Record
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError, Conflict, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.repositories import Repository
from ansible_collections.strata.fleet.plugins.module_utils.restic import INCOMPLETE, Summary, opened

VIEW = "/run/strata/backup"  # where restic sees what it backs up: the same on every node and each time
STEPS: t.Mapping[str, t.Callable[[Node, str, t.Any], t.Any]] = {
    step.__name__: step for step in (backup_moment.thaw, backup_moment.release)
}

Outcome = dict[str, t.Any]


def run(plan: BackupPlan, node: Node, repositories: t.Mapping[str, Repository], parallel: int) -> dict[str, Outcome]:
    """Carry the plan out, up to ``parallel`` appliances at once, and return what became of each, by appliance.

    An outcome has the keys appliance, repository, outcome (saved, failed, skipped), snapshot, made, held (seconds in
    which the app was frozen or paused), seconds, added and processed (bytes), files, forgotten (older backups), reason.
    """
    usable: dict[str, str] = {}
    refused: dict[str, StrataError] = {}
    for name in dict.fromkeys(job.wish.repository for job in plan.jobs if job.steps):
        try:
            usable[name] = prepare(repositories[name], node)
        except StrataError as error:
            refused[name] = error
    work = functools.partial(_run_job, node, repositories, usable, refused)
    with concurrent.futures.ThreadPoolExecutor(max_workers=parallel) as pool:
        outcomes = {outcome["appliance"]: outcome for outcome in pool.map(work, plan.jobs)}
    for job in plan.jobs:
        if outcomes[job.wish.name]["outcome"] == SAVED and job.wish.keep:
            forget(job, repositories[job.wish.repository], node.wait, outcomes[job.wish.name])
    return outcomes


def describe(appliance: str, repository: str, outcome: str, **known: t.Any) -> Outcome:
    """Return an outcome with all its keys."""
    empty = {"snapshot": "", "made": "", "held": 0.0, "seconds": 0.0, "added": 0, "processed": 0, "files": 0}
    own = {"appliance": appliance, "repository": repository, "outcome": outcome}
    return {**own, **empty, "forgotten": 0, "reason": "", **known}


def prepare(repository: Repository, node: Node) -> str:
    """Have the repository, and return its own id; nothing is made anew where backups of this node are missing."""
    expected = backup_marks.find_ids(node.store, repository.name, is_local=repository.is_local)
    with opened(repository, patience=node.wait) as restic:
        return restic.prepare(expected)


def prune(repository: Repository) -> None:
    """Free the room of what no backup needs any more."""
    with opened(repository) as restic:
        restic.prune()


def forget(job: Job, repository: Repository, patience: float, outcome: Outcome) -> None:
    """Let go of older backups. A backup that succeeded has succeeded, also where this does not."""
    try:
        with opened(repository, patience=patience) as restic:
            outcome["forgotten"] = restic.forget(job.wish.name, job.wish.keep)
    except StrataError as error:
        outcome["reason"] = f"It is saved, but older backups were not let go of: {error.message}"


def _run_job(
    node: Node,
    repositories: t.Mapping[str, Repository],
    usable: t.Mapping[str, str],
    refused: t.Mapping[str, StrataError],
    job: Job,
) -> Outcome:
    """Return what became of one appliance, and have the node remember it."""
    name, target, started = job.wish.name, job.wish.repository, clock.now()
    try:
        with only_one(node.store, name):
            mend(node, job.wish)
            if job.problem:
                outcome = describe(name, target, job.outcome, reason=job.problem)
            elif target in refused:
                raise refused[target]
            else:
                outcome = back_up(node, job.wish, repositories[target])
            if outcome["outcome"] == SAVED:
                fields = {key: outcome[key] for key in backup_marks.Good._fields}
                backup_marks.note_good(node.store, name, target, usable[target], backup_marks.Good(**fields))
    except (StrataError, OSError) as error:
        outcome = describe(name, target, FAILED, reason=str(error))
    if outcome["outcome"] == FAILED and job.is_ours:  # the node remembers nothing of what is not its own
        with contextlib.suppress(OSError, StrataError):
            backup_marks.note_failure(node.store, name, target, started, outcome["reason"])
    return outcome


def look(node: Node, wish: Wish) -> Job:
    """Return what is to be done with an appliance, as it is now."""
    present = backup_have.read(node.engine, node.store, node.pool, {wish.name}).get(wish.name)
    return make_job(wish, present, node.pool, node.engine.pool_driver(node.pool) if present else "")


def mend(node: Node, wish: Wish) -> None:
    """Undo what a backup left that was killed."""
    for step in look(node, wish).mend:
        STEPS[step.action](node, wish.name, step.args)
    record_of(node.store, wish.name).unlink(missing_ok=True)


def record_of(store: Path, appliance: str) -> Path:
    """Return where the record stands while restic reads it."""
    return store / "backups" / f"{appliance}.{NAME}"


def back_up(node: Node, wish: Wish, repository: Repository) -> Outcome:
    """Back one appliance up, as it is once no other run changes it: it may be in quarantine by then, or on its way.

    Raises StrataError where that fails; nothing is left of it then but what restic keeps.
    """
    begun = time.monotonic()
    name, record_path = wish.name, record_of(node.store, wish.name)
    with contextlib.ExitStack() as undo:
        with backup_moment.alone(node):
            job = look(node, wish)
            if job.problem:
                return describe(name, wish.repository, job.outcome, reason=job.problem)
            undo.callback(record_path.unlink, missing_ok=True)
            undo.callback(backup_moment.release, node, name, job.args("release"))
            moment = backup_moment.take(node, name, job.args("take_moment"))
            record = write_record(node, wish, moment.made, record_path)
        with opened(repository, patience=node.wait) as restic:
            wrap = show(node, job.args("save")["volumes"], record_path)
            saved = restic.backup(VIEW, [VOLUMES, NAME], name, wrap)
    if not saved.is_complete:
        raise StrataError(
            f"Appliance {name}: some of its files could not be read, so snapshot {saved.id[:8]} in {repository.name} "
            f"lacks them (it is tagged {INCOMPLETE}). See the node's disk and journal",
            snapshot=saved.id,
        )
    return _tell(record, saved, moment.held, round(time.monotonic() - begun, 2), repository.name)


def _tell(record: Record, saved: Summary, held: float, seconds: float, repository: str) -> Outcome:
    return describe(
        record.appliance,
        repository,
        SAVED,
        snapshot=saved.id,
        made=record.made,
        held=held,
        seconds=seconds,
        added=saved.added,
        processed=saved.processed,
        files=saved.files,
    )


def write_record(node: Node, wish: Wish, made: str, path: Path) -> Record:
    """Write down what the backup is of, as the appliance is at this moment, and return it."""
    name = wish.name
    present = backup_have.read(node.engine, node.store, node.pool, {name}).get(name)
    if present is None or present.composition is None:
        raise StrataError(f"Appliance {name} was removed while its backup began")
    volumes = {each.name: backup_have.read_saved(node.engine, node.pool, each) for each in present.volumes}
    record = Record(name, node.name, made, present.composition, present.state_schema, wish.variables, volumes)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(record.to_text())
    return record


def show(node: Node, volumes: t.Sequence[StateVolume], record: Path) -> list[str]:
    """Return the words that show a program the snapshots below VIEW, and else the node as it is."""
    if not shutil.which("bwrap"):
        raise CommandError("bwrap is not installed on this node: the role strata.fleet.backup installs bubblewrap")
    Path(VIEW).mkdir(parents=True, exist_ok=True)
    folder = Path(node.engine.socket).parent / "storage-pools" / node.pool / "custom-snapshots"
    words = ["bwrap", "--die-with-parent", "--dev-bind", "/", "/", "--tmpfs", VIEW]
    for volume in volumes:
        source = folder / f"{node.engine.project}_{volume.engine_name}" / SNAPSHOT
        words += ["--ro-bind", str(source), f"{VIEW}/{VOLUMES}/{volume.name}"]
    words += ["--ro-bind", str(record), f"{VIEW}/{NAME}", "--chdir", VIEW, "--"]
    seen = all((folder / f"{node.engine.project}_{each.engine_name}").is_dir() for each in volumes)
    return words if seen else [*enter(node.engine), *words]


def enter(engine: Engine) -> list[str]:
    """Return the words that enter the engine's mount namespace.

    Where PID 1 is not systemd, the engine has one to itself, and a pool that it mounts is seen only there.
    """
    return ["nsenter", f"--mount=/proc/{engine.server()['environment']['server_pid']}/ns/mnt", "--"]


@contextlib.contextmanager
def only_one(store: Path, appliance: str) -> t.Iterator[None]:
    """Have no other run back this appliance up meanwhile. Raises Conflict where one does."""
    path = backup_marks.path_of(store, appliance).with_suffix(".lock")
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"Appliance {appliance} is being backed up by another run ({path} is held): wait until that is done"
            ) from error
        yield
