# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several modules have: where a node keeps its appliances, and what an appliance is."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.engine import SOCKET, Engine

NODE_OPTIONS: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "socket": {"type": "path", "default": SOCKET},
    "project": {"type": "str", "default": "strata"},
    "pool": {"type": "str", "default": "strata"},
    "store_path": {"type": "path", "default": "/var/lib/strata/store"},
}
FILE: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "path": {"type": "str", "required": True},
    "text": {"type": "str", "required": True},
    "mode": {"type": "str", "required": True},
    "uid": {"type": "int", "required": True},
    "gid": {"type": "int", "required": True},
    "on_change": {"type": "str", "choices": ["reload", "restart", "reboot"], "required": True},
    "units": {"type": "list", "elements": "str", "default": []},
}
APPLIANCE: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["running", "stopped", "absent"], "default": "running"},
    "base": {"type": "dict"},
    "app": {"type": "dict"},
    "networks": {"type": "list", "elements": "dict", "default": []},
    "volumes": {"type": "dict", "default": {}},
    "memory": {"type": "int", "default": 0},
    "cpus": {"type": "int", "default": 0},
    "published": {"type": "list", "elements": "dict", "default": []},
    "autostart": {"type": "bool", "default": True},
    "health": {"type": "dict", "default": {}},
    "health_timeout": {"type": "int", "default": 60},
    "files": {"type": "list", "elements": "dict", "options": FILE, "default": []},
}

APPLIANCE_OPTIONS: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "appliances": {"type": "list", "elements": "dict", "options": APPLIANCE, "required": True},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "layers": {"type": "dict", "default": {}},
    "manifests": {"type": "dict", "default": {}},
    "parallel": {"type": "int", "default": 4},
}


def engine_of(params: t.Mapping[str, t.Any]) -> Engine:
    """Return the engine that a module's options name."""
    return Engine(params["socket"], params["project"])
