# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut appliances off from the network, or give it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: quarantine
short_description: Cut appliances off from the network, or give it back
version_added: 0.1.0
description:
  - Takes the network cards and published ports of an appliance away, by the engine and out of the appliance's reach.
    Established connections end. The appliance keeps its state and goes on running, unless O(stop=true).
  - What was taken away is kept in a key of the instance, with the reason, the time and who did it. Deploy and configure
    leave such an appliance as it is and say so, a patch does not move it, a rollback or removal is refused.
  - Releasing it gives back exactly what it had.
  - Works on every instance of the project, on those that Strata did not make too.
options:
  names:
    description: The appliances. One that is not on this node is refused, and then none is changed.
    type: list
    elements: str
    required: true
  state:
    description: V(present) cuts them off, V(absent) releases them.
    type: str
    choices: [present, absent]
    default: present
  reason:
    description: Why they are cut off, for those who find them so. Needed with O(state=present).
    type: str
    default: ""
  by:
    description: Who decided it.
    type: str
    default: ansible
  stop:
    description: Stop them as well. They do not start with their node then, until they are released.
    type: bool
    default: false
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.attributes
seealso:
  - module: strata.fleet.appliance_info
"""

EXAMPLES = r"""
- name: Cut an appliance off
  strata.fleet.quarantine:
    names: [web1]
    reason: "Rule content-intact failed: something in /usr was changed"
    by: "{{ lookup('ansible.builtin.env', 'USER') }}"

- name: Release it
  strata.fleet.quarantine:
    names: [web1]
    state: absent
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["cut web1 off from the network (eth0, port-tcp-8080)"]
quarantined:
  description:
    - All instances of the node that are in quarantine now, or would be, by name, with C(reason), C(when) (UTC) and
      C(by).
  returned: success
  type: dict
  sample: {web1: {reason: "rule content-intact failed", when: "2026-11-22T21:00:00Z", by: root}}
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import (
    apply,
    clock,
    config_layer,
    have,
    marks,
    model,
    options,
    runner,
)
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import quarantine
from ansible_collections.strata.fleet.plugins.module_utils.store import locked

SPEC = {
    **options.NODE_OPTIONS,
    "names": {"type": "list", "elements": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "reason": {"type": "str", "default": ""},
    "by": {"type": "str", "default": "ansible"},
    "stop": {"type": "bool", "default": False},
}


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Have, plan, apply, report."""
    store = Path(params["store_path"])
    node = apply.Node(options.engine_of(params), store, params["pool"], config_layer.read_key(store))
    order = read_order(params)
    planned, quarantined = plan_now(node, order, params["state"])
    if planned.steps and not check_mode:
        with locked(str(store)):
            planned, _before = plan_now(node, order, params["state"])
            apply.apply(with_marks(planned, store), node, parallel=1)
        left, quarantined = plan_now(node, order, params["state"])
        if left.steps:
            raise StrataError(f"The engine did not keep what was done: {'; '.join(s.sentence for s in left.steps)}")
    return runner.Result(
        changed=bool(planned.steps),
        steps=[step.sentence for step in planned.steps],
        before=planned.before,
        after=planned.after,
        facts={"quarantined": quarantined | tell(planned.after)},
    )


def read_order(params: dict[str, t.Any]) -> quarantine.Order:
    """Return what is asked for. Raises BadInput where nobody says why."""
    if params["state"] == "present" and not params["reason"].strip():
        raise BadInput("A quarantine needs a reason: whoever finds the appliance cut off has to know it.", key="reason")
    names = list(dict.fromkeys(params["names"]))
    return quarantine.Order(names, params["reason"].strip(), clock.now(), params["by"], params["stop"])


def plan_now(node: apply.Node, order: quarantine.Order, state: str) -> tuple[model.Plan, dict[str, t.Any]]:
    """Return the plan from what there is now, and who is in quarantine and not concerned by it."""
    instances = {body["name"]: body for body in have.read_bodies(node.engine)}
    cut = {name: found for name, body in instances.items() if (found := quarantine.read(body["config"]))}
    plan = (
        quarantine.plan_cut(order, instances) if state == "present" else quarantine.plan_release(order.names, instances)
    )
    return plan, {name: quarantine.tell(found) for name, found in cut.items() if name not in plan.after}


def tell(after: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return those that a plan leaves in quarantine."""
    return {name: shown["quarantine"] for name, shown in after.items() if shown["quarantine"]}


def with_marks(plan: model.Plan, store: Path) -> model.Plan:
    """Return the plan with the config that an unfinished run left to be merged, which this leaves to be merged."""
    steps = [
        step._replace(args={**step.args, "pending": marks.read(store, step.appliance).get("pending")})
        if step.action == "update_instance"
        else step
        for step in plan.steps
    ]
    return model.Plan(tuple(steps), plan.before, plan.after)


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
