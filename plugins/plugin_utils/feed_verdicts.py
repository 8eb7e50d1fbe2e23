# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on which security updates a fleet lacks: by the depot's feeds, once for each pair of base and app. Pure."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import admission, catalogue, feeds, judging, model
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Facts

Data = dict[str, t.Any]
Body = t.Mapping[str, t.Any]


def add_verdicts(
    found: t.Mapping[str, Body], lockdown: Body, given: t.Sequence[Body], now: dt.datetime
) -> dict[str, Body]:
    """Return what audit_info returned, by node, with the verdicts that feeds decide.

    ``given``: the feeds that the module security_feed returned. A node that gave no verdicts stays as it is.
    """
    known, problem = read_feeds(given)
    told: dict[t.Hashable, Data] = {}

    def tell(manifests: t.Mapping[str, Body]) -> Data:
        key = tuple(sorted((kind, manifest["commit"]) for kind, manifest in manifests.items()))
        if key not in told:
            feed = feeds.choose(known, manifests)
            told[key] = feeds.pending(feed, manifests, now) if feed else {"problem": problem}
        return told[key]

    return {
        node: _judge_node(result, lockdown, tell) if "verdicts" in result else result for node, result in found.items()
    }


def read_feeds(given: t.Iterable[Body]) -> tuple[list[Data], str]:
    """Return the feeds, and why there is none for other suites."""
    known: list[Data] = []
    problems = ["no feed of security updates tells of its suite"]
    for each in given:
        try:
            known.append(feeds.parse(each.get("text", "")))
        except ContentError as error:
            problems.append(error.message)
    return known, "; ".join(problems)


def _judge_node(result: Body, lockdown: Body, tell: t.Callable[[t.Mapping[str, Body]], Data]) -> Data:
    rules = catalogue.decided_at(model.FEED)
    verdicts = list(result["verdicts"])
    for entry in result.get("appliances") or []:
        court = admission.court_of(lockdown, "appliances", entry["name"])
        if court is None:
            continue
        manifests = find_manifests(entry, result.get("layers") or {})
        facts = Facts(entry["name"], manifests=manifests, feed=tell(manifests))
        verdicts += [verdict.to_data() for verdict in judging.judge(facts, rules, court)]
    return {**result, "verdicts": verdicts}


def find_manifests(entry: Body, layers: t.Mapping[str, Body]) -> dict[str, Data]:
    """Return what is known of an appliance's base and app, by kind."""
    manifests = {}
    for kind in (model.BASE, model.APP):
        layer = entry.get(kind) or {}
        commit = layer.get("commit", "") if isinstance(layer, t.Mapping) else str(layer)
        if commit in layers:
            manifests[kind] = {**layers[commit], "commit": commit}
    return manifests
