# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the controller keeps, or changes where a person has them."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput


def write(path: Path, text: str) -> None:
    """Have the text in the file, all of it or nothing, with the mode that it has or else that of any new file.

    Raises BadInput where that is not possible.
    """
    path = path.resolve()  # a link stays one
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".", delete=False) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)  # a temporary one is for nobody else
        Path(file.name).replace(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}", path=str(path)) from error


def write_json(path: Path, data: t.Any) -> None:
    """Have the data in the file, in the shape that all reports have. As ``write``."""
    write(path, json.dumps(data, indent=1, sort_keys=True) + "\n")
