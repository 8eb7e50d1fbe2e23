# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show on the controller what on the nodes is not as it was declared."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Show what on the nodes is not as it was declared, as a table and as JSON
version_added: 0.1.0
description:
  - Prints a table of all findings, with what to do about each.
  - Runs on the controller only.
options:
  found:
    description: What M(strata.fleet.verify_info) returned, by node.
    type: dict
    required: true
  path:
    description: Also write the findings as JSON to this file on the controller.
    type: path
    default: ""
  fail:
    description: Fail when there is a finding, or a node could not be verified.
    type: bool
    default: true
extends_documentation_fragment:
  - strata.fleet.node.read_only
requirements:
  - rich on the controller
author:
  - The Strata authors (@strata-fleet)
seealso:
  - module: strata.fleet.verify_info
"""

EXAMPLES = r"""
- name: Look for what is not as it was declared
  strata.fleet.verify_info:
  register: found

- name: Show it, and fail where there is any
  strata.fleet.verify:
    found: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'found'))) }}"
  run_once: true
"""

RETURN = r"""
findings:
  description: What M(strata.fleet.verify_info) returned of all nodes, with C(node).
  returned: success
  type: list
  elements: dict
nodes:
  description: For each node, whether it could be verified, how many appliances were looked at, and what could not be.
  returned: success
  type: dict
  sample: {node1: {verified: true, appliances: 12, unchecked: []}}
"""
