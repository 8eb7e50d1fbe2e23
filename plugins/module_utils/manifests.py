# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a published version says of itself: JSON in the commit's metadata."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError

MANIFEST_KEY = "strata.manifest"
SBOM_KEY = "strata.sbom"
INPUTS_KEY = "strata.inputs"
FORMAT = 1


def encode(data: t.Any) -> str:
    """Return the data as JSON, compressed, in base64; the same text for the same data."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def decode(text: str) -> t.Any:
    """Undo ``encode``; ContentError where the text is not one of its results."""
    try:
        return json.loads(gzip.decompress(base64.b64decode(text, validate=True)))
    except (binascii.Error, gzip.BadGzipFile, EOFError, ValueError) as error:
        raise ContentError(f"A manifest cannot be read: {error}") from error


def check(manifest: t.Any, *, commit: str, kind: str | None = None, name: str | None = None) -> dict[str, t.Any]:
    """Return the manifest if it is of this format, ``kind`` and ``name``.

    A signature says who published a commit, not as what: a depot could offer one signed thing in place of another.
    """
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise ContentError(
            f"The manifest of {commit} has format {found!r}; this Strata reads format {FORMAT}: update one of them",
            commit=commit,
        )
    for key, wanted in (("kind", kind), ("name", name)):
        if wanted is not None and manifest.get(key) != wanted:
            raise ContentError(
                f"The commit {commit} says that its {key} is {manifest.get(key)!r}, but {wanted!r} was asked for:"
                " the depot's refs are wrong or were tampered with",
                commit=commit,
                key=key,
            )
    return manifest
