# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that a depot's feed of security updates decides: how long an appliance has lacked one."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import model
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Data, Facts, Fault, Rule, Unknown

# How many CVE ids a sentence names.
MOST_NAMES = 4


def check_updates(facts: Facts, most: float) -> t.Iterator[Fault]:
    """Give the packages that lack a security update for longer than ``most`` days, or nobody knows for how long."""
    feed = _require(facts)
    if feed["stale"]:
        raise Unknown(f"the feed of security updates is {feed['stale']}")
    late = [each for each in feed["updates"] if each["security"] and (each["days"] is None or each["days"] > most)]
    cure = _say_cure(late, facts)
    for each in late:
        yield Fault(
            each["package"],
            f"{each['installed']} and {_say_lag(each)}{_say_names(each['cves'])}{cure}",
            f"{most:g} day{'' if most == 1 else 's'} without a security update",
            each["layer"],
        )


def _require(facts: Facts) -> Data:
    if facts.feed is None:
        raise Unknown("there is no feed of security updates for it")
    if facts.feed.get("problem"):
        raise Unknown(str(facts.feed["problem"]))
    return facts.feed


def _say_lag(update: Data) -> str:
    if update["days"] is None:
        return f"lacks the update {update['fixed']}, of which no changelog tells what it mends and since when"
    days = update["days"]
    return f"{days} day{'' if days == 1 else 's'} without the security update {update['fixed']}"


def _say_names(cves: t.Sequence[str]) -> str:
    more = f" and {len(cves) - MOST_NAMES} more" if len(cves) > MOST_NAMES else ""
    return f" ({', '.join(cves[:MOST_NAMES])}{more})" if cves else ""


def _say_cure(late: t.Sequence[Data], facts: Facts) -> str:
    """Return what mends all of it at once, where one version does."""
    layers = {each["layer"] for each in late}
    if len(layers) != 1:
        return ""
    (layer,) = layers
    name = (facts.manifests or {}).get(layer, {}).get("name", "")
    return f"; building {layer} {name} anew mends all {len(late)}" if len(late) > 1 else ""


def check_fresh(facts: Facts, value: bool) -> t.Iterator[Fault]:
    """Give a feed that is too old to decide by."""
    feed = _require(facts)
    if value and feed["stale"]:
        yield Fault(f"The feed of security updates for {feed['suite']}", feed["stale"], "one that is still valid")


def check_covered(facts: Facts, value: bool) -> t.Iterator[Fault]:
    """Give the packages of which no feed tells anything."""
    feed = _require(facts)
    for layer, names in feed["strangers"].items() if value else ():
        for name in names:
            yield Fault(name, f"not in {feed['suite']}", "packages of which the feed of security updates tells", layer)


RULES: tuple[Rule, ...] = (
    Rule(
        "security-updates",
        model.FEED,
        model.AT_MOST,
        model.HIGH,
        "No security update is pending for longer than so many days",
        "Build the base or the app anew and patch; where no feed tells, have the depot make one "
        "(playbooks/security_feed.yml)",
        check_updates,
        controls={"ANSSI BP-028": ("R61",)},
    ),
    Rule(
        "feed-fresh",
        model.FEED,
        model.SWITCH,
        model.MEDIUM,
        "The feed of security updates is still valid",
        "Have the depot host refresh it, with a way to the package archive (strata.fleet.security_feed)",
        check_fresh,
    ),
    Rule(
        "feed-covers",
        model.FEED,
        model.SWITCH,
        model.LOW,
        "Every package is one of which the feed of security updates tells",
        "Take the package from the distribution, or have its maker answer for its updates and waive it",
        check_covered,
    ),
)
