# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check backup repositories for damage."""

from __future__ import annotations

DOCUMENTATION = r"""
module: repository_check
short_description: Check backup repositories for damage
version_added: 0.1.0
description:
  - Lets restic check the structure of repositories, and read a part of their content where O(read_data) says so.
  - Damage does not fail the module; RV(checks) tells. In check mode nothing is checked, since restic locks for it.
options:
  names:
    description: The repositories to check.
    type: list
    elements: str
    required: true
  read_data:
    description: How much of the content is read, such as V(5%) (another part each time), V(1/7), or V(100%).
    type: str
    default: ""
  repositories:
    description:
      - The repositories by name, with C(url), C(password) and, where they need it, C(environment), C(ssh_key) and
        C(known_hosts). The action plugin takes what is secret apart.
    type: dict
    default: {}
  repository_secrets:
    description: What must not be shown of the repositories, by name, each one text of JSON. The action plugin sets it.
    type: dict
    default: {}
extends_documentation_fragment:
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.drill
requirements:
  - restic on the node
author:
  - The Strata authors (@strata-fleet)
"""

EXAMPLES = r"""
- name: Check a repository, and read a twentieth of it
  strata.fleet.repository_check:
    names: [offsite]
    repositories: "{{ backup_repositories }}"
    read_data: 5%
"""

RETURN = r"""
checks:
  description: One entry a repository, with C(repository), C(seconds) and C(fault), which is empty where it is whole.
  returned: success, not in check mode
  type: list
  elements: dict
  sample: [{repository: offsite, seconds: 12.4, fault: ""}]
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import restore_sources, runner
from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError
from ansible_collections.strata.fleet.plugins.module_utils.restic import Restic

SPEC = {
    **restore_sources.REPOSITORY_OPTIONS,
    "names": {"type": "list", "elements": "str", "required": True},
    "read_data": {"type": "str", "default": ""},
}


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Check, and report."""
    with restore_sources.open_all(params, params["names"]) as restics:
        checks = [] if check_mode else [check(restic, params["read_data"]) for restic in restics.values()]
    return runner.Result(facts={"checks": checks})


def check(restic: Restic, read_data: str) -> dict[str, t.Any]:
    """Return how the check of one repository ended."""
    begun, fault = time.monotonic(), ""
    try:
        restic.check(read_data)
    except StrataError as error:
        fault = error.message
    return {"repository": restic.repository.name, "seconds": round(time.monotonic() - begun, 1), "fault": fault}


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
