# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which appliances go back to what, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback
short_description: Decide which appliances go back to what
version_added: 0.1.0
description:
  - Finds, for each appliance that is named, the base and app before they last changed, or those that are named, and
    tells what becomes of its state. The modules M(strata.fleet.store) and M(strata.fleet.patch) do the rest.
  - Refuses names that are not there, and a snapshot for more than one. Appliances that cannot go back are in
    RV(skipped); where nobody can, it refuses.
  - Runs on the controller only; connects to nothing.
options:
  fleet:
    description: The appliances of each node, as M(strata.fleet.fleet) returns them.
    type: dict
    required: true
  found:
    description: What M(strata.fleet.appliance_info) returned, by node, or Ansible's word that the node did not answer.
    type: dict
    required: true
  names:
    description: Appliances, or groups of them. Of a group, those on the nodes in O(fleet) are meant.
    type: list
    elements: str
    default: []
  base_version:
    description:
      - The version of the base to go back to. When this and O(app_version) are empty, it is what ran before the last
        change of base or app; an appliance that went back already stays then.
    type: str
    default: ""
  app_version:
    description: The version of the app to go back to.
    type: str
    default: ""
  snapshot:
    description: A snapshot to bring the state of one appliance back to. Empty keeps the state as it is.
    type: str
    default: ""
extends_documentation_fragment:
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.patch
author:
  - The Strata authors (@strata-fleet)
"""

EXAMPLES = r"""
- name: Decide what web1 goes back to
  strata.fleet.rollback:
    fleet: "{{ fleet.nodes }}"
    found: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'found'))) }}"
    names: [web1]
  run_once: true
  register: back
"""

RETURN = r"""
nodes:
  description: The appliances of each node that go back, with the versions they go back to.
  returned: success
  type: dict
restore:
  description: The snapshot by appliance, where one was named.
  returned: success
  type: dict
skipped:
  description: By node and appliance, why those that were named, but cannot go back, stay as they are.
  returned: success
  type: dict
steps:
  description: What will happen, a sentence for each appliance.
  returned: success
  type: list
  elements: str
  sample: ["web1: base debian-13 13.20261122.2 -> debian-13 13.20261122.1; state stays"]
"""
