# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people write them, in bytes."""

from __future__ import annotations

import re

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
PATTERN = re.compile(r"\s*(\d+)\s*([A-Za-z]*)\s*")


def parse_size(value: str | int) -> int:
    """Return bytes: ``512MiB`` is 536870912, a bare number is bytes. Raises BadInput for anything else."""
    found = PATTERN.fullmatch(str(value))
    if not found or found[2] not in UNITS:
        raise BadInput(f"{value!r} is not a size; write a whole number and a unit, such as 512MiB or 10GiB")
    return int(found[1]) * UNITS[found[2]]


def format_size(size: int) -> str:
    """Return the size in the largest binary unit that leaves at least 1 before the point: ``1.5 GiB``."""
    number = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:  # noqa: PLR2004
            return f"{number:.0f} {unit}" if unit == "B" or number == int(number) else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
