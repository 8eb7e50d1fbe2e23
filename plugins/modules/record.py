# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record a rollout, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: record
short_description: Record what became of a rollout
version_added: 0.1.0
description:
  - Writes C(<id>.json) and, for people, C(<id>.md), and prints the outcomes as a table.
  - Called again with O(record), when M(strata.fleet.signature) has answered, it also writes C(<id>.json.asc), the
    detached signature over exactly the bytes of the JSON file, or notes that there is none.
  - Runs on the controller only.
options:
  plan:
    description: The plan that M(strata.fleet.rollout) returned.
    type: dict
  state:
    description: RV(strata.fleet.rollout_gate#module:state) of the last gate.
    type: dict
  path:
    description: The folder on the controller that the files are written to.
    type: path
    required: true
  signer:
    description: The depot that is asked to sign the record. Empty where there is none.
    type: str
    default: ""
  record:
    description: The record that this module returned before, instead of O(plan) and O(state).
    type: dict
  signature:
    description: With O(record), its signature.
    type: str
    default: ""
  unsigned:
    description: With O(record), why it is not signed.
    type: str
    default: ""
extends_documentation_fragment:
  - strata.fleet.node.read_only
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: none
  idempotent:
    description: When run twice in a row without changes outside, the second run changes nothing.
    support: none
requirements:
  - rich on the controller
author:
  - The Strata authors (@strata-fleet)
seealso:
  - module: strata.fleet.rollout_gate
"""

EXAMPLES = r"""
- name: Record what became of each appliance
  strata.fleet.record:
    plan: "{{ planned.plan }}"
    state: "{{ gate.state }}"
    path: /var/lib/records
  run_once: true
"""

RETURN = r"""
record:
  description: The record, as it is written.
  returned: success
  type: dict
  contains:
    format:
      description: The version of this format, 1.
      type: int
    id:
      description: The rollout's name.
      type: str
    result:
      description:
        - V(complete) when all that was to be patched is; V(halted) when a gate stopped it; V(incomplete) when some
          could not be patched.
      type: str
    halted:
      description: Why it halted.
      type: str
    started:
      description: When it was planned, ISO 8601 in UTC.
      type: str
    ended:
      description: When it was over.
      type: str
    by:
      description:
        - Who ran it - C(user), C(host), the C(inventory) files, their C(commit) in Git, whether they differ from it
          (C(is_modified)) and the depot that signs (C(signer)).
      type: dict
    rollout:
      description: How it was to be rolled out.
      type: dict
    batches:
      description: The batches of the plan.
      type: list
      elements: dict
    appliances:
      description:
        - For each selected appliance C(name), C(node), C(batch), the compositions C(from) and C(to), C(packages) that
          changed (null where that is not known), C(cves) and C(advisories) fixed (C(complete) is false where there may
          be more), C(started), C(ended), C(interruption) in seconds, C(outcome), C(state) (V(kept) or V(restored)),
          C(snapshot), C(reason) in a line, and whether an C(earlier) run did it that no record at O(path) tells of.
        - C(outcome) is V(patched), V(reverted), V(rolled_back), V(failed), V(skipped), V(not started), V(put off),
          V(current), V(blocked) or V(unknown).
      type: list
      elements: dict
    totals:
      description:
        - C(outcomes) counts words, C(earlier) those of runs before, C(interruption) has C(median) and C(longest) in
          seconds, C(cves) lists all ids; the last two are of this run only.
      type: dict
text:
  description: Exactly what the JSON file holds.
  returned: success
  type: str
file:
  description: The JSON file.
  returned: success
  type: str
complete:
  description: Whether the result is V(complete).
  returned: success
  type: bool
"""
