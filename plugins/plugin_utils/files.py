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
    """Have the text in the file, all of it or nothing, for everybody to read. Raises BadInput where that cannot be.

    A link is replaced, not followed: the folder may be one in which others write as well.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text, 0o644)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}", path=str(path)) from error


def rewrite(path: Path, text: str) -> None:
    """Have the text in a file that a person has: its owner, group and mode stay, and a link to it stays one.

    Raises BadInput where that cannot be.
    """
    try:
        target = path.resolve(strict=True)
        found = target.stat()
        _replace(target, text, stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid))
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}", path=str(path)) from error


def _replace(path: Path, text: str, mode: int, owner: tuple[int, int] | None = None) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            if owner:
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)  # a temporary one is for nobody else
            Path(file.name).replace(path)
        except OSError:
            Path(file.name).unlink()
            raise


def write_json(path: Path, data: t.Any) -> None:
    """Have the data in the file, in the shape that all reports have. As ``write``."""
    write(path, json.dumps(data, indent=1, sort_keys=True) + "\n")
