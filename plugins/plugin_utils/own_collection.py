# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection that runs as one file, to run it on another machine: what runs there is what runs here."""

from __future__ import annotations

import hashlib
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.plugin_utils import archives

COLLECTION = Path(__file__).parents[2]
# What a run needs: no tests, and no pages but the schemas that it checks files against.
PARTS = (
    "LICENSE",
    "MANIFEST.json",
    "docs/schemas",
    "galaxy.yml",
    "meta",
    "playbooks",
    "plugins",
    "requirements",
    "roles",
)
DIGITS = 16


class Packed(t.NamedTuple):
    """The files as a zip archive; ``digest`` is of names and content alone."""

    digest: str
    archive: bytes


def pack(collection: Path = COLLECTION) -> Packed:
    """Return the collection in a folder as an archive."""
    files = read_files(collection)
    digest = hashlib.sha256()
    for path, content in files.items():
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    return Packed(digest.hexdigest()[:DIGITS], archives.pack(files))


def read_files(collection: Path) -> dict[str, bytes]:
    """Return the content of each file by its path in the collection, sorted."""
    found = [path for part in PARTS for path in ((collection / part), *(collection / part).rglob("*"))]
    names = {path.relative_to(collection): path for path in found if path.is_file() and not path.is_symlink()}
    return {str(name): path.read_bytes() for name, path in sorted(names.items()) if not _is_left_out(name)}


def _is_left_out(name: Path) -> bool:
    return name.suffix == ".pyc" or any(part.startswith(".") for part in name.parts)
