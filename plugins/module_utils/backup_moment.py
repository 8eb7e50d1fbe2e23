# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apply, for the moment of a backup: all volumes of an appliance as they were at one time."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import backup_marks, clock
from ansible_collections.strata.fleet.plugins.module_utils.backup_plan import SNAPSHOT
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import EngineError, Unreachable
from ansible_collections.strata.fleet.plugins.module_utils.store import locked

HOOK_TIMEOUT = 120
SNAPSHOT_TIMEOUT = 4 * 3600  # a pool of driver dir copies, others do not
PATIENCE = 60  # seconds for an engine that went away to be back

Args = t.Mapping[str, t.Any]


class Node(t.NamedTuple):
    """Where appliances are backed up: ``name`` is the inventory's, ``wait`` how many seconds another run may work."""

    engine: Engine
    store: Path
    pool: str
    name: str
    wait: float
    turn: threading.Lock


class Moment(t.NamedTuple):
    """When the volumes were as they are kept, and for how many seconds the appliance was held for it."""

    made: str
    held: float


def take(node: Node, appliance: str, args: Args) -> Moment:
    """Snapshot all volumes at one moment. The appliance is let go in any case; a mark tells where this is killed."""
    made = clock.now()
    if args["thaw"] or args["pause"]:
        backup_marks.update(node.store, appliance, frozen={"at": made, "thaw": args["thaw"]})
    begun = time.monotonic()
    with contextlib.ExitStack() as undo:
        undo.callback(thaw, node, appliance, {"commands": args["thaw"]})
        run_hooks(node.engine, appliance, args["freeze"], "freezes")
        if args["pause"]:
            node.engine.set_state(appliance, "freeze")
            undo.callback(resume, node.engine, appliance)
        made = clock.now()
        for volume in args["volumes"]:
            path = f"/storage-pools/{node.pool}/volumes/custom/{volume}/snapshots"
            node.engine.create(path, {"name": SNAPSHOT}, SNAPSHOT_TIMEOUT)
    return Moment(made, round(time.monotonic() - begun, 3))


def thaw(node: Node, appliance: str, args: Args) -> None:
    """Let an appliance go on, also one that was held by a run that was killed; forget that it was held."""
    outlast(node.engine, lambda: _thaw(node.engine, appliance, args["commands"]))
    if backup_marks.read(node.store, appliance).get("frozen"):
        backup_marks.update(node.store, appliance, frozen=None)


def _thaw(engine: Engine, appliance: str, commands: t.Iterable[t.Sequence[str]]) -> None:
    resume(engine, appliance)
    body = engine.find(f"/instances/{appliance}")
    if body and body["status"] == "Running":  # one that stopped since is not held any more
        run_hooks(engine, appliance, commands, "thaws")


def resume(engine: Engine, appliance: str) -> None:
    """Have the engine let the appliance's processes run, if it holds them."""
    body = engine.find(f"/instances/{appliance}")
    if body and body["status"] == "Frozen":
        engine.set_state(appliance, "unfreeze")


def release(node: Node, _appliance: str, args: Args) -> None:
    """Delete the snapshots."""
    for volume in args["volumes"]:
        path = f"/storage-pools/{node.pool}/volumes/custom/{volume}/snapshots/{SNAPSHOT}"
        outlast(node.engine, functools.partial(node.engine.delete, path))


def run_hooks(engine: Engine, appliance: str, commands: t.Iterable[t.Sequence[str]], purpose: str) -> None:
    """Run an app's commands inside, one after the other. Raises EngineError for the first that fails."""
    for argv in commands:
        done = engine.execute(appliance, argv, HOOK_TIMEOUT)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-500:]
            raise EngineError(
                f"Appliance {appliance}: {' '.join(argv)!r}, with which its app {purpose} for a backup, ended with "
                f"{done.returncode}: {said}"
            )


@contextlib.contextmanager
def alone(node: Node) -> t.Iterator[None]:
    """Have no other run change the node's appliances meanwhile; wait for one that does. Raises Conflict after that."""
    with node.turn, locked(str(node.store), node.wait):
        yield


def outlast(engine: Engine, action: t.Callable[[], None]) -> None:
    """Do something that must be done, once more where the engine went away meanwhile and comes back."""
    try:
        action()
    except Unreachable:
        if not engine.is_back_within(PATIENCE):
            raise
        action()
