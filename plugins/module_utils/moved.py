# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the appliances went that left a node: <store>/moved/<appliance>.json. For a deploy by an old inventory."""

from __future__ import annotations

import contextlib
import json
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import clock
from ansible_collections.strata.fleet.plugins.module_utils.marks import write_durably

Move = dict[str, str]


def read_all(store: Path) -> dict[str, Move]:
    """Return, by appliance, to which node (``to``) it went and when (``when``, UTC). A damaged note is none."""
    found = {}
    for path in sorted((store / "moved").glob("*.json")):
        with contextlib.suppress(ValueError, OSError):
            found[path.stem] = t.cast("Move", json.loads(path.read_text()))
    return found


def remember(store: Path, appliance: str, to: str) -> None:
    """Note that an appliance went to another node."""
    path = _path(store, appliance)
    path.parent.mkdir(exist_ok=True)
    write_durably(path, json.dumps({"to": to, "when": clock.now()}, sort_keys=True))


def forget(store: Path, appliance: str) -> None:
    """Forget it: the appliance is here again, or is to begin anew."""
    _path(store, appliance).unlink(missing_ok=True)


def refusal(name: str, move: t.Mapping[str, str]) -> str:
    """Return why an appliance is not made anew where it was."""
    return (
        f"Appliance {name} was migrated to {move['to']} at {move['when']}: set its appliance_node to {move['to']}, or "
        f"bring it back (playbooks/migrate.yml -e migrate={name}). If it is gone there, and is to begin anew here: "
        f"playbooks/remove.yml -e remove={name}."
    )


def _path(store: Path, appliance: str) -> Path:
    return store / "moved" / f"{appliance}.json"
