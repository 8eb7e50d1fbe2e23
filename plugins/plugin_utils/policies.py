# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what the inventory says of lock-down, and tell the effective policy of every appliance and node."""

from __future__ import annotations

import hashlib
import itertools
import json
import typing as t
from pathlib import Path

import yaml
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import judging, settings
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Rule
from ansible_collections.strata.fleet.plugins.plugin_utils import policy_merge, policy_needs, waivers
from ansible_collections.strata.fleet.plugins.plugin_utils.policy_merge import Policy, Said
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import find_faults, suggest

PROFILES = Path(__file__).parents[2] / "roles" / "lockdown" / "files" / "profiles"
POLICIES, WAIVERS = "lockdown_policies", "lockdown_waivers"
# For everybody whom no policy is for.
DEFAULT_NAME = "default"
DEFAULT: t.Mapping[str, t.Any] = {"profile": "baseline", "mode": judging.AUDIT, "owner": "nobody yet"}

Data = dict[str, t.Any]
Body = t.Mapping[str, t.Any]
Rules = t.Mapping[str, Rule]


class Site(t.NamedTuple):
    """What policies are decided from.

    ``policies``, ``waivers``: as the inventory has them. ``groups``: the hosts of every group. ``appliances``: the
    ``appliance_*`` variables of each. ``rules``: the catalogue. ``profiles``: by name, as ``read_profiles`` gives them.
    """

    policies: Body
    waivers: t.Sequence[Body]
    groups: t.Mapping[str, t.Sequence[str]]
    appliances: t.Mapping[str, Body]
    rules: Rules
    profiles: t.Mapping[str, Body]


def read_profiles() -> dict[str, Data]:
    """Return the shipped profiles by name."""
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted(PROFILES.glob("*.yml"))}


def build_payload(site: Site, today: str) -> Data:
    """Return what modules judge by: effective policies by digest, whom they are for, and the waivers.

    ``orphans`` are waivers that are good for nothing, with the reason; ``conflicts`` are things that an appliance asks
    for in the inventory and its policy does not allow. Raises BadInput with every fault of policies and waivers.
    """
    named = read_policies(site)
    given = waivers.read_waivers(site.waivers)
    found: dict[str, Data] = {}
    groups = _groups_by_host(site.groups)
    # Many hosts, few different sets of policies for them.
    joined: dict[tuple[str, ...], Data] = {}

    def settle(host: str, more: t.Sequence[str] = ()) -> Data:
        names = tuple(policy.name for policy in named if host in policy.scope)
        policy = joined.get(names) or joined.setdefault(names, effective_policy(host, named, site))
        found[policy["digest"]] = policy
        return {"policy": policy["digest"], "names": [host, *groups.get(host, ()), *more]}

    appliances = {
        name: settle(name, [f"{kind}/{body[f'appliance_{kind}']}" for kind in ("base", "app") if _names(body, kind)])
        for name, body in site.appliances.items()
    }
    hosts = {group: {name: settle(name) for name in site.groups.get(group, ())} for group in ("nodes", "depots")}
    payload = {"today": today, "policies": found, "appliances": appliances, **hosts, "waivers": given}
    orphans = waivers.find_orphans(payload, site.rules)
    return {**payload, "orphans": orphans, "conflicts": policy_needs.find_conflicts(payload, site.appliances)}


def list_refused(payload: Data) -> list[str]:
    """Return a sentence for everything that an appliance asks for and an enforced policy does not allow."""
    return [conflict["message"] for conflict in payload["conflicts"] if conflict["refused"]]


def _names(body: Body, kind: str) -> bool:
    return isinstance(body.get(f"appliance_{kind}"), str)


def _groups_by_host(groups: t.Mapping[str, t.Sequence[str]]) -> dict[str, list[str]]:
    """Return the groups of every host, the smallest first."""
    found: dict[str, list[str]] = {}
    for group in sorted(groups, key=lambda group: (len(groups[group]), group)):
        for host in groups[group] if group != "ungrouped" else ():
            found.setdefault(host, []).append(group)
    return found


def effective_policy(host: str, named: t.Sequence[Policy], site: Site) -> Data:
    """Return the strictest of all policies that are for this host, with its digest."""
    own = [policy for policy in named if host in policy.scope]
    if not own:
        own = [_expand(DEFAULT_NAME, DEFAULT, {**site._asdict(), "groups": {"all": [host]}})]
    policy = policy_merge.join(own, site.rules)
    return {"digest": digest_of(policy), **policy}


