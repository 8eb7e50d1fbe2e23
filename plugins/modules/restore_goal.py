# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what is restored where, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_goal
short_description: Decide what is restored where, out of which backup
version_added: 0.1.0
description:
  - Decides on which node and under which name appliances come out of their backups. The modules
    M(strata.fleet.restore_info), M(strata.fleet.store), M(strata.fleet.restore) and M(strata.fleet.drill) do the rest.
  - Refuses unknown names of appliances, nodes and repositories, to replace the state of an appliance that runs without
    O(over), and whatever could let two nodes run one state.
  - Runs on the controller only; connects to nothing.
options:
  purpose:
    description: V(restore) is for one appliance, V(drill) tries out the backups of many.
    type: str
    choices: [restore, drill]
    default: restore
  found:
    description: What M(strata.fleet.appliance_info) returned, by node, or Ansible's word that the node did not answer.
    type: dict
    required: true
  repositories:
    description: The names of the repositories that there are.
    type: list
    elements: str
    default: []
  network:
    description: Name and address (with a prefix length) of the network that copies are on.
    type: dict
    required: true
  names:
    description: With O(purpose=drill), appliances or groups of them. Empty means all that are backed up.
    type: list
    elements: str
    default: []
  appliance:
    description: The appliance to restore.
    type: str
    default: ""
  snapshot:
    description: C(latest), an id of restic's, or a time.
    type: str
    default: latest
  node:
    description: The node to restore to. Empty means where the inventory has it.
    type: str
    default: ""
  name:
    description: Another name, for a look beside the appliance.
    type: str
    default: ""
  volume:
    description: One volume, by the app's name for it.
    type: str
    default: ""
  path:
    description: One path inside the appliance, to be put into a folder of the node.
    type: str
    default: ""
  over:
    description: The appliance's name once more, where it runs and its state is to be replaced.
    type: str
    default: ""
  repository:
    description: Where the backup is. Empty means where C(appliance_backup) says.
    type: str
    default: ""
  lost_node:
    description: A node that does not answer, and is known not to run the appliance any more.
    type: str
    default: ""
extends_documentation_fragment:
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.restore
author:
  - The Strata authors (@strata-fleet)
"""

EXAMPLES = r"""
- name: Decide where web1 is restored
  strata.fleet.restore_goal:
    appliance: web1
    found: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'found'))) }}"
    repositories: "{{ backup_repositories | list }}"
    network: {name: strata-drill, address: 10.254.87.1/24}
  run_once: true
  register: goal
"""

RETURN = r"""
nodes:
  description: The appliances of each node as they are to be, those that are not concerned left out.
  returned: success
  type: dict
judged:
  description: The appliances of the inventory whose layers and policies they have, by node.
  returned: success
  type: dict
originals:
  description: The one for the other, by name.
  returned: success
  type: dict
  sample: {drill-web1: web1}
requests:
  description: The backups that they come from, by node, as M(strata.fleet.restore_info) takes them.
  returned: success
  type: dict
checks:
  description: With O(purpose=drill), the repositories that each node checks, so that each is checked once.
  returned: success
  type: dict
skipped:
  description: Why appliances are left out, by name.
  returned: success
  type: dict
unsure:
  description: Nodes that may have a copy that nobody can see.
  returned: success
  type: list
  elements: str
steps:
  description: What will happen, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["web1 on node1 comes out of the backup latest in offsite; what is there now is kept aside"]
"""
