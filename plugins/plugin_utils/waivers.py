# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers of lock-down: whether they are complete, and which of them are good for nothing. Pure."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Rule
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import find_faults, suggest

VARIABLE = "lockdown_waivers"
REQUIRED = {
    "control": "name the rule that it waives",
    "subject": "name an appliance, a node, a group, base/NAME or app/NAME",
    "reason": "say why",
    "owner": "say who works on it not being needed any more",
    "approver": "say who accepted the risk",
    "expires": "say the last day on which it holds, such as 2027-01-31",
}

Data = dict[str, t.Any]
Body = t.Mapping[str, t.Any]


def read_waivers(given: t.Sequence[Body]) -> list[Data]:
    """Return the waivers. Raises BadInput with everything that is missing or wrong in any of them."""
    faults = [
        f"{VARIABLE}: waiver {number} ({say(waiver)}) has no {key}: {hint}."
        for number, waiver in enumerate(given if isinstance(given, list) else [], 1)
        if isinstance(waiver, dict)
        for key, hint in REQUIRED.items()
        if waiver.get(key) in (None, "")
    ]
    faults = faults or [f"{fault}." for fault in find_faults({VARIABLE: given}, "policy")]
    if not faults:
        faults = [
            f"{VARIABLE}: waiver {number} ({say(waiver)}) expires on {waiver['expires']}, which is no day."
            for number, waiver in enumerate(given, 1)
            if not _is_day(waiver["expires"])
        ]
    if faults:
        raise BadInput("\n".join(faults))
    return [dict(waiver) for waiver in given]


def say(waiver: Body) -> str:
    """Return which waiver it is, in words."""
    return f"of {waiver.get('control') or 'no rule'} for {waiver.get('subject') or 'nobody'}"


def _is_day(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def find_orphans(payload: Body, rules: t.Mapping[str, Rule]) -> list[Data]:
    """Return the waivers that waive nothing, each with the reason: over, of no rule, for nobody, or not asked for."""
    hosts: list[Body] = [host for kind in ("appliances", "nodes", "depots") for host in payload[kind].values()]
    found = []
    for waiver in payload["waivers"]:
        control, subject = waiver["control"], waiver["subject"]
        concerned = [host for host in hosts if subject in host["names"]]
        known = {name for host in hosts for name in host["names"]}
        reason = ""
        if waiver["expires"] < payload["today"]:
            reason = f"expired on {waiver['expires']}"
        elif control not in rules:
            reason = f"{control} is not a rule{_near(control, rules)}"
        elif not concerned:
            reason = f"{subject} is no appliance, node, group, base/NAME or app/NAME in use{_near(subject, known)}"
        elif not any(control in payload["policies"][host["policy"]]["rules"] for host in concerned):
            reason = f"no policy asks {subject} for {control}"
        if reason:
            found.append({"waiver": waiver, "reason": reason})
    return found


def _near(word: str, known: t.Iterable[str]) -> str:
    hint = suggest(word, known)
    return hint if hint.startswith(" (did") else ""
