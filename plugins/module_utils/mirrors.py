# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a vendor's versions a depot takes over, and which it refuses to."""

from __future__ import annotations

import dataclasses
import fnmatch
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError
from ansible_collections.strata.fleet.plugins.module_utils.versions import is_version

Refs = t.Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Mirror:
    """A vendor's depot: its public key, and patterns of the refs to take over."""

    name: str
    url: str
    key: str
    refs: tuple[str, ...]


def check(mirrors: t.Sequence[Mirror]) -> None:
    """Raise BadInput where what is mirrored is not clear."""
    names = [mirror.name for mirror in mirrors]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"mirrors has {', '.join(twice)} more than once: give each vendor one name", key="mirrors")
    for mirror in mirrors:
        # So that nobody lets a vendor of apps sign bases by a star too many.
        if unclear := [pattern for pattern in mirror.refs if not pattern.startswith(("app/", "base/"))]:
            raise BadInput(
                f"The refs {', '.join(unclear)} of the mirror {mirror.name!r} do not say what its key may sign:"
                " begin each with app/ or base/",
                key="mirrors",
            )


def plan(mirrors: t.Sequence[tuple[Mirror, Refs]], present: Refs) -> dict[str, tuple[Mirror, str]]:
    """Return whose version to set each ref to, from what each vendor publishes and the refs that are here."""
    incoming: dict[str, tuple[Mirror, str]] = {}
    owners = {family_of(ref): owner_of(family_of(ref), present) for ref in present if ":" not in ref}
    for mirror, published in mirrors:
        for ref in published:
            owner = owners.setdefault(family_of(ref), mirror.name)
            if owner != mirror.name:
                whose = f"of the vendor {owner!r}" if owner else "this site's own"
                raise ContentError(
                    f"The depot of {mirror.name!r} publishes {ref}, but {family_of(ref)} is {whose} here: give one of"
                    " them another name, or narrow the refs that are mirrored",
                    ref=ref,
                )
        for ref, commit in plan_one(mirror, published, present).items():
            incoming[ref] = (mirror, commit)
    return incoming


def plan_one(mirror: Mirror, published: Refs, present: Refs) -> dict[str, str]:
    """Return the refs of one vendor to set here. No channel of the site's is replaced, and no version changes."""
    for ref in (each for each in published if each in present):
        if f"{mirror.name}:{ref}" not in present:
            raise ContentError(
                f"The depot of {mirror.name!r} publishes {ref}, but that is this site's own channel here: remove it, or"
                " narrow the refs that are mirrored",
                ref=ref,
            )
        if is_version(ref.rsplit("/", 1)[-1]) and present[ref] != published[ref]:
            raise ContentError(f"{mirror.name!r} changed {ref}, and versions never change: ask the vendor why", ref=ref)
    return {ref: commit for ref, commit in published.items() if present.get(ref) != commit}


def family_of(ref: str) -> str:
    """Return the kind and name in a ref: what has one owner."""
    return ref.rpartition(":")[2].rpartition("/")[0]


def owner_of(family: str, present: Refs) -> str:
    """Return which vendor's this base or app is, "" for the site's own.

    Its versions tell. A channel may be the site's, naming a version of the vendor's.
    """
    own = [ref for ref in present if ":" not in ref and family_of(ref) == family]
    telling = [ref for ref in own if is_version(ref.rsplit("/", 1)[-1])] or own
    vendors = {ref.partition(":")[0] for ref in present if ":" in ref and ref.partition(":")[2] in telling}
    return min(vendors, default="")


def matches(ref: str, patterns: t.Sequence[str]) -> bool:
    return ref.count("/") == 2 and any(fnmatch.fnmatchcase(ref, pattern) for pattern in patterns)  # noqa: PLR2004
