# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cycle of GitOps: from the branch's head to a fleet that is as it says, or a reason why not.

Whatever kills a cycle, the next one finds in the ledger what was begun, and on the nodes what is true, and goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import fcntl
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import clock
from ansible_collections.strata.fleet.plugins.module_utils.errors import (
    BadInput,
    Conflict,
    ContentError,
    StrataError,
    Unreachable,
)
from ansible_collections.strata.fleet.plugins.plugin_utils import gate, windows
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import decide, outcome, playbooks
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import ledger as ledgers
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.decide import Target
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.ledger import Data, Ledger, commit_of
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.outcome import Remark
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.repository import SHORT, Access, Repository, Trust
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.settings import Settings
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import say_some

LOCK = "lock"
SECOND_LOOK = 10  # seconds
NOTHING: Data = {"appliances": [], "nodes": {}, "findings": [], "totals": {}}


@dataclasses.dataclass
class Cycle:
    """What a cycle works on, and what it has found so far.

    ``dry``: nothing is changed or remembered. ``rewritten``: a head that is taken although history was rewritten.
    ``before``: what the branch was before, as a pipeline knows it; it counts where nothing is remembered.
    ``plan``: the last look at the fleet, with ``commit``; ``drift``: what is not as that says; ``mended``: whose drift
    was undone.
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
    drift: list[Data] = dataclasses.field(default_factory=list)
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
        """Run a playbook with the inventory of a commit."""
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


def run(cycle: Cycle) -> None:
    """Bring the fleet to what the branch says, or find out why not. Call with the lock held."""
    target = decide.choose(cycle.ledger, look_at_branch(cycle))
    if target and target.is_new and not advance(cycle, target):
        # What was refused or has to wait leaves the fleet on what it was.
        refused, target = target, decide.choose(cycle.ledger, "")
        if target and target.is_new and target.commit != refused.commit:
            advance(cycle, target)
    if target and not target.is_new:
        keep(cycle, target.commit)


def look_at_branch(cycle: Cycle) -> str:
    """Return the branch's head, '' where it may not be taken."""
    ledger, repository = cycle.ledger, cycle.repository
    try:
        head = repository.fetch(cycle.settings.branch)
    except Unreachable as error:
        ledger.unreachable = ledgers.note(ledger.unreachable, error.message, clock.now())
        cycle.remember()
        cycle.remark(outcome.UNREACHABLE, f"{error.message}. It is so since {ledger.unreachable['since']}")
        return commit_of(ledger.accepted)
    ledger.unreachable = None
    if head != commit_of(ledger.seen):
        ledger.seen = {
            "commit": head,
            "at": clock.now(),
            **dict(zip(("subject", "author"), _describe(repository, head), strict=True)),
        }
        say(f"{cycle.settings.branch} is at {head[:SHORT]}: {ledger.seen['subject']}")
    try:
        accept(cycle, head)
    except ContentError as error:
        cycle.remark(outcome.REFUSED, error.message)
        head = ""
    cycle.remember()
    if ledger.bad and head == ledger.bad["commit"]:
        how = "was undone" if ledger.bad["back_to"] else "left the fleet ill"
        word = outcome.UNDONE if ledger.bad["back_to"] else outcome.FAILED
        cycle.remark(
            word, f"{head[:SHORT]} {how} at {ledger.bad['at']} and is not applied again: {ledger.bad['reason']}"
        )
    return head


def _describe(repository: Repository, head: str) -> tuple[str, str]:
    commit = repository.describe(head)
    return commit.subject, commit.author


def accept(cycle: Cycle, head: str) -> None:
    """Take a head that somebody signed who may. Raises ContentError where nobody did, or history was rewritten."""
    settings, ledger = cycle.settings, cycle.ledger
    is_meant = head == cycle.rewritten
    earlier = commit_of(ledger.accepted) or cycle.before
    if earlier and not is_meant and not cycle.repository.is_ancestor(earlier, head):
        raise ContentError(decide.say_rewritten(earlier, ledger.accepted, head))
    signer = cycle.repository.verify(head, Trust(settings.allowed_signers, settings.gpg_keys))
    if head != commit_of(ledger.accepted):
        ledger.accepted = {"commit": head, "at": clock.now(), "signer": signer}
        say(f"{head[:SHORT]} is signed by {signer}")


