# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try backups out: restore copies, wait for health, and remove them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drill
short_description: Try backups out by restoring copies and waiting for their health
version_added: 0.1.0
description:
  - Restores each backup under another name, on a network that leads nowhere, waits for the app's own health check,
    takes time and bytes, and removes the copy with its state, also where anything failed. Several at once.
  - The node remembers which backup was proven, and which drill failed; M(strata.fleet.appliance_info) tells.
  - What a drill left that was killed is removed by the next.
  - A drill that fails does not fail the module; RV(outcomes) tells.
  - Values of C(appliance_config) are rendered on the controller by the app's templates and never shown.
options:
  faults:
    description: Why backups of appliances cannot even be tried, by the appliance's name. They count as failed.
    type: dict
    default: {}
  keep:
    description: Leave the copies running, for a look. The next drill removes them.
    type: bool
    default: false
  wait:
    description: For how many seconds another run may work on the node before a drill gives up.
    type: int
    default: 300
extends_documentation_fragment:
  - strata.fleet.appliance
  - strata.fleet.backup_source
  - strata.fleet.node
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed, or would change in C(check_mode), when in diff mode.
    support: none
  idempotent:
    description: When run twice in a row without changes outside, the second run changes nothing.
    support: none
    details: Each run tries the backups out again.
seealso:
  - module: strata.fleet.restore_goal
  - module: strata.fleet.restore_info
  - module: strata.fleet.repository_check
"""

EXAMPLES = r"""
- name: Try out the latest backups of this node's appliances
  strata.fleet.drill:
    repositories: "{{ backup_repositories }}"
    network: {name: strata-drill, address: 10.254.87.1/24}
    appliances: "{{ goal.nodes[inventory_hostname] }}"
    originals: "{{ goal.originals }}"
    backups: "{{ found.backups }}"
    layers: "{{ staged.layers }}"
    manifests: "{{ staged.manifests }}"
    parallel: 2
"""

RETURN = r"""
outcomes:
  description:
    - One entry an appliance, with C(appliance), C(copy), C(repository), C(snapshot), C(made), C(outcome) (V(proven) or
      V(failed)), C(seconds) until it was healthy, C(bytes) that were restored, and C(reason).
  returned: success, not in check mode
  type: list
  elements: dict
  sample: [{appliance: web1, copy: drill-web1, outcome: proven, seconds: 4.2, bytes: 8389330, reason: ""}]
steps:
  description: What was done, or would be in check mode, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["make network strata-drill, which leads nowhere", "start drill-web1", "remove drill-web1"]
"""

import contextlib
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import (
    apply,
    clock,
    config_layer,
    drill_network,
    drilling,
    have,
    model,
    options,
    restore_orders,
    restoring,
    runner,
    store_needs,
    want,
)
from ansible_collections.strata.fleet.plugins.module_utils.backup_moment import Node, alone
from ansible_collections.strata.fleet.plugins.module_utils.errors import Conflict
from ansible_collections.strata.fleet.plugins.module_utils.restore_plan import Order, plan_restores
from ansible_collections.strata.fleet.plugins.module_utils.restore_sources import open_all
from ansible_collections.strata.fleet.plugins.module_utils.store import locked

SPEC = {
    **options.NODE_OPTIONS,
    **options.APPLIANCE_OPTIONS,
    **restore_orders.BACKUP_OPTIONS,
    "faults": {"type": "dict", "default": {}},
    "keep": {"type": "bool", "default": False},
    "wait": {"type": "int", "default": 300},
}


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Want, have, plan, apply, report."""
    store = Path(params["store_path"])
    node = apply.Node(options.engine_of(params), store, params["pool"], config_layer.read_key(store))
    restoring.require_driver(node.engine, node.pool)
    orders = restore_orders.build_orders(params, model.Place(str(store), node.pool, node.key), ())
    names = [order.appliance for order in orders]
    leftovers = drilling.find_leftovers(node, names, params["network"].get("name", ""))
    way = drill_network.plan_now(node.engine, params["network"]) if orders else []
    planned = plan_now(orders, node, names)
    sentences = [
        *(f"remove {name}, which an earlier drill left" for name in leftovers),
        *(step.sentence for step in (*way, *planned.steps)),
        *(f"remove {name}" for name in names if not params["keep"]),
    ]
    result = runner.Result(changed=bool(orders), steps=sentences)
    if not check_mode:
        outcomes = [drilling.fault(name, reason) for name, reason in params["faults"].items()]
        for outcome in outcomes:
            drilling.note(node, outcome)
        if orders:
            with locked(f"{store}/drills"):
                outcomes += go(params, node, orders)
        result.facts["outcomes"] = sorted(outcomes, key=lambda outcome: str(outcome["appliance"]))
    return result


def plan_now(orders: t.Sequence[Order], node: apply.Node, gone: t.Collection[str]) -> model.Plan:
    """Return the plan from what there is now, but for the copies, which are removed first."""
    present = have.read(node.engine, node.store, node.pool, want.volume_sizes([order.item for order in orders]))
    others = {name: each for name, each in present.instances.items() if name not in gone}
    volumes = {name: size for name, size in present.volumes.items() if name.partition(".")[0] not in gone}
    found = restoring.read_found(node, model.Have(others, volumes), {})
    return plan_restores(orders, found, model.Place(str(node.store), node.pool, node.key), clock.compact())


def go(params: dict[str, t.Any], node: apply.Node, orders: t.Sequence[Order]) -> list[drilling.Outcome]:
    """Make room, drill, and take the network away where nothing needs it any more."""
    names = [order.appliance for order in orders]
    turn = restoring.backup_node(node, params["wait"])
    with contextlib.ExitStack() as stack:
        with alone(turn):
            needs = [order.item.composition for order in orders]
            stack.enter_context(store_needs.needing(node.store / "drills", needs))
            for name in drilling.find_leftovers(node, names, params["network"]["name"]):
                drilling.remove_copy(node, name)
            drill_network.have(node.engine, params["network"])
            stack.callback(give_back, node, params["network"]["name"], turn)
        steps = plan_now(orders, node, ()).by_appliance()
        drills = [drilling.Drill(order, steps[order.appliance], params["keep"]) for order in orders]
        restics = stack.enter_context(open_all(params, [order.repository for order in orders]))
        means = drilling.Means(node, restoring.Library(restics), turn)
        return drilling.run_all(drills, means, params["parallel"])


def give_back(node: apply.Node, network: str, turn: Node) -> None:
    """Remove the network of copies, unless somebody is on it, or is about to be: then the next drill does."""
    with contextlib.suppress(Conflict), alone(turn):
        drill_network.remove_unused(node.engine, network)


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
