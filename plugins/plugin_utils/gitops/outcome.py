# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a cycle can end: words, and codes for scripts."""

from __future__ import annotations

import typing as t

SYNCED = "synced"
APPLIED = "applied"
PLANNED = "planned"
REFUSED = "refused"
FAILED = "failed"
UNDONE = "undone"
DRIFTED = "drifted"
BUSY = "busy"
WAITING = "waiting"
UNREACHABLE = "unreachable"
ERROR = "error"

CODES = {
    SYNCED: 0,
    APPLIED: 0,
    PLANNED: 0,
    ERROR: 1,
    REFUSED: 3,
    FAILED: 4,
    UNDONE: 5,
    DRIFTED: 6,
    BUSY: 7,
    WAITING: 8,
    UNREACHABLE: 9,
}
# Where several things are so, the first one is how the cycle ended.
ORDER = (ERROR, UNDONE, FAILED, REFUSED, UNREACHABLE, DRIFTED, WAITING, APPLIED, PLANNED, SYNCED)


class Remark(t.NamedTuple):
    """One thing that a cycle has to say."""

    word: str
    reason: str


def conclude(remarks: t.Iterable[Remark]) -> Remark:
    """Return the one that counts most: ``synced`` without any."""
    return min(remarks, key=lambda remark: ORDER.index(remark.word), default=Remark(SYNCED, ""))
