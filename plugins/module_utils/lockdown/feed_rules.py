# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that are decided elsewhere first."""

from __future__ import annotations

from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Rule

RULES: tuple[Rule, ...] = ()
