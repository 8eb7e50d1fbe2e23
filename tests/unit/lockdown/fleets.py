"""Fleets to make reports of, as large as a test wants them."""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import model
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Rule
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_report import Call, build_report

Data = dict[str, t.Any]

TODAY = "2026-11-22"
WHEN = "2026-11-22T20:00:00Z"
BASE = "b" * 64
APP = "a" * 64
DIGEST = "d" * 64
NASTY = '<script>document.title = "owned"</script>\x1b[31m\u202e"&\n'


def no_check(_facts: t.Any, _value: t.Any) -> t.Iterator[model.Fault]:
    return iter(())


def rule(name: str, place: str, twin: str = "", **controls: tuple[str, ...]) -> Rule:
    severity = model.SEVERITIES[len(name) % 4]
    title, remedy = f"What {name} asks for", f"Mend {name}"
    return Rule(name, place, model.SWITCH, severity, title, remedy, no_check, twin, controls)


PLACES = (model.MANIFEST, model.TREE, model.ENGINE, model.LIVE)
RULES = {
    each.name: each
    for each in (
        rule("setuid-files", model.TREE, ANSSI=("R56",)),
        rule("sysctls", model.TREE, twin="effective-sysctls"),
        rule("unprivileged", model.ENGINE),
        rule("host-sysctls", model.HOST),
        *(rule(f"rule-{number}", PLACES[number % 4]) for number in range(36)),
    )
}


def make_policy(mode: str = "enforce", **severities: str) -> Data:
    return {
        "digest": DIGEST,
        "names": ["site", "web"],
        "mode": mode,
        "owner": "IT security",
        "rules": {
            name: {"value": True, "severity": severities.get(name, "medium"), "from": "site"} for name in sorted(RULES)
        },
        "actions": {"critical": "quarantine", "high": "refuse", "medium": "report", "low": "report"},
    }


def make_lockdown(found: Data, waivers: t.Sequence[Data] = (), mode: str = "enforce") -> Data:
    names = [entry["name"] for result in found.values() for entry in result.get("appliances", [])]
    return {
        "today": TODAY,
        "policies": {DIGEST: make_policy(mode)},
        "appliances": {
            name: {"policy": DIGEST, "names": [name, "web", "base/debian-13", "app/nginx"]} for name in names
        },
        "nodes": {node: {"policy": DIGEST, "names": [node, "nodes"]} for node in found},
        "waivers": list(waivers),
    }


def make_waiver(control: str, subject: str, **more: str) -> Data:
    known = {"control": control, "subject": subject, "reason": "The vendor mends it in 13.3", "owner": "ops"}
    return {**known, "approver": "ciso", "expires": "2026-12-01", **more}


def fault(what: str, layer: str = "", found: str = "set-uid root", allowed: str = "none") -> Data:
    return {"what": what, "found": found, "allowed": allowed, "layer": layer}


def make_verdict(name: str, appliance: str, status: str = "pass", **more: t.Any) -> Data:
    owners = {"fail": ["IT"], "expired": ["IT"], "unknown": ["operators"], "waived": ["IT"]}.get(status, [])
    verdict = {
        "rule": name,
        "appliance": appliance,
        "status": status,
        "severity": "high",
        "place": RULES[name].place if name in RULES else "tree",
        "action": "refuse",
        "reason": "",
        "faults": [],
        "owners": owners,
        "digests": [BASE, APP] if status == "guaranteed" else [],
        "policy": DIGEST,
        "waivers": [],
    }
    return {**verdict, **more}


def make_result(names: t.Iterable[str], *more: Data, version: str = "13.2") -> Data:
    """Return what a node with these appliances found: all is well, but for what ``more`` says."""
    names = list(names)
    replaced = {(verdict["rule"], verdict["appliance"]): verdict for verdict in more}
    asked = [(name, appliance) for appliance in names for name in RULES if name != "host-sysctls"]
    verdicts = [
        make_verdict(name, appliance, "guaranteed" if RULES[name].place in model.BEFORE_MAPPING else "pass")
        for name, appliance in (*asked, ("host-sysctls", ""))
        if (name, appliance) not in replaced
    ]
    return {
        "verdicts": [*verdicts, *more],
        "appliances": [
            {"name": name, "base": BASE, "app": APP, "config": "c" * 64, "status": "Running"} for name in names
        ],
        "node": {},
        "unchecked": [],
        "layers": {
            BASE: {"kind": "base", "name": "debian-13", "version": version, "packages": {}},
            APP: {"kind": "app", "name": "nginx", "version": "1.2", "packages": {}},
        },
        "rules": len(RULES),
    }


def make_fleet(size: int, nodes: int = 4) -> Data:
    """Return a fleet in which one base has a fault, some appliances have their own, one is waived, a node is silent."""
    found: Data = {}
    for number in range(nodes):
        names = [f"web{index}" for index in range(number, size, nodes)]
        bad = [
            make_verdict("setuid-files", name, "fail", faults=[fault("/usr/bin/chfn", "base")], severity="critical")
            for name in names
        ]
        bad += [make_verdict("unprivileged", name, "fail", faults=[fault("security.nesting")]) for name in names[::5]]
        bad += [make_verdict("rule-3", name, "unknown", reason="it is stopped") for name in names[1::7]]
        bad += [make_verdict("rule-5", name, "not_applicable", reason="no sshd") for name in names]
        waiver = make_waiver("rule-4", "web")
        bad += [
            make_verdict("rule-4", name, "waived", faults=[fault(f"/opt/{name}", "app")], waivers=[waiver])
            for name in names[::10]
        ]
        found[f"node{number + 1}"] = make_result(names, *bad)
    found[f"node{nodes + 1}"] = {"msg": "Data could not be sent to remote host", "unreachable": True}
    return found


def report_of(found: Data, lockdown: Data | None = None, before: Data | None = None, fail_on: str = "") -> Data:
    lockdown = lockdown or make_lockdown(found)
    return build_report(found, lockdown, RULES, Call(WHEN, list(lockdown["nodes"]), fail_on), before)
