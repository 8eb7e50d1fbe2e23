# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit of a node: every rule of the policies, for each of its appliances and for itself. Changes nothing."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import drift, verify
from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.findings import LAYER, STORE, Finding, cut
from ansible_collections.strata.fleet.plugins.module_utils.instance import composition_of
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import (
    admission,
    catalogue,
    facts_cache,
    judging,
    layer_marks,
    live_facts,
    model,
    node_facts,
)
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import APP, BASE, CONFIG, Data, Facts, Verdict
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition

KINDS = (BASE, APP)
FOR_APPLIANCES = (model.MANIFEST, model.TREE, model.ENGINE, model.LIVE)
# Of the rules that the engine decides, these are about the node; so are all that the host decides.
ABOUT_THE_NODE = ("engine-listening", "restricted-project", "unknown-instances")
REPLACE = "find out who did it, then verify the node (playbooks/verify.yml), which reads everything again"
# How it is known that content is intact.
READ_AGAIN = "every file in the store was read again and compared with its checksum"
LOOKED_AT = (
    "keys, devices, mounts, root and config were compared, and of the layers links, modes, owners and times; "
    "the bytes of their files were not read again"
)

Body = t.Mapping[str, t.Any]


@dataclasses.dataclass
class Report:
    """Verdicts, what the appliances are composed of, what their versions say, and what could not be looked at."""

    verdicts: list[Verdict] = dataclasses.field(default_factory=list)
    appliances: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    layers: dict[str, dict[str, t.Any]] = dataclasses.field(default_factory=dict)
    unchecked: list[str] = dataclasses.field(default_factory=list)
    rules: int = 0


def audit(
    node: verify.Node,
    name: str,
    socket: str,
    lockdown: Data,
    *,
    signers: t.Collection[str] | None,
    read_content: bool,
    write: bool,
) -> Report:
    """Judge the node of this name in the inventory, and all its appliances. ``socket`` is the engine's.

    ``signers`` are the names of those who are trusted now (None: all whose keys the store has).
    With ``read_content`` every file of the store is read again; else only marks that a change leaves are looked for.
    Without ``write``, facts of versions are not kept for the next time.
    """
    every = node.engine.instances(with_state=True)
    bodies = [body for body in every if body["status"] != verify.UNREADABLE]
    here = node_facts.read(node.engine, bodies, node_facts.Here(str(node.store), node.pool, socket))
    verified = verify.verify(node, read_content=read_content, bodies=every)
    report = Report(unchecked=verified.unchecked)
    _judge_node(report, name, here, lockdown)
    ours = {str(body["name"]): (body, own) for body in bodies if (own := composition_of(body["config"]))}
    running = {
        each: live_facts.Running(pid_of(body), tuple(node.store / "layers" / layer.commit for layer in own[:2]))
        for each, (body, own) in ours.items()
    }
    live = live_facts.read(running, _what_to_ask(lockdown))
    touched = {} if read_content else find_touched(node.store, [own for _body, own in ours.values()], write=write)
    library = admission.Library(node.store, lockdown["today"], signers, write=write)
    for each, (body, own) in sorted(ours.items()):
        report.appliances.append(describe(body, own))
        court = admission.court_of(lockdown, "appliances", each)
        if court is None:
            report.unchecked.append(f"{each}: it is no appliance of the inventory, so no policy is for it")
            continue
        found = [*find_drift(verified.findings, each, own), *(f for kind in own.commits for f in touched.get(kind, ()))]
        own_live = {**live[each], "drift": [finding._asdict() for finding in found]}
        facts = gather(library, node, body, own)._replace(node=here, live=own_live)
        for manifest in (facts.manifests or {}).values():
            report.layers.setdefault(manifest["commit"], _describe_layer(manifest))
        asked = [rule for rule in catalogue.decided_at(*FOR_APPLIANCES) if rule.name not in ABOUT_THE_NODE]
        report.verdicts += [_say_how(each, read_content) for each in judging.judge(facts, asked, court)]
    report.rules = len({verdict.rule for verdict in report.verdicts})
    return report


def _say_how(verdict: Verdict, read_content: bool) -> Verdict:
    if verdict.rule != "content-intact" or verdict.status != model.PASS:
        return verdict
    return verdict._replace(reason=READ_AGAIN if read_content else LOOKED_AT)


