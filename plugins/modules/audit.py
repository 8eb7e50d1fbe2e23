# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report on the controller how a fleet keeps to its policies."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit
short_description: Report how a fleet keeps to its policies, as a table, JSON, JUnit, SARIF and HTML
version_added: 0.1.0
description:
  - Prints a summary of all verdicts, with what to do about the bad ones, and writes the files that are asked for.
  - Compares with the report that was in the folder before, and tells what is new and what is gone.
  - Called again with O(signature), when M(strata.fleet.signature) has answered, it writes C(audit.json.asc), the
    detached signature over exactly the bytes of C(audit.json).
  - Runs on the controller only.
options:
  found:
    description:
      - What C(strata.fleet.audit_info) returned, by node. A node that gave no verdicts counts as not audited.
      - For fleets of a hundred appliances and more, O(found_as) is quicker by far.
    type: dict
  found_as:
    description: Instead of O(found), the name of the variable that each node registered it in.
    type: str
    default: ""
  lockdown:
    description: Policies and waivers, as the nodes were given them.
    type: dict
  nodes:
    description:
      - The nodes that were to be audited. Those that O(found) tells nothing of count as not audited.
      - Without it, all nodes that O(lockdown) names.
    type: list
    elements: str
  folder:
    description:
      - The folder on the controller for C(audit.json), C(audit.xml) (JUnit), C(audit.sarif) and C(audit.html).
      - Without it nothing is written.
    type: path
    default: ""
  formats:
    description: Which files are written besides C(audit.json), which always is where there is a folder.
    type: list
    elements: str
    choices: [json, junit, sarif, html]
    default: [json, junit, sarif, html]
  feeds:
    description:
      - What M(strata.fleet.security_feed) returned as C(feeds), by which missing security updates are told.
      - Without it, rules about them are unknown.
    type: list
    elements: dict
    default: []
  fail_on:
    description:
      - From which severity on a finding makes the audit no good. V(never) - none does.
      - Without it, V(high) for findings under a policy that is enforced, and never for others.
      - An unknown counts only under a policy that is enforced.
    type: str
    choices: ["", low, medium, high, critical, never]
    default: ""
  fail:
    description: Fail when the audit is no good. Without it, RV(good) tells.
    type: bool
    default: true
  signature:
    description: The signature over the C(audit.json) that a first call wrote. Then nothing else is done.
    type: str
    default: ""
  unsigned:
    description: Instead of O(signature), why there is none.
    type: str
    default: ""
extends_documentation_fragment:
  - strata.fleet.node.read_only
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
    details: The files are written in check mode, too. They are what is asked for.
  idempotent:
    description: When run twice in a row without changes outside, the second run changes nothing.
    support: none
    details: Each report has its time, and what changed since the one before.
requirements:
  - rich on the controller
author:
  - The Strata authors (@strata-fleet)
seealso:
  - module: strata.fleet.signature
"""

EXAMPLES = r"""
- name: Report what the nodes found, and go on whatever it is
  strata.fleet.audit:
    found_as: found
    lockdown: "{{ payload.lockdown }}"
    nodes: "{{ ansible_play_hosts_all }}"
    folder: /var/lib/reports
    fail: false
  register: audit
  run_once: true

- name: Have the report signed
  strata.fleet.signature:
    depot: /var/lib/strata/depot
    text: "{{ lookup('ansible.builtin.file', audit.file, rstrip=false) }}"
  delegate_to: depot1
  register: signed
  run_once: true

- name: Keep the signature
  strata.fleet.audit:
    folder: /var/lib/reports
    signature: "{{ signed.signature }}"
  run_once: true

- name: Fail when the fleet does not keep to its policies
  ansible.builtin.assert:
    that: audit.good
    fail_msg: "{{ audit.msg }}"
  run_once: true
"""

RETURN = r"""
good:
  description: Whether no finding is as grave as O(fail_on).
  returned: with O(found) or O(found_as)
  type: bool
counts:
  description: Verdicts by status, findings by severity, and both by policy and owner.
  returned: with O(found) or O(found_as)
  type: dict
quarantine:
  description: By node and appliance, why an enforced policy has it cut off from the network. Nothing was done about it.
  returned: with O(found) or O(found_as)
  type: dict
  sample: {node1: {web1: "an audit found that content-intact failed"}}
since:
  description: What changed since the report that was in the folder before, null where there was none.
  returned: success, with O(found) or O(found_as)
  type: dict
file:
  description: C(audit.json), empty without O(folder); see docs/schemas/audit.schema.json.
  returned: with O(found) or O(found_as)
  type: str
files:
  description: The files that were written.
  returned: always
  type: list
  elements: str
  sample: [/var/lib/reports/audit.json, /var/lib/reports/audit.html]
"""
