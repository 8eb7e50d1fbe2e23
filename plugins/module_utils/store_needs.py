# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run needs of the store for instances that it has yet to make: other runs do not collect it.

    <store>/<kind of run>/needs.json

A restore or a drill reads for hours before the engine knows what it will map. Its note counts while it holds
<store>/<kind of run>/lock: what one that was killed left is none.
"""

from __future__ import annotations

import contextlib
import json
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.errors import Conflict, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.marks import write_durably
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition
from ansible_collections.strata.fleet.plugins.module_utils.store import Store, referenced, unchanged

NOTE = "needs.json"


@contextlib.contextmanager
def needing(folder: Path, compositions: t.Iterable[Composition]) -> t.Iterator[None]:
    """Have the store keep what these need, as long as this lasts. The caller holds the lock of ``folder``."""
    note = folder / NOTE
    write_durably(note, json.dumps(sorted(referenced(compositions))))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def read_all(store: Path) -> set[str]:
    """Return the commits that runs need which are under way."""
    found: set[str] = set()
    for note in sorted(store.glob(f"*/{NOTE}")):
        try:
            with unchanged(str(note.parent)):
                continue
        except Conflict:
            with contextlib.suppress(FileNotFoundError):  # it ended just now
                found |= set(json.loads(note.read_text()))
    return found


def require(store: Path, appliance: str, composition: Composition) -> None:
    """Raise StrataError where a layer that was staged is not there any more."""
    layers = Store(str(store), "", [])
    gone = [layer for layer in composition[:2] if not layers.holds(layer.commit)]
    if gone:
        raise StrataError(
            f"Appliance {appliance}: {gone[0].name} {gone[0].version} was removed from the store {store} after it was "
            "staged there, by a run that collects what nothing needs. Nothing was changed. Run again."
        )
