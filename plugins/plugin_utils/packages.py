# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which appliances run which packages, by the package lists of what they are composed of. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.patch_report import draw
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import KINDS, reason_of

try:
    from debian.debian_support import Version
except ImportError:  # said by inventory.failures
    Version = None  # type: ignore[assignment,misc]

COLUMNS = ("appliance", "node", "package", "version", "from")

Row = dict[str, str]
Body = t.Mapping[str, t.Any]


def find_packages(found: t.Mapping[str, Body], older_than: str) -> list[Row]:
    """Return a row for each package of each appliance, in the order of their names.

    ``found``: by node, what packages_info returned. ``older_than``: only versions before this one, '' for all. Raises
    BadInput where that is no version.
    """
    limit = read_version(older_than) if older_than else None
    rows = [
        {
            "appliance": name,
            "node": node,
            "package": package,
            "version": version,
            "layer": f"{kind} {layers[kind]['name']} {layers[kind]['version']}",
        }
        for node, result in found.items()
        for name, layers in result.get("appliances", {}).items()
        for kind in KINDS
        for package, version in result["packages"][layers[kind]["commit"]].items()
        if limit is None or read_version(version) < limit
    ]
    return sorted(rows, key=lambda row: (row["appliance"], row["package"], row["layer"]))


def read_version(text: str) -> t.Any:
    """Return a version that compares as deb-version(7) says."""
    try:
        return Version(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is not a version as Debian writes them, such as 3.5.4-1+deb13u1") from error


def find_unanswered(found: t.Mapping[str, Body]) -> dict[str, str]:
    """Return the nodes of which nothing is known, with the reason."""
    return {node: reason_of(result) for node, result in found.items() if "appliances" not in result}


def draw_packages(rows: t.Sequence[Row], unanswered: t.Mapping[str, str]) -> str:
    """Return the rows as a text table, and under it what is not known."""
    lines = draw(COLUMNS, [list(row.values()) for row in rows]) if rows else []
    return "\n".join([*lines, *(f"{node} did not answer: {reason}" for node, reason in unanswered.items())])


def say_packages(rows: t.Sequence[Row], unanswered: t.Mapping[str, str], older_than: str) -> str:
    """Return how many appliances these are, in a sentence."""
    count = len({row["appliance"] for row in rows})
    age = f" in a version before {older_than}" if older_than else ""
    who = f"{count} {'appliance has' if count == 1 else 'appliances have'} it" if count else "No appliance has it"
    silent = f"; {', '.join(unanswered)} did not answer" if unanswered else ""
    return f"{who}{age}{silent}."
