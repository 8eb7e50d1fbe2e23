# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a rollout: which appliances move, from what to what and why, in which batches, and what nodes fetch. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size
from ansible_collections.strata.fleet.plugins.plugin_utils import batches, gate, schema, verdicts, windows
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import Case, Verdict

try:
    import jmespath
    import jmespath.exceptions
except ImportError:  # said by inventory.failures
    jmespath = None  # type: ignore[assignment]

SITE = "the site"  # whom a block is listed under that no vendor can lift

Data = dict[str, t.Any]
Body = t.Mapping[str, t.Any]


class Site(t.NamedTuple):
    """What a plan is made from.

    ``fleet``: by node, its appliances as the module fleet returns them, all of them. ``groups``: by appliance.
    ``found``, ``staged``: by node of this run, what appliance_info and store returned, or why they did not.
    ``names``: work on these appliances only; empty means all. ``misfits``: whose config cannot be rendered, and why.
    """

    fleet: t.Mapping[str, t.Sequence[Body]]
    groups: t.Mapping[str, t.Sequence[str]]
    found: t.Mapping[str, Body]
    staged: t.Mapping[str, Body]
    names: t.Collection[str] = ()
    misfits: t.Mapping[str, str] = {}


def check_rollout(rollout: Body, known_groups: t.Iterable[str]) -> None:
    """Raise BadInput with everything that is wrong with the description of a rollout."""
    faults = schema.find_faults(dict(rollout), "rollout")
    if not faults:
        named = {
            "select.groups": rollout.get("select", {}).get("groups", []),
            "canaries.groups": rollout.get("canaries", {}).get("groups", []),
            "services.group": [service["group"] for service in rollout.get("services", [])],
        }
        known = set(known_groups)
        faults = [
            f"{place}: {group!r} is not a group of the inventory{schema.suggest(group, known)}"
            for place, groups in named.items()
            for group in groups
            if group not in known
        ]
        faults += [*windows.find_faults(rollout.get("windows", [])), *_find_query_faults(rollout)]
        if rollout.get("canaries") and not {"groups", "count"} & set(rollout["canaries"]):
            faults.append("canaries: name groups, a count, or both")
    if faults:
        raise BadInput("\n".join(f"patch_rollout: {fault}." for fault in faults))


def _find_query_faults(rollout: Body) -> list[str]:
    try:
        jmespath.compile(rollout.get("select", {}).get("query", "@"))
    except jmespath.exceptions.JMESPathError as error:
        return [f"select.query is not JMESPath: {' '.join(str(error).split()).rstrip(' ^')}"]
    return []


def plan_rollout(site: Site, rollout: Body) -> Data:
    """Return the plan as data, fit for JSON: see the module rollout for its keys.

    Raises BadInput where the query of the selection cannot be used.
    """
    entries, changes = _describe_all(site, rollout)
    services = _find_services(site, rollout)
    split = _split(site, rollout, entries, services)
    numbers = {name: batch.number for batch in split.batches for name in batch.appliances}
    down = {entry["name"]: entry["down"] for entry in entries if entry["down"]}
    for entry in entries:
        entry["batch"] = numbers.get(entry["name"])
        if entry["name"] in split.unfit:
            reason = say_full(entry["name"], services, down)
            entry.update(Verdict(verdicts.BLOCKED, "service", reason)._asdict(), to=None, moves={})
    chosen = [entry for entry in entries if entry["verdict"] in verdicts.CHANGING]
    return {
        "format": 1,
        "appliances": entries,
        "batches": [{**batch._asdict(), "appliances": list(batch.appliances)} for batch in split.batches],
        "blocked": _group_blocked(entries),
        "nodes": {node: _sum_fetch(site, node, chosen) for node in site.found},
        "changes": {key: changes[key] for entry in chosen for key in entry["moves"].values() if key in changes},
        "services": [{**service._asdict(), "members": sorted(service.members)} for service in services],
        "unreachable": {
            node: verdicts.reason_of(found) for node, found in site.found.items() if found.get("unreachable")
        },
        "problems": _find_problems(site),
        "warnings": _find_warnings(site),
        "no_canaries": _find_hindered_canaries(site, rollout, entries, split),
        "rollout": dict(rollout),
    }


