# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show on the controller what a deploy would do."""

from __future__ import annotations

DOCUMENTATION = r"""
module: deploy_plan
short_description: Show what a deploy would do and how the fleet is, as a table, as JSON, and as Markdown
version_added: 0.1.0
description:
  - Puts what the nodes said in check mode together with what the inventory asks for. What differs although nothing was
    asked to change is drift.
  - The table has the appliances that are not as they should be; JSON has all of them.
  - Ends as unreachable where a node could not tell, and fails where one refuses; both files are written before.
  - Runs on the controller only.
options:
  staged:
    description: What M(strata.fleet.store) returned in check mode, by node.
    type: dict
    required: true
  planned:
    description: What M(strata.fleet.appliance) returned in check mode, by node.
    type: dict
    required: true
  found:
    description: What M(strata.fleet.appliance_info) returned, by node.
    type: dict
    required: true
  verified:
    description: What M(strata.fleet.verify_info) returned, by node.
    type: dict
    default: {}
  only:
    description: Tell only of these appliances. Empty means all.
    type: list
    elements: str
    default: []
  path:
    description: Also write the plan as JSON to this file on the controller.
    type: path
    default: ""
  markdown:
    description: Also write it in short, fit for a comment of a code forge, to this file on the controller.
    type: path
    default: ""
extends_documentation_fragment:
  - strata.fleet.node.read_only
requirements:
  - rich on the controller
author:
  - The Strata authors (@strata-fleet)
seealso:
  - module: strata.fleet.appliance
  - module: strata.fleet.status
"""

EXAMPLES = r"""
- name: Plan on every node
  strata.fleet.appliance:
    appliances: "{{ fleet.nodes[inventory_hostname] }}"
    layers: "{{ staged.layers }}"
    manifests: "{{ staged.manifests }}"
    known: "{{ groups['appliances'] }}"
  check_mode: true
  register: planned

- name: Look at the appliances
  strata.fleet.appliance_info:
  register: found

- name: Show what a deploy would do
  strata.fleet.deploy_plan:
    staged: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'staged'))) }}"
    planned: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'planned'))) }}"
    found: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'found'))) }}"
    path: plan.json
  run_once: true
"""

RETURN = r"""
plan:
  description: What the file has, too.
  returned: success
  type: dict
  contains:
    format:
      description: The number of this shape, raised when a reader would no longer understand it.
      type: int
    made:
      description: When it was made, in UTC.
      type: str
    appliances:
      description:
        - All appliances that are wanted or found, by node and name. C(verdict) is what a deploy would do, V(none),
          V(create), V(remove), V(restart), V(stop), V(start), V(configure) (units are told) or V(change) (anything
          else, without a restart); V(stray) for one that the inventory does not ask for there, V(paused), or V(unknown)
          where its node could not tell.
        - C(steps) are the sentences of it. C(wanted), C(state), C(health) and C(fault) are as M(strata.fleet.status)
          shows them. C(owner), C(drift) and C(want_state) are what the inventory says, C(paused) the C(reason) and
          C(until) of a pause that holds.
      type: list
      elements: dict
    nodes:
      description:
        - By node the C(problem) for which it could not plan or be reached, empty where it could; what it C(fetches);
          C(steps) that concern the node and no single appliance; and what verifying left C(unchecked).
      type: dict
    findings:
      description: What M(strata.fleet.verify_info) found, with C(node), and C(place) for where.
      type: list
      elements: dict
    totals:
      description: How many appliances there are of each verdict.
      type: dict
"""
