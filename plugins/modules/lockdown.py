# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read lock-down policies and waivers from the inventory, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lockdown
short_description: Read the policies of OS lock-down from the inventory, and what is in effect for whom
version_added: 0.1.0
description:
  - Reads C(lockdown_policies) and C(lockdown_waivers), which are defined once, in group all, and the shipped profiles
    that they name, and tells the effective policy of every appliance, node and depot, which is the strictest of all
    that are for one of its groups.
  - Refuses policies that are malformed, loosen one that is more general or the profile that they take, contradict one
    another, or would refuse what an appliance asks for in the inventory; and waivers that are not complete. All faults
    are reported at once.
  - Without any policy, the profile V(baseline) is in effect, in mode V(audit).
  - Runs on the controller only; connects to nothing.
options:
  check_needs:
    description:
      - Refuse also what appliances ask for in the inventory and their policy would have refused. An audit reports that
        like everything else, so it goes without.
    type: bool
    default: true
  today:
    description:
      - The day by which waivers expire, such as V(2026-11-22). By default today, in UTC.
    type: str
    default: ""
  show:
    description:
      - Print every effective policy as a table.
    type: bool
    default: false
  path:
    description:
      - Also write what is returned as JSON to this file on the controller.
    type: path
    default: ""
extends_documentation_fragment:
  - strata.fleet.node.read_only
requirements:
  - jsonschema on the controller
  - rich on the controller
author:
  - The Strata authors (@strata-fleet)
"""

EXAMPLES = r"""
- name: Read the policies
  strata.fleet.lockdown:
  run_once: true
  register: lockdown

- name: Show the policy that web1 is under
  ansible.builtin.debug:
    var: lockdown.lockdown.policies[lockdown.lockdown.appliances.web1.policy]
"""

RETURN = r"""
lockdown:
  description:
    - What admission and audit judge by, in the shape that the modules take.
    - Its key C(policies) has the effective policies by digest, which is the SHA-256 of their canonical JSON. The keys
      C(appliances), C(nodes) and C(depots) say whose each is, and the names by which waivers can be for them.
    - The key C(orphans) has the waivers that waive nothing, with the reason, and C(conflicts) what appliances ask for
      and their policy does not allow.
  returned: success
  type: dict
  sample:
    today: "2026-11-22"
    policies:
      6f1e:
        digest: 6f1e
        names: [site, web]
        mode: enforce
        owner: IT security
        rules: {abi: {value: true, severity: high, from: profile baseline}}
        actions: {critical: refuse, high: refuse, medium: report, low: report}
    appliances:
      web1: {policy: 6f1e, names: [web1, web, appliances, all, base/debian-13, app/nginx]}
    nodes: {}
    depots: {}
    waivers: []
    orphans: []
    conflicts: []
"""
