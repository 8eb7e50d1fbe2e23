# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup is meant: the latest, one by its id, or the newest that is not after some time. Pure.

One of which files could not be read is only ever meant by its id.
"""

from __future__ import annotations

import datetime as dt
import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.restic import Snapshot

LATEST = "latest"
ID = re.compile(r"[0-9a-f]{4,64}")
SHOWN = 5  # backups, where another was asked for


def choose(snapshots: t.Sequence[Snapshot], asked: str, host: str, repository: str) -> Snapshot:
    """Return the backup of ``host`` that is asked for; ``snapshots`` are the oldest first.

    Times are ISO 8601, in UTC where they name no zone. Raises BadInput, with what there is, where none is meant.
    """
    if not snapshots:
        raise BadInput(
            f"Repository {repository} has no backup of {host}. See that restore_repository and backup_repositories "
            "name the right one, or back it up first (playbooks/backup.yml).",
            appliance=host,
        )
    whole = [each for each in snapshots if each.is_complete]
    if asked in ("", LATEST) and whole:
        return whole[-1]
    named = [each for each in snapshots if ID.fullmatch(asked) and each.id.startswith(asked)]
    if len(named) == 1:
        return named[0]
    moment = None if named else _parse(asked)
    if moment:
        until = [each for each in whole if dt.datetime.fromisoformat(each.time) <= moment]
        if until:
            return until[-1]
    raise BadInput(f"{_explain(asked, named, moment, host)} {_list(snapshots, host, repository)}", appliance=host)


def _parse(asked: str) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(asked)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _explain(asked: str, named: t.Sequence[Snapshot], moment: dt.datetime | None, host: str) -> str:
    if asked in ("", LATEST):
        return f"There is no complete backup of {host}: files could not be read. One of these can be had by its id."
    if named:
        return f"{len(named)} backups of {host} have an id that begins with {asked!r}."
    if moment:
        return f"There is no complete backup of {host} from {asked} or before."
    return f"{asked!r} is no backup of {host}: name latest, an id, or a time such as 2026-11-22T17:15 (UTC)."


def _list(snapshots: t.Sequence[Snapshot], host: str, repository: str) -> str:
    newest = [tell(each) for each in snapshots[::-1][:SHOWN]]
    more = f" and {len(snapshots) - SHOWN} older ones" if len(snapshots) > SHOWN else ""
    return f"Repository {repository} has of {host}: {', '.join(newest)}{more}."


def tell(snapshot: Snapshot) -> str:
    """Return a backup as a person types it, and what is amiss with it."""
    return f"{snapshot.id[:8]} of {snapshot.time}{'' if snapshot.is_complete else ' (incomplete)'}"


def warn(host: str, snapshot: str) -> str:
    """Return what is said of a backup that was asked for by its id, and is not complete."""
    return (
        f"Appliance {host}: backup {snapshot[:8]} is incomplete: files could not be read when it was made, and are "
        "missing in what is restored."
    )
