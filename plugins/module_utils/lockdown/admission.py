# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Admission: whether the policy lets an appliance run what was staged for it. Before anything is mapped."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import want
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import (
    catalogue,
    facts_cache,
    judging,
    model,
    tree_facts,
)
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import APP, BASE, CONFIG, Data, Facts, Verdict
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo

# What only somebody's hand can have done to an instance: a change would wipe the traces away.
TRACES = ("host-paths", "no-nesting", "no-raw-keys", "unprivileged")

Layers = t.Mapping[str, Data]


class Refused(StrataError):
    """The policy does not allow what was asked for; nothing was changed."""


class Ruling(t.NamedTuple):
    """The verdicts on all appliances, the sentences of refusal, and the appliances that nothing asks anything of.

    ``refused`` has the sentences by appliance.
    """

    verdicts: list[Verdict]
    refusals: list[str]
    unruled: list[str]
    refused: dict[str, list[str]]


def is_staged(repo: Repo, layers: Layers) -> bool:
    """Whether everything is in the store that an appliance would run: base and app, by their commits."""
    return repo.exists() and all(repo.has_content(layers[kind]["commit"]) for kind in (BASE, APP))


class Library:
    """What is known of the versions in a node's store, each read once.

    ``signers`` are the names of those who are trusted now (None: all whose keys the store has). ``write``: keep what is
    read of files for the next time.
    """

    def __init__(self, store: Path, today: str, signers: t.Collection[str] | None = None, *, write: bool) -> None:
        self._store = store
        self._signers = signers
        self._repo = Repo(str(store / "repo"))
        self._today = today
        self._write = write
        self._manifests: dict[str, Data] = {}
        self._trees: dict[tuple[str, ...], facts_cache.Trees] = {}

    def manifests(self, layers: Layers) -> dict[str, Data]:
        """Return the manifests of base and app, with commit, signers and age."""
        return {kind: self._manifest(layers[kind]["commit"]) for kind in (BASE, APP)}

    def _manifest(self, commit: str) -> Data:
        if commit not in self._manifests:
            manifest = self._repo.manifest(commit)
            self._manifests[commit] = facts_cache.manifest_facts(
                self._repo, commit, manifest, self._today, self._signers
            )
        return self._manifests[commit]

    def trees(self, manifests: t.Mapping[str, Data]) -> facts_cache.Trees:
        """Return the facts of the files of base and app."""
        commits = tuple(str(manifest["commit"]) for manifest in manifests.values())
        if commits not in self._trees:
            self._trees[commits] = facts_cache.layer_facts(self._store, manifests, write=self._write)
        return self._trees[commits]

    def planned_config(self, files: t.Iterable[Data], manifests: t.Mapping[str, Data]) -> tree_facts.Found:
        """Return the facts of a config layer yet to be written; ``files`` are as the module appliance has them."""
        base = self._store / "layers" / str(manifests[BASE]["commit"])
        return facts_cache.planned_config_facts([want.build_file(file) for file in files], base, self.trees(manifests))


def gather(library: Library, item: Data, layers: Layers, instance: Data | None, place: Data) -> Facts:
    """Return what is known of an appliance before it is mapped.

    ``item`` is as the module fleet describes it, with ``files`` where its config is rendered. ``layers`` are its base
    and app, ``instance`` is what the engine has under its name, ``place`` store and pool.
    """
    manifests = library.manifests(layers)
    trees = library.trees(manifests)
    if "files" in item:
        trees = {**trees, CONFIG: library.planned_config(item["files"], manifests)}
    return Facts(
        item["name"],
        node=place,
        manifests=manifests,
        trees=trees,
        wanted=item,
        instance=instance,
    )


def court_of(lockdown: Data, kind: str, name: str) -> judging.Court | None:
    """Return by what an appliance (``kind`` appliances) or a node (nodes) is judged; None where no policy names it."""
    own = lockdown[kind].get(name)
    if own is None:
        return None
    return judging.Court(
        lockdown["policies"][own["policy"]], lockdown["waivers"], frozenset(own["names"]), lockdown["today"]
    )


def rule_on(every: t.Iterable[Facts], lockdown: Data, repair: t.Collection[str]) -> Ruling:
    """Judge what each appliance would be composed of, and the traces that its instance shows.

    Appliances in ``repair`` were looked into: their traces are no reason to refuse any more.
    """
    verdicts: list[Verdict] = []
    refused: dict[str, list[str]] = {}
    unruled: list[str] = []
    before = catalogue.decided_at(*model.BEFORE_MAPPING)
    traces = [catalogue.RULES[name] for name in TRACES if name in catalogue.RULES]
    for facts in every:
        court = court_of(lockdown, "appliances", facts.appliance)
        if court is None:
            unruled.append(facts.appliance)
            continue
        asked = before if facts.instance is None or facts.appliance in repair else [*before, *traces]
        own = judging.judge(facts, asked, court)
        verdicts += own
        for verdict in own:
            if judging.is_refusal(verdict, court.policy):
                refused.setdefault(facts.appliance, []).extend(_explain(verdict, court.policy))
    refusals = [sentence for sentences in refused.values() for sentence in sentences]
    return Ruling(verdicts, refusals, unruled, refused)


def _explain(verdict: Verdict, policy: Data) -> list[str]:
    sentences = judging.explain(verdict, catalogue.RULES[verdict.rule], policy)
    if verdict.rule not in TRACES:
        return sentences
    anyway = f'Once you know who did it, deploy with -e \'{{"deploy_repair": ["{verdict.appliance}"]}}\'.'
    return [f"{sentence} {anyway}" for sentence in sentences]


def require(lockdown: Data) -> None:
    """Raise ContentError where a policy asks for a rule that this node's Strata does not know: it cannot tell."""
    for policy in lockdown["policies"].values():
        unknown = sorted(set(policy["rules"]) - set(catalogue.RULES))
        if unknown:
            by = " + ".join(policy["names"])
            raise ContentError(
                f"Policy {by} asks for {', '.join(unknown)}, which this version of Strata does not know: update it, or "
                "take the rule out",
                rules=unknown,
            )
