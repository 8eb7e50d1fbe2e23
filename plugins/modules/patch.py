# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Swap appliances of a node to other versions, and back where these fail."""

from __future__ import annotations

DOCUMENTATION = r"""
module: patch
short_description: Swap appliances of a node to other versions, and back where these fail
version_added: 0.1.0
description:
  - Stops each appliance, keeps its state as a snapshot, maps the base and app that O(layers) names, starts it, waits
    for health, and sees it stay healthy. One that does not goes back to the composition that it came from.
  - State stays as it is when an appliance goes back, unless the versions declare different formats of it
    (C(state_schema)); then the snapshot is brought back, and what was written since is kept as another snapshot.
  - A combination of base and app that failed is remembered as bad. A swap that was cut off is taken up where it is.
  - Only layers, config and state volumes change. An appliance that runs the wanted versions is left alone.
  - The module does not fail when appliances do; RV(outcomes) tells. It fails where the node cannot work at all.
options:
  purpose:
    description:
      - What the swap is for. A V(rollback) is not tried when the state may be of a newer format than the wanted version
        can read, unless O(restore) or O(keep_state) says what to do about that.
    type: str
    choices: [patch, rollback]
    default: patch
  restore:
    description: Snapshots to bring state back to, by appliance. What was written since is kept as another snapshot.
    type: dict
    default: {}
  keep_state:
    description: Run the wanted version on the state as it is, whatever the formats are.
    type: bool
    default: false
  settle:
    description: For how many seconds an appliance must stay healthy.
    type: float
    default: 30
  keep_snapshots:
    description: How many snapshots of its state an appliance keeps, of those that swaps made.
    type: int
    default: 2
extends_documentation_fragment:
  - strata.fleet.appliance
  - strata.fleet.node
  - strata.fleet.node.attributes
seealso:
  - module: strata.fleet.store
  - module: strata.fleet.appliance
"""

EXAMPLES = r"""
- name: Move two appliances of this node to what their channels name now
  strata.fleet.patch:
    appliances: "{{ fleet.nodes[inventory_hostname] | selectattr('name', 'in', ['web1', 'web2']) }}"
    layers: "{{ staged.layers }}"
    manifests: "{{ staged.manifests }}"
    settle: 60
  register: patched

- name: Tell what became of them
  ansible.builtin.debug:
    msg: "{{ item.appliance }} {{ item.outcome }} {{ item.reason }}"
  loop: "{{ patched.outcomes.values() }}"
  loop_control:
    label: "{{ item.appliance }}"
"""

RETURN = r"""
outcomes:
  description: What became of each appliance that was swapped, by its name. Empty in check mode.
  returned: success
  type: dict
  contains:
    appliance:
      description: The appliance's name.
      type: str
    purpose:
      description: V(patch) or V(rollback), as the run that began the swap had it.
      type: str
    outcome:
      description:
        - V(patched) or V(reverted) when it runs what was wanted, by O(purpose); V(rolled_back) when it runs what it
          came from; V(failed) when neither is healthy; V(skipped) when it was not touched, because the same base and
          app had just failed on another appliance.
      type: str
    from:
      description: The composition that it came from, with C(base), C(app) and C(config).
      type: dict
    to:
      description: The composition that was wanted.
      type: dict
    started:
      description: When it began, ISO 8601 in UTC.
      type: str
    ended:
      description: When it was over.
      type: str
    interruption:
      description:
        - The longest time in seconds in which it did not serve, seen from its node over its network by what its health
          check looks at, every 50 ms. Null where that could not be measured.
      type: float
    reason:
      description: Why it does not run what was wanted.
      type: str
    state:
      description: V(kept), or V(restored) when a snapshot was brought back.
      type: str
    restored:
      description: The snapshot that was brought back, empty where none was.
      type: str
    snapshot:
      description: The snapshot of its state before the swap.
      type: str
steps:
  description: What was done, or would be in check mode, a sentence each. What went back is in RV(outcomes).
  returned: success
  type: list
  elements: str
"""

import dataclasses
import functools
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import (
    apply,
    clock,
    config_layer,
    have,
    model,
    options,
    runner,
    swap,
    swap_plan,
    want,
)
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.instance import composition_of
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import network_plan, networks
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.store import locked

