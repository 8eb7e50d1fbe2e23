# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell how a node and its appliances keep to their policies."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_info
short_description: Tell how a node and its appliances keep to their policies
version_added: 0.1.0
description:
  - Decides every rule of the policies that are in effect for the node and for each of its appliances.
  - What versions and their files decide is read once for each digest and kept (C(<store_path>/facts), outside of check
    mode). What the engine decides comes from one query. What runs is looked at from the node, through C(/proc) and the
    network of each appliance; nothing logs in to an appliance, and nothing in it is asked.
  - Changes nothing else. No other run can change the node's appliances in the meantime.
options:
  lockdown:
    description: What the module M(strata.fleet.lockdown) returned.
    type: dict
    required: true
  node:
    description: The node's name in the inventory.
    type: str
    required: true
  signers:
    description: Names of those whose signatures count. By default all whose keys are in the store.
    type: list
    elements: str
  content:
    description:
      - Read every file in the store again and compare it with its checksum, which takes a few seconds for each GiB.
      - Otherwise links, modes, owners and times of what is mapped are compared, and a time can be set back.
      - The reason of C(content-intact) says which it was.
    type: bool
    default: false
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.audit
  - module: strata.fleet.lockdown
"""

EXAMPLES = r"""
- name: Read the policies
  strata.fleet.lockdown:
    check_needs: false
  register: lockdown
  run_once: true

- name: Audit this node
  strata.fleet.audit_info:
    lockdown: "{{ lockdown.lockdown }}"
    node: "{{ inventory_hostname }}"
  register: audited
"""

RETURN = r"""
verdicts:
  description:
    - One entry for every rule and appliance, and for every rule about the node (C(appliance) is empty).
    - C(status) is V(guaranteed) (by the commits in C(digests)), V(pass), V(fail), V(waived), V(expired) (its waiver is
      over), V(unknown) or V(not_applicable), with the C(reason).
    - C(faults) are at most 20, each with C(what) was C(found), what is C(allowed), and the C(layer) that brings it.
  returned: success
  type: list
  elements: dict
  sample:
    - rule: setuid-files
      appliance: web1
      status: fail
      severity: high
      place: tree
      action: refuse
      faults: [{what: /usr/bin/su, found: set-uid root, allowed: none, layer: base}]
      owners: [IT]
      policy: 6f1e
appliances:
  description: What the node's appliances are composed of, by commit.
  returned: success
  type: list
  elements: dict
  sample: [{name: web1, status: Running, base: 5f0c, app: 81aa, config: 77d1}]
layers:
  description: What these versions say of themselves, by commit.
  returned: success
  type: dict
unchecked:
  description: Sentences of what could not be looked at.
  returned: success
  type: list
  elements: str
rules:
  description: How many rules were decided.
  returned: success
  type: int
  sample: 47
content:
  description: Whether every file in the store was read again.
  returned: success
  type: bool
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import options, runner, verify
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import admission, auditing
from ansible_collections.strata.fleet.plugins.module_utils.store import unchanged

SPEC = {
    **options.NODE_OPTIONS,
    "lockdown": {"type": "dict", "required": True},
    "node": {"type": "str", "required": True},
    "signers": {"type": "list", "elements": "str"},
    "content": {"type": "bool", "default": False},
}


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Look, and judge."""
    lockdown, store = params["lockdown"], Path(params["store_path"])
    admission.require(lockdown)
    engine = options.engine_of(params)
    node = verify.Node(engine, Path(params["socket"]).parent, verify.server_pid(engine), store, params["pool"])
    # A run in the middle would look like somebody's tampering.
    with unchanged(str(store)):
        report = auditing.audit(
            node,
            params["node"],
            params["socket"],
            lockdown,
            signers=params["signers"],
            read_content=params["content"],
            write=not check_mode and store.is_dir(),
        )
    return runner.Result(
        facts={
            "verdicts": [verdict.to_data() for verdict in report.verdicts],
            "appliances": report.appliances,
            "layers": report.layers,
            "unchecked": report.unchecked,
            "rules": report.rules,
            "content": params["content"],
        }
    )


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
