# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell what became of migrations, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_report
short_description: Tell what became of migrations, and what that changes in the inventory
version_added: 0.1.0
description:
  - Prints what became of each appliance, and the line of the inventory that says on which node it is, changed.
    Fails where one did not get where it was to go.
  - Runs on the controller only; connects to nothing.
options:
  outcomes:
    description: What became of each appliance, as the role P(strata.fleet.migrate#role) collects it.
    type: list
    elements: dict
    default: []
  settled:
    description: By name, the node of each appliance that was asked for and is there already.
    type: dict
    default: {}
  show_inventory:
    description: Tell what to change in the inventory. An evacuation is not to stay, and changes nothing there.
    type: bool
    default: true
  write_inventory:
    description:
      - Change that line, where it is a plain one (C(appliance_node) in a file of C(host_vars), or in the line that
        names the appliance). Nothing else in the file is touched.
    type: bool
    default: false
extends_documentation_fragment:
  - strata.fleet.node.read_only
author:
  - The Strata authors (@strata-fleet)
"""

EXAMPLES = r"""
- name: Tell what became of web1
  strata.fleet.migration_report:
    outcomes:
      - {name: web1, source: node1, target: node2, outcome: migrated, reason: ""}
  run_once: true
"""

RETURN = r"""
lines:
  description: What the inventory has to say, a sentence for each appliance that it has elsewhere.
  returned: success
  type: list
  elements: str
  sample: ["host_vars/web1.yml:3: appliance_node: node1 -> appliance_node: node2"]
msg:
  description: What became of all of them.
  returned: always
  type: str
"""
