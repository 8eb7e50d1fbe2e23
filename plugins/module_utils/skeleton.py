# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image under every appliance: empty folders onto which the strata are mapped."""

from __future__ import annotations

import hashlib
import io
import tarfile
import typing as t

ALIAS = "strata-skeleton"
FOLDERS = ("usr", "etc", "var", "dev", "proc", "sys", "run", "root", "home", "srv", "opt", "mnt", "strata")
LINKS = ("bin", "sbin", "lib", "lib64")
METADATA = "architecture: {architecture}\ncreation_date: 1\nproperties:\n  description: Strata skeleton\n"


def build(architecture: str) -> bytes:
    """Return a unified Incus image (format: Incus documentation, "Image format"), the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        _add(archive, "metadata.yaml", tarfile.REGTYPE, 0o644, data=METADATA.format(architecture=architecture).encode())
        _add(archive, "rootfs", tarfile.DIRTYPE, 0o755)
        for name in FOLDERS:
            _add(archive, f"rootfs/{name}", tarfile.DIRTYPE, 0o700 if name == "root" else 0o755)
        _add(archive, "rootfs/tmp", tarfile.DIRTYPE, 0o1777)
        for name in LINKS:
            _add(archive, f"rootfs/{name}", tarfile.SYMTYPE, 0o777, link=f"usr/{name}")
    return buffer.getvalue()


def fingerprint(image: bytes) -> str:
    """Return the name that the engine gives to a unified image: the SHA-256 of its bytes."""
    return hashlib.sha256(image).hexdigest()


def _add(archive: tarfile.TarFile, name: str, kind: bytes, mode: int, *, link: str = "", data: bytes = b"") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(data)
    archive.addfile(entry, t.cast("t.IO[bytes]", io.BytesIO(data)))
