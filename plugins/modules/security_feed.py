# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a depot's feeds of security updates."""

from __future__ import annotations

DOCUMENTATION = r"""
module: security_feed
short_description: Keep a depot's feeds of security updates, from the distribution's signed indexes
version_added: 0.1.0
description:
  - Looks what the suites of the depot's bases, their updates and their security suites offer now. apt fetches their
    indexes and verifies their signatures and how long they are valid.
  - Writes a feed for each suite, signed by the depot's key, into C(repo/security) of the depot. For every package it
    has the newest version. For sources of which the depot has an older version it also has the entries of their
    changelogs, with dates and CVE ids. With it, an audit tells which security updates an appliance lacks and since
    when, without any access to the archive.
  - Nothing is written unless an index or what the depot has has changed.
  - Without a way to the archive the feeds stay as they are, and a warning tells how old they are.
options:
  depot:
    description: The depot's folder on the host.
    type: path
    required: true
  refresh:
    description: Whether to look at the archive. V(false) only reads and verifies the feeds that are there.
    type: bool
    default: true
  sources:
    description:
      - Where packages come from, instead of the archive in the machine's apt sources.
      - They have to include the security suite of each base.
    type: list
    elements: dict
    default: []
    suboptions:
      uris:
        description: Addresses of the archive.
        type: list
        elements: str
        required: true
      suites:
        description: Its suites.
        type: list
        elements: str
        required: true
      components:
        description: Its components.
        type: list
        elements: str
        default: [main]
      signed_by:
        description: The file on the host with the archive's public key.
        type: path
        default: ""
requirements:
  - apt, ostree, gpg and gpgv on the host
author:
  - The Strata authors (@strata-fleet)
attributes:
  check_mode:
    description: Reads the indexes and tells which feeds would be written.
    support: full
  diff_mode:
    description: Tells the dates of the indexes before and after.
    support: full
  idempotent:
    description: Writes nothing unless the archive or the depot has changed.
    support: full
seealso:
  - module: strata.fleet.depot
  - module: strata.fleet.signature
"""

EXAMPLES = r"""
- name: Know which security updates there are
  strata.fleet.security_feed:
    depot: /var/lib/strata/depot
  register: security

- name: Read what is known, on a host without a way to the archive
  strata.fleet.security_feed:
    depot: /var/lib/strata/depot
    refresh: false
"""

RETURN = r"""
feeds:
  description: The feeds, as they are or in check mode would be.
  returned: success
  type: list
  elements: dict
  contains:
    suite:
      description: The suite.
      type: str
      sample: trixie
    abi:
      description: What bases and apps of this suite call their ABI.
      type: str
      sample: debian-13
    date:
      description: The date of the security suite's index.
      type: str
      sample: "2026-11-21T00:53:03Z"
    valid_until:
      description: Until when that index is valid.
      type: str
      sample: "2026-11-28T00:53:03Z"
    age:
      description: The index's age in days.
      type: int
      sample: 1
    stale:
      description: Why nothing can be decided by it any more. Empty while it is fresh.
      type: str
      sample: ""
    path:
      description: The feed's file. Its signature is beside it, in the file with C(.asc) at the end.
      type: str
      sample: /var/lib/strata/depot/repo/security/trixie.json
    packages:
      description: How many packages it tells of.
      type: int
      sample: 2602
    sources:
      description: The sources whose changelogs it tells.
      type: list
      elements: str
      sample: [openssl]
    text:
      description: The feed. Absent in check mode where it would be another one.
      type: str
      sample: '{"format":1,"suite":"trixie"}'
    signature:
      description: The detached signature of RV(feeds[].text), armored.
      type: str
      sample: "-----BEGIN PGP SIGNATURE-----..."
msg:
  description: What came of it, as a sentence.
  returned: success
  type: str
  sample: "trixie: 2602 packages, index of 2026-11-21T00:53:03Z (1 day old)"
steps:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: ["write the feed of security updates for trixie, of 2026-11-21T00:53:03Z"]
"""

import datetime as dt
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import security_feeds
from ansible_collections.strata.fleet.plugins.module_utils.apt import Source
from ansible_collections.strata.fleet.plugins.module_utils.build_options import BUILD_OPTIONS, read_sources
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.errors import (
    BadInput,
    CommandError,
    ContentError,
    Unreachable,
)
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import feeds
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result, run

