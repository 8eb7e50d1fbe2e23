# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do what the node that an appliance goes to does in a migration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migrate_target
short_description: Take an appliance over from another node
version_added: 0.1.0
description:
  - Does one phase of a migration on the node that an appliance goes to. M(strata.fleet.migrate_source) does the other
    node's, the role P(strata.fleet.migrate#role) has both take turns.
  - The instance has no layers, and cannot be started by anybody, before O(phase=take_over) has fetched the last
    difference and has seen that all of it arrived.
  - Every phase can be run again after one that was cut off.
options:
  phase:
    description:
      - V(prepare) makes the instance, after everything that could keep the appliance from coming was looked at.
      - V(fetch) fetches state while the appliance runs on the other node.
      - V(take_over) fetches the last difference, makes the instance the one that can start, and starts it.
      - V(commit) makes it an appliance of this node, and tells digests of the state that arrived.
      - V(tidy) lets go of the snapshots that the migration made.
      - V(give_up) makes it unable to start again, where it is not healthy here.
      - V(clean) removes what V(prepare) made. What the appliance wrote here is kept under another name.
    type: str
    choices: [prepare, fetch, take_over, commit, tidy, give_up, clean]
    required: true
  name:
    description: The appliance.
    type: str
    required: true
  origin:
    description: The node that it comes from.
    type: str
    required: true
  appliances:
    description: With V(prepare), the appliance as M(strata.fleet.fleet) describes it for this node.
    type: list
    elements: dict
    default: []
  secrets:
    description: What its config files that hold secrets really hold. Filled in on the controller.
    type: dict
    default: {}
  layers:
    description: With V(prepare), its base and app, as M(strata.fleet.store) returns them.
    type: dict
    default: {}
  manifests:
    description: With V(prepare), their manifests.
    type: dict
    default: {}
  runs:
    description: Whether the inventory wants the appliance to run.
    type: bool
    default: true
  volumes:
    description: With V(prepare) and V(commit), the engine's names of its state volumes.
    type: list
    elements: str
    default: []
  memory:
    description:
      - What the other node knows - with V(prepare) C(hardware) and C(previous), with V(commit) C(bad), C(history) and
        C(backups), as M(strata.fleet.migration_info) returns them.
    type: dict
    default: {}
  offer:
    description: With V(fetch) and V(take_over), what M(strata.fleet.migrate_source) returned as C(offer).
    type: dict
    default: {}
  offer_secrets:
    description: What it returned as C(secrets).
    type: dict
    default: {}
  check:
    description: With V(take_over), how it is seen to be healthy, as V(prepare) returned it.
    type: dict
    default: {}
  reason:
    description: With V(give_up), why.
    type: str
    default: ""
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.attributes
seealso:
  - module: strata.fleet.migrate_source
  - module: strata.fleet.migration
"""

EXAMPLES = r"""
- name: Have everything ready for web1 to come
  strata.fleet.migrate_target:
    phase: prepare
    name: web1
    origin: node1
    appliances: "{{ [move.item] }}"
    layers: "{{ staged.layers }}"
    manifests: "{{ staged.manifests }}"
    volumes: [web1.var]
    memory: {hardware: {}, previous: ""}
"""

RETURN = r"""
check:
  description: How the appliance is seen to be healthy.
  returned: with V(prepare)
  type: dict
seconds:
  description: How long it took to fetch each volume.
  returned: with V(fetch) and V(take_over)
  type: dict
verified:
  description: Whether each volume was seen to be as it was sent. False where the pool's driver does not show its files.
  returned: with V(take_over)
  type: dict
outcome:
  description: V(healthy), or V(unhealthy) once the appliance was taken over and does not serve, or V(stopped).
  returned: with V(take_over)
  type: str
reason:
  description: Why it is not healthy.
  returned: with V(take_over)
  type: str
ended:
  description: When the phase ended, ISO 8601 in UTC.
  returned: success
  type: str
digests:
  description: Digests of the content that arrived, by volume. Empty where the pool's driver does not show it.
  returned: with V(commit)
  type: dict
steps:
  description: What was done, or would be in check mode, a sentence each.
  returned: success
  type: list
  elements: str
steps_done:
  description: The steps that were carried out before something failed.
  returned: failure
  type: list
  elements: str
failed_at:
  description: The action that failed. Only from V(mark_instance) on the instance may be one that can start.
  returned: failure
  type: str
