# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed from version to version: in the commit's metadata, and between any two of them.

A history is a list, newest first, of ``{"version", "from", "packages"}``: what made this version another one than
``from``. Each of its packages is ``{"name", "source", "from", "to", "cves", "advisories", "changes"}``: ``from`` or
``to`` is None for one that came or went, ``changes`` are lines of the package's own changelog, and a ``note`` tells
why there are none or not all.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import manifests
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError
from ansible_collections.strata.fleet.plugins.module_utils.versions import version_order

if t.TYPE_CHECKING:
    from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo

CHANGES_KEY = "strata.changes"
# CVE-2026-1234, DSA-6000-1: they end up in reports and records.
ID = re.compile(r"[A-Z]+-[0-9]+(?:-[0-9]+)*")
# Every node reads this of every version: enough for half a year of weekly patches, in half of what a commit can carry.
MOST_ENTRIES = 30
LONGEST_HISTORY = 60 * 1024
LEFT_OUT = "left out, to keep the history short"
Entry = t.Mapping[str, t.Any]
History = t.Sequence[Entry]
Manifest = t.Mapping[str, t.Any]


def read(repo: Repo, commit: str) -> list[dict[str, t.Any]]:
    """Return the history in this commit's metadata; empty where it has none."""
    text = repo.metadata(commit, CHANGES_KEY)
    history = manifests.decode(text) if text else []
    if not (isinstance(history, list) and all(is_entry(each) for each in history)):
        raise ContentError(f"The history of {commit} cannot be read: it was not made by Strata", commit=commit)
    return history


def is_entry(each: t.Any) -> bool:
    """Whether this has the shape of an entry; a vendor's tool may have made it."""
    if not isinstance(each, dict) or not isinstance(each.get("packages"), list):
        return False
    return all(isinstance(each.get(key), str) for key in ("version", "from")) and all(map(is_package, each["packages"]))


def is_package(each: t.Any) -> bool:
    if not isinstance(each, dict) or not isinstance(each.get("name"), str):
        return False
    ids = [each.get(key, []) for key in ("cves", "advisories")]
    return all(
        isinstance(known, list) and all(isinstance(word, str) and ID.fullmatch(word) for word in known) for known in ids
    )


def extend(history: History, entry: Entry, longest: int = LONGEST_HISTORY) -> list[Entry]:
    """Return the history with a newer entry before it, no longer than ``longest`` bytes when encoded.

    The oldest lines of changelogs go first, then the oldest entries.
    """
    extended = [entry, *history][:MOST_ENTRIES]
    for index in reversed(range(len(extended))):
        if is_short(extended, longest):
            return extended
        extended[index] = without_lines(extended[index])
    while not is_short(extended, longest):
        extended.pop()
    return extended


def is_short(history: History, longest: int) -> bool:
    return len(manifests.encode(history)) <= longest


def without_lines(entry: Entry) -> Entry:
    packages = [{**each, "changes": [], "note": LEFT_OUT} if each["changes"] else each for each in entry["packages"]]
    return {**entry, "packages": packages}


def differences(old: t.Mapping[str, str], new: t.Mapping[str, str]) -> list[dict[str, t.Any]]:
    """Return ``{"name", "from", "to"}`` of each package whose version differs, by name."""
    return [
        {"name": name, "from": old.get(name), "to": new.get(name)}
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def between(history: History, old_manifest: Manifest, new_manifest: Manifest) -> dict[str, t.Any]:
    """Return what an appliance gains that goes from the old version to the new one, whose history this is.

    ``packages`` (name, from, to, cves) are exactly what differs. The CVE ids and advisories are those that the entries
    on the way name for these packages. ``complete`` is whether the history tells the whole way; it does not where the
    new version was not made from the old one, or too long after it. Going back fixes nothing.
    """
    entries, complete = way(history, old_manifest["version"], new_manifest["version"])
    found = differences(old_manifest["packages"], new_manifest["packages"])
    ids: dict[str, dict[str, set[str]]] = {each["name"]: {"cves": set(), "advisories": set()} for each in found}
    for package in (package for entry in entries for package in entry["packages"]):
        for key, known in ids.get(package["name"], {}).items():
            known |= set(package.get(key, []))
    return {
        "packages": [{**each, "cves": sorted(ids[each["name"]]["cves"], key=version_order)} for each in found],
        "cves": union(ids, "cves"),
        "advisories": union(ids, "advisories"),
        "complete": complete,
    }


def nothing() -> dict[str, t.Any]:
    """Return what ``between`` does where there is nothing to compare, or no difference."""
    return {"packages": [], "cves": [], "advisories": [], "complete": True}


def union(ids: t.Mapping[str, t.Mapping[str, set[str]]], key: str) -> list[str]:
    return sorted({each for known in ids.values() for each in known[key]}, key=version_order)


def way(history: History, old: str, new: str) -> tuple[list[Entry], bool]:
    """Return the entries that lead from the old version to the new one, and whether they reach back to the old."""
    if new == old:
        return [], True
    if version_order(new) < version_order(old):
        return [], False
    by_version = {entry["version"]: entry for entry in history}
    entries: list[Entry] = []
    at = new
    # What is older than the old version tells nothing of the way, and a damaged history must not go round.
    while at in by_version and by_version[at] not in entries and version_order(at) > version_order(old):
        entries.append(by_version[at])
        at = by_version[at]["from"]
    return entries, at == old