def _describe_all(site: Site, rollout: Body) -> tuple[list[Data], Data]:
    cases = [
        Case(want, node, site.found.get(node), site.staged.get(node, {}), True, site.misfits.get(want["name"], ""))
        for node, wants in site.fleet.items()
        for want in wants
        if want["state"] != "absent"
    ]
    selected = select(cases, site, rollout)
    cases = [case._replace(is_selected=case.want["name"] in selected) for case in cases]
    usual = verdicts.usual_interruption(case.info for case in cases if case.info)
    changes = {key: each for staged in site.staged.values() for key, each in staged.get("changes", {}).items()}
    return [verdicts.describe(case, verdicts.judge(case), usual) for case in cases], changes


def select(cases: t.Sequence[Case], site: Site, rollout: Body) -> set[str]:
    """Return the names of the appliances that the rollout is for."""
    wanted = rollout.get("select", {})
    chosen = {case.want["name"] for case in cases}
    if site.names:
        chosen &= set(site.names)
    if "groups" in wanted:
        chosen = {name for name in chosen if set(wanted["groups"]) & set(site.groups.get(name, ()))}
    if "query" in wanted:
        chosen &= _query(wanted["query"], [_facts(case, site) for case in cases if case.info])
    return chosen


def _facts(case: Case, site: Site) -> Data:
    name = case.want["name"]
    more = {"node": case.node, "groups": list(site.groups.get(name, ())), "wanted": case.want["state"]}
    return {**(case.info or {}), **more, "target": verdicts.layers_of(case.target)}


def _query(query: str, facts: t.Sequence[Body]) -> set[str]:
    try:
        answer = jmespath.search(query, facts)
    except jmespath.exceptions.JMESPathError as error:
        raise BadInput(f"patch_rollout: select.query fails on the facts: {' '.join(str(error).split())}") from error
    items = answer if isinstance(answer, list) else [answer]
    names = [str(item.get("name") if isinstance(item, dict) else item) for item in items if item is not None]
    known = {fact["name"] for fact in facts}
    strange = [name for name in names if name not in known]
    if strange:
        raise BadInput(
            f"patch_rollout: select.query gives {strange[0]!r}, which is no appliance: it must give facts or names, "
            "as in [?app.name=='nginx']"
        )
    return set(names)


def _find_services(site: Site, rollout: Body) -> list[batches.Service]:
    running = [want["name"] for wants in site.fleet.values() for want in wants if want["state"] == "running"]
    services = []
    for described in rollout.get("services", []):
        members = frozenset(name for name in running if described["group"] in site.groups.get(name, ()))
        limit = batches.amount(described["max_unavailable"], len(members))
        services.append(batches.Service(described["group"], members, limit))
    return services


def _split(
    site: Site, rollout: Body, entries: t.Sequence[Body], services: t.Sequence[batches.Service]
) -> batches.Split:
    by_node: dict[str, dict[str, list[str]]] = {verdicts.RESUME: {}, verdicts.PATCH: {}}
    for entry in entries:
        if entry["verdict"] in by_node:
            by_node[entry["verdict"]].setdefault(entry["node"], []).append(entry["name"])
    resumed, patched = (batches.spread(by_node[verdict]) for verdict in (verdicts.RESUME, verdicts.PATCH))
    down = {entry["name"] for entry in entries if entry["down"]}
    stopped = {entry["name"] for entry in entries if entry["wanted"] != "running"}
    # Who has room at once goes before those that have to wait for it.
    able = [name for name in patched if name not in stopped]
    able.sort(key=lambda name: any(batches.is_full(each, name, (), down - set(resumed)) for each in services))
    canaries = _choose_canaries(able, site, rollout.get("canaries", {}))
    rest = [name for name in patched if name not in canaries]
    phases = [
        batches.Phase("resume", resumed, ["100%"]),
        batches.Phase("canary", canaries, ["100%"]),
        batches.Phase("batch", rest, rollout.get("batches", ["100%"])),
    ]
    return batches.split(phases, services, down)


def _choose_canaries(names: t.Sequence[str], site: Site, wanted: Body) -> list[str]:
    groups = set(wanted.get("groups", []))
    chosen = [name for name in names if not groups or groups & set(site.groups.get(name, ()))] if wanted else []
    return chosen[: wanted.get("count", len(chosen))]


