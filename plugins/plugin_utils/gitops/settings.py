# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control node was told: which repository, whom to trust, how far a commit may go on its own."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.durations import parse_duration
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import windows
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import find_faults

Amount = int | str


@dataclasses.dataclass(frozen=True)
class Settings:
    """As docs/schemas/gitops.schema.json has them. ``settle`` and ``content_every`` are seconds.

    ``secrets``: where credentials are, by name: vault-password, node-key, repository-key, repository-token.
    """

    repository: str
    branch: str
    inventory: str
    state: Path
    collections: Path
    ansible_config: Path
    known_hosts: Path
    allowed_signers: Path | None
    gpg_keys: tuple[Path, ...]
    limits: t.Mapping[str, Amount]
    windows: tuple[t.Mapping[str, t.Any], ...]
    threshold: str
    settle: int
    prune: bool
    content_every: int
    keep_runs: int
    timeout: int
    metrics: Path | None
    secrets: t.Mapping[str, Path]


def read(path: Path) -> Settings:
    """Return the settings in a file. Raises BadInput with everything that is wrong with it."""
    try:
        said = json.loads(path.read_text())
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}. The role gitops writes it.") from error
    except ValueError as error:
        raise BadInput(f"{path} is not JSON: {error}") from error
    return build(said, str(path), Path(os.environ.get("CREDENTIALS_DIRECTORY", "/run/credentials")))


def build(said: t.Any, name: str, credentials: Path) -> Settings:
    """Return the settings; ``name`` is what messages call them. Raises BadInput."""
    faults = find_faults(said, "gitops")
    if not faults:
        faults = windows.find_faults(said["windows"])
        faults += [
            fault for key in ("settle", "content_every", "timeout") for fault in _find_time_fault(key, said[key])
        ]
        if not said["allowed_signers"] and not said["gpg_keys"]:
            faults.append("neither allowed_signers nor gpg_keys says whose commits are to be taken")
        if said["inventory"].startswith("/") or ".." in Path(said["inventory"]).parts:
            faults.append(f"inventory {said['inventory']!r} is not a path within the repository")
    if faults:
        raise BadInput("\n".join(f"{name}: {fault}." for fault in faults))
    names = [key.replace("_", "-") for key, is_there in said["credentials"].items() if is_there]
    return Settings(
        repository=said["repository"],
        branch=said["branch"],
        inventory=said["inventory"],
        state=Path(said["state"]),
        collections=Path(said["collections"]),
        ansible_config=Path(said["ansible_config"]),
        known_hosts=Path(said["known_hosts"]),
        allowed_signers=Path(said["allowed_signers"]) if said["allowed_signers"] else None,
        gpg_keys=tuple(Path(each) for each in said["gpg_keys"]),
        limits=said["limits"],
        windows=tuple(said["windows"]),
        threshold=said["threshold"],
        settle=parse_duration(said["settle"]),
        prune=said["prune"],
        content_every=parse_duration(said["content_every"]),
        keep_runs=said["keep_runs"],
        timeout=parse_duration(said["timeout"]),
        metrics=Path(said["metrics"]) if said["metrics"] else None,
        secrets={name: credentials / name for name in names},
    )


def _find_time_fault(key: str, said: str) -> list[str]:
    try:
        parse_duration(said)
    except BadInput as error:
        return [f"{key}: {error.message}"]
    return []
