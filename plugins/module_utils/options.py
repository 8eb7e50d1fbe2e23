# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that tell where a node keeps its appliances: one table for all modules, and what is made of them."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.engine import SOCKET, Engine

NODE_OPTIONS: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "socket": {"type": "path", "default": SOCKET},
    "project": {"type": "str", "default": "strata"},
    "pool": {"type": "str", "default": "strata"},
    "store_path": {"type": "path", "default": "/var/lib/strata/store"},
}


def engine_of(params: t.Mapping[str, t.Any]) -> Engine:
    """Return the engine that a module's options name."""
    return Engine(params["socket"], params["project"])
