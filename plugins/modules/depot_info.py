# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a depot has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: depot_info
short_description: Tell what a depot publishes and by which key
version_added: 0.1.0
description:
  - Returns what M(strata.fleet.depot) returns, and each version's manifest facts.
options:
  path:
    description: The depot's folder.
    type: path
    required: true
requirements:
  - ostree and gpg on the host
author:
  - The Strata authors (@strata-fleet)
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
seealso:
  - module: strata.fleet.depot
"""

EXAMPLES = r"""
- name: What can be deployed
  strata.fleet.depot_info:
    path: /var/lib/strata/depot
  register: __depot
"""

RETURN = r"""
depot:
  description: The depot, as M(strata.fleet.depot) returns it.
  returned: success
  type: dict
  sample: {"path": "/var/lib/strata/depot", "refs": {}}
versions:
  description: What there is, by ref.
  returned: success
  type: dict
  sample:
    app/nginx/stable:
      commit: 2389b4766e435f2c2b47954660b98a92cee9c6094a1216ff3d2f9314096f4fbe
      kind: app
      name: nginx
      version: 1.26-1
      abi: debian-13
      architecture: amd64
      packages: 16
      size: 7916012
      built: "2026-11-22T14:02:00Z"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result, run


def work(params: dict[str, t.Any], _check_mode: bool) -> Result:
    depot = Depot(params["path"])
    state = depot.state()
    versions = {ref: depot.describe(commit, *ref.split("/")[:2]) for ref, commit in state["refs"].items()}
    return Result(facts={"depot": state, "versions": versions})


def main() -> None:
    spec = {"path": {"type": "path", "required": True}}
    run(AnsibleModule(argument_spec=spec, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
