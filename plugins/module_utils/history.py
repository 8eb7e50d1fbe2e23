# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of every swap of an appliance: <store>/history/<appliance>.jsonl, the newest line last."""

from __future__ import annotations

import contextlib
import json
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.marks import write_durably

KEPT = 100  # lines

Record = dict[str, t.Any]


def read(store: Path, appliance: str) -> list[Record]:
    """Return the records of an appliance, the newest last."""
    try:
        lines = _path(store, appliance).read_text().splitlines()
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):
            records.append(json.loads(line))
    return records


def append(store: Path, appliance: str, record: Record) -> None:
    """Add a record, and let go of the oldest where there are many."""
    path = _path(store, appliance)
    path.parent.mkdir(exist_ok=True)
    lines = [json.dumps(each, sort_keys=True) for each in (*read(store, appliance), record)][-KEPT:]
    write_durably(path, "".join(f"{line}\n" for line in lines))


def remove(store: Path, appliance: str) -> None:
    """Forget an appliance: another of that name begins anew."""
    _path(store, appliance).unlink(missing_ok=True)


def _path(store: Path, appliance: str) -> Path:
    return store / "history" / f"{appliance}.jsonl"
