# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for policies of lock-down."""

from __future__ import annotations

import typing as t

Data = dict[str, t.Any]


def policies_of(lockdown: t.Mapping[str, t.Any], names: t.Iterable[str]) -> Data:
    """Return what the module lockdown returned, for some appliances: a node need not be told of the whole fleet."""
    kept = set(names)
    own = {name: policy for name, policy in lockdown["appliances"].items() if name in kept}
    asked = {policy["policy"] for policy in own.values()}
    policies = {digest: policy for digest, policy in lockdown["policies"].items() if digest in asked}
    return {
        **lockdown,
        "appliances": own,
        "policies": policies,
        "nodes": {},
        "depots": {},
        "orphans": [],
        "conflicts": [],
    }


class FilterModule:
    """The filters of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"policies_of": policies_of}
