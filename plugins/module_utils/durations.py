# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lengths of time as people write them, in seconds."""

from __future__ import annotations

import re

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
PATTERN = re.compile(r"\s*(\d+)\s*([smhdw])\s*")
SHOWN = (("d", 2 * 86400), ("h", 2 * 3600), ("m", 60), ("s", 0))  # a unit, and from how many seconds on it is used


def parse_duration(value: str) -> int:
    """Return seconds: ``24h`` is 86400. Raises BadInput for anything else."""
    found = PATTERN.fullmatch(str(value))
    if not found:
        raise BadInput(f"{value!r} is not a length of time; write a whole number and one of s, m, h, d, w, such as 24h")
    return int(found[1]) * UNITS[found[2]]


def format_duration(seconds: float) -> str:
    """Return it in the unit that leaves a small number: ``36 h``, ``3 d``."""
    unit = next(unit for unit, least in SHOWN if seconds >= least or least == 0)
    word = {"m": "min"}.get(unit, unit)
    return f"{max(0, int(seconds)) // UNITS[unit]} {word}"
