# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a channel to a version that is there already."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.versions import is_version, version_order

LAYER = re.compile(r"(?:base|app)/[a-z0-9][a-z0-9.-]*")
CHANNEL = re.compile(r"[a-z][a-z0-9-]*")


def check(layer: str, channel: str) -> tuple[str, str]:
    """Return kind and name of the layer; BadInput where a word is not of the right form."""
    if not LAYER.fullmatch(layer):
        raise BadInput(f"{layer!r} names no base or app: write it as base/debian-13 or app/nginx", key="name")
    if not CHANNEL.fullmatch(channel):
        raise BadInput(
            f"{channel!r} is no name of a channel: it begins with a letter, and has small letters, digits and dashes",
            key="channel",
        )
    kind, name = layer.split("/")
    return kind, name


def resolve(refs: t.Mapping[str, str], layer: str, source: str) -> str:
    """Return the commit that a channel or a version of the layer names; BadInput tells what there is."""
    words = {ref.removeprefix(f"{layer}/"): commit for ref, commit in refs.items() if ref.startswith(f"{layer}/")}
    if source in words:
        return words[source]
    if not words:
        layers = sorted({ref.rpartition("/")[0] for ref in refs if ":" not in ref})
        raise BadInput(f"There is no {layer} in this depot; it has {', '.join(layers) or 'nothing yet'}", key="name")
    raise BadInput(f"{layer} has neither channel nor version {source!r}; it has {listing(words)}", key="source")


def listing(words: t.Mapping[str, str]) -> str:
    """Return channels with what they name, then the versions, newest first."""
    versions = sorted((word for word in words if is_version(word)), key=version_order, reverse=True)
    by_commit = {words[version]: version for version in versions}
    channels = [
        f"{word} ({by_commit.get(commit, commit[:12])})"
        for word, commit in sorted(words.items())
        if not is_version(word)
    ]
    return ", ".join([*channels, *versions])


def refuse_vendors_channel(refs: t.Mapping[str, str], ref: str) -> None:
    """Raise BadInput where a mirrored vendor sets this ref."""
    if vendors := [each.partition(":")[0] for each in refs if each.endswith(f":{ref}")]:
        raise BadInput(
            f"{ref} is a channel of the vendor {vendors[0]!r}, and mirroring would set it back: promote to a channel of"
            " your own",
            key="channel",
        )


def goes_back(old: str, new: str) -> bool:
    return version_order(new) < version_order(old)