SPEC = {
    "depot": BUILD_OPTIONS["depot"],
    "refresh": {"type": "bool", "default": True},
    "sources": BUILD_OPTIONS["sources"],
}
Data = dict[str, t.Any]


class Outcome(t.NamedTuple):
    """A suite's feed before, and after (as data); both None where there is none, with the reason in a warning."""

    before: Data | None
    after: Data | None
    warnings: list[str]


def work(params: Data, check_mode: bool) -> Result:
    os.umask(0o022)
    depot = Depot(params["depot"])
    depot.require()
    with depot.locked():
        targets = security_feeds.find_targets(depot)
        if not targets:
            raise BadInput(f"The depot {depot.path} has no base yet: build one first", path=str(depot.path))
        outcomes = {}
        for target in targets:
            given = read_sources(params["sources"])
            outcomes[target.suite] = look(depot, target, given, refresh=params["refresh"])
        new = [each.after for each in outcomes.values() if each.after and each.after is not each.before]
        for feed in new if not check_mode else ():
            security_feeds.keep(depot, feed)
        return report(depot, outcomes, new, new if check_mode else ())


def look(depot: Depot, target: security_feeds.Target, given: t.Sequence[Source], *, refresh: bool) -> Outcome:
    """Return the feed of a suite, new where it can be and has to be."""
    before, warnings = read(depot, target.suite)
    if not refresh:
        return Outcome(before, before, warnings)
    archive = security_feeds.archive_for(depot, target, given)
    try:
        archive.prepare()
    except Unreachable as error:
        if before is None:
            raise
        since = f"The feed of security updates for {target.suite} stays that of {before['date']}"
        return Outcome(before, before, [*warnings, f"{since}: {error.message}"])
    after, problems = security_feeds.compose(archive, target, before)
    return Outcome(before, after, [*warnings, *problems])


def read(depot: Depot, suite: str) -> tuple[Data | None, list[str]]:
    """Return the feed that is there; one that cannot be trusted is none, and a warning says so."""
    try:
        kept = security_feeds.read_kept(depot, suite)
        return (feeds.parse(kept[0]) if kept else None), []
    except (ContentError, CommandError) as error:
        return None, [error.message]


def report(
    depot: Depot, outcomes: t.Mapping[str, Outcome], new: t.Sequence[Data], unwritten: t.Sequence[Data]
) -> Result:
    now = dt.datetime.now(dt.UTC)
    after = [each.after for each in outcomes.values() if each.after]
    found = [describe(depot, feed, now, is_new=any(feed is each for each in unwritten)) for feed in after]
    missing = [f"{suite}: there is no feed" for suite, each in outcomes.items() if not each.after]
    lines = [
        f"{each['suite']}: {each['packages']} packages, index of {each['date']} ({say_age(each)})" for each in found
    ]
    return Result(
        changed=bool(new),
        steps=[f"write the feed of security updates for {feed['suite']}, of {feed['date']}" for feed in new],
        before={suite: each.before["date"] if each.before else None for suite, each in outcomes.items()},
        after={suite: each.after["date"] if each.after else None for suite, each in outcomes.items()},
        facts={"feeds": found, "msg": "; ".join([*lines, *missing])},
        warnings=[warning for each in outcomes.values() for warning in each.warnings],
    )


def describe(depot: Depot, feed: Data, now: dt.datetime, *, is_new: bool) -> Data:
    """Return what the module reports of a feed; ``is_new`` where it was not written."""
    kept = None if is_new else security_feeds.read_kept(depot, feed["suite"])
    described = {
        **{key: feed[key] for key in ("suite", "abi", "date", "valid_until")},
        "age": (now - feeds.read_time(feed["date"])).days,
        "stale": feeds.find_staleness(feed, now),
        "path": str(security_feeds.file_of(depot, feed["suite"])),
        "packages": len(feed["packages"]),
        "sources": sorted(feed["sources"]),
    }
    return described | ({"text": kept[0], "signature": kept[1]} if kept else {})


def say_age(feed: Data) -> str:
    age = f"{feed['age']} day{'' if feed['age'] == 1 else 's'} old"
    return f"{age}, too old to decide by" if feed["stale"] else age


def main() -> None:
    run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
