# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""have, for a restore: what backups hold."""

from __future__ import annotations

import contextlib
import json
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import backup_record
from ansible_collections.strata.fleet.plugins.module_utils.backup_options import build_repository
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.restic import Restic, opened
from ansible_collections.strata.fleet.plugins.module_utils.restore_choice import choose


class Request(t.NamedTuple):
    """Which backup is asked for; ``volume`` is '' for all of them."""

    appliance: str
    repository: str
    snapshot: str
    volume: str = ""


REPOSITORY_OPTIONS: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "repositories": {"type": "dict", "default": {}},
    "repository_secrets": {"type": "dict", "default": {}, "no_log": True},
}


@contextlib.contextmanager
def open_all(params: t.Mapping[str, t.Any], names: t.Iterable[str]) -> t.Iterator[dict[str, Restic]]:
    """Give the clients of these repositories. Raises BadInput for one that nobody described."""
    given = params["repositories"]
    with contextlib.ExitStack() as stack:
        restics = {}
        for name in sorted(set(names)):
            if name not in given:
                known = ", ".join(sorted(given)) or "none"
                raise BadInput(f"Repository {name!r} is not in backup_repositories, which has {known}.")
            restics[name] = stack.enter_context(
                opened(build_repository(name, given[name], params["repository_secrets"].get(name, "")))
            )
        yield restics


def find_backup(restic: Restic, request: Request) -> dict[str, t.Any]:
    """Return the backup that a request means: its id, and the record as plain data."""
    snapshot = choose(restic.snapshots(request.appliance), request.snapshot, request.appliance, restic.repository.name)
    record = backup_record.read_record(restic, snapshot.id)
    if record.appliance != request.appliance:
        raise ContentError(
            f"Backup {snapshot.id[:8]} in {restic.repository.name} is filed under {request.appliance}, but its record "
            f"says that it is of {record.appliance!r}: somebody wrote it who is not Strata. Find out who, and restore "
            "another.",
        )
    if request.volume and request.volume not in record.volumes:
        has = ", ".join(sorted(record.volumes))
        raise BadInput(
            f"Backup {snapshot.id[:8]} of {request.appliance} has no volume {request.volume!r}; it has {has}.",
            appliance=request.appliance,
        )
    volumes = [request.volume] if request.volume else sorted(record.volumes)
    return {
        "appliance": request.appliance,
        "repository": request.repository,
        "snapshot": snapshot.id,
        "complete": snapshot.is_complete,
        "whole": not request.volume,
        "volumes": volumes,
        "bytes": sum(record.volumes[volume].used for volume in volumes),
        "record": json.loads(record.to_text()),
    }


def find_all(
    restics: t.Mapping[str, Restic], requests: t.Iterable[Request]
) -> tuple[dict[str, dict[str, t.Any]], dict[str, str]]:
    """Return the backups by appliance, and why there is none for the others."""
    found: dict[str, dict[str, t.Any]] = {}
    faults: dict[str, str] = {}
    for request in requests:
        try:
            found[request.appliance] = find_backup(restics[request.repository], request)
        except StrataError as error:
            faults[request.appliance] = f"Appliance {request.appliance}: {error.message}"
    return found, faults