def _judge_node(report: Report, name: str, here: Data, lockdown: Data) -> None:
    court = admission.court_of(lockdown, "nodes", name)
    if court is None:
        report.unchecked.append(f"{name}: it is no node of the inventory, so no policy is for it")
        return
    asked = [*catalogue.decided_at(model.HOST), *(catalogue.RULES[rule] for rule in ABOUT_THE_NODE)]
    report.verdicts += judging.judge(Facts("", node=here), asked, court)


def _what_to_ask(lockdown: Data) -> live_facts.Ask:
    every = [policy["rules"] for policy in lockdown["policies"].values()]
    settings = {key for rules in every for key in rules.get("effective-sysctls", {}).get("value", {})}
    return live_facts.Ask(any("loaded-firewall" in rules for rules in every), settings)


def pid_of(body: Body) -> int:
    """Return the pid of an instance's init on the node, 0 where it does not run."""
    pid = int((body.get("state") or {}).get("pid") or 0)
    return pid if body["status"] == "Running" else 0


def gather(library: admission.Library, node: verify.Node, body: Body, own: Composition) -> Facts:
    """Return what is known of an appliance from its versions and from the engine. What cannot be read is None."""
    facts = Facts(str(body["name"]), wanted=read_wanted(body), instance=body)
    try:
        manifests = library.manifests({BASE: own.base._asdict(), APP: own.app._asdict()})
    except StrataError:  # the store has lost them, which content-intact tells
        return facts
    trees = library.trees(manifests)
    config = facts_cache.config_facts(node.store, str(body["name"]), own.config, own.base.commit, trees)
    return facts._replace(manifests=manifests, trees={**trees, CONFIG: config})


def read_wanted(body: Body) -> dict[str, t.Any]:
    """Return what an instance was given of what an inventory may ask for: published ports, and sizes of volumes."""
    appliance = drift.read_appliance(body, None)
    published = [port._asdict() for port in appliance.published] if appliance else []
    return {"published": published, "volumes": drift.read_sizes(body["config"])}


def find_drift(findings: t.Iterable[Finding], name: str, own: Composition) -> list[Finding]:
    """Return the findings that concern an appliance: its own, and those about versions that it runs."""
    names = [f"{kind}/{layer.name}/{layer.version}" for kind, layer in zip(KINDS, own[:2], strict=True)]
    return [
        finding
        for finding in findings
        if finding.appliance == name
        or (not finding.appliance and finding.where.partition(":")[0] in (*names, *own.commits))
        or (finding.what == STORE and finding.where.startswith("/"))  # damage that may be anybody's
    ]


def find_touched(store: Path, compositions: t.Iterable[Composition], *, write: bool) -> dict[str, list[Finding]]:
    """Return, by commit, what of the mapped layers shows that it is not as it was signed, without reading it again."""
    layers = {
        layer.commit: f"{kind}/{layer.name}/{layer.version}"
        for own in compositions
        for kind, layer in zip(KINDS, own[:2], strict=True)
    }
    return {commit: cut(_find_touched(store, commit, name, write=write)) for commit, name in layers.items()}


def _find_touched(store: Path, commit: str, name: str, *, write: bool) -> t.Iterator[Finding]:
    folder = store / "layers" / commit
    if not folder.is_dir():
        yield Finding("", LAYER, name, f"{folder} was removed", REPLACE)
        return
    try:
        entries = layer_marks.read_entries(store, commit, write=write)
    except CommandError as error:
        yield Finding("", STORE, name, f"it cannot be read ({error.message})", REPLACE)
        return
    for path, what in layer_marks.find_faults(store / "repo", folder, entries):
        yield Finding("", LAYER, f"{name}:{path}", f"it {what}", REPLACE)


def describe(body: Body, own: Composition) -> dict[str, t.Any]:
    """Return what a report says of an appliance."""
    return {
        "name": body["name"],
        "status": body["status"],
        "base": own.base.commit,
        "app": own.app.commit,
        "config": own.config,
    }


def _describe_layer(manifest: Data) -> dict[str, t.Any]:
    wanted = ("kind", "name", "version", "vendor", "built", "os", "abi", "architecture", "packages")
    return {key: manifest[key] for key in wanted if key in manifest}
