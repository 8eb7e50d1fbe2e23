# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that tell where to build and publish, for the modules base and app."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.apt import Source

BUILD_OPTIONS: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "depot": {"type": "path", "required": True},
    "channel": {"type": "str", "default": "stable"},
    "lockdown": {"type": "dict", "default": {}},
    "sources": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "uris": {"type": "list", "elements": "str", "required": True},
            "suites": {"type": "list", "elements": "str", "required": True},
            "components": {"type": "list", "elements": "str", "default": ["main"]},
            "signed_by": {"type": "path", "default": ""},
        },
    },
}


def read_sources(given: t.Sequence[t.Mapping[str, t.Any]]) -> list[Source]:
    """Return the package sources that the option ``sources`` names."""
    return [
        Source(tuple(each["uris"]), tuple(each["suites"]), tuple(each["components"]), each["signed_by"])
        for each in given
    ]
