# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring appliances, or single volumes of theirs, back out of backups."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Bring appliances, or single volumes of theirs, back out of backups
version_added: 0.1.0
description:
  - Reads the volumes of backups into new volumes of the engine, beside the present ones, while the appliances go on
    running. Then each is stopped, its present volumes are renamed aside, the new ones take their names, it gets the
    composition of its backup, starts, and is waited for until it is healthy.
  - Nothing is deleted. What was moved aside stays until it is released by its name, see M(strata.fleet.aside).
  - An appliance that runs is refused unless it is named in O(over).
  - A run that was cut off at any moment is taken up by the next one for the same backup.
  - Values of C(appliance_config) are rendered on the controller by the app's templates and never shown.
options:
  over:
    description: Names of appliances that may be running, and are stopped for it.
    type: list
    elements: str
    default: []
  wait:
    description: For how many seconds another run may work on the node before this one gives up.
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
    support: full
  idempotent:
    description: When run twice in a row without changes outside, the second run changes nothing.
    support: none
    details: What the appliances wrote since is replaced once more, and kept aside once more.
seealso:
  - module: strata.fleet.restore_goal
  - module: strata.fleet.restore_info
  - module: strata.fleet.aside
"""

EXAMPLES = r"""
- name: Bring web1 back to its latest backup
  strata.fleet.restore:
    repositories: "{{ backup_repositories }}"
    appliances: "{{ goal.nodes[inventory_hostname] }}"
    backups: "{{ found.backups }}"
    layers: "{{ staged.layers }}"
    manifests: "{{ staged.manifests }}"
    over: [web1]
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode, a sentence each.
  returned: success
  type: list
  elements: str
  sample:
    - create volume web1.var.restoring (1 GiB)
    - move the present state web1.var aside, to web1.var.aside-20261122T171500Z
steps_done:
  description: The steps that were carried out before something failed.
  returned: failure
  type: list
  elements: str
failures:
  description: What went wrong, by appliance.
  returned: failure
  type: dict
asides:
  description: The volumes of these appliances that restores moved aside, by appliance, and are kept.
  returned: success
  type: dict
  sample: {web1: [web1.var.aside-20261122T171500Z]}
seconds:
  description: How long it took, from the first byte until the last appliance was healthy.
  returned: success
  type: float
"""

import contextlib
import functools
import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import (
    apply,
    clock,
    config_layer,
    drill_network,
    have,
    instance,
    model,
    options,
    plan,
    restore_orders,
    restoring,
    runner,
    store_needs,
    want,
)
from ansible_collections.strata.fleet.plugins.module_utils.backup_moment import alone
from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import networks
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.restore_plan import Order, plan_restores, reads_of
from ansible_collections.strata.fleet.plugins.module_utils.restore_sources import open_all
from ansible_collections.strata.fleet.plugins.module_utils.store import locked

SPEC = {
    **options.NODE_OPTIONS,
    **options.APPLIANCE_OPTIONS,
    **restore_orders.BACKUP_OPTIONS,
    "over": {"type": "list", "elements": "str", "default": []},
    "wait": {"type": "int", "default": 300},
}


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Want, have, plan, apply, report."""
    store = Path(params["store_path"])
    node = apply.Node(options.engine_of(params), store, params["pool"], config_layer.read_key(store))
    place = model.Place(str(store), node.pool, node.key)
    restoring.require_driver(node.engine, node.pool)
    orders = restore_orders.build_orders(params, place, params["over"])
    begun, moment = time.monotonic(), clock.compact()
    planned = plan_now(params, orders, node, moment)
    way = drill_network.plan_now(node.engine, params["network"])
    if planned.steps and not check_mode:
        with open_all(params, [order.repository for order in orders]) as restics:
            planned = go(params, orders, node, restoring.Library(restics))
        refuse_leftovers(orders, node, place)
    return runner.Result(
        changed=bool(planned.steps),
        steps=[step.sentence for step in (*way, *planned.steps)],
        before=planned.before,
        after=planned.after,
        facts={"asides": find_asides(node, orders), "seconds": round(time.monotonic() - begun, 1)},
    )


def go(params: dict[str, t.Any], orders: t.Sequence[Order], node: apply.Node, library: restoring.Library) -> model.Plan:
    """Read the backups, then put them in place; only for that, no other run may work on the node."""
    turn = restoring.backup_node(node, params["wait"])
    needs = [order.item.composition for order in orders if order.is_whole]
    with locked(f"{node.store}/restores"), contextlib.ExitStack() as stack:
        with alone(turn):
            stack.enter_context(store_needs.needing(node.store / "restores", needs))
            require_layers(orders, node)
        moment = clock.compact()
        whole = plan_now(params, orders, node, moment)
        apply.apply(reads_of(whole), node, params["parallel"], library.do)
        with alone(turn):
            # Again: other runs may have ended in between.
            require_layers(orders, node)
            quick = plan_now(params, orders, node, moment)
            drill_network.have(node.engine, params["network"])
            apply.apply(quick, node, params["parallel"], library.do)
    return whole


def require_layers(orders: t.Iterable[Order], node: apply.Node) -> None:
    """Raise StrataError where another run took away what was staged for these."""
    for order in orders:
        if order.is_whole:
            store_needs.require(node.store, order.appliance, order.item.composition)


def plan_now(params: dict[str, t.Any], orders: t.Sequence[Order], node: apply.Node, moment: str) -> model.Plan:
    """Return the plan from what there is now."""
    sizes = want.volume_sizes([order.item for order in orders])
    present = have.read(node.engine, node.store, node.pool, sizes)
    read_manifest = functools.cache(Repo(f"{node.store}/repo").manifest)
    present = networks.with_networks(present, node.engine, read_manifest, params["manifests"])
    found = restoring.read_found(node, present, {order.appliance: order.volumes for order in orders})
    return plan_restores(orders, found, model.Place(str(node.store), node.pool, node.key), moment)


def refuse_leftovers(orders: t.Sequence[Order], node: apply.Node, place: model.Place) -> None:
    """Raise StrataError where the engine does not have what was done."""
    whole = [order.item for order in orders if order.is_whole]
    left = plan.make_plan(whole, have.read(node.engine, node.store, node.pool, want.volume_sizes(whole)), place)
    if left.steps:
        steps = [step.sentence for step in left.steps]
        raise StrataError(f"The engine did not keep what was done; still to do: {'; '.join(steps)}", steps_left=steps)


def find_asides(node: apply.Node, orders: t.Sequence[Order]) -> dict[str, list[str]]:
    """Return what is kept aside of these appliances."""
    names = [name for name in node.engine.volume_names(node.pool) if instance.is_aside(name)]
    return {
        order.appliance: sorted(name for name in names if name.startswith(f"{order.appliance}.")) for order in orders
    }


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
