# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found to be other than declared, and what to do about it."""

from __future__ import annotations

import typing as t

# What a finding is about.
STORE, LAYER, CONFIG, KEY, DEVICE, ROOT, MOUNT = "store", "layer", "config", "key", "device", "root", "mount"
MOST = 20  # findings of one kind at one place: who has these looks for himself


class Finding(t.NamedTuple):
    """One difference: what is wrong and what to do about it, a sentence each.

    ``appliance`` is '' where it concerns the node or several; ``where`` is a path or a key.
    """

    appliance: str
    what: str
    where: str
    sentence: str
    remedy: str


def cut(findings: t.Iterable[Finding]) -> list[Finding]:
    """Return the first ``MOST`` findings; the last one says how many more there are."""
    every = list(findings)
    if len(every) <= MOST:
        return every
    last = every[MOST - 1]
    more = len(every) - MOST
    return [*every[: MOST - 1], last._replace(sentence=f"{last.sentence} (and {more} more of this kind)")]