def _find_hindered_canaries(site: Site, rollout: Body, entries: t.Iterable[Body], split: batches.Split) -> str:
    """Return that canaries were asked for, and why none can go though others would; '' where that is not so.

    Those that are current, blocked for good or not selected hinder nobody: there is nothing that they could show.
    """
    groups = set(rollout.get("canaries", {}).get("groups", []))
    members = [entry for entry in entries if groups & set(site.groups.get(entry["name"], ()))]
    names = {entry["name"] for entry in members}
    has_gone = any(batch.kind == "canary" for batch in split.batches) or any(entry["earlier"] for entry in members)
    others = {name for batch in split.batches if batch.kind == "batch" for name in batch.appliances} - names
    hindered = {entry["name"]: reason for entry in members if (reason := _find_hindrance(entry))}
    return gate.say_no_canaries(hindered) if others and hindered and not has_gone else ""


def _find_hindrance(entry: Body) -> str:
    """Return why a canary does not go first, '' where it has nothing to show."""
    if entry["verdict"] == verdicts.PATCH:
        return "its service has no room yet" if entry["wanted"] == "running" else "it is to be stopped"
    is_hindered = entry["verdict"] in (verdicts.UNKNOWN, verdicts.NOT_DEPLOYED) or entry["cause"] == "service"
    return str(entry["reason"] if entry["verdict"] != verdicts.NOT_DEPLOYED else "not deployed") if is_hindered else ""


def say_full(name: str, services: t.Iterable[batches.Service], down: t.Mapping[str, str]) -> str:
    """Return why there is no room for an appliance to be interrupted, in the services that it is a member of."""
    full = [service for service in services if batches.is_full(service, name, (), down)]
    return "; ".join(
        f"at most {service.limit} of the {len(service.members)} of {service.group} may be down, and "
        f"{', '.join(f'{each} is ({down[each]})' for each in sorted(service.members & set(down)))}: mend that first"
        for service in full
    )


def _group_blocked(entries: t.Iterable[Body]) -> dict[str, list[str]]:
    blocked: dict[str, list[str]] = {}
    for entry in entries:
        if entry["verdict"] == verdicts.BLOCKED:
            blocked.setdefault(entry["vendor"] or SITE, []).append(entry["name"])
    return blocked


def _sum_fetch(site: Site, node: str, chosen: t.Iterable[Body]) -> Data:
    """Return what a node fetches: ``bytes`` are exact; ``at_most`` is what the depot has no delta for, in full."""
    commits = {layer["commit"] for entry in chosen if entry["node"] == node for layer in entry["to"].values()}
    fetched = [item for item in site.staged.get(node, {}).get("fetch", []) if item["commit"] in commits]
    exact = sum(item["bytes"] for item in fetched if item["bytes"] is not None)
    rest = sum(item["size"] for item in fetched if item["bytes"] is None)
    return {"fetch": fetched, "bytes": exact, "at_most": rest, "said": say_fetch(exact, rest) if fetched else "nothing"}


def say_fetch(exact: int, rest: int) -> str:
    """Return how many bytes come over the wire, in words."""
    parts = [f"{format_size(exact)} ({exact} bytes)"] if exact or not rest else []
    return " and ".join([*parts, *([f"at most {format_size(rest)} (no delta is known)"] if rest else [])])


def _find_warnings(site: Site) -> list[str]:
    """Return what the plan does not know, in sentences."""
    away = [node for node, found in site.found.items() if "appliances" not in found]
    return [f"What failed on {node} is not known, as it does not answer: it may be tried again." for node in away]


def _find_problems(site: Site) -> dict[str, str]:
    """Return the nodes that answered, but cannot tell what is to be done."""
    problems = {}
    for node, found in site.found.items():
        staged = site.staged.get(node, {})
        if found.get("unreachable"):
            continue
        if "appliances" not in found:
            problems[node] = verdicts.reason_of(found)
        elif "layers" not in staged and not staged.get("skipped"):
            problems[node] = (
                "it cannot be reached any more" if staged.get("unreachable") else verdicts.reason_of(staged)
            )
    return problems
