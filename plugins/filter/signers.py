# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for what inventories write and modules take."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleFilterError


def signers(entries: t.Iterable[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return depot_trust with each ``key_file`` read: what the module store takes."""
    return [{"name": entry["name"], "key": _read_key(entry), "refs": list(entry["refs"])} for entry in entries]


def _read_key(entry: t.Mapping[str, t.Any]) -> str:
    path = Path(entry["key_file"]).expanduser()
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise AnsibleFilterError(
            f"depot_trust: the public key of signer {entry['name']!r} cannot be read from {path} ({error}): "
            "export it from the depot and name the file on this controller"
        ) from error


class FilterModule:
    """The filters of this file, for Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"signers": signers}
