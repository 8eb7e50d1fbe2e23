# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zip archives that only their files decide. Pure."""

from __future__ import annotations

import io
import typing as t
import zipfile

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that an archive can hold


def pack(files: t.Mapping[str, str | bytes]) -> bytes:
    """Return an archive of files, given by their paths in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path, EPOCH), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
