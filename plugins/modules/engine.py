# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Initialise the engine of a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine
short_description: Initialise the engine of a node
version_added: 0.1.0
description:
  - Gives a running Incus what Strata needs of it. That is a storage pool, bridges, a restricted project and the
    skeleton image.
  - What it makes is marked with C(user.strata.managed=true). A pool, network or project of that name that somebody else
    made is used as it is when it fits, and refused otherwise. It is never altered or removed.
author:
  - The Strata authors (@strata-fleet)
options:
  state:
    description:
      - V(present) makes what is missing and corrects what differs.
      - V(absent) removes what V(present) made, once no appliance uses it.
    type: str
    choices: [present, absent]
    default: present
  socket:
    description: The engine's unix socket on the node.
    type: path
    default: /var/lib/incus/unix.socket
  project:
    description: The engine project that holds the appliances.
    type: str
    default: strata
  pool:
    description: The storage pool that holds the appliances' state.
    type: str
    default: strata
  pool_driver:
    description:
      - The pool's driver. V(auto) takes btrfs where that is possible, and dir otherwise.
      - It matters only when the pool is made.
    type: str
    choices: [auto, btrfs, dir, lvm, zfs]
    default: auto
  pool_source:
    description:
      - A block device, or a folder. On a btrfs file system the folder becomes a subvolume.
      - Without it the pool is a subvolume below C(/var/lib/strata) where that is on btrfs, and a loop file elsewhere.
    type: str
    default: ""
  pool_size:
    description:
      - The size of the loop file, such as V(20GiB). It can grow later, but not shrink.
      - Without it, 70% of what is free on the engine's disk when the pool is made.
    type: str
    default: ""
  networks:
    description: The bridges that appliances connect to.
    type: list
    elements: dict
    default:
      - name: strata0
        address: 10.87.0.1/24
    suboptions:
      name:
        description: The bridge's name, 2 to 15 characters.
        type: str
        required: true
      address:
        description: The bridge's own IPv4 address with the prefix length of its network.
        type: str
        required: true
      nat:
        description: Whether appliances reach other networks through the node's address.
        type: bool
        default: true
      mtu:
        description: The bridge's MTU. V(0) leaves it to the engine.
        type: int
        default: 0
      filtered:
        description:
          - Whether appliances on it are reached only on the ports that their apps declare, by each other too. The
            next deploy sees to it (M(strata.fleet.appliance)).
        type: bool
        default: true
  https_address:
    description:
      - The address and port at which the engine's API listens on the network, such as V(192.0.2.10:8443).
      - V("") closes it. When the option is not given, it stays as it is.
    type: str
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying the node.
    support: full
  diff_mode:
    description: Returns details on what has changed, or would change.
    support: full
  idempotent:
    description: Run twice in a row outside check mode with the same options, the second run changes nothing.
    support: full
seealso:
  - module: strata.fleet.engine_info
"""

EXAMPLES = r"""
- name: Initialise the engine with the defaults
  strata.fleet.engine:

- name: Put the pool on a disk of its own, and give appliances two networks
  strata.fleet.engine:
    pool_source: /dev/disk/by-id/virtio-data
    networks:
      - name: front
        address: 10.20.0.1/24
      - name: back
        address: 10.21.0.1/24
        nat: false

- name: Remove what the first example made
  strata.fleet.engine:
    state: absent
"""

RETURN = r"""
steps:
  description: What was done, or in check mode would be done, in order.
  returned: always
  type: list
  elements: str
  sample:
    - create pool strata, btrfs of 50 GiB
    - create network strata0, 10.87.0.1/24
engine:
  description: What the node can do, as M(strata.fleet.engine_info) returns it.
  returned: success
  type: dict
  contains:
    version:
      description: The engine's version.
      type: str
      returned: success
      sample: 6.0.4
    limits_enforced:
      description: Whether memory and CPU limits are enforced.
      type: bool
      returned: success
    bridge_filtering:
      description: Whether what appliances of one network send each other passes the network's access list.
      type: bool
      returned: success
    pool_driver:
      description: The storage pool's driver, null while there is no pool.
      type: str
      returned: success
      sample: btrfs
    pool_free:
      description: Free bytes in the pool, null while there is no pool.
      type: int
      returned: success
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import engine_model, engine_setup, engine_state
from ansible_collections.strata.fleet.plugins.module_utils.engine import SOCKET
from ansible_collections.strata.fleet.plugins.module_utils.errors import EngineError
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result, run
from ansible_collections.strata.fleet.plugins.module_utils.sizes import parse_size

PLANNERS = {"present": engine_setup.plan, "absent": engine_setup.plan_removal}
DEFAULT_NETWORKS = [{"name": "strata0", "address": "10.87.0.1/24"}]


def to_want(params: dict[str, t.Any]) -> engine_model.Want:
    """Return the options as what the planner takes."""
    size = parse_size(params["pool_size"]) if params["pool_size"] else 0
    return engine_model.Want(
        project=params["project"],
        pool=engine_model.Pool(params["pool"], params["pool_driver"], params["pool_source"], size),
        networks=tuple(engine_model.Network(**network) for network in params["networks"]),
        https_address=params["https_address"],
    )


def work(params: dict[str, t.Any], check_mode: bool) -> Result:
    """Read, plan, apply, and read again."""
    want, socket = to_want(params), params["socket"]
    engine_setup.validate(want)
    make_plan = PLANNERS[params["state"]]
    plan = make_plan(want, engine_state.read(socket, want))
    if not check_mode and plan.steps:
        engine_state.apply(socket, want.project, plan.steps)
        left = [step.sentence for step in make_plan(want, engine_state.read(socket, want)).steps]
        if left:
            raise EngineError(f"The engine accepted every step, yet this is still to be done: {'; '.join(left)}.")
    facts = engine_state.report(socket, want.project, want.pool.name)
    return Result(
        changed=bool(plan.steps),
        steps=[step.sentence for step in plan.steps],
        before=plan.before,
        after=plan.after,
        facts={"engine": facts},
        warnings=engine_state.warnings(facts),
    )


def main() -> None:
    """Run the module."""
    network = {
        "name": {"type": "str", "required": True},
        "address": {"type": "str", "required": True},
        "nat": {"type": "bool", "default": True},
        "mtu": {"type": "int", "default": 0},
        "filtered": {"type": "bool", "default": True},
    }
    options = {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "socket": {"type": "path", "default": SOCKET},
        "project": {"type": "str", "default": "strata"},
        "pool": {"type": "str", "default": "strata"},
        "pool_driver": {"type": "str", "choices": ["auto", "btrfs", "dir", "lvm", "zfs"], "default": "auto"},
        "pool_source": {"type": "str", "default": ""},
        "pool_size": {"type": "str", "default": ""},
        "networks": {"type": "list", "elements": "dict", "options": network, "default": DEFAULT_NETWORKS},
        "https_address": {"type": "str"},
    }
    run(AnsibleModule(argument_spec=options, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
