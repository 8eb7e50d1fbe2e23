# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show the fleet's status on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Show the fleet's status as a table and as JSON
version_added: 0.1.0
description:
  - Prints a table of all appliances that were found on the nodes or are wanted by the inventory, with what is wrong.
  - Runs on the controller only.
options:
  found:
    description: What M(strata.fleet.appliance_info) returned, by node.
    type: dict
    required: true
  path:
    description: Also write the rows as JSON to this file on the controller.
    type: path
    default: ""
  fail:
    description: Fail when an appliance needs attention.
    type: bool
    default: false
extends_documentation_fragment:
  - strata.fleet.node.read_only
requirements:
  - rich on the controller
author:
  - The Strata authors (@strata-fleet)
seealso:
  - module: strata.fleet.appliance_info
"""

EXAMPLES = r"""
- name: Look at the appliances of every node
  strata.fleet.appliance_info:
  register: found

- name: Show the fleet
  strata.fleet.status:
    found: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'found'))) }}"
  run_once: true
"""

RETURN = r"""
appliances:
  description: The rows, as M(strata.fleet.appliance_info) returns them, with C(node) and C(wanted).
  returned: success
  type: list
  elements: dict
"""
