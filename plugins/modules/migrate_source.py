# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do what the node that an appliance leaves does in a migration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migrate_source
short_description: Hand an appliance over to another node
version_added: 0.1.0
description:
  - Does one phase of a migration on the node that an appliance leaves. M(strata.fleet.migrate_target) does the other
    node's, the role P(strata.fleet.migrate#role) has both take turns.
  - From O(phase=hand_over) on, the instance lacks its layers and cannot be started by anybody, until it is given back.
  - Every phase can be run again after one that was cut off.
options:
  phase:
    description:
      - V(round) keeps a snapshot of the state while the appliance runs, and offers it.
      - V(hand_over) stops the appliance, makes its instance unable to start, and offers the last difference.
      - V(give_back) has it run here again, where the other node did not take it over, or gave it up.
      - V(finish) removes it here, once its state is seen to be the same as what arrived there.
      - V(close) has the engine listen no more, where it does so for a migration only.
    type: str
    choices: [round, hand_over, give_back, finish, close]
    required: true
  name:
    description: The appliance. Needed for every phase but V(close).
    type: str
    default: ""
  to:
    description: The node that it goes to.
    type: str
    default: ""
  number:
    description: The number of the round. V(0) makes no snapshot.
    type: int
    default: 0
  listen:
    description: Where the engine listens while the state is fetched, as C(address:port). Not changed where it listens.
    type: str
    default: ""
  runs:
    description: Whether the inventory wants the appliance to run.
    type: bool
    default: true
  health:
    description: A health check in place of the app's own, for V(give_back).
    type: dict
    default: {}
  health_timeout:
    description: Seconds to wait for health, for V(give_back).
    type: int
    default: 60
  expect:
    description:
      - With V(hand_over), the commits of C(base) and C(app) for which the other node was made ready. An appliance that
        runs others by now is not handed over.
    type: dict
    default: {}
  restart:
    description: With V(give_back), that it was told to stop and had not in time, so that it may yet go down.
    type: bool
    default: false
  keep:
    description: With V(finish), keep the instance and its state here, unable to start.
    type: bool
    default: false
  digests:
    description: With V(finish), the digests of the state that arrived, as M(strata.fleet.migrate_target) returns them.
    type: dict
    default: {}
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.attributes
seealso:
  - module: strata.fleet.migrate_target
  - module: strata.fleet.migration
"""

EXAMPLES = r"""
- name: Offer the state of web1 while it runs
  strata.fleet.migrate_source:
    phase: round
    name: web1
    to: node2
    number: 1
    listen: 192.0.2.11:8443
  register: offered
  no_log: true

- name: Have the engine listen no more
  strata.fleet.migrate_source:
    phase: close
"""

RETURN = r"""
offer:
  description:
    - Where the engine listens (C(address)), the C(certificate) that the other node insists on, and by the engine's
      names the C(volumes), each with the C(operation) that gives it, its C(config), and with V(hand_over) C(listing),
      how many files there are, their bytes, and a digest of names, sizes, times, modes and owners.
  returned: with V(round) and V(hand_over)
  type: dict
secrets:
  description: What each volume is given for, once. Whoever has it can fetch the volume, so run the task with C(no_log).
  returned: with V(round) and V(hand_over)
  type: dict
began:
  description: When the phase began, ISO 8601 in UTC.
  returned: success
  type: str
steps:
  description: What was done, or would be in check mode, a sentence each.
  returned: success
  type: list
  elements: str
failed_at:
  description: The action that failed. With C(stop), the appliance may yet go down.
  returned: failure
  type: str
steps_done:
  description: The steps that were carried out before something failed.
  returned: failure
  type: list
  elements: str
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import (
    apply,
    clock,
    config_layer,
    migrate,
    migrate_have,
    migrate_plan,
    options,
    runner,
)
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.instance import composition_of
from ansible_collections.strata.fleet.plugins.module_utils.model import Step
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.store import locked

