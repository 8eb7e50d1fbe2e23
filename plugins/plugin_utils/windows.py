# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance windows: whether one is open, and when the next one begins. Pure; the time comes in."""

from __future__ import annotations

import datetime as dt
import typing as t
import zoneinfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# From yesterday, whose window may still be open, to the same day of the next week.
LOOKED_AT = range(-1, 8)

Window = t.Mapping[str, t.Any]


class Span(t.NamedTuple):
    """One time that a window is open; both ends in UTC."""

    begin: dt.datetime
    end: dt.datetime


def find_faults(windows: t.Iterable[Window]) -> list[str]:
    """Return what is wrong with windows that the schema accepts."""
    zones = {number: window.get("timezone", "UTC") for number, window in enumerate(windows)}
    return [
        f"windows.{number}.timezone: {zone!r} is not a time zone that this controller knows"
        for number, zone in zones.items()
        if _zone(zone) is None
    ]


def is_open(windows: t.Sequence[Window], now: dt.datetime) -> bool:
    """Whether a batch may start now: always, where there are no windows."""
    return not windows or any(span.begin <= now < span.end for span in _spans(windows, now))


def next_opening(windows: t.Sequence[Window], now: dt.datetime) -> dt.datetime:
    """Return when the next window begins, on the clock that it is written for."""
    begins = [(span.begin, window) for window in windows for span in _spans([window], now) if span.begin > now]
    begin, window = min(begins, key=lambda each: each[0])
    return begin.astimezone(_zone(window.get("timezone", "UTC")))


def _spans(windows: t.Iterable[Window], now: dt.datetime) -> list[Span]:
    return [span for window in windows for offset in LOOKED_AT if (span := _span(window, now, offset))]


def _span(window: Window, now: dt.datetime, offset: int) -> Span | None:
    zone = _zone(window.get("timezone", "UTC"))
    day = now.astimezone(zone).date() + dt.timedelta(days=offset)
    if DAYS[day.weekday()] not in window.get("days", DAYS):
        return None
    begin, end = (dt.time.fromisoformat(window[key]) for key in ("from", "to"))
    last = day if end > begin else day + dt.timedelta(days=1)
    # In UTC, as times of one zone are compared by their wall clocks, which jump.
    span = Span(
        dt.datetime.combine(day, begin, zone).astimezone(dt.UTC),
        dt.datetime.combine(last, end, zone).astimezone(dt.UTC),
    )
    # The hour that is left out in spring can be all of a window.
    return span if span.begin < span.end else None


def _zone(name: str) -> zoneinfo.ZoneInfo | None:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None
