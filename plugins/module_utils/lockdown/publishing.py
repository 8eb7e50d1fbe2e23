# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Admission at a depot: whether the policy lets a base or an app that was just built be published."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot, Draft
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import (
    admission,
    catalogue,
    judging,
    model,
    tree_facts,
)
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import APP, BASE, Data, Facts

# Nobody has signed it yet, and no appliance asks for anything.
DECIDED_LATER = ("app-signers", "base-signers", "countersigned-apps", "published-ports", "revoked-keys")


def guard(depot: Depot, ruled: Data) -> None:
    """Have the depot refuse drafts that the policy does not allow; {} is no policy at all."""
    if ruled:
        depot.gate = lambda draft: admit(depot, draft, ruled)


def admit(depot: Depot, draft: Draft, ruled: Data) -> None:
    """Raise Refused where the policy does not allow what is to be published.

    ``ruled`` has the depot's ``policy``, all ``waivers``, the ``names`` by which one can be for it, and ``today``.
    """
    admission.require({"policies": {"": ruled["policy"]}})
    names = {*ruled["names"], f"{draft.kind}/{draft.name}"}
    court = judging.Court(ruled["policy"], ruled["waivers"], names, ruled["today"])
    asked = [rule for rule in catalogue.decided_at(*model.BEFORE_MAPPING) if rule.name not in DECIDED_LATER]
    refusals = [
        sentence.replace("The node: ", f"{draft.kind} {draft.name}: ", 1)
        for verdict in judging.judge(gather(depot, draft), asked, court)
        if judging.is_refusal(verdict, court.policy)
        for sentence in judging.explain(verdict, catalogue.RULES[verdict.rule], court.policy)
    ]
    if refusals:
        raise admission.Refused("\n".join(refusals), refusals=refusals)


def gather(depot: Depot, draft: Draft) -> Facts:
    """Return what is known of a version before it has a number: of an app, over the base that it was built over."""
    own = {**draft.manifest, "version": "that was built", "commit": "", "age": 0}
    if draft.kind == BASE:
        trees = {BASE: tree_facts.collect(BASE, Path(draft.tree))}
        tree_facts.try_firewall([], trees[BASE])
        return Facts("", manifests={BASE: own}, trees=trees)
    commit = draft.manifest["base"]["commit"]
    folder = depot.work / "bases" / commit
    trees = {BASE: tree_facts.collect(BASE, folder), APP: tree_facts.collect(APP, Path(draft.tree), folder)}
    tree_facts.try_firewall([], trees[BASE])
    tree_facts.try_firewall([trees[BASE]], trees[APP])
    base = {**depot.repo.manifest(commit, kind=BASE), "commit": commit, "age": 0}
    return Facts("", manifests={BASE: base, APP: own}, trees=trees)