SPEC = {
    **options.NODE_OPTIONS,
    **options.APPLIANCE_OPTIONS,
    "purpose": {"type": "str", "choices": [swap_plan.PATCH, swap_plan.ROLLBACK], "default": swap_plan.PATCH},
    "restore": {"type": "dict", "default": {}},
    "keep_state": {"type": "bool", "default": False},
    "settle": {"type": "float", "default": 30},
    "keep_snapshots": {"type": "int", "default": 2},
}


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Want, have, plan, swap, report."""
    if params["parallel"] < 1:
        raise BadInput(f"parallel is {params['parallel']}: at least one appliance must be worked on", key="parallel")
    store = Path(params["store_path"])
    node = apply.Node(options.engine_of(params), store, params["pool"], config_layer.read_key(store))
    swaps, planned = plan_now(params, node)
    opened = plan_ports(params, node, swaps) if swaps else model.Plan((), {}, {})
    outcomes: dict[str, t.Any] = {}
    if swaps and not check_mode:
        with locked(str(store)):
            # Again: another run may have ended in between.
            swaps, planned = plan_now(params, node)
            networks.apply(node.engine, plan_ports(params, node, swaps))
            outcomes = swap.run_swaps(swaps, node, params["parallel"])
            networks.apply(node.engine, plan_ports(params, node, []))
        check_kept(outcomes, have.read_instances(node.engine, store))
    return runner.Result(
        changed=bool(swaps),
        steps=[step.sentence for step in (*opened.steps, *planned.steps)],
        before={**opened.before, **planned.before},
        after={**opened.after, **planned.after},
        facts={"outcomes": outcomes},
    )


def plan_ports(params: dict[str, t.Any], node: apply.Node, swaps: t.Sequence[model.Swap]) -> model.Plan:
    """Return what has the networks let through what the apps declare, before and after, where they do so already.

    Without swaps: what those that run declare.
    """
    present = model.Have(have.read_instances(node.engine, node.store), {})
    read_manifest = functools.cache(Repo(f"{node.store}/repo").manifest)
    found = networks.with_networks(present, node.engine, read_manifest, params["manifests"])
    closed = {name: config for name, config in found.networks.items() if config.get("security.acls")}
    found = dataclasses.replace(found, networks=closed)
    reaches = network_plan.find_reaches([each.item for each in swaps], [], found, keep=True)
    return network_plan.plan_lists(reaches, found)


def plan_now(params: dict[str, t.Any], node: apply.Node) -> tuple[list[model.Swap], model.Plan]:
    """Return the swaps from where the appliances are now, and the plan to report."""
    engine, store, pool, key = node
    place = model.Place(str(store), pool, key)
    items = want.with_secrets(params["appliances"], params["secrets"])
    present = have.read_instances(engine, store)
    read_manifest = functools.cache(Repo(f"{place.store}/repo").manifest)
    ways = [find_ways(item, present, Manifests(read_manifest, params["manifests"]), place) for item in items]
    volumes = have.read_volumes(engine, pool, present, want.volume_sizes(way.item for way in ways))
    names = {way.item.name for way in ways}
    snapshots = have.read_snapshots(engine, pool, [each for each in volumes if each.partition(".")[0] in names])
    found = model.Have(present, volumes, snapshots, engine.pool_driver(pool))
    swaps = swap_plan.plan_swaps(ways, found, place, read_manner(params))
    return swaps, swap_plan.to_plan(swaps, found, place)


class Manifests(t.NamedTuple):
    """Where manifests come from: the node's store for what appliances ran, the caller for what they are to run."""

    read: t.Callable[[str], dict[str, t.Any]]
    given: dict[str, t.Any]


def find_ways(
    item: t.Mapping[str, t.Any], present: dict[str, model.Instance], manifests: Manifests, place: model.Place
) -> swap_plan.Ways:
    """Return an appliance as it should be, as it was well, and as it is now."""
    name = item["name"]
    now = composition_of(present[name].config) if name in present else None
    if now is None:
        raise BadInput(f"Appliance {name} is not there, or Strata did not make it: deploy it first.", appliance=name)
    good = swap_plan.came_from(present[name]) or now
    known = {layer.commit: manifests.read(layer.commit) for layer in (*now[:2], *good[:2])} | manifests.given
    return swap_plan.Ways(
        want.build_appliance(item, known, place),
        want.build_former(item, good, known),
        want.build_former(item, now, known),
    )


def read_manner(params: dict[str, t.Any]) -> swap_plan.Manner:
    """Return how to swap."""
    return swap_plan.Manner(
        now=clock.compact(),
        purpose=params["purpose"],
        settle=params["settle"],
        keep=params["keep_snapshots"],
        restore=params["restore"],
        keep_state=params["keep_state"],
    )


def check_kept(outcomes: dict[str, t.Any], present: dict[str, model.Instance]) -> None:
    """Turn outcomes into failures where the engine does not have what they say."""
    ends = {swap.PATCHED: "to", swap.REVERTED: "to", swap.ROLLED_BACK: "from"}
    for name, outcome in outcomes.items():
        now = composition_of(present[name].config) if name in present else None
        end = ends.get(outcome["outcome"])
        if end and (now is None or now[:2] != model.Composition.from_data(outcome[end])[:2]):
            runs = f"base {now.base.version} and app {now.app.version}" if now else "nothing"
            outcome |= {"outcome": swap.FAILED, "reason": f"the engine did not keep what was done: {name} runs {runs}"}


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