def advance(cycle: Cycle, target: Target) -> bool:
    """Apply a commit that is new to the fleet. Returns whether it was; it is not where it is refused or has to wait."""
    commit, ledger = target.commit, cycle.ledger
    if target.resumed and ledger.applying and ledger.applying["undoes"]:
        go_back(cycle, ledger.applying)
        return True
    try:
        check(cycle, commit)
        look(cycle, commit)
        if not target.resumed:
            pass_gates(cycle, commit)
    except BadInput as error:
        cycle.remark(outcome.REFUSED, f"{commit[:SHORT]}: {error.message}")
        return False
    except Waits as wait:
        cycle.remark(outcome.WAITING, f"{commit[:SHORT]}: {wait}")
        return False
    if not cycle.dry:
        if not ledger.applying or not target.resumed:
            find_way_back(cycle)
            ledger.applying = begin_apply(cycle, commit)
            cycle.remember()
        apply(cycle, ledger.applying)
    return True


class Waits(Exception):
    """It is not the time."""


def check(cycle: Cycle, commit: str) -> None:
    """Raise BadInput where the inventory of a commit is wrong in itself. No node is asked."""
    played = cycle.play("check", commit)
    if played.code:
        raise BadInput(f"The inventory is refused:\n{played.say()}")


def look(cycle: Cycle, commit: str, *, deep: bool = False) -> None:
    """See what a deploy of the commit would do, and how the fleet is.

    Raises BadInput where the commit cannot be deployed. A node that does not answer is in the plan, as such.
    """
    with tempfile.TemporaryDirectory(dir=cycle.settings.state) as folder:
        path = Path(folder) / "plan.json"
        variables = {"deploy_plan_verify": True, "deploy_plan_content": deep, "deploy_prune": cycle.settings.prune}
        played = cycle.play("deploy_plan", commit, deploy_plan_file=str(path), **variables)
        if played.code not in (0, playbooks.UNREACHABLE) or not path.exists():
            raise BadInput(f"It cannot be deployed:\n{played.say()}")
        cycle.plan, cycle.commit = playbooks.read_plan(path), commit


def pass_gates(cycle: Cycle, commit: str) -> None:
    """Raise BadInput where a commit would change too much at once, Waits outside of maintenance windows."""
    settings, rows = cycle.settings, cycle.plan["appliances"]
    rows = [*rows, *decide.find_abandoned(cycle.plan, (cycle.ledger.applied or {}).get("places", {}))]
    allowed = decide.read_allowances(cycle.repository.allowances(commit))
    exceeded = decide.weigh(rows, len(rows), {**settings.limits, **allowed})
    if exceeded:
        raise BadInput(
            f"{'; '.join(exceeded)}. If that is meant, let a signed commit say so in the last line of its message, "
            "such as 'Strata-Limit: remove=5'"
        )
    now = dt.datetime.now(dt.UTC)
    if not windows.is_open(settings.windows, now):
        begin = gate.say_time(windows.next_opening(settings.windows, now))
        raise Waits(f"no maintenance window is open; the next one begins {begin}")


def find_way_back(cycle: Cycle) -> None:
    """Where nothing is remembered, count what the branch was before as good, if it is what the fleet is, and well.

    A pipeline cannot tell: that commit may have been refused, undone or passed over. So whether somebody signed it who
    may, and how the fleet is, is looked at before the fleet is changed.
    """
    settings, ledger, before = cycle.settings, cycle.ledger, cycle.before
    if ledger.good or not before:
        return
    seen = cycle.plan, cycle.commit
    try:
        cycle.repository.verify(before, Trust(settings.allowed_signers, settings.gpg_keys))
        look(cycle, before)
        reason = decide.doubt(cycle.plan, settings.threshold)
    except (BadInput, ContentError) as error:
        reason = error.message
    cycle.plan, cycle.commit = seen
    if reason:
        say(f"There is no way back to {before[:SHORT]}: {reason}")
    else:
        ledger.good = {"commit": before, "at": clock.now()}


