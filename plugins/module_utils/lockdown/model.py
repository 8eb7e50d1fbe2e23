# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of lock-down: rules, what is known of an appliance or a node, and verdicts."""

from __future__ import annotations

import typing as t

CRITICAL, HIGH, MEDIUM, LOW = "critical", "high", "medium", "low"
SEVERITIES = (LOW, MEDIUM, HIGH, CRITICAL)

# How strict a rule's value is, and so what a more specific policy may make of it: see settings.py.
SWITCH, AT_MOST, AT_LEAST, ONLY = "switch", "at_most", "at_least", "only"
NONE, ALL, EQUAL, OLDEST = "none", "all", "equal", "oldest"

# Where a rule is decided: what versions say of themselves, their files, the engine, the node, what runs, the vendor's
# or distribution's feed of security updates.
MANIFEST, TREE, ENGINE, HOST, LIVE, FEED = "manifest", "tree", "engine", "host", "live", "feed"
BEFORE_MAPPING = (MANIFEST, TREE)

PASS, FAIL, WAIVED, EXPIRED = "pass", "fail", "waived", "expired"
UNKNOWN, NOT_APPLICABLE, GUARANTEED = "unknown", "not_applicable", "guaranteed"

BASE, APP, CONFIG = "base", "app", "config"
MOST = 20  # faults that one verdict tells

Data = t.Mapping[str, t.Any]


class Unknown(Exception):
    """A check's word that it cannot tell, and why. In mode enforce that counts as a failure."""


class Moot(Exception):
    """A check's word that there is nothing here that the rule is about, and how that is known."""


class Fault(t.NamedTuple):
    """One thing that a rule does not allow: a path, unit, port or key, how it was found, and what is allowed.

    ``layer`` is base, app or config where one of these brings it, '' for engine, node and what runs.
    """

    what: str
    found: str
    allowed: str
    layer: str = ""


class Facts(t.NamedTuple):
    """What is known of one appliance, or (``appliance`` is '') of the node alone. None: it was not looked at.

    ``manifests`` by base and app, with ``signers``, the fingerprints of those who signed. ``trees`` by base, app and
    config, as ``tree_facts.collect`` returns them. ``wanted`` is the appliance as the module fleet describes it,
    ``instance`` as the engine has it; ``node`` is ``node_facts.read``'s, ``live`` ``live_facts.read``'s, ``feed`` what
    ``feeds.pending`` returns.
    """

    appliance: str
    node: Data | None = None
    manifests: t.Mapping[str, Data] | None = None
    trees: t.Mapping[str, Data] | None = None
    wanted: Data | None = None
    instance: Data | None = None
    live: Data | None = None
    feed: Data | None = None


Check = t.Callable[[Facts, t.Any], t.Iterable[Fault]]


class Rule(t.NamedTuple):
    """One thing that a policy may ask for.

    ``place`` is where it is decided, ``setting`` how values compare, ``check`` what gives the faults (or raises Unknown
    or Moot). ``twin`` is the live rule that proves what this one can only intend. ``controls`` are the numbers that
    others give it, by benchmark.
    """

    name: str
    place: str
    setting: str
    severity: str
    title: str
    remedy: str
    check: Check
    twin: str = ""
    controls: t.Mapping[str, t.Sequence[str]] = {}


class Verdict(t.NamedTuple):
    """What was decided of one rule for one appliance, or for the node (``appliance`` is '').

    ``digests`` are the commits for which it holds, where it follows from them alone. ``owners`` can mend it.
    """

    rule: str
    appliance: str
    status: str
    severity: str
    place: str
    action: str
    reason: str
    faults: t.Sequence[Fault]
    owners: t.Sequence[str]
    digests: t.Sequence[str]
    policy: str
    waivers: t.Sequence[Data]

    def to_data(self) -> dict[str, t.Any]:
        """Return it as plain data, for JSON."""
        return {**self._asdict(), "faults": [fault._asdict() for fault in self.faults]}

    @property
    def is_bad(self) -> bool:
        """Whether it tells of something that is not as the policy asks."""
        return self.status in (FAIL, EXPIRED, UNKNOWN)
