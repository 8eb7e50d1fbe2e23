# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what the engine of a node can do."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_info
short_description: Say what the engine of a node can do
version_added: 0.1.0
description:
  - Reads the engine's version and abilities, and the state of the storage pool. Changes nothing.
author:
  - The Strata authors (@strata-fleet)
options:
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
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying the node.
    support: full
  diff_mode:
    description: Returns details on what has changed, or would change.
    support: none
    details: It changes nothing.
  idempotent:
    description: Run twice in a row outside check mode with the same options, the second run changes nothing.
    support: full
seealso:
  - module: strata.fleet.engine
"""

EXAMPLES = r"""
- name: Read what the engine can do
  strata.fleet.engine_info:
  register: node

- name: Refuse a node that does not enforce limits
  ansible.builtin.assert:
    that: node.engine.limits_enforced
"""

RETURN = r"""
engine:
  description: What the node can do.
  returned: success
  type: dict
  contains:
    version:
      description: The engine's version.
      type: str
      returned: success
      sample: 6.0.4
    missing_extensions:
      description: The parts of the API that Strata needs and this engine lacks. Empty on any Incus from 6.0 on.
      type: list
      elements: str
      returned: success
    kernel:
      description: The kernel's version.
      type: str
      returned: success
    architecture:
      description: The machine's architecture.
      type: str
      returned: success
      sample: x86_64
    idmapped_mounts:
      description: Whether the kernel maps ownership of shared folders, which every appliance needs.
      type: bool
      returned: success
    limits_enforced:
      description: Whether the engine has the cgroup controllers that make memory and CPU limits effective.
      type: bool
      returned: success
    bridge_filtering:
      description:
        - Whether what appliances of one network send each other passes the network's access list. It needs the kernel's
          bridge netfilter; without it the list only holds for what enters or leaves the network.
      type: bool
      returned: success
    virtual_machines:
      description: Whether the engine can run virtual machines.
      type: bool
      returned: success
    apparmor:
      description: Whether the kernel runs AppArmor.
      type: bool
      returned: success
    clustered:
      description: Whether the engine is a member of a cluster.
      type: bool
      returned: success
    https_address:
      description: Where the API listens on the network, empty when it does not.
      type: str
      returned: success
    is_root:
      description: Whether the module ran as root.
      type: bool
      returned: success
    project:
      description: The project asked about.
      type: str
      returned: success
    project_present:
      description: Whether that project is there.
      type: bool
      returned: success
    pool:
      description: The pool asked about.
      type: str
      returned: success
    pool_driver:
      description: The pool's driver, null while there is no pool.
      type: str
      returned: success
      sample: btrfs
    pool_size:
      description: The pool's size in bytes, null while there is no pool.
      type: int
      returned: success
    pool_free:
      description: Free bytes in the pool, null while there is no pool.
      type: int
      returned: success
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import engine_state
from ansible_collections.strata.fleet.plugins.module_utils.engine import SOCKET
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result, run


def work(params: dict[str, t.Any], _check_mode: bool) -> Result:
    """Read, and return it."""
    facts = engine_state.report(params["socket"], params["project"], params["pool"])
    return Result(facts={"engine": facts}, warnings=engine_state.warnings(facts))


def main() -> None:
    """Run the module."""
    options = {
        "socket": {"type": "path", "default": SOCKET},
        "project": {"type": "str", "default": "strata"},
        "pool": {"type": "str", "default": "strata"},
    }
    run(AnsibleModule(argument_spec=options, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
