# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node remembers of an appliance's backups: <store>/backups/<appliance>.json.

``repository`` names where they are, and ``id`` is that repository's own. ``attempt`` is the last try, ``good`` the last
that succeeded, ``failures`` how many tries failed since. ``proven`` is the last that a drill restored, ``drill`` its
last try. ``frozen`` is what has to thaw in an appliance whose backup was cut off.
"""

from __future__ import annotations

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
    path = path_of(store, appliance)
    try:
        return t.cast("Marks", json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        raise ContentError(
            f"{path} is damaged: {error}. It tells of the backups of {appliance}, which are in their repository all "
            "the same: remove the file and back up again",
            path=str(path),
        ) from error


def update(store: Path, appliance: str, **changes: t.Any) -> None:
    """Set these, and forget those that are None."""
    kept = {**read(store, appliance), **changes}
    path = path_of(store, appliance)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_durably(path, json.dumps({key: mark for key, mark in kept.items() if mark is not None}, sort_keys=True))


def note_good(store: Path, appliance: str, repository: str, repository_id: str, good: Good) -> None:
    """Remember a backup that succeeded."""
    attempt = {"at": good.made, "reason": ""}
    update(
        store, appliance, repository=repository, id=repository_id, attempt=attempt, good=good._asdict(), failures=None
    )


def note_failure(store: Path, appliance: str, repository: str, at: str, reason: str) -> None:
    """Remember one that failed."""
    failures = read(store, appliance).get("failures", 0) + 1
    update(store, appliance, repository=repository, attempt={"at": at, "reason": reason}, failures=failures)


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
