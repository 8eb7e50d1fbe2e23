# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which appliances migrate from where to where, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration
short_description: Decide which appliances migrate from where to where
version_added: 0.1.0
description:
  - Finds the appliances that are asked for, wherever they are, and how far a migration of them has come. Refuses what
    cannot be done, with everything that is in the way, before anything is changed.
  - The modules M(strata.fleet.migrate_source) and M(strata.fleet.migrate_target) do it.
  - Runs on the controller only; connects to nothing.
options:
  found:
    description: What M(strata.fleet.migration_info) returned, by node, or Ansible's word that the node did not answer.
    type: dict
    required: true
  names:
    description: Appliances that migrate.
    type: list
    elements: str
    default: []
  to:
    description:
      - The node that they go to. Empty is the node that the inventory says. The node that one is leaving takes back a
        migration that was cut off before the other node took over.
    type: str
    default: ""
  evacuate:
    description: Instead of O(names), all appliances of this node, spread over the others by free memory.
    type: str
    default: ""
  fill:
    description: Instead of O(names), all appliances that the inventory has on this node and that are elsewhere.
    type: str
    default: ""
  apart:
    description: With O(evacuate), groups whose members share no node as long as another has room.
    type: list
    elements: str
    default: []
  give_back:
    description:
      - The nodes that they went to are lost, or what is there is not wanted. They run where they were, on the state
        that was there.
    type: bool
    default: false
extends_documentation_fragment:
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.migration_info
author:
  - The Strata authors (@strata-fleet)
"""

EXAMPLES = r"""
- name: Decide how web1 gets to node2
  strata.fleet.migration:
    found: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'found'))) }}"
    names: [web1]
    to: node2
  run_once: true
  register: plan
"""

RETURN = r"""
moves:
  description:
    - What happens, in order - C(name), C(source), C(target), what the nodes know (C(facts)), the appliance as it is to
      be on the target (C(item)), and the C(phase) that it is in. V(copy) begins, or goes on while the appliance runs.
      V(switch), V(start), V(finish) and V(tidy) take up what was cut off. V(give_back) and V(clean)
      undo it.
  returned: success
  type: list
  elements: dict
settled:
  description: By name, the node of each appliance that is where it is asked to be.
  returned: success
  type: dict
steps:
  description: What will happen, a sentence for each appliance.
  returned: success
  type: list
  elements: str
  sample: ["web1: from node1 to node2 (300 MiB of state)"]
warnings:
  description: Which appliances could not be kept apart.
  returned: success
  type: list
  elements: str
"""
