# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which combinations of base and app no appliance is moved to: those that failed anywhere in the fleet. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils.gate import PATCHED, first_line
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import is_at

Data = dict[str, t.Any]
Body = t.Mapping[str, t.Any]


def find_avoided(fleet: t.Mapping[str, t.Sequence[Body]], found: t.Mapping[str, Body]) -> list[Data]:
    """Return each combination once, in the shape of ``bad`` of module appliance_info, with one line of its reason.

    ``fleet``: by node, its appliances as the module fleet returns them. ``found``: what appliance_info returned, by
    node. To what nodes remember as bad comes what an appliance was patched to and is unhealthy with now. One that is
    stopped tells nothing: a person may have done that.
    """
    infos = [info for answer in found.values() for info in answer.get("appliances", [])]
    serving = {want["name"] for wants in fleet.values() for want in wants if want["state"] == "running"}
    marks = [mark for info in infos for mark in info.get("bad", [])]
    marks += [_to_mark(info) for info in infos if info["name"] in serving and _fell_ill(info)]
    avoided: dict[tuple[str, str], Data] = {}
    for mark in marks:
        avoided.setdefault((mark["base"], mark["app"]), {**mark, "reason": first_line(mark["reason"])})
    return list(avoided.values())


def _fell_ill(info: Body) -> bool:
    """Whether an appliance was patched well to what it runs, and is not healthy since."""
    last = info.get("last_swap")
    if not info.get("base") or info.get("swap") or not last:
        return False
    is_ill = info["state"] == "running" and info["health"] == "unhealthy"
    return is_ill and last["outcome"] == PATCHED and is_at(info, last["to"])


def _to_mark(info: Body) -> Data:
    return {
        "base": info["base"]["commit"],
        "app": info["app"]["commit"],
        "base_version": info["base"]["version"],
        "app_version": info["app"]["version"],
        "reason": f"{info['name']} fell ill after it was patched: {first_line(info['fault'])}",
        "at": info["last_swap"]["ended"],
    }
