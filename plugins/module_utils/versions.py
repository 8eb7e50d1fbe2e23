# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words in a depot's refs: versions and channels."""

from __future__ import annotations

import re


def is_version(word: str) -> bool:
    """Versions begin with a digit, channels with a letter."""
    return word[:1].isdigit()


def version_order(version: str) -> list[tuple[int, str]]:
    """Return what versions are sorted by: numbers as numbers, the rest as text."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", version)]
