# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores that were cut off: what ends each, and those of appliances that have no instance (yet)."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import marks

Mark = t.Mapping[str, t.Any]


def read_all(store: Path, instances: t.Container[str]) -> dict[str, Mark]:
    """Return the mark ``restore`` by appliance, of those that are not among ``instances``."""
    names = [path.stem for path in sorted((store / "marks").glob("*.json")) if path.stem not in instances]
    found = {name: marks.read(store, name).get("restore") for name in names}
    return {name: mark for name, mark in found.items() if mark}


def command(name: str, mark: Mark) -> str:
    """Return the words after playbooks/restore.yml with which a restore that was cut off is ended."""
    original = mark.get("of", name)
    words = {
        "restore": original,
        "restore_snapshot": mark["snapshot"][:8],
        "restore_as": name if original != name else "",
        "restore_volume": "" if mark.get("whole", True) else mark["volumes"][0],
        "restore_repository": mark.get("repository", ""),
    }
    return " ".join(f"-e {key}={word}" for key, word in words.items() if word)


def removal(name: str) -> str:
    """Return what gives an appliance up with the state that is half in place; what was moved aside stays."""
    return f"playbooks/remove.yml -e remove={name} -e remove_state={name}"
