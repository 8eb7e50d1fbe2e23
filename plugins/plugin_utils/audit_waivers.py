# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of the waivers of an inventory: used, unused, expired or orphaned. Pure."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import judging, model
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_findings import (
    WAIVERS,
    Body,
    Data,
    Fleet,
    clean,
    name_subject,
)

# Used: covers a fault. Unused: covers none, but not all that it is for could be judged. Orphaned: covers none.
USED, UNUSED, EXPIRED, ORPHANED = "used", "unused", "expired", "orphaned"
SOON = 30  # days
Key = tuple[str, str, str]


class Host(t.NamedTuple):
    """An appliance or node of the inventory: its subject ('' where no node has it), policy, and names."""

    name: str
    subject: str
    policy: str
    names: t.Collection[str]


def list_hosts(lockdown: Body, fleet: Fleet) -> list[Host]:
    """Return the appliances and nodes of the inventory."""
    placed = {entry["name"]: subject for subject, entry in fleet.appliances.items()}
    appliances = lockdown.get("appliances") or {}
    nodes = lockdown.get("nodes") or {}
    return [
        *(Host(name, placed.get(name, ""), each["policy"], each["names"]) for name, each in sorted(appliances.items())),
        *(Host(name, name_subject(name, ""), each["policy"], each["names"]) for name, each in sorted(nodes.items())),
    ]


def judge_waivers(lockdown: Body, fleet: Fleet, audited: t.Collection[str]) -> list[Data]:
    """Return the waivers with their ``state``, why it is that, ``days_left``, and the ``subjects`` they are used by.

    ``useless``: it covers nothing, expired or not, and all that it could cover was judged. ``audited``: nodes.
    """
    hosts, users = list_hosts(lockdown, fleet), _find_users(fleet)
    by_subject: dict[str, dict[str, str]] = {node: {} for node in audited}
    for subject, verdicts in fleet.verdicts.items():
        by_subject[subject] = {verdict["rule"]: verdict["status"] for verdict in verdicts}
    depots = (lockdown.get("depots") or {}).values()
    today = dt.date.fromisoformat(lockdown["today"])
    judged = []
    for waiver in lockdown.get("waivers") or []:
        subjects = sorted(users.get(key_of(waiver), ()))
        own = [host for host in hosts if waiver["subject"] in host.names]
        days = (dt.date.fromisoformat(str(waiver["expires"])) - today).days
        state, why = _judge(waiver["control"], own, by_subject, subjects, lockdown["policies"])
        if not own and any(waiver["subject"] in each["names"] for each in depots):
            state, why = UNUSED, "it is for depots, which an audit does not look at"
        is_useless = state == ORPHANED
        if days < 0:
            state, why = EXPIRED, f"it expired on {waiver['expires']}" + (f", and {why}" if why else "")
        judged.append(
            {
                **{
                    key: clean(str(waiver.get(key, "")))
                    for key in ("control", "subject", "reason", "owner", "approver")
                },
                "what": clean(str(waiver.get("what", "*"))),
                "expires": str(waiver["expires"]),
                "days_left": days,
                "state": state,
                "useless": is_useless,
                "why": why,
                "subjects": subjects,
            }
        )
    return sorted(judged, key=lambda each: (each["expires"], each["control"], each["subject"], each["what"]))


def key_of(waiver: Body) -> Key:
    """Return what a waiver is known by."""
    return str(waiver["control"]), str(waiver["subject"]), str(waiver.get("what", "*"))


def _find_users(fleet: Fleet) -> dict[Key, set[str]]:
    users: dict[Key, set[str]] = {}
    for subject, verdicts in fleet.verdicts.items():
        for verdict in verdicts:
            for waiver in verdict["waivers"]:
                users.setdefault(key_of(waiver), set()).add(subject)
    return users


def _judge(
    control: str,
    hosts: t.Sequence[Host],
    statuses: t.Mapping[str, t.Mapping[str, str]],
    subjects: t.Sequence[str],
    policies: t.Mapping[str, Body],
) -> tuple[str, str]:
    """Return the state of a waiver whatever its date, and why."""
    if subjects:
        return USED, ""
    if not hosts:
        return ORPHANED, "no appliance, node or group of the inventory, and no base or app, has that name"
    asked = [host for host in hosts if control in policies.get(host.policy, {}).get("rules", {})]
    if not asked:
        return ORPHANED, f"no policy asks for {control} there"
    silent = [host.name for host in asked if not host.subject or host.subject not in statuses]
    if silent:
        return UNUSED, f"not audited: {', '.join(silent)}"
    unknown = [host.name for host in asked if statuses[host.subject].get(control) == model.UNKNOWN]
    if unknown:
        return UNUSED, f"could not be decided of {', '.join(unknown)}"
    return ORPHANED, "the rule finds nothing that it covers"


def find_useless(waivers: t.Iterable[Body]) -> t.Iterator[tuple[str, Data]]:
    """Yield a verdict on each useless waiver. What an expired one still covers has its verdict already."""
    for waiver in waivers:
        if not waiver["useless"]:
            continue
        control, subject, what = key_of(waiver)
        fault = {
            "what": f"the waiver of {control} for {subject}" + (f" ({what})" if what != "*" else ""),
            "found": f"{waiver['state']}: {waiver['why']}",
            "allowed": "one that covers something",
            "layer": "",
            "scope": f"waiver/{control}",
        }
        yield (
            subject,
            {
                "rule": WAIVERS,
                "status": model.FAIL,
                "severity": model.LOW,
                "place": "audit",
                "action": judging.REPORT,
                "reason": "",
                "faults": [fault],
                "owners": [waiver["owner"]],
                "policy": "",
                "waivers": [],
            },
        )
