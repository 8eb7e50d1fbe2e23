# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that a node's timers run, without Ansible: backup.pyz [--mend] APPLIANCE.

It is this module and all that it imports, in one file (plugin_utils/backup_program.py packs it). What is backed up
where stands in /etc/strata/backup: <appliance>.json, and repositories/<name>.json.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import sys
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import backup_marks, backup_plan, backup_run, clock
from ansible_collections.strata.fleet.plugins.module_utils.backup_moment import Node
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import Conflict, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.repositories import Repository

SETTINGS = Path("/etc/strata/backup")
MEND = "--mend"

Data = dict[str, t.Any]


def main() -> None:
    """Back one appliance up, or undo what a backup of it left. Ends with 1 where that fails."""
    *flags, name = sys.argv[1:]
    try:
        job = json.loads((SETTINGS / f"{name}.json").read_text())
        outcome = mend(job) if MEND in flags else back_up(job)
    except (StrataError, OSError, ValueError) as error:
        outcome = backup_run.describe(name, "", backup_plan.FAILED, reason=str(error))
    sys.stdout.write(json.dumps(outcome, sort_keys=True) + "\n")  # to the journal
    raise SystemExit(outcome["outcome"] == backup_plan.FAILED)


def back_up(job: Data) -> Data:
    """Return what became of one appliance."""
    node, wish = build(job)
    started = clock.now()
    try:
        with slot(node.store, job["parallel"]):
            plan = backup_plan.BackupPlan((backup_run.look(node, wish),))
            return backup_run.run(plan, node, {wish.repository: read_repository(wish.repository)}, 1)[wish.name]
    except (StrataError, OSError, ValueError) as error:  # such as an engine that does not answer
        with contextlib.suppress(StrataError, OSError):
            backup_marks.note_failure(node.store, wish.name, wish.repository, started, str(error))
        raise


def mend(job: Data) -> Data:
    """Undo what a backup left that was killed; what another run is doing is not."""
    node, wish = build(job)
    with contextlib.suppress(Conflict), backup_run.only_one(node.store, wish.name):
        backup_run.mend(node, wish)
    return backup_run.describe(wish.name, wish.repository, backup_plan.SKIPPED)


def build(job: Data) -> tuple[Node, backup_plan.Wish]:
    """Return where and what a job is."""
    engine = Engine(job["socket"], job["project"])
    node = Node(engine, Path(job["store_path"]), job["pool"], job["node"], job["wait"], threading.Lock())
    return node, backup_plan.Wish(job["name"], job["repository"], job["keep"], job["variables"])


def read_repository(name: str) -> Repository:
    """Return a repository as it was left here."""
    return Repository(name=name, **json.loads((SETTINGS / "repositories" / f"{name}.json").read_text()))


@contextlib.contextmanager
def slot(store: Path, count: int) -> t.Iterator[None]:
    """Wait until fewer than ``count`` others work on this node."""
    folder = store / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context((folder / f".slot-{number}").open("w")) for number in range(count)]
        while not any(_take(file.fileno()) for file in files):
            time.sleep(1)
        yield


def _take(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
