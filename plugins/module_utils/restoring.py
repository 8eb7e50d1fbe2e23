# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apply, for a restore: what brings a backup's files into volumes, and volumes into the place of others."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import apply, backup_moment, clock, marks
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.instance import volume_name
from ansible_collections.strata.fleet.plugins.module_utils.model import Have, Step
from ansible_collections.strata.fleet.plugins.module_utils.restic import Restic, Snapshot
from ansible_collections.strata.fleet.plugins.module_utils.restore_choice import tell
from ansible_collections.strata.fleet.plugins.module_utils.restore_plan import RESTORED, Found, restoring_name

POOLS = "var/lib/incus/storage-pools"
DRIVERS = ("btrfs", "dir")  # where an idle volume is a folder that can be written
OFFERED = 3  # other backups, where one cannot be read

Args = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Library:
    """The repositories that are open, by name."""

    restics: t.Mapping[str, Restic]

    def do(self, node: apply.Node, step: Step) -> None:
        """Do one step. Raises StrataError that names the appliance and the step."""
        action = ACTIONS.get(step.action)
        if action is None:
            apply.carry_out(node, step)
            return
        try:
            action(self, node, step.appliance, step.args)
        except OSError as error:
            raise StrataError(f"Appliance {step.appliance}: could not {step.sentence}: {error}") from error
        except StrataError as error:
            error.message = f"Appliance {step.appliance}: could not {step.sentence}: {error.message}"
            raise


def read_found(node: apply.Node, have: Have, names: t.Mapping[str, t.Iterable[str]]) -> Found:
    """Return what there is of these volumes (the app's names for them, by appliance), beside ``have``."""
    concerned = [volume_name(appliance, volume) for appliance, volumes in names.items() for volume in volumes]
    concerned = [each for name in concerned for each in (name, restoring_name(name)) if each in have.volumes]
    restored = {name: node.engine.volume(node.pool, name)["config"].get(RESTORED, "") for name in concerned}
    own = {appliance: marks.read(node.store, appliance) for appliance in names if appliance not in have.instances}
    return Found(have, restored, own)


def backup_node(node: apply.Node, wait: float) -> backup_moment.Node:
    """Return the node as backups know it, which take turns with other runs for up to ``wait`` seconds."""
    return backup_moment.Node(node.engine, node.store, node.pool, "", wait, threading.Lock())


def require_driver(engine: Engine, pool: str) -> None:
    """Raise BadInput for a pool whose volumes cannot be written from the node."""
    driver = engine.pool_driver(pool)
    if driver not in DRIVERS:
        raise BadInput(
            f"The pool {pool} is of driver {driver}, and a restore writes volumes of {' and '.join(DRIVERS)} only: "
            "restore to a node that has such a pool."
        )


def volume_folder(engine: Engine, pool: str, volume: str) -> Path:
    """Return where the engine has a volume, also where it sees mounts of its own."""
    engine_process = engine.server()["environment"]["server_pid"]
    return Path(f"/proc/{engine_process}/root/{POOLS}/{pool}/custom/{engine.project}_{volume}")


def create_restoring(_library: Library, node: apply.Node, _appliance: str, args: Args) -> None:
    """Make an empty volume that says by which map the owners of its files will be shifted: the engine does the rest."""
    config = {"size": str(args["size"])} if args["size"] else {}
    if args["idmap"]:
        config |= {"volatile.idmap.last": args["idmap"], "volatile.idmap.next": args["idmap"]}
    body = {"name": args["volume"], "type": "custom", "content_type": "filesystem", "config": config}
    node.engine.create(f"/storage-pools/{node.pool}/volumes/custom", body)


def read_backup(library: Library, node: apply.Node, _appliance: str, args: Args) -> None:
    """Have a backup's files in a volume, and write on it that they are whole. A failure leaves no volume."""
    restic = library.restics[args["repository"]]
    path = f"/storage-pools/{node.pool}/volumes/custom/{args['volume']}"
    try:
        restic.restore(args["snapshot"], args["path"], volume_folder(node.engine, node.pool, args["volume"]))
    except (StrataError, OSError) as error:
        with contextlib.suppress(StrataError):
            node.engine.delete(path)
        said = error.message if isinstance(error, StrataError) else str(error)
        raise StrataError(f"{said}{offer_others(restic, args['host'], args['snapshot'])}") from error
    node.engine.update(path, {"config": {RESTORED: args["snapshot"]}})


def offer_others(restic: Restic, host: str, snapshot: str) -> str:
    """Return which older backups of an appliance could be tried, as the end of a message."""
    try:
        others = restic.snapshots(host)
    except StrataError:
        return ""
    moment = next((each.time for each in others if each.id == snapshot), "")
    older = [each for each in reversed(others) if each.time < moment and each.is_complete]
    return f" Older backups: {name_snapshots(older)} (restore_snapshot=ID)." if older else " There is no older backup."


def name_snapshots(snapshots: t.Iterable[Snapshot]) -> str:
    """Return ids and times of the first of these, as a person types them."""
    return ", ".join(tell(each) for each in list(snapshots)[:OFFERED]) or "none"


def begin_restore(_library: Library, node: apply.Node, appliance: str, args: Args) -> None:
    """Write down what is put in place, for a run that finds it half done."""
    marks.update(node.store, appliance, restore={"started": clock.now(), **args})


def rename_volume(_library: Library, node: apply.Node, _appliance: str, args: Args) -> None:
    """Give a volume that nothing uses another name."""
    node.engine.create(f"/storage-pools/{node.pool}/volumes/custom/{args['volume']}", {"name": args["to"]})


def end_restore(_library: Library, node: apply.Node, appliance: str, args: Args) -> None:
    """Forget the mark, and remember what was restored."""
    marks.update(node.store, appliance, restore=None, restored={"at": clock.now(), **args})


ACTIONS: t.Mapping[str, t.Callable[[Library, apply.Node, str, Args], None]] = {
    action.__name__: action for action in (create_restoring, read_backup, begin_restore, rename_volume, end_restore)
}