def apply(cycle: Cycle, entry: Data) -> None:
    """Apply a commit, look at the fleet, and undo the commit where it did harm."""
    commit, ledger = entry["commit"], cycle.ledger
    played = cycle.play("site", commit, deploy_prune=cycle.settings.prune)
    look_again(cycle, commit)
    reason = find_harm(cycle, entry)
    if reason:
        undo(cycle, entry, reason)
    elif played.code:
        cycle.remark(
            outcome.FAILED, f"{commit[:SHORT]} could not be applied in full, and is tried again:\n{played.say()}"
        )
    else:
        ledger.applied, ledger.applying = finish_apply(cycle, entry), None
        cycle.remark(outcome.APPLIED, f"{commit[:SHORT]} is what the fleet runs")
        prove(cycle)
    cycle.remember()
    find_drift(cycle)


def begin_apply(cycle: Cycle, commit: str) -> Data:
    """Return the entry of what is about to be applied.

    As long as what was applied before is not known to be good, how the fleet was is how it was before that.
    """
    ledger, plan = cycle.ledger, cycle.plan
    is_proven = commit_of(ledger.applied) == commit_of(ledger.good)
    unproven = ledger.applying or (None if is_proven else ledger.applied) or {}
    return {
        "commit": commit,
        "at": clock.now(),
        "health": {**decide.health_of(plan), **unproven.get("health", {})},
        "versions": {**decide.versions_of(plan), **unproven.get("versions", {})},
        "undoes": "",
    }


def finish_apply(cycle: Cycle, entry: Data) -> Data:
    """Return the entry of what was being applied as what is applied."""
    return {**entry, "at": clock.now(), "places": decide.places_of(cycle.plan)}


def look_again(cycle: Cycle, commit: str) -> None:
    """As ``look``, after something was changed: what cannot be seen now is no reason to undo anything."""
    try:
        look(cycle, commit)
    except BadInput as error:
        cycle.plan = dict(NOTHING)
        cycle.remark(outcome.FAILED, error.message)


def find_harm(cycle: Cycle, entry: Data) -> str:
    """Return why a commit that was applied is to be undone, '' where it is not.

    It is looked at twice: an appliance may be about to come back from something that has nothing to do with the commit.
    """
    reason = decide.judge(cycle.plan, entry["health"], cycle.settings.threshold)
    if reason:
        say(f"{entry['commit'][:SHORT]}: {reason}. It is looked at again in {SECOND_LOOK} s")
        time.sleep(SECOND_LOOK)
        look_again(cycle, entry["commit"])
        reason = decide.judge(cycle.plan, entry["health"], cycle.settings.threshold)
    return reason


def undo(cycle: Cycle, harmful: Data, reason: str) -> None:
    """Mark a commit as bad, and apply the last good one again. Without one, the fleet is left as it is."""
    ledger, now, commit = cycle.ledger, clock.now(), harmful["commit"]
    back_to = commit_of(ledger.good)
    ledger.bad = {"commit": commit, "at": now, "reason": reason, "back_to": back_to}
    entry = {"commit": back_to or commit, "at": now, "health": {}, "versions": harmful["versions"], "undoes": commit}
    if back_to:
        ledger.applying = entry
        cycle.remember()
        go_back(cycle, entry)
    else:
        ledger.applied, ledger.applying = entry, None
        cycle.remark(outcome.FAILED, f"{commit[:SHORT]} left the fleet ill, and no commit before it was good: {reason}")


