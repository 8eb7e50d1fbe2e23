# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node remembers of an appliance's backups: <store>/backups/<appliance>.json.

``repository`` names where they are, and ``id`` is that repository's own. ``attempt`` is the last try, ``good`` the last
that succeeded, ``failures`` how many tries failed since. ``proven`` is the last that a drill restored, ``drill`` its
last try. ``frozen`` is what has to thaw in an appliance whose backup was cut off.

<store>/backups/repositories/<name>.json is what the node remembers of a repository, also when the appliances that it
backed up there are gone: its ``id``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import clock
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError
from ansible_collections.strata.fleet.plugins.module_utils.marks import write_durably

Marks = dict[str, t.Any]


class Good(t.NamedTuple):
    """A backup that succeeded: restic's id, when its moment was, seconds, bytes added and processed, files."""

    snapshot: str
    made: str
    seconds: float
    added: int
    processed: int
    files: int


class Proof(t.NamedTuple):
    """A drill: which snapshot, when, seconds until healthy, bytes restored, and why it failed ('': it did not)."""

    snapshot: str
    at: str
    seconds: float
    bytes: int
    reason: str = ""


def read(store: Path, appliance: str) -> Marks:
    """Return what is known, {} where nothing is. Raises ContentError for what Strata did not write."""
    return _read(path_of(store, appliance))


def _read(path: Path) -> Marks:
    try:
        return t.cast("Marks", json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        raise ContentError(
            f"{path} is damaged: {error}. It tells of backups, which are in their repository all the same: remove the "
            "file and back up again",
            path=str(path),
        ) from error


def update(store: Path, appliance: str, **changes: t.Any) -> None:
    """Set these, and forget those that are None."""
    _change(store, appliance, lambda _known: changes)


def _change(store: Path, appliance: str, change: t.Callable[[Marks], Marks]) -> None:
    """Set what ``change`` makes of the marks. Backups, drills and playbooks do so side by side."""
    path = path_of(store, appliance)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with _turn(path.parent):
        known = read(store, appliance)
        _write(path, {**known, **change(known)})


def _write(path: Path, marks: Marks) -> None:
    write_durably(path, json.dumps({key: mark for key, mark in marks.items() if mark is not None}, sort_keys=True))


@contextlib.contextmanager
def _turn(folder: Path) -> t.Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)  # for as long as a file takes to write
        yield


def find_ids(store: Path, repository: str, *, is_local: bool) -> set[str]:
    """Return the ids that a repository of this name may have: what the node noted, or else what its appliances say.

    Of a repository in a folder of this node (``is_local``) appliances say nothing: one may have come from another node,
    with what that one remembered.
    """
    noted = _read(repository_path_of(store, repository)).get("id")
    if noted:
        return {noted}
    if is_local:
        return set()
    marks = [_read(path) for path in (store / "backups").glob("*.json") if "." not in path.stem]  # no record's
    return {mark["id"] for mark in marks if mark.get("repository") == repository and mark.get("id")}


def note_good(store: Path, appliance: str, repository: str, repository_id: str, good: Good) -> None:
    """Remember a backup that succeeded, and where it is."""
    attempt = {"at": good.made, "reason": ""}
    update(
        store, appliance, repository=repository, id=repository_id, attempt=attempt, good=good._asdict(), failures=None
    )
    path = repository_path_of(store, repository)
    if _read(path).get("id") != repository_id:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with _turn(path.parent):
            _write(path, {"id": repository_id})


def note_failure(store: Path, appliance: str, repository: str, at: str, reason: str) -> None:
    """Remember one that failed."""
    attempt = {"at": at, "reason": reason}
    _change(
        store,
        appliance,
        lambda known: {"repository": repository, "attempt": attempt, "failures": known.get("failures", 0) + 1},
    )


def note_drill(store: Path, appliance: str, proof: Proof) -> None:
    """Remember a drill, and what it proved where it did."""
    found = {"drill": proof._asdict()}
    update(store, appliance, **(found if proof.reason else {**found, "proven": proof._asdict()}))


def tell(store: Path, appliance: str, created: str) -> Marks:
    """Return what the status says of an appliance's backups, with ages in seconds by this node's clock.

    ``age`` is that of the newest good backup, or of the appliance itself where there is none.
    """
    known = read(store, appliance)
    good, attempt, drill = (known.get(key) or {} for key in ("good", "attempt", "drill"))
    proven = known.get("proven") or {}
    return {
        "repository": known.get("repository", ""),
        "good": good or None,
        "age": clock.age(good.get("made") or created),
        "failures": known.get("failures", 0),
        "failure": attempt.get("reason", ""),
        "failure_age": clock.age(attempt["at"]) if attempt.get("reason") else None,
        "proven": proven or None,
        "proven_age": clock.age(proven["at"]) if proven else None,
        "drill_failure": drill.get("reason", ""),
        "held_since": (known.get("frozen") or {}).get("at", ""),
    }


def remove(store: Path, appliance: str) -> None:
    """Forget an appliance."""
    path_of(store, appliance).unlink(missing_ok=True)


def path_of(store: Path, appliance: str) -> Path:
    """Return the file."""
    return store / "backups" / f"{appliance}.json"


def repository_path_of(store: Path, repository: str) -> Path:
    """Return the file."""
    return store / "backups" / "repositories" / f"{repository}.json"
