# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Admission at a depot: whether the policy lets a base or an app be published that was just built, or be promoted."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot, Draft
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import (
    admission,
    catalogue,
    facts_cache,
    judging,
    model,
    tree_facts,
)
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import APP, BASE, Data, Facts

# Nobody has signed a draft yet, nodes have names of their own for signers, and no appliance asks for anything.
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
    _rule_on(gather(depot, draft), f"{draft.kind}/{draft.name}", ruled)


def admit_version(depot: Depot, commit: str, ruled: Data) -> None:
    """Raise Refused where the policy does not allow a version that the depot has; {} is no policy at all."""
    if ruled and ruled["policy"]["mode"] == judging.ENFORCE:
        admission.require({"policies": {"": ruled["policy"]}})
        manifest = depot.repo.manifest(commit)
        _rule_on(gather_version(depot, commit, ruled["today"]), f"{manifest['kind']}/{manifest['name']}", ruled)


def _rule_on(facts: Facts, layer: str, ruled: Data) -> None:
    court = judging.Court(ruled["policy"], ruled["waivers"], {*ruled["names"], layer}, ruled["today"])
    asked = [rule for rule in catalogue.decided_at(*model.BEFORE_MAPPING) if rule.name not in DECIDED_LATER]
    refusals = [
        sentence.replace("The node: ", f"{layer.replace('/', ' ')}: ", 1)
        for verdict in judging.judge(facts, asked, court)
        if judging.is_refusal(verdict, court.policy)
        for sentence in judging.explain(verdict, catalogue.RULES[verdict.rule], court.policy)
    ]
    if refusals:
        raise admission.Refused("\n".join(refusals), refusals=refusals)


def gather(depot: Depot, draft: Draft) -> Facts:
    """Return what is known of a version before it has a number: of an app, over the base that it was built over."""
    own = {**draft.manifest, "version": "that was built", "commit": "", "age": 0}
    commit = "" if draft.kind == BASE else draft.manifest["base"]["commit"]
    return _facts_of(depot, own, Path(draft.tree), depot.work / "bases" / commit if commit else None)


def gather_version(depot: Depot, commit: str, today: str) -> Facts:
    """Return the same of a version that was published; its files are looked at aside.

    Raises Refused where the depot does not have the base that an app was built over.
    """
    own = depot.repo.manifest(commit)
    own |= {"commit": commit, "age": facts_cache.age_of(own.get("built"), today)}
    with tempfile.TemporaryDirectory(prefix="judged-", dir=depot.work) as scratch:
        tree, folder = Path(scratch, "tree"), None
        depot.repo.checkout(commit, str(tree))
        if own["kind"] != BASE:
            folder = Path(scratch, "base")
            depot.repo.checkout(_base_of(depot, own), str(folder))
        return _facts_of(depot, own, tree, folder)


def _base_of(depot: Depot, manifest: Data) -> str:
    base = manifest["base"]
    if not depot.repo.has_content(commit := str(base.get("commit", ""))):
        wanted = f"base/{base['name']} {base['version']}" if commit else "a base that it does not name"
        raise admission.Refused(
            f"app {manifest['name']} {manifest['version']} was built over {wanted}, which {depot.path} does not have, "
            "so nothing can be said of its files: build it over a base of this depot, or have that base mirrored.",
            commit=commit,
        )
    return commit


def _facts_of(depot: Depot, own: Data, tree: Path, folder: Path | None) -> Facts:
    """Return the facts of a base, or of an app over the base in ``folder``."""
    if not folder:
        trees = {BASE: tree_facts.collect(BASE, tree)}
        tree_facts.try_firewall([], trees[BASE])
        return Facts("", manifests={BASE: own}, trees=trees)
    commit = own["base"]["commit"]
    trees = {BASE: tree_facts.collect(BASE, folder), APP: tree_facts.collect(APP, tree, folder)}
    tree_facts.try_firewall([], trees[BASE])
    tree_facts.try_firewall([trees[BASE]], trees[APP])
    base = {**depot.repo.manifest(commit, kind=BASE), "commit": commit, "age": 0}
    return Facts("", manifests={BASE: base, APP: own}, trees=trees)
