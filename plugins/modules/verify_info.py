# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What on a node is not as it was declared."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_info
short_description: Tell what on a node is not as it was declared
version_added: 0.1.0
description:
  - Reads every version in the store again and compares every file with its checksum, and what is mapped with what was
    signed; the same for the config layers.
  - Compares keys and devices of every instance with what follows from its composition.
  - Looks for files in the roots of the instances, which have none.
  - Compares what running appliances have mounted with what the engine mounted there.
  - No other run can change the node's appliances in the meantime.
options:
  content:
    description: Also read every file in the store again, which takes a few seconds for each GiB.
    type: bool
    default: true
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.verify
  - module: strata.fleet.store_info
"""

EXAMPLES = r"""
- name: Look for what is not as it was declared
  strata.fleet.verify_info:
  register: verified

- name: Fail where anything is
  ansible.builtin.assert:
    that: not verified.findings
"""

RETURN = r"""
findings:
  description: One entry for everything that is not as it was declared. At most 20 of one kind at one place.
  returned: success
  type: list
  elements: dict
  contains:
    appliance:
      description: Whose it is, empty where it concerns the node or several appliances.
      type: str
    what:
      description: C(store), C(layer), C(config), C(key), C(device), C(root) or C(mount).
      type: str
    where:
      description: The path or the key.
      type: str
      sample: base/debian-13/13.20261122.1:/usr/bin/ls
    sentence:
      description: What is wrong.
      type: str
      sample: it was changed (used by web1, web2)
    remedy:
      description: What to do about it.
      type: str
unchecked:
  description: Sentences of what could not be looked at.
  returned: success
  type: list
  elements: str
appliances:
  description: The names of the instances that were looked at.
  returned: success
  type: list
  elements: str
"""

import contextlib
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import options, runner, verify
from ansible_collections.strata.fleet.plugins.module_utils.store import locked

SPEC = {**options.NODE_OPTIONS, "content": {"type": "bool", "default": True}}


def work(params: dict[str, t.Any], _check_mode: bool) -> runner.Result:
    """Look, and report."""
    engine = options.engine_of(params)
    store = Path(params["store_path"])
    node = verify.Node(engine, Path(params["socket"]).parent, verify.server_pid(engine), store, params["pool"])
    # A run in the middle would look like somebody's tampering. Without a store there is nothing to hold.
    with locked(str(store)) if store.is_dir() else contextlib.nullcontext():
        report = verify.verify(node, read_content=params["content"])
    return runner.Result(
        facts={
            "findings": [finding._asdict() for finding in report.findings],
            "unchecked": report.unchecked,
            "appliances": report.appliances,
        }
    )


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
