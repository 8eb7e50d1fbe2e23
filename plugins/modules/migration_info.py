# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell what a node knows of appliances that are to go to another one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_info
short_description: Tell what decides whether and how appliances can migrate
version_added: 0.1.0
description:
  - Returns how much room a node has, and of its appliances what they take and what they are made of, and where those
    stand that are on their way from or to another node. M(strata.fleet.migration) decides by that.
options:
  names:
    description: Only these appliances. Empty means all of them.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.migration
"""

EXAMPLES = r"""
- name: Look at web1 on all nodes
  strata.fleet.migration_info:
    names: [web1]
  register: found
"""

RETURN = r"""
node:
  description:
    - The node's C(architecture), whether its engine is C(clustered), the C(driver) of the pool, and the bytes that are
      free on it (C(pool_free)) and in memory (C(memory_available)).
  returned: success
  type: dict
appliances:
  description: One entry an appliance.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The appliance's name.
      type: str
    type:
      description: V(container) or V(virtual-machine).
      type: str
    state:
      description: V(running) or V(stopped), or another word of the engine's.
      type: str
    base:
      description: Name, version and commit of the base.
      type: dict
    app:
      description: Name, version and commit of the app.
      type: dict
    migration:
      description:
        - The C(role) that it has in a migration that did not end (V(out), V(in), V(taken), V(given_up)), or V(kept) for
          what stayed after one, the other C(node), C(when) it began, and the C(reason) why it was given up. Null where
          there is none.
      type: dict
    quarantine:
      description: Why it is cut off, empty where it is not.
      type: str
    swap:
      description: Whether a patch or rollback of it was cut off.
      type: bool
    volumes:
      description: The bytes that each state volume takes on disk, by the engine's names. 0 where that cannot be seen.
      type: dict
    snapshots:
      description: >-
        The bytes that the snapshots of each take on disk, on pools of driver C(dir), where each is a copy of all of it.
      type: dict
    leftovers:
      description: The snapshots, as C(volume/snapshot), that a migration left which ended otherwise.
      type: list
      elements: str
    memory:
      description: Its memory limit in bytes, or what it uses where it has none.
      type: int
    hardware:
      description: The MAC addresses of its network cards, by device.
      type: dict
    previous:
      description: What the instance remembers of the composition before the last change, as text.
      type: str
    bad:
      description: Combinations of base and app that failed here.
      type: list
      elements: dict
    history:
      description: What became of its swaps.
      type: list
      elements: dict
    restore:
      description: What a restore that was cut off wrote down, null where there is none.
      type: dict
    backups:
      description: What this node knows of its backups.
      type: dict
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import apply, migrate_have, options, runner

SPEC = {**options.NODE_OPTIONS, "names": {"type": "list", "elements": "str", "default": []}}


def work(params: dict[str, t.Any], _check_mode: bool) -> runner.Result:
    """Read, and report."""
    node = apply.Node(options.engine_of(params), Path(params["store_path"]), params["pool"], b"")
    facts = {"node": migrate_have.read_node(node), "appliances": migrate_have.read_appliances(node, params["names"])}
    return runner.Result(facts=facts)


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
