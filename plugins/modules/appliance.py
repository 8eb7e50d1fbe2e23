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
  appliances:
    description: The node's appliances, as the module M(strata.fleet.fleet) returns them. Others are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The appliance's name.
        type: str
        required: true
      state:
        description: What it should be. V(absent) removes the instance and keeps its state volumes.
        type: str
        choices: [running, stopped, absent]
        default: running
      base:
        description: Name, version and commit of the base. Filled in from O(layers).
        type: dict
      app:
        description: Name, version and commit of the app. Filled in from O(layers).
        type: dict
      networks:
        description: Network cards, as C(network), C(address), C(prefix) and C(gateway).
        type: list
        elements: dict
        default: []
      volumes:
        description: Sizes of state volumes in bytes, by the volume's name.
        type: dict
        default: {}
      memory:
        description: Memory limit in bytes. V(0) sets none.
        type: int
        default: 0
      cpus:
        description: How many CPUs it may use. V(0) sets no limit.
        type: int
        default: 0
      published:
        description: Ports of the node, as C(address), C(listen), C(port) and C(protocol).
        type: list
        elements: dict
        default: []
      autostart:
        description: Whether it starts with the node.
        type: bool
        default: true
      health:
        description: A health check in place of the app's own.
        type: dict
        default: {}
      health_timeout:
        description: Seconds to wait for health.
        type: int
        default: 60
      files:
        description: The files of the config layer. Filled in by rendering the app's templates on the controller.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Where the file appears, below C(/etc).
            type: str
            required: true
          text:
            description: What the file holds, with secrets replaced by asterisks.
            type: str
            required: true
          mode:
            description: The file's mode in octal.
            type: str
            required: true
          uid:
            description: The owner's number inside the appliance.
            type: int
            required: true
          gid:
            description: The group's number inside the appliance.
            type: int
            required: true
          on_change:
            description: What O(appliances[].files[].units) need when the file changes.
            type: str
            choices: [reload, restart, reboot]
            required: true
          units:
            description: The units that read the file.
            type: list
            elements: str
            default: []
  secrets:
    description:
      - What the config files that hold secrets really hold, by appliance and path. Filled in on the controller.
      - Apart from O(appliances), since the node's journal shows nested options as they are.
    type: dict
    default: {}
  layers:
    description: The layers of each appliance, as the module M(strata.fleet.store) returns them.
    type: dict
    default: {}
  manifests:
    description: The manifests of these layers, as the module M(strata.fleet.store) returns them.
    type: dict
    default: {}
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
  parallel:
    description: How many appliances are worked on at once.
    type: int
    default: 4
  render_only:
    description: Only render and check the config layers, on the controller, and return them with secrets hidden.
    type: bool
    default: false
extends_documentation_fragment:
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
"""

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
    want,
)
from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError
from ansible_collections.strata.fleet.plugins.module_utils.store import locked

FILE = {
    "path": {"type": "str", "required": True},
    "text": {"type": "str", "required": True},
    "mode": {"type": "str", "required": True},
    "uid": {"type": "int", "required": True},
    "gid": {"type": "int", "required": True},
    "on_change": {"type": "str", "choices": ["reload", "restart", "reboot"], "required": True},
    "units": {"type": "list", "elements": "str", "default": []},
}
APPLIANCE = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["running", "stopped", "absent"], "default": "running"},
    "base": {"type": "dict"},
    "app": {"type": "dict"},
    "networks": {"type": "list", "elements": "dict", "default": []},
    "volumes": {"type": "dict", "default": {}},
    "memory": {"type": "int", "default": 0},
    "cpus": {"type": "int", "default": 0},
    "published": {"type": "list", "elements": "dict", "default": []},
    "autostart": {"type": "bool", "default": True},
    "health": {"type": "dict", "default": {}},
    "health_timeout": {"type": "int", "default": 60},
    "files": {"type": "list", "elements": "dict", "options": FILE, "default": []},
}
SPEC = {
    **options.NODE_OPTIONS,
    "appliances": {"type": "list", "elements": "dict", "options": APPLIANCE, "required": True},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "layers": {"type": "dict", "default": {}},
    "manifests": {"type": "dict", "default": {}},
    "remove_state": {"type": "list", "elements": "str", "default": []},
    "scope": {"type": "str", "choices": ["all", "config"], "default": "all"},
    "parallel": {"type": "int", "default": 4},
    "render_only": {"type": "bool", "default": False},
}


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Want, have, plan, apply, report."""
    store, pool = Path(params["store_path"]), params["pool"]
    engine = options.engine_of(params)
    place = model.Place(str(store), pool, config_layer.read_key(store))

    wanted = want.build(
        want.with_secrets(params["appliances"], params["secrets"]), params["manifests"], place, params["remove_state"]
    )
    sizes = want.volume_sizes(wanted)
    present = have.read(engine, store, pool, sizes)
    planned = plan.make_plan(wanted, present, place, params["scope"])

    if planned.steps and not check_mode:
        with locked(str(store)):
            apply.apply(planned, apply.Node(engine, store, pool, place.key), params["parallel"])
        left = plan.make_plan(wanted, have.read(engine, store, pool, sizes), place, params["scope"])
        if left.steps:
            steps = [step.sentence for step in left.steps]
            raise StrataError(
                f"The engine did not keep what was done; still to do: {'; '.join(steps)}", steps_left=steps
            )
    return runner.Result(
        changed=bool(planned.steps),
        steps=[step.sentence for step in planned.steps],
        before=planned.before,
        after=planned.after,
    )


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
