# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cycle of GitOps works on: what it was told, what is remembered, what it has found so far."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import clock
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, Conflict
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import decide, outcome, playbooks
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import ledger as ledgers
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.ledger import Data, Ledger, commit_of
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.outcome import Remark
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.repository import SHORT, Access, Repository
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.settings import Settings

LOCK = "lock"
PLAN = "plan.json"
LOOKING = ("check", "deploy_plan")
NOTHING: Data = {"appliances": [], "nodes": {}, "findings": [], "totals": {}}


@dataclasses.dataclass
class Cycle:
    """What a cycle works on, and what it has found so far.

    ``dry``: nothing is changed or remembered. ``rewritten``: a head that is taken although history was rewritten.
    ``before``: what the branch was before, as a pipeline knows it; it counts where nothing is remembered.
    ``plan``: the last look at the fleet, with ``commit``; ``mended``: whose drift was undone.
    """

    settings: Settings
    repository: Repository
    ledger: Ledger
    dry: bool = False
    rewritten: str = ""
    before: str = ""
    remarks: list[Remark] = dataclasses.field(default_factory=list)
    plan: Data = dataclasses.field(default_factory=lambda: dict(NOTHING))
    commit: str = ""
    mended: list[str] = dataclasses.field(default_factory=list)

    def remember(self) -> None:
        """Have the ledger on disk; a dry run remembers nothing."""
        if not self.dry:
            ledgers.write(self.settings.state, self.ledger)

    def remark(self, word: str, reason: str) -> None:
        """Keep what is to be said at the end, and say it now as well."""
        self.remarks.append(Remark(word, reason))
        say(f"{word}: {reason}")

    def play(self, playbook: str, commit: str, **variables: t.Any) -> playbooks.Played:
        """Run a playbook with the inventory of a commit; a dry run, one that only looks."""
        if self.dry and playbook not in LOOKING:
            raise ValueError(f"A dry run would have run {playbook}")
        began = time.monotonic()
        played = playbooks.run(self.settings, playbook, self.repository.checkout(commit), **variables)
        ended = f"{'failed' if played.code else 'done'} in {time.monotonic() - began:.1f} s"
        say(f"{playbook} with {commit[:SHORT]}: {ended}")
        return played


def say(line: str) -> None:
    """Tell whoever looks on: a person, or the journal."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def only_one(state: Path) -> t.Iterator[None]:
    """Hold the lock of this control node. Raises Conflict where another cycle has it."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise Conflict(
                f"Another cycle is running ({file.read().strip() or 'it has just begun'}). Nothing was done"
            ) from error
        file.truncate(0)
        file.write(f"since {clock.now()}")
        file.flush()
        yield


def open_repository(settings: Settings) -> Repository:
    """Return the mirror of what the settings name."""
    secrets = {name: str(path) for name, path in settings.secrets.items()}
    access = Access(
        settings.repository,
        str(settings.known_hosts or ""),
        secrets.get("repository-key", ""),
        secrets.get("repository-token", ""),
    )
    return Repository(settings.state, access)


def look(cycle: Cycle, commit: str, *, deep: bool = False) -> None:
    """See what a deploy of the commit would do, and how the fleet is.

    Raises BadInput where the commit cannot be deployed. A node that does not answer is in the plan, as such.
    """
    path = cycle.settings.state / PLAN
    path.unlink(missing_ok=True)
    variables = {"deploy_plan_verify": True, "deploy_plan_content": deep, "deploy_prune": cycle.settings.prune}
    played = cycle.play("deploy_plan", commit, deploy_plan_file=str(path), **variables)
    if played.code not in (0, playbooks.UNREACHABLE) or not path.exists():
        raise BadInput(f"It cannot be deployed:\n{played.say()}")
    cycle.plan, cycle.commit = json.loads(path.read_text()), commit


def look_again(cycle: Cycle, commit: str) -> None:
    """As ``look``, after something was changed: what cannot be seen now is no reason to undo anything."""
    try:
        look(cycle, commit)
    except BadInput as error:
        cycle.plan = dict(NOTHING)
        cycle.remark(outcome.FAILED, error.message)


def tell_unseen(cycle: Cycle) -> None:
    """Say which nodes the last look could not see."""
    unseen = decide.find_unseen(cycle.plan)
    if unseen:
        cycle.remark(outcome.FAILED, f"not all of the fleet could be looked at: {'; '.join(unseen)}")


def finish(cycle: Cycle) -> Remark:
    """Return how the cycle ended, and remember since when something is wrong."""
    result = outcome.conclude(cycle.remarks)
    ledger = cycle.ledger
    is_wrong = outcome.CODES[result.word] not in (0, outcome.CODES[outcome.WAITING])
    ledger.error = ledgers.note(ledger.error, result.reason, clock.now()) if is_wrong else None
    ledger.results[result.word] = ledger.results.get(result.word, 0) + 1
    cycle.remember()
    if not cycle.dry:
        cycle.repository.forget(
            {commit_of(entry) for entry in (ledger.applied, ledger.applying, ledger.good, ledger.accepted)} - {""}
        )
    return result