def go_back(cycle: Cycle, entry: Data) -> None:
    """Apply the commit that was good, without a gate: it was let through before, and what is there now is worse."""
    ledger, commit = cycle.ledger, entry["commit"]
    reason = (ledger.bad or {}).get("reason", "")
    say(f"{entry['undoes'][:SHORT]} is undone: {reason}")
    played = cycle.play("site", commit, deploy_prune=cycle.settings.prune, store_versions=entry["versions"])
    look_again(cycle, commit)
    find_drift(cycle)
    if played.code:
        what = (
            f"{entry['undoes'][:SHORT]} is bad, but {commit[:SHORT]} could not be applied in full, and is tried again"
        )
        cycle.remark(outcome.FAILED, f"{what}:\n{played.say()}")
        return
    ledger.applied, ledger.applying = finish_apply(cycle, entry), None
    revert = decide.suggest_revert(entry, cycle.repository.count(commit, entry["undoes"]))
    how = f"was undone, the fleet is back on {commit[:SHORT]}: {reason}"
    cycle.remark(outcome.UNDONE, f"{entry['undoes'][:SHORT]} {how}. To take it out of the branch: {revert}")


def prove(cycle: Cycle) -> None:
    """Count what is applied as good, once it has left the fleet well for long enough."""
    applied = cycle.ledger.applied
    if applied and cycle.plan["appliances"] and (clock.age(applied["at"]) or 0) >= cycle.settings.settle:
        cycle.ledger.good = {"commit": applied["commit"], "at": clock.now()}


def keep(cycle: Cycle, commit: str) -> None:
    """See that the fleet is as the applied commit says, and undo what is not, where policy says so."""
    ledger, settings = cycle.ledger, cycle.settings
    age = clock.age(ledger.content_at)
    deep = bool(settings.content_every) and (age is None or age >= settings.content_every)
    try:
        look(cycle, commit, deep=deep)
    except BadInput as error:
        cycle.remark(outcome.FAILED, f"{commit[:SHORT]}, which is applied: {error.message}")
        return
    if deep:
        ledger.content_at = clock.now()
    if ledger.applied and commit not in (commit_of(ledger.good), commit_of(ledger.bad)):
        reason = find_harm(cycle, ledger.applied)
        if reason and not cycle.dry:
            undo(cycle, ledger.applied, reason)
            cycle.remember()
            return
        prove(cycle)
    find_drift(cycle)
    if not cycle.dry:
        mend(cycle, commit)
    if cycle.drift:
        names = say_some([row["name"] for row in cycle.drift], decide.SHOWN)
        cycle.remark(outcome.DRIFTED, f"not as {commit[:SHORT]} says: {names}")
    unseen = decide.find_unseen(cycle.plan)
    if unseen:
        cycle.remark(outcome.FAILED, f"not all of the fleet could be looked at: {'; '.join(unseen)}")
    loose = decide.find_loose(cycle.plan)
    if loose:
        cycle.remark(outcome.DRIFTED, "\n".join(loose))


def find_drift(cycle: Cycle) -> None:
    """Keep what is not as the commit says."""
    cycle.drift = decide.find_drift(cycle.plan)


def mend(cycle: Cycle, commit: str) -> None:
    """Undo the drift that may be undone, and look again. More of it than the limits allow is left to a person."""
    deployed, removed = decide.choose_mended(cycle.drift)
    mended = [*deployed, *removed]
    if not mended:
        return
    rows = [row for row in cycle.drift if row["name"] in mended]
    exceeded = decide.weigh(rows, len(cycle.plan["appliances"]), cycle.settings.limits)
    if exceeded:
        cycle.remark(outcome.DRIFTED, f"drift is not undone: {'; '.join(exceeded)}")
        return
    say(f"Drift is undone: {say_some(mended, decide.SHOWN)}")
    plays: list[tuple[str, Data]] = [("deploy", {"store_only": deployed})] if deployed else []
    plays += [("remove", {"remove": ",".join(removed)})] if removed else []
    for playbook, variables in plays:
        played = cycle.play(playbook, commit, **variables)
        if played.code:
            cycle.remark(outcome.FAILED, f"drift could not be undone:\n{played.say()}")
    look_again(cycle, commit)
    find_drift(cycle)
    cycle.mended = sorted(set(mended) - {row["name"] for row in cycle.drift})


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


def guard(cycle: Cycle) -> None:
    """Run a cycle; what nobody expected is an outcome, too."""
    try:
        run(cycle)
    except (StrataError, OSError) as error:
        cycle.remark(outcome.ERROR, str(error))
