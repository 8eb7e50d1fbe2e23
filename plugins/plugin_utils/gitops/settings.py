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
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import SCHEMAS, find_faults

try:
    import yaml
except ImportError:  # Ansible needs it as well
    yaml = None  # type: ignore[assignment]

Amount = int | str
Data = dict[str, t.Any]

CREDENTIALS = "CREDENTIALS_DIRECTORY"  # as systemd hands them over
# <folder>/ansible_collections/strata/fleet/plugins/plugin_utils/gitops/settings.py
COLLECTIONS = Path(__file__).parents[6]


@dataclasses.dataclass(frozen=True)
class Settings:
    """As docs/schemas/gitops.schema.json has them. ``settle``, ``content_every`` and ``timeout`` are seconds.

    ``secrets``: where credentials are, by name: vault-password, node-key, repository-key, repository-token.
    """

    repository: str
    branch: str
    inventory: str
    state: Path
    collections: Path
    ansible_config: Path | None
    known_hosts: Path | None
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


def read(path: Path, changes: t.Mapping[str, t.Any] | None = None) -> Settings:
    """Return the settings in a file, YAML or JSON; ``changes`` count more than what it says.

    Raises BadInput with everything that is wrong with it.
    """
    try:
        said = yaml.safe_load(path.read_text())
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}. On a control node, the role gitops writes it"
        ) from error
    except (ValueError, yaml.YAMLError) as error:
        raise BadInput(f"{path} is not YAML: {error}") from error
    return build({**said, **(changes or {})} if isinstance(said, dict) else said, path, os.environ)


def build(said: t.Any, path: Path, environment: t.Mapping[str, str]) -> Settings:
    """Return the settings; ``path`` is the file that they are from. Raises BadInput."""
    faults = find_faults(said, "gitops")
    if not faults:
        said = {**read_defaults(), **said}
        faults = find_more_faults(said)
    if faults:
        raise BadInput("\n".join(f"{path}: {fault}." for fault in faults))

    folder = path.parent.absolute()  # Ansible runs elsewhere

    def place(key: str) -> Path | None:
        return folder / said[key] if said.get(key) else None

    home = Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    credentials = Path(environment.get(CREDENTIALS, "/run/credentials"))
    names = [key.replace("_", "-") for key, is_there in said["credentials"].items() if is_there]
    is_folder = "://" not in said["repository"] and (folder / said["repository"]).is_dir()
    return Settings(
        repository=str((folder / said["repository"]).resolve()) if is_folder else said["repository"],
        branch=said["branch"],
        inventory=said["inventory"],
        state=place("state") or home / "strata" / "gitops",
        collections=place("collections") or COLLECTIONS,
        ansible_config=place("ansible_config"),
        known_hosts=place("known_hosts"),
        allowed_signers=place("allowed_signers"),
        gpg_keys=tuple(folder / each for each in said["gpg_keys"]),
        limits=said["limits"],
        windows=tuple(said["windows"]),
        threshold=said["threshold"],
        settle=parse_duration(said["settle"]),
        prune=said["prune"],
        content_every=parse_duration(said["content_every"]),
        keep_runs=said["keep_runs"],
        timeout=parse_duration(said["timeout"]),
        metrics=place("metrics"),
        secrets={name: credentials / name for name in names},
    )


def read_defaults() -> Data:
    """Return what holds where nothing is said, as the schema has it."""
    schema = json.loads((SCHEMAS / "gitops.schema.json").read_text())
    return {key: body["default"] for key, body in schema["properties"].items() if "default" in body}


def find_more_faults(said: Data) -> list[str]:
    """Return what is wrong with settings that the schema accepts."""
    faults = windows.find_faults(said["windows"])
    for key in ("settle", "content_every", "timeout"):
        try:
            parse_duration(said[key])
        except BadInput as error:
            faults.append(f"{key}: {error.message}")
    if not said["allowed_signers"] and not said["gpg_keys"]:
        faults.append("neither allowed_signers nor gpg_keys says whose commits are to be taken")
    if said["inventory"].startswith("/") or ".." in Path(said["inventory"]).parts:
        faults.append(f"inventory {said['inventory']!r} is not a path within the repository")
    return faults
