# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a rollout, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout
short_description: Plan a rollout and show the plan
version_added: 0.1.0
description:
  - Decides which appliances are patched, from what to what, why, and in which batches. Prints that as a table,
    and writes it as JSON where asked for.
  - Before nodes have decided, without O(staged), only checks O(rollout) and O(only), and returns RV(avoid).
  - Runs on the controller only; changes nothing but the file at O(path).
options:
  fleet:
    description: The appliances by node, as M(strata.fleet.fleet) returns them.
    type: dict
    required: true
  found:
    description: What M(strata.fleet.appliance_info) returned, by node, or Ansible's word that the node did not answer.
    type: dict
    default: {}
  staged:
    description: What M(strata.fleet.store) returned in check mode with C(refresh), by node.
    type: dict
  rollout:
    description: How to roll out, as C(docs/schemas/rollout.schema.json) describes it.
    type: dict
    default: {}
  only:
    description: Names of appliances to work on. Empty means all of them.
    type: list
    elements: str
    default: []
  retry:
    description: Avoid nothing that failed before.
    type: bool
    default: false
  path:
    description: Also write the plan as JSON to this file on the controller.
    type: path
    default: ""
extends_documentation_fragment:
  - strata.fleet.node.read_only
requirements:
  - jmespath on the controller
  - rich on the controller
author:
  - The Strata authors (@strata-fleet)
seealso:
  - module: strata.fleet.rollout_gate
  - module: strata.fleet.record
"""

EXAMPLES = r"""
- name: Plan the rollout
  strata.fleet.rollout:
    fleet: "{{ fleet.nodes }}"
    found: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'found'))) }}"
    staged: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'decided'))) }}"
    rollout:
      canaries: {groups: [test]}
      batches: [1, "25%"]
      services: [{group: web, max_unavailable: 1}]
    path: plan.json
  run_once: true
  register: planned
"""

RETURN = r"""
plan:
  description: The plan, as it is also written to O(path).
  returned: with O(staged)
  type: dict
  contains:
    id:
      description: The rollout's name, which its record gets.
      type: str
    made:
      description: When the plan was made, ISO 8601 in UTC.
      type: str
    appliances:
      description: One entry for each appliance that should be there, in the order of nodes and inventory.
      type: list
      elements: dict
      contains:
        name:
          description: The appliance's name.
          type: str
        node:
          description: The node that it is on.
          type: str
        wanted:
          description: The state that the inventory asks for.
          type: str
        verdict:
          description:
            - V(patch), V(resume) (a run was cut short in the middle), V(current), V(blocked), V(not selected),
              V(not deployed) or V(unknown) (its node cannot tell).
          type: str
        cause:
          description:
            - What blocks it - V(abi), V(pin), V(bad), V(state), V(content) or V(quarantine) as M(strata.fleet.store)
              says, V(config) (its values do not fit the new app), or V(service) (no room for it to go down).
          type: str
        reason:
          description: Why it is not patched, in a sentence.
          type: str
        vendor:
          description: Who makes its app, or who can lift what blocks it; empty where that is the site.
          type: str
        from:
          description: Name, version and commit of C(base) and C(app) that it runs.
          type: dict
        to:
          description: Those that it moves to, null where it does not move.
          type: dict
        moves:
          description: For C(base) and C(app), where they move, the key in RV(plan.changes).
          type: dict
        held:
          description: Why it does not move to everything that is new.
          type: str
        earlier:
          description: The outcome of the patch that brought a current appliance to where it is, null where none did.
          type: dict
        why:
          description: Why it moves, a sentence each.
          type: list
          elements: str
        interruption:
          description: The seconds that it is expected not to serve, null where nothing is known.
          type: float
        interruption_from:
          description: What that is known from.
          type: str
        down:
          description: Why it does not serve now though it should, else empty.
          type: str
        batch:
          description: The number of its batch, null where it has none.
          type: int
    batches:
      description:
        - C(number), C(kind) (V(resume), V(canary) or V(batch)), C(appliances) and C(size) (how many there may be) of
          each batch, in order.
      type: list
      elements: dict
    blocked:
      description: The names of blocked appliances, by vendor.
      type: dict
    nodes:
      description:
        - By node, what it fetches (C(fetch)), the exact C(bytes) on the wire, and C(at_most) in bytes what the depot
          has no delta for; C(said) is both in words.
      type: dict
    changes:
      description: Packages and CVE ids of each move, as M(strata.fleet.store) returns them.
      type: dict
    services:
      description: C(group), C(members) and C(limit) of each service.
      type: list
      elements: dict
    unreachable:
      description: Nodes that did not answer, with the reason.
      type: dict
    problems:
      description: Nodes that answered but cannot tell what is to be done, with the reason.
      type: dict
    warnings:
      description: What the plan does not know, such as what failed on nodes that did not answer, in sentences.
      type: list
      elements: str
    no_canaries:
      description: That canaries were asked for and why none can go, though others would; else empty.
      type: str
    window:
      description: That no maintenance window is open and when the next one begins, else empty.
      type: str
avoid:
  description:
    - The combinations of base and app that failed anywhere, as O(strata.fleet.store#module:avoid) takes them; with
      those that appliances fell ill with after they were patched.
  returned: without O(staged)
  type: list
  elements: dict
targets:
  description: By node, base and app that each appliance moves to.
  returned: with O(staged)
  type: dict
requests:
  description: By node, the appliances that move, asking for exactly these versions.
  returned: with O(staged)
  type: dict
refused:
  description: Why nothing may begin, else empty.
  returned: with O(staged)
  type: str
waits:
  description: RV(plan.window) or RV(plan.no_canaries), where nothing is so urgent that it does not wait for these.
  returned: with O(staged)
  type: str
"""
