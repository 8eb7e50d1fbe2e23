# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time, as records and names have it: always UTC."""

from __future__ import annotations

import datetime as dt


def now() -> str:
    """Return the time as ISO 8601, with milliseconds, such as 2026-11-22T17:15:00.123Z."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age(then: str) -> int | None:
    """Return how many seconds ago a time in ISO 8601 was, None for no time."""
    if not then:
        return None
    return int((dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(then)).total_seconds())


def compact() -> str:
    """Return the time as it can stand in a name, such as 20261122T171500Z."""
    return dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
