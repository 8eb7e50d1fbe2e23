# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide between batches whether a rollout goes on, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_gate
short_description: Decide between batches whether a rollout goes on
version_added: 0.1.0
description:
  - Takes what nodes returned of the batch before, prints a line for each outcome, and decides who is started now.
  - The rollout halts when a smaller share of the batch is patched and healthy than its C(threshold) says, when no
    maintenance window is open, or when none of the canaries could go. Appliances whose service has no room are put off
    to a later batch, or to one after all others.
  - Those that an earlier run left in the middle are not judged; one that fails counts as down.
  - A node that went away counts as failed, and an appliance that was patched but is not healthy any more as well.
  - Does not fail when the rollout halts, so that it can be recorded; RV(halted) tells.
  - Runs on the controller only; changes nothing.
options:
  plan:
    description: The plan that M(strata.fleet.rollout) returned.
    type: dict
    required: true
  number:
    description: The batch that is to begin, from 1. Those after the last one are for who was put off.
    type: int
    required: true
  state:
    description: RV(state) of the gate before this one. Empty before the first batch.
    type: dict
    default: {}
  done:
    description: What M(strata.fleet.patch) returned for the batch before, by node, or Ansible's word on what failed.
    type: dict
    default: {}
  found:
    description: What M(strata.fleet.appliance_info) returned now, by node.
    type: dict
    default: {}
extends_documentation_fragment:
  - strata.fleet.node.read_only
author:
  - The Strata authors (@strata-fleet)
seealso:
  - module: strata.fleet.rollout
  - module: strata.fleet.record
"""

EXAMPLES = r"""
- name: Decide who begins
  strata.fleet.rollout_gate:
    plan: "{{ planned.plan }}"
    number: 1
  run_once: true
  register: gate

- name: Swap the appliances of this batch on this node
  strata.fleet.patch:
    appliances: "{{ fleet.nodes[inventory_hostname] | selectattr('name', 'in', gate.members[inventory_hostname]) }}"
    layers: "{{ staged.layers }}"
    manifests: "{{ staged.manifests }}"
  register: done
  ignore_unreachable: true
  failed_when: false
  when: inventory_hostname in gate.members
"""

RETURN = r"""
members:
  description: By node, the names of those that are started now.
  returned: success
  type: dict
state:
  description: How far the rollout is.
  returned: success
  type: dict
  contains:
    started:
      description: By appliance, the batch that it was started in.
      type: dict
    outcomes:
      description: By appliance, its outcome as M(strata.fleet.patch) returns it.
      type: dict
    deferred:
      description: By appliance, why it was put off.
      type: dict
    halted:
      description: As RV(halted).
      type: str
halted:
  description: Why the rollout halts and what to do about it, else empty.
  returned: success
  type: str
"""
