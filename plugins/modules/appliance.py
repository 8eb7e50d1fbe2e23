# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconcile all appliances of a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: appliance
short_description: Deploy, configure and remove the appliances of a node
version_added: 0.1.0
description:
  - Compares all appliances that a node should run with what its engine has, and carries out the difference, several
    appliances at once. One call serves the whole node.
  - Creates instances that map the base, the app, the config layer and the state volumes; changes what differs with the
    least disturbance; starts them and waits until they are healthy.
  - Everything is planned, and refused where it cannot be done, before anything is changed.
  - Values of C(appliance_config) are rendered on the controller by the app's templates and never shown.
options:
  remove_state:
    description: Names of absent appliances whose state volumes are to be deleted for good.
    type: list
    elements: str
    default: []
  scope:
    description:
      - V(all) reconciles everything.
      - V(config) touches only the config layer of appliances that exist, and leaves every other difference alone.
    type: str
    choices: [all, config]
    default: all
  render_only:
    description: Only render and check the config layers, on the controller, and return them with secrets hidden.
    type: bool
    default: false
  known:
    description:
      - Names of all appliances of the inventory, wherever they are. Instances of other names are told as RV(strays).
      - Without it, those of group C(appliances); with O(scope=config) nobody looks for strays.
    type: list
    elements: str
  prune:
    description:
      - Remove the strays, and keep their state. Copies of drills and restores, instances that Strata did not make, and
        those that something else has in hand, stay.
    type: bool
    default: false
  strict:
    description: With O(render_only=true), fail where the config of one cannot be rendered. Else RV(faults) tells.
    type: bool
    default: true
extends_documentation_fragment:
  - strata.fleet.appliance
  - strata.fleet.node
  - strata.fleet.node.attributes
seealso:
  - module: strata.fleet.fleet
  - module: strata.fleet.store
  - module: strata.fleet.appliance_info
"""

EXAMPLES = r"""
- name: Reconcile this node
  strata.fleet.appliance:
    appliances: "{{ fleet.nodes[inventory_hostname] }}"
    layers: "{{ staged.layers }}"
    manifests: "{{ staged.manifests }}"

- name: Remove an appliance together with its state
  strata.fleet.appliance:
    appliances:
      - name: web1
        state: absent
    remove_state: [web1]
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["create state volume web1.var (no size limit)", "start web1", "wait until web1 is healthy"]
planned:
  description:
    - The same steps for a program, in the same order. C(appliance) is empty for what concerns the node; C(action) is a
      name such as V(create_instance).
  returned: success
  type: list
  elements: dict
  sample:
    - {appliance: web1, action: start, sentence: start web1}
strays:
  description:
    - The instances that are no appliance of the inventory, by name. C(kept) is why O(prune) does not
      remove one, empty where it does; C(copy) whether it is a copy of a drill or a restore.
  returned: success
  type: dict
  sample:
    web9: {kept: "", copy: false}
steps_done:
  description: The steps that were carried out before something failed.
  returned: failure
  type: list
  elements: str
failures:
  description: What went wrong, by appliance.
  returned: failure
  type: dict
files:
  description: The rendered config files of each appliance, secrets hidden.
  returned: when O(render_only=true)
  type: dict
faults:
  description: Without O(strict), why the config of others cannot be rendered, by appliance.
  returned: when O(render_only=true)
  type: dict
"""

import functools
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import (
    apply,
    config_layer,
    have,
    model,
    options,
    plan,
    runner,
    strays,
    want,
)
from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import networks, quarantine
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.store import locked

SPEC = {
    **options.NODE_OPTIONS,
    **options.APPLIANCE_OPTIONS,
    "remove_state": {"type": "list", "elements": "str", "default": []},
    "scope": {"type": "str", "choices": ["all", "config"], "default": "all"},
    "render_only": {"type": "bool", "default": False},
    "known": {"type": "list", "elements": "str"},
    "prune": {"type": "bool", "default": False},
    "strict": {"type": "bool", "default": True},
}


class Decision(t.NamedTuple):
    """What is to be done, why some appliances are left as they are, and what nobody asks for."""

    plan: model.Plan
    left_alone: list[str]
    strays: dict[str, strays.Stray]


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Want, have, plan, apply, report."""
    store = Path(params["store_path"])
    node = apply.Node(options.engine_of(params), store, params["pool"], config_layer.read_key(store))
    decided = plan_now(params, node)
    if decided.plan.steps and not check_mode:
        with locked(str(store)):
            # Again: another run may have ended in between.
            decided = plan_now(params, node)
            apply.apply(decided.plan, node, params["parallel"])
        left = plan_now(params, node).plan
        if left.steps:
            steps = [step.sentence for step in left.steps]
            raise StrataError(
                f"The engine did not keep what was done; still to do: {'; '.join(steps)}", steps_left=steps
            )
    planned = decided.plan
    return runner.Result(
        changed=bool(planned.steps),
        steps=[step.sentence for step in planned.steps],
        before=planned.before,
        after=planned.after,
        facts={
            "planned": [
                {"appliance": step.appliance, "action": step.action, "sentence": step.sentence}
                for step in planned.steps
            ],
            "strays": {name: stray._asdict() for name, stray in decided.strays.items()},
        },
        warnings=decided.left_alone,
    )


def plan_now(params: dict[str, t.Any], node: apply.Node) -> Decision:
    """Return the plan from what there is now."""
    place = model.Place(str(node.store), node.pool, node.key)
    wanted = want.build(
        want.with_secrets(params["appliances"], params["secrets"]), params["manifests"], place, params["remove_state"]
    )
    present = have.read(node.engine, node.store, node.pool, want.volume_sizes(wanted))
    if params["scope"] == "all":
        read_manifest = functools.cache(Repo(f"{node.store}/repo").manifest)
        present = networks.with_networks(present, node.engine, read_manifest, params["manifests"])
    found = strays.find(present, params["known"])
    if params["prune"]:
        wanted += strays.to_removals(found, params["known"])
    cut = [(item.name, mark) for item in wanted if (mark := plan.quarantine_of(item.name, present))]
    left_alone = [f"Nothing is changed. {quarantine.refusal(name, mark)}" for name, mark in cut]
    left_alone += strays.explain(found) if params["prune"] else []
    return Decision(plan.make_plan(wanted, present, place, params["scope"]), left_alone, found)


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
