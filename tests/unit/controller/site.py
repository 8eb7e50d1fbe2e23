"""A site for the cases of rollout and gate: three nodes' answers as modules give them, from a few words of YAML.

Every appliance runs base debian-13 13.1 and app nginx 1.1 unless the case says otherwise, and its channel names base
13.2; ``target`` changes where an appliance is to go, ``found`` what its node says of it, ``wants`` what the inventory
does. A commit is written as the version it has.
"""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils.rollout import Site

Data = dict[str, t.Any]
Body = t.Mapping[str, t.Any]

CHANGES = {
    "packages": [
        {"name": "libssl3t64", "from": "3.5.4-1", "to": "3.5.4-1+deb13u1", "cves": ["CVE-2026-1001"]},
        {"name": "openssl", "from": "3.5.4-1", "to": "3.5.4-1+deb13u1", "cves": ["CVE-2026-1001"]},
        {"name": "zlib1g", "from": "1.3.1-1", "to": "1.3.1-2", "cves": []},
    ],
    "cves": ["CVE-2026-1001"],
    "advisories": ["DSA-6001-1"],
    "complete": True,
}
FETCH = [
    {"kind": "base", "name": "debian-13", "version": "13.2", "commit": "13.2", "bytes": 1363149, "size": 257 * 2**20},
    {"kind": "app", "name": "nginx", "version": "1.2", "commit": "1.2", "bytes": None, "size": 3 * 2**20},
]


def layer(name: str, version: str) -> Data:
    return {"name": name, "version": version, "commit": version}


def layers(base: str, app: str) -> Data:
    return {"base": layer("debian-13", base), "app": layer("nginx", app)}


def swap(base: str, interruption: float | None, outcome: str = "patched") -> Data:
    """An outcome as the module patch returns it."""
    return {
        "appliance": "",
        "purpose": "patch",
        "outcome": outcome,
        "from": {**layers("13.1", "1.1"), "config": "c"},
        "to": {**layers(base, "1.1"), "config": "c"},
        "started": "2026-11-22T10:00:00Z",
        "ended": "2026-11-22T10:00:33Z",
        "interruption": interruption,
        "reason": "" if outcome == "patched" else "nginx.service failed: address already in use",
        "state": "kept",
        "snapshot": "patch-20261122",
    }


def info(name: str, given: Body) -> Data:
    """What appliance_info says of an appliance."""
    return {
        "name": name,
        "state": "running",
        "address": "10.87.0.11",
        **layers("13.1", "1.1"),
        "config": "c",
        "memory": 17 * 2**20,
        "boot_seconds": 0.8,
        "pending": False,
        "health": "healthy",
        "fault": "",
        "look": f"incus exec --project strata {name} -- sh",
        "previous": None,
        "swap": None,
        "bad": [],
        "last_swap": None,
        **given,
    }


def want(name: str, given: Body) -> Data:
    """What the module fleet says of an appliance; the keys that a plan does not read are left out."""
    wish = {"version": "", "channel": "stable"}
    return {
        "name": name,
        "state": "running",
        "base": {"name": "debian-13", **wish},
        "app": {"name": "nginx", **wish},
        **given,
    }


def read_found(case: Body) -> Data:
    """What appliance_info returned, by node."""
    said = case.get("found", {})
    answers = {
        node: {"appliances": [info(name, said.get(name) or {}) for name in names if said.get(name, {}) is not None]}
        for node, names in case["fleet"].items()
    }
    answers |= case.get("nodes", {})
    return {node: answer for node, answer in answers.items() if answer is not None}


def read_site(case: Body) -> Site:
    """Everything that a plan is made from."""
    found = read_found(case)
    staged = {node: _stage(case, names) for node, names in case["fleet"].items() if node in found}
    fleet = {
        node: [want(name, case.get("wants", {}).get(name, {})) for name in names]
        for node, names in case["fleet"].items()
    }
    groups: dict[str, list[str]] = {}
    for group, names in case.get("groups", {}).items():
        for name in names:
            groups.setdefault(name, []).append(group)
    staged |= case.get("staged", {})
    return Site(fleet, groups, found, staged, case.get("names", []), case.get("misfits", {}))


def _stage(case: Body, names: t.Sequence[str]) -> Data:
    targets = case.get("target", {})
    blocked = {name: case["blocked"][name] for name in names if name in case.get("blocked", {})}
    decided = {name: layers(**{"base": "13.2", "app": "1.1", **targets.get(name, {})}) for name in names}
    return {
        "layers": decided,
        "manifests": {"1.1": {"vendor": "Example"}, "1.2": {"vendor": "Example"}},
        "blocked": blocked,
        "fetch": FETCH,
        "changes": {"13.1..13.2": CHANGES},
    }
