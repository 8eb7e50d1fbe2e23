# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What appliances ask for in the inventory and their policy does not allow. Pure."""

from __future__ import annotations

import fnmatch
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import judging, settings

Data = dict[str, t.Any]
Body = t.Mapping[str, t.Any]


class Need(t.NamedTuple):
    """Something that an appliance asks for: the rule on it, what it calls that, the word to allow, in words, where."""

    rule: str
    what: str
    word: str
    said: str
    variable: str


def find_conflicts(payload: Body, appliances: t.Mapping[str, Body]) -> list[Data]:
    """Return what appliances ask for and their effective policy does not allow, waivers aside.

    Each has ``appliance``, ``rule``, ``what``, ``message`` and ``refused``: whether the policy has a change refused.
    """
    found = []
    for name, body in appliances.items():
        policy = payload["policies"][payload["appliances"][name]["policy"]]
        for need in _needs_of(body):
            setting = policy["rules"].get(need.rule)
            if setting and not settings.is_covered(need.word, setting["value"]) and not _is_waived(payload, name, need):
                found.append(_explain(name, need, setting, policy))
    return found


def _needs_of(body: Body) -> list[Need]:
    if body.get("appliance_state") == "absent":
        return []
    base = str(body.get("appliance_base", ""))
    ports = [
        f"{port.get('listen')}/{port.get('protocol', 'tcp')}"
        for port in body.get("appliance_publish") or []
        if isinstance(port, dict)
    ]
    return [
        *([Need("allowed-bases", f"base {base}", base, f"base {base}", "appliance_base")] if base else []),
        *(Need("published-ports", word, word, f"published port {word}", "appliance_publish") for word in ports),
    ]


def _is_waived(payload: Body, appliance: str, need: Need) -> bool:
    names = payload["appliances"][appliance]["names"]
    return any(
        waiver["control"] == need.rule
        and waiver["subject"] in names
        and waiver["expires"] >= payload["today"]
        and fnmatch.fnmatchcase(need.what, waiver.get("what", "*"))
        for waiver in payload["waivers"]
    )


def _explain(appliance: str, need: Need, setting: Body, policy: Body) -> Data:
    action = policy["actions"][setting["severity"]]
    return {
        "appliance": appliance,
        "rule": need.rule,
        "what": need.what,
        "refused": policy["mode"] == judging.ENFORCE and action != judging.REPORT,
        "message": (
            f"Appliance {appliance} asks for {need.said} ({need.variable}), and rule {need.rule} of policy "
            f"{' + '.join(policy['names'])} allows {', '.join(setting['value']) or 'nothing'}. The policy stands "
            f"and the appliance gives way: change {need.variable}, or ask for a waiver of {need.rule} for {appliance}."
        ),
    }
