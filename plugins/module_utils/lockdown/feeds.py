# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a depot's feed of security updates tells of an appliance's packages. Pure: the time is given.

A feed is JSON, one for each suite: ``format``, ``suite`` (trixie), ``abi`` (debian-13), ``date`` and ``valid_until`` of
the signed index of its security suite, ``packages`` and ``sources``.

``packages`` by binary package: ``version`` is the newest of all the suites, ``security`` that of the security suite,
``source`` the source's name where it is another one, ``source_version`` its version where it is another one, and then
``were`` the source's versions by those of the package, as far as the depot knows them. ``sources`` are those of which
an older version was seen in the depot: their ``version``, and ``entries`` of their changelog, newest first, each with
``version``, ``date``, ``cves`` and ``suite`` (for which it was made). ``indexes`` are the signed indexes by suite that
all this was read from, ``inputs`` is the digest of what it was made from.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.settings import compare_versions
from ansible_collections.strata.fleet.plugins.module_utils.versions import version_order

FORMAT = 1
# Debian signs its security index anew at least this often, and says so (Valid-Until).
MOST_DAYS = 7
REBUILD = re.compile(r"\+b\d+$")

Data = t.Mapping[str, t.Any]


def parse(text: str) -> dict[str, t.Any]:
    """Return a feed from its JSON. Raises ContentError where it is none of this format."""
    try:
        feed = json.loads(text)
    except ValueError as error:
        raise ContentError(f"The feed of security updates cannot be read: {error}") from error
    if not isinstance(feed, dict) or feed.get("format") != FORMAT:
        raise ContentError(f"The feed of security updates is not of format {FORMAT}: update Strata where it is made")
    return feed


def choose(feeds: t.Iterable[Data], manifests: t.Mapping[str, Data]) -> Data | None:
    """Return the feed for what these versions were built on; None where there is no such feed."""
    abis = {manifest.get("abi") for manifest in manifests.values()}
    return next((feed for feed in feeds if feed["abi"] in abis), None)


def find_staleness(feed: Data, now: dt.datetime) -> str:
    """Return why nothing can be decided by a feed this old, as the end of a sentence; '' where it is fresh."""
    date, until = read_time(feed["date"]), read_time(feed["valid_until"]) if feed["valid_until"] else None
    if until is not None and now > until:
        return f"of {feed['date']}, and was valid until {feed['valid_until']}"
    age = (now - date).days
    return f"of {feed['date']}, {age} days ago" if age >= MOST_DAYS else ""


def read_time(text: str) -> dt.datetime:
    """Return a time such as 2026-11-21T00:53:03Z."""
    return dt.datetime.fromisoformat(text)


def pending(feed: Data, manifests: t.Mapping[str, Data], now: dt.datetime) -> dict[str, t.Any]:
    """Return which updates these versions of base and app lack.

    ``updates``: ``package``, ``layer``, ``installed``, ``fixed`` (the newest version), ``security`` (whether it mends
    anything of security, or nobody tells), ``cves``, and ``since`` and ``days``: when the suite first had what mends
    the oldest of it, None where that is not known. The oldest first. ``strangers``: packages by layer that the suites
    do not have, so that nobody tells of their updates. ``stale``: see find_staleness.
    """
    known = feed["packages"]
    updates = []
    strangers: dict[str, list[str]] = {}
    for layer, manifest in manifests.items():
        for name, installed in manifest["packages"].items():
            newest = known.get(name)
            if newest is None:
                strangers.setdefault(layer, []).append(name)
            elif installed != newest["version"] and compare_versions(installed, newest["version"]) < 0:
                updates.append({"package": name, "layer": layer, **_describe(feed, name, installed, now)})
    return {
        "suite": feed["suite"],
        "date": feed["date"],
        "valid_until": feed["valid_until"],
        "stale": find_staleness(feed, now),
        "updates": sorted(updates, key=lambda each: (each["since"] or "", each["package"])),
        "strangers": strangers,
    }


def _describe(feed: Data, name: str, installed: str, now: dt.datetime) -> dict[str, t.Any]:
    newest = feed["packages"][name]
    missed = _find_missed(feed, name, installed)
    known = missed or []
    mending = [entry for entry in known if is_mending(entry)]
    secure = newest.get("security")
    since = find_since(known, feed["suite"])
    return {
        "installed": installed,
        "fixed": newest["version"],
        "source": newest.get("source", name),
        # Where nobody tells what an update mends, it may be this.
        "security": missed is None or bool(mending) or (secure is not None and compare_versions(installed, secure) < 0),
        "cves": sorted({cve for entry in mending for cve in entry["cves"]}, key=version_order),
        "since": since,
        "days": max((now.date() - dt.date.fromisoformat(since)).days, 0) if since else None,
    }


def _find_missed(feed: Data, name: str, installed: str) -> list[Data] | None:
    """Return the entries of the source's changelog that are newer than what is installed; None where it is not told."""
    newest = feed["packages"][name]
    told = feed["sources"].get(newest.get("source", name))
    # Some packages have other version numbers than their source, which alone has a changelog.
    plain = newest.get("were", {}).get(installed, "") if "source_version" in newest else REBUILD.sub("", installed)
    if told is None or not plain:
        return None
    return [entry for entry in told["entries"] if compare_versions(entry["version"], plain) > 0]


def is_mending(entry: Data) -> bool:
    """Whether a version mends anything of security; what a point release brings may, too."""
    return bool(entry["cves"]) or entry["suite"].endswith("-security")


def find_since(missed: t.Sequence[Data], suite: str) -> str | None:
    """Return the date at which this suite first had what mends anything of these entries; None for nothing.

    What was made for another suite, such as unstable, came here with the next version that was made for this one.
    """
    mends = False
    for entry in reversed(missed):
        mends = mends or is_mending(entry)
        if mends and entry["date"] and (entry is missed[0] or entry["suite"].startswith(suite)):
            return str(entry["date"])
    return None
