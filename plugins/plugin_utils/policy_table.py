# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Effective policies as tables for a terminal. Pure."""

from __future__ import annotations

import io
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import model
from ansible_collections.strata.fleet.plugins.plugin_utils import waivers

try:
    import rich.box
    import rich.console
    import rich.table
except ImportError:  # said by inventory.failures
    rich = None  # type: ignore[assignment]

WIDTH = 150
NODES, DEPOTS, APPLIANCES = "nodes", "depots", "appliances"
Body = t.Mapping[str, t.Any]


def draw(payload: Body) -> str:
    """Return a table of each effective policy with whom it is for, and what is wrong with waivers and needs."""
    stream = io.StringIO()
    console = rich.console.Console(file=stream, width=WIDTH, color_system=None, highlight=False, markup=False)
    for digest, policy in payload["policies"].items():
        console.print(_head(policy, payload, digest))
        console.print(_table(policy))
    for sentence in say_findings(payload):
        console.print(sentence)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def say_findings(payload: Body) -> list[str]:
    """Return sentences on waivers that waive nothing, and on what appliances ask for and are not allowed."""
    orphans = [(waivers.say(orphan["waiver"]), orphan["reason"]) for orphan in payload["orphans"]]
    return [
        *(f"The waiver {waiver} waives nothing: {reason}." for waiver, reason in orphans),
        *(conflict["message"] for conflict in payload["conflicts"]),
    ]


def hosts_of(digest: str, payload: Body) -> list[str]:
    """Return the appliances, nodes and depots that an effective policy is for."""
    return [
        name
        for kind in (APPLIANCES, NODES, DEPOTS)
        for name, body in payload.get(kind, {}).items()
        if body["policy"] == digest
    ]


def _head(policy: Body, payload: Body, digest: str) -> str:
    actions = ", ".join(f"{severity} {policy['actions'][severity]}" for severity in reversed(model.SEVERITIES))
    return (
        f"\nPolicy {' + '.join(policy['names'])}, mode {policy['mode']}, owner {policy['owner'] or 'not named'}\n"
        f"  for {', '.join(hosts_of(digest, payload))}\n"
        f"  actions: {actions}\n"
        f"  digest {digest}"
    )


def _table(policy: Body) -> t.Any:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for column in ("rule", "value", "severity", "from"):
        table.add_column(column, overflow="fold")
    for name, setting in policy["rules"].items():
        table.add_row(name, say_value(setting["value"]), setting["severity"], setting["from"])
    return table


def say_value(value: t.Any) -> str:
    """Return a rule's value in words."""
    if value is True:
        return "yes"
    if isinstance(value, list):
        return ", ".join(value) or "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{key}={each}" for key, each in value.items())
    return str(value)
