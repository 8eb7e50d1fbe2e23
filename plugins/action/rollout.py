# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: plans a rollout, prints the plan, and writes it as JSON."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, StrataError
from ansible_collections.strata.fleet.plugins.plugin_utils import files, gate, verdicts, windows
from ansible_collections.strata.fleet.plugins.plugin_utils.avoid import find_avoided
from ansible_collections.strata.fleet.plugins.plugin_utils.config import render_files
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import Inventory, failures, plain
from ansible_collections.strata.fleet.plugins.plugin_utils.patch_report import draw_plan, say_totals
from ansible_collections.strata.fleet.plugins.plugin_utils.rollout import Site, check_rollout, plan_rollout
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import suggest

SPEC = {
    "fleet": {"type": "dict", "required": True},
    "found": {"type": "dict", "default": {}},
    "staged": {"type": "dict"},
    "rollout": {"type": "dict", "default": {}},
    "only": {"type": "list", "elements": "str", "default": []},
    "retry": {"type": "bool", "default": False},
    "path": {"type": "path", "default": ""},
}

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.rollout."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Print the plan, write the file, and return the plan."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        arguments = plain(arguments)
        inventory = Inventory(self._loader, task_vars or {})
        with failures("jmespath"):
            check_rollout(arguments["rollout"], inventory.groups())
            check_names(arguments["only"], inventory.members("appliances"))
            if arguments["staged"] is None:
                avoid = [] if arguments["retry"] else find_avoided(arguments["fleet"], arguments["found"])
                return {"changed": False, "avoid": avoid, "msg": "The description of the rollout can be used."}
            plan = plan_rollout(read_site(arguments, inventory), arguments["rollout"])
        now = dt.datetime.now(dt.UTC)
        plan |= {"id": name_rollout(plan, now), "made": f"{now:%Y-%m-%dT%H:%M:%SZ}", "window": say_window(plan, now)}
        self._display.display(draw_plan(plan))
        if plan["window"]:
            self._display.display(plan["window"])
        if arguments["path"]:
            with failures():
                files.write_json(Path(arguments["path"]), plan)
        return {
            "changed": False,
            "plan": plan,
            "diff": diff_of(plan),
            "msg": say_totals(plan),
            **decide(plan, arguments["fleet"]),
        }


def check_names(only: t.Iterable[str], names: t.Collection[str]) -> None:
    """Raise BadInput where a name is nobody's."""
    unknown = [name for name in only if name not in names]
    if unknown:
        raise BadInput(f"{unknown[0]!r} is not a host of the group appliances{suggest(unknown[0], names)}")


def read_site(arguments: Data, inventory: Inventory) -> Site:
    """Return what the plan is made from, with those whose config does not fit what they are to run."""
    groups: dict[str, list[str]] = {}
    for group, names in inventory.groups().items():
        for name in names:
            groups.setdefault(name, []).append(group)
    misfits: dict[str, str] = {}
    for node, staged in arguments["staged"].items():
        for want in arguments["fleet"].get(node, []):
            target = staged.get("layers", {}).get(want["name"])
            try:
                if target:
                    manifest = staged["manifests"][target["app"]["commit"]]
                    render_files(want, manifest, inventory.read_config(want["name"]))
            except StrataError as error:
                misfits[want["name"]] = error.message
    names = arguments["only"]
    return Site(arguments["fleet"], groups, arguments["found"], arguments["staged"], names, misfits)


def name_rollout(plan: Data, now: dt.datetime) -> str:
    """Return the rollout's name: when it was planned, and a digest of what moves where."""
    moves = sorted((entry["name"], entry["to"]) for entry in plan["appliances"] if entry["to"])
    digest = hashlib.sha256(json.dumps(moves, sort_keys=True).encode()).hexdigest()
    return f"{now:%Y%m%dT%H%M%SZ}-{digest[:6]}"


def say_window(plan: Data, now: dt.datetime) -> str:
    """Return that no window is open and when the next one begins, '' where one is."""
    allowed = plan["rollout"].get("windows", [])
    if windows.is_open(allowed, now):
        return ""
    return f"No maintenance window is open; the next one begins {gate.say_time(windows.next_opening(allowed, now))}."


def decide(plan: Data, fleet: t.Mapping[str, t.Sequence[Data]]) -> Data:
    """Return what the role goes by: by node, what is to be staged; and why nothing may begin."""
    targets: dict[str, Data] = {}
    for entry in plan["appliances"]:
        if entry["verdict"] in verdicts.CHANGING:
            targets.setdefault(entry["node"], {})[entry["name"]] = entry["to"]
    wants = {node: [want for want in fleet[node] if want["name"] in own] for node, own in targets.items()}
    refused = [f"{node} cannot tell what is to be done: {reason}" for node, reason in plan["problems"].items()]
    is_urgent = any(batch["kind"] == "resume" for batch in plan["batches"])
    return {
        "targets": targets,
        "requests": {node: [pin(want, targets[node][want["name"]]) for want in own] for node, own in wants.items()},
        "refused": "\n".join(refused),
        "waits": (plan["window"] or plan["no_canaries"]) if plan["batches"] and not is_urgent else "",
    }


def pin(want: Data, target: Data) -> Data:
    """Return an appliance that asks for the versions of the plan: a channel may move before they are fetched."""
    return {**want, **{kind: {**want[kind], "version": target[kind]["version"]} for kind in verdicts.KINDS}}


def diff_of(plan: Data) -> Data:
    """Return what --diff shows: the layers of everybody that moves."""
    moving = [entry for entry in plan["appliances"] if entry["to"]]
    before, after = (
        {entry["name"]: {kind: _say(entry[end][kind]) for kind in verdicts.KINDS} for entry in moving}
        for end in ("from", "to")
    )
    return {"before": before, "after": after}


def _say(layer: Data) -> str:
    return f"{layer['name']} {layer['version']} ({layer['commit'][:12]})"
