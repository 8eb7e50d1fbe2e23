# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show what a drill found."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_report
short_description: Show what a drill found, as a table and as JSON
version_added: 0.1.0
description:
  - Prints a row for every appliance that was to be drilled, and what the checks of the repositories said. Fails where a
    backup is not proven or a repository is damaged.
  - Runs on the controller only; connects to nothing.
options:
  results:
    description: What M(strata.fleet.drill) returned, by node.
    type: dict
    required: true
  requests:
    description: What was asked of each node, as M(strata.fleet.restore_goal) returned it.
    type: dict
    required: true
  skipped:
    description: Why appliances were not drilled, by name.
    type: dict
    default: {}
  checks:
    description: What M(strata.fleet.repository_check) returned, on all nodes.
    type: list
    elements: dict
    default: []
  path:
    description: Also write everything as JSON to this file on the controller.
    type: path
    default: ""
extends_documentation_fragment:
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.drill
author:
  - The Strata authors (@strata-fleet)
"""

EXAMPLES = r"""
- name: Show what the drill found
  strata.fleet.drill_report:
    results: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'drilled'))) }}"
    requests: "{{ goal.requests }}"
  run_once: true
"""

RETURN = r"""
drills:
  description: One entry an appliance, as M(strata.fleet.drill) returns it, with its C(node).
  returned: always
  type: list
  elements: dict
checks:
  description: The checks of the repositories.
  returned: always
  type: list
  elements: dict
"""
