# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule that a policy may ask for, by name."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import (
    engine_rules,
    feed_rules,
    host_rules,
    live_rules,
    manifest_rules,
    tree_rules,
)
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Rule

FILES = (manifest_rules, tree_rules, engine_rules, host_rules, live_rules, feed_rules)
RULES: t.Mapping[str, Rule] = {rule.name: rule for file in FILES for rule in file.RULES}


def decided_at(*places: str) -> list[Rule]:
    """Return the rules that are decided in these places."""
    return [rule for rule in RULES.values() if rule.place in places]
