# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node remembers of an appliance between runs, beside what the engine knows.

    <store>/marks/<appliance>.json

``healthy`` is the identity of the composition that last passed its health check. ``pending`` is config that is mapped
but not merged yet, ``swap`` a swap that has not ended, as ``apply.begin_swap`` wrote it: both for a run that died.
``restore`` is a restore that has not ended, and ``restored`` the last that has, as ``restoring`` wrote them.
``bad`` lists the combinations of base and app that failed here. They stand in files because the engine takes up to half
a second to change a key of one instance among a hundred.
"""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError

Marks = dict[str, t.Any]


def read(store: Path, appliance: str) -> Marks:
    """Return the marks, {} where there are none. Raises ContentError for what Strata did not write."""
    path = _path(store, appliance)
    try:
        return t.cast("Marks", json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        raise ContentError(
            f"{path} is damaged: {error}. It tells whether a patch of {appliance} was cut off. See that {appliance} is "
            "well, then remove the file",
            path=str(path),
        ) from error


def update(store: Path, appliance: str, **changes: t.Any) -> None:
    """Set these marks, and forget those that are None."""
    kept = {**read(store, appliance), **changes}
    path = _path(store, appliance)
    path.parent.mkdir(exist_ok=True)
    write_durably(path, json.dumps({key: mark for key, mark in kept.items() if mark is not None}, sort_keys=True))


def remove(store: Path, appliance: str) -> None:
    """Forget an appliance."""
    _path(store, appliance).unlink(missing_ok=True)


def write_durably(path: Path, text: str) -> None:
    """Replace a file, so that after a power cut it is the old one or the new one; others may be doing so, too."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).rename(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _path(store: Path, appliance: str) -> Path:
    return store / "marks" / f"{appliance}.json"