def digest_of(policy: Body) -> str:
    """Return the SHA-256 of a policy's canonical JSON."""
    text = json.dumps(policy, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hardening_of(
    name: str, policies: Body, rules: Rules | None = None, profiles: t.Mapping[str, Body] | None = None
) -> dict[str, t.Any]:
    """Return the values of all rules of one profile or one policy of the inventory, to build a base by.

    Raises BadInput where nothing has that name, or it is not well-formed.
    """
    profiles = read_profiles() if profiles is None else profiles
    rules = read_catalogue() if rules is None else rules
    if name not in policies and name not in profiles:
        known = [*policies, *profiles]
        raise BadInput(f"{name!r} is neither a policy of {POLICIES} nor a profile{suggest(name, known)}.")
    given = policies.get(name, {"profile": name})
    body = {key: value for key, value in given.items() if key != "groups"}
    site = Site({name: body}, [], {"all": []}, {}, rules, profiles)
    (policy,) = read_policies(site)
    return {rule: said.value for rule, said in policy.rules.items()}


def read_catalogue() -> Rules:
    """Return every rule there is."""
    # Not needed by whom rules are given to, such as tests.
    from ansible_collections.strata.fleet.plugins.module_utils.lockdown import catalogue  # noqa: PLC0415

    return catalogue.RULES


def read_policies(site: Site) -> list[Policy]:
    """Return the inventory's policies, the most general first. Raises BadInput with everything that is wrong."""
    faults = find_faults({POLICIES: site.policies}, "policy")
    if not faults:
        faults = [
            f"{POLICIES}: policy {name}: {fault}"
            for name, body in site.policies.items()
            for fault in _find_own_faults(body, site)
        ]
    if not faults:
        named = [_expand(name, body, site._asdict()) for name, body in site.policies.items()]
        named = policy_merge.fill(sorted(named, key=lambda policy: (-len(policy.scope), policy.name)), site.rules)
        pairs = [*((policy, policy) for policy in named), *itertools.permutations(named, 2)]
        found = [fault for pair in pairs for fault in policy_merge.find_faults_between(*pair, site.rules)]
        faults = [f"{POLICIES}: {fault}" for fault in found]
        faults += [f"{POLICIES}: {fault}" for policy in named for fault in _find_profile_faults(policy, site)]
    if faults:
        raise BadInput("\n".join(f"{fault.removesuffix('.')}." for fault in faults))
    return named


def _find_own_faults(body: Body, site: Site) -> list[str]:
    faults = [
        f"groups: {group!r} is not a group of the inventory{suggest(group, site.groups)}"
        for group in body.get("groups", [])
        if group not in site.groups
    ]
    profile = body.get("profile")
    if profile is not None and profile not in site.profiles:
        faults.append(f"profile: {profile!r} is not a profile{suggest(profile, site.profiles)}")
    return [*faults, *find_rule_faults(body, site.rules)]


def find_rule_faults(body: Body, rules: Rules) -> list[str]:
    """Return what is wrong with the rules that a policy or a profile speaks of, each on its own."""
    faults = [
        f"{place}.{name} is not a rule{suggest(name, rules) if suggest(name, rules).startswith(' (did') else ''}; "
        "docs/lockdown.md lists the rules"
        for place in ("rules", "severities")
        for name in body.get(place, {})
        if name not in rules
    ]
    for name, value in body.get("rules", {}).items():
        fault = settings.find_fault(name, rules[name].setting, value) if name in rules else ""
        if fault:
            faults.append(f"rules.{name} {fault}")
    return faults


def _expand(name: str, body: Body, site: Body) -> Policy:
    """Return a policy with its profile: of each rule the stricter of both."""
    groups = body.get("groups", ["all"])
    below = _expand_profile(body["profile"], site) if "profile" in body else _nothing()
    above = _say(name, body, site["rules"])
    merged = policy_merge.lay(below, above, site["rules"])
    scope = frozenset(host for group in groups for host in site["groups"][group])
    return merged._replace(name=name, groups=groups, scope=scope, mode=body.get("mode", ""))


def _expand_profile(name: str, site: Body) -> Policy:
    body = site["profiles"][name]
    below = _expand_profile(body["extends"], site) if "extends" in body else _nothing()
    return policy_merge.lay(below, _say(f"profile {name}", body, site["rules"]), site["rules"])


def _nothing() -> Policy:
    return Policy("", (), frozenset(), "", "", {}, {}, {})


def _say(source: str, body: Body, rules: Rules) -> Policy:
    said = {
        rule: Said(settings.normalise(rules[rule].setting, value), (source,))
        for rule, value in body.get("rules", {}).items()
    }
    return _nothing()._replace(
        name=source,
        owner=body.get("owner", ""),
        rules=said,
        severities=dict(body.get("severities", {})),
        actions=dict(body.get("actions", {})),
    )


def _find_profile_faults(policy: Policy, site: Site) -> list[str]:
    """Return where a policy would loosen the profile that it takes."""
    body = site.policies[policy.name]
    if "profile" not in body:
        return []
    below = _expand_profile(body["profile"], site._asdict())._replace(name=f"profile {body['profile']}")
    above = _say(policy.name, body, site.rules)
    return [
        f"policy {policy.name} would loosen its own profile {body['profile']}: {loosening}. Leave that out and ask for "
        "a waiver of it, or take a profile that asks for less"
        for loosening in policy_merge.find_loosenings(above, below, site.rules)
    ]
