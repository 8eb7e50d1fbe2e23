# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node remembers of an appliance between runs, beside what the engine knows.

    <store>/marks/<appliance>.json

``healthy`` is the identity of the composition that last passed its health check. ``pending`` is config that is mapped
but not merged yet, ``swap`` a swap that has not ended, as ``swap.begin`` wrote it: both for a run that died in between.
``bad`` lists the combinations of base and app that failed here. They stand in files because the engine takes up to half
a second to change a key of one instance among a hundred.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

Marks = dict[str, t.Any]


def read(store: Path, appliance: str) -> Marks:
    """Return the marks, {} where there are none."""
    try:
        return t.cast("Marks", json.loads(_path(store, appliance).read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def update(store: Path, appliance: str, **changes: t.Any) -> None:
    """Set these marks, and forget those that are None."""
    kept = {**read(store, appliance), **changes}
    path = _path(store, appliance)
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({key: mark for key, mark in kept.items() if mark is not None}, sort_keys=True))
    temporary.rename(path)


def remove(store: Path, appliance: str) -> None:
    """Forget an appliance."""
    _path(store, appliance).unlink(missing_ok=True)


def _path(store: Path, appliance: str) -> Path:
    return store / "marks" / f"{appliance}.json"