OFFERS = ("round", "hand_over")
SPEC = {
    **options.NODE_OPTIONS,
    "phase": {"type": "str", "choices": ["round", "hand_over", "give_back", "finish", "close"], "required": True},
    "name": {"type": "str", "default": ""},
    "to": {"type": "str", "default": ""},
    "number": {"type": "int", "default": 0},
    "listen": {"type": "str", "default": ""},
    "runs": {"type": "bool", "default": True},
    "health": {"type": "dict", "default": {}},
    "health_timeout": {"type": "int", "default": 60},
    "expect": {"type": "dict", "default": {}},
    "restart": {"type": "bool", "default": False},
    "keep": {"type": "bool", "default": False},
    "digests": {"type": "dict", "default": {}},
}


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Have, plan, apply, report."""
    store = Path(params["store_path"])
    node = apply.Node(options.engine_of(params), store, params["pool"], config_layer.read_key(store))
    began = clock.now()
    if params["phase"] == "close":
        return close(node, check_mode)
    if not params["name"] or not params["to"]:
        raise BadInput(f"Phase {params['phase']} needs the name of an appliance, and the node that it goes to (to)")
    planned = plan_now(params, node)
    facts: dict[str, t.Any] = {}
    # Nothing to give back is no answer while another run may be about to change that.
    if (planned or params["phase"] == "give_back") and not check_mode:
        with locked(str(store), migrate.PATIENCE):
            # Again: another run may have ended in between.
            planned = plan_now(params, node)
            if params["phase"] in OFFERS:
                listens = listen(node, params["listen"])
                facts = build_offer(listens, migrate.carry_out(node, planned, []))
            else:
                migrate.carry_out(node, planned, [])
    sentences = [step.sentence for step in planned]
    return runner.Result(bool(planned), sentences, {}, {"steps": sentences}, {"began": began, **facts})


def plan_now(params: dict[str, t.Any], node: apply.Node) -> list[Step]:
    """Return the steps of the phase, from what there is now."""
    side = migrate_have.read_side(node, params["name"], params["to"], runs=params["runs"])
    phase = params["phase"]
    if phase == "round":
        return migrate_plan.plan_round(side, params["number"])
    if phase == "hand_over":
        return migrate_plan.plan_hand_over(side, clock.now(), params["expect"])
    if phase == "finish":
        return migrate_plan.plan_finish(side, keep=params["keep"], digests=params["digests"])
    composition = composition_of(side.body["config"]) if side.body else None
    if side.body is None or composition is None:
        raise BadInput(f"Appliance {side.name} is not on this node, so it cannot be given back here.")
    manifest = Repo(f"{node.store}/repo").manifest(composition.app.commit)
    check = migrate_have.build_check(side.body, manifest, params)
    return migrate_plan.plan_give_back(side, check, restart=params["restart"])


def listen(node: apply.Node, address: str) -> dict[str, t.Any]:
    """Have the engine listen; return where, and the certificate that it shows."""
    if not address:
        raise BadInput("Say where the engine is to listen while the state is fetched (listen), such as 192.0.2.11:8443")
    found = migrate.listen(node, address)
    return {"address": found, "certificate": node.engine.server()["environment"]["certificate"]}


def build_offer(listens: dict[str, t.Any], found: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return what the other node needs, its secrets apart: what stands beside those would be taken for secret, too."""
    listings = found.get("listings", {})
    volumes = {name: {**each, "listing": listings.get(name, {})} for name, each in found["offers"].items()}
    return {"offer": {**listens, "volumes": volumes}, "secrets": found["secrets"]}


def close(node: apply.Node, check_mode: bool) -> runner.Result:
    """Have the engine listen no more."""
    address = migrate.find_listener(node.store)
    if address and not check_mode:
        with locked(str(node.store), migrate.PATIENCE):
            migrate.stop_listening(node)
    steps = [f"have the engine listen no more at {address}"] if address else []
    return runner.Result(bool(steps), steps, {"listens": address}, {"listens": ""}, {"began": clock.now()})


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