"""

import functools
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import (
    apply,
    clock,
    config_layer,
    have,
    migrate,
    migrate_have,
    migrate_plan,
    model,
    options,
    plan,
    runner,
    steps,
    want,
)
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import networks
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.store import locked

PHASES = ["prepare", "fetch", "take_over", "commit", "tidy", "give_up", "clean"]
SPEC = {
    **options.NODE_OPTIONS,
    "phase": {"type": "str", "choices": PHASES, "required": True},
    "name": {"type": "str", "required": True},
    "origin": {"type": "str", "required": True},
    "appliances": {"type": "list", "elements": "dict", "default": []},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "layers": {"type": "dict", "default": {}},
    "manifests": {"type": "dict", "default": {}},
    "runs": {"type": "bool", "default": True},
    "volumes": {"type": "list", "elements": "str", "default": []},
    "memory": {"type": "dict", "default": {}},
    "offer": {"type": "dict", "default": {}},
    "offer_secrets": {"type": "dict", "default": {}, "no_log": True},
    "check": {"type": "dict", "default": {}},
    "reason": {"type": "str", "default": ""},
}

# What is looked at once more alone, also where it seems that nothing is to do: another run may be about to change that.
DECIDE = ("take_over", "commit", "give_up")

Params = dict[str, t.Any]


def work(params: Params, check_mode: bool) -> runner.Result:
    """Have, plan, apply, report."""
    store = Path(params["store_path"])
    node = apply.Node(options.engine_of(params), store, params["pool"], config_layer.read_key(store))
    planned = plan_now(params, node)
    lists = plan_ports(params, node)
    facts: dict[str, t.Any] = {}
    if params["phase"] == "prepare":
        facts["check"] = steps.wait(build_item(params, node)).args
    if not check_mode and (planned or lists.steps or params["phase"] in DECIDE):
        with locked(str(store), migrate.PATIENCE):
            # Again: another run may have ended in between.
            planned = plan_now(params, node)
            networks.apply(node.engine, lists)
            facts |= migrate.carry_out(node, planned, [])
            facts |= go_on(params, node)
    sentences = [step.sentence for step in (*lists.steps, *planned)]
    facts["ended"] = clock.now()
    return runner.Result(bool(planned or lists.steps), sentences, {}, {"steps": sentences}, facts)


def plan_now(params: Params, node: apply.Node) -> list[model.Step]:
    """Return the steps of the phase, from what there is now."""
    side = read_side(params, node)
    phase = params["phase"]
    if phase == "prepare":
        place = model.Place(str(node.store), node.pool, node.key)
        arrival = {**params["memory"], "volumes": params["volumes"], "when": clock.now()}
        return migrate_plan.plan_prepare(side, build_item(params, node), place, arrival)
    if phase in ("fetch", "take_over"):
        offer = read_offer(params)
        is_last = phase == "take_over"
        return migrate_plan.plan_take_over(side, offer) if is_last else migrate_plan.plan_fetch(side, offer, last=False)
    return {
        "commit": lambda: migrate_plan.plan_commit(side, params["memory"]),
        "tidy": lambda: migrate_plan.plan_tidy(side),
        "give_up": lambda: migrate_plan.plan_give_up(side, params["reason"]),
        "clean": lambda: migrate_plan.plan_clean(side, clock.compact()),
    }[phase]()


def go_on(params: Params, node: apply.Node) -> dict[str, t.Any]:
    """Do what follows once the first part has been done: start what was taken over, look at what arrived."""
    if params["phase"] == "commit":
        digest = model.Step(params["name"], "digest_volumes", "read what arrived", {"volumes": params["volumes"]})
        return migrate.carry_out(node, [digest], [])
    if params["phase"] != "take_over":
        return {}
    start = migrate_plan.plan_start(read_side(params, node), params["check"])
    try:
        migrate.carry_out(node, start, [])
    except StrataError as error:
        # It was taken over, so this run has to decide what becomes of it: that is no failure of the module.
        return {"outcome": "unhealthy", "reason": error.message}
    return {"outcome": "healthy" if start else "stopped", "reason": ""}


def read_side(params: Params, node: apply.Node) -> migrate_plan.Side:
    """Return what is on this node of the appliance."""
    return migrate_have.read_side(node, params["name"], params["origin"], runs=params["runs"])


def read_offer(params: Params) -> dict[str, dict[str, t.Any]]:
    """Return what fetches each volume, with where and from whom."""
    offer, secrets = params["offer"], params["offer_secrets"]
    common = {key: offer.get(key) for key in ("address", "certificate")}
    return {
        name: {**common, **each, "secrets": secrets.get(name, {})} for name, each in offer.get("volumes", {}).items()
    }


def build_item(params: Params, node: apply.Node) -> model.Appliance:
    """Return the appliance as it is to be here."""
    place = model.Place(str(node.store), node.pool, node.key)
    built = want.build(want.with_secrets(params["appliances"], params["secrets"]), params["manifests"], place, [])
    if len(built) != 1 or not isinstance(built[0], model.Appliance):
        raise BadInput("Phase prepare needs the appliance, one, as the module strata.fleet.fleet describes it")
    return built[0]


def plan_ports(params: Params, node: apply.Node) -> model.Plan:
    """Return what has this node's networks let through what the app declares, before it comes."""
    if params["phase"] != "prepare":
        return model.Plan((), {}, {})
    present = model.Have(have.read_instances(node.engine, node.store), {})
    read_manifest = functools.cache(Repo(f"{node.store}/repo").manifest)
    found = networks.with_networks(present, node.engine, read_manifest, params["manifests"])
    return plan.plan_node([build_item(params, node)], found)


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
