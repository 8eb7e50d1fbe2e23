# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node's store holds."""

from __future__ import annotations

DOCUMENTATION = r"""
module: store_info
short_description: Tell which versions a node's store holds
version_added: 0.1.0
description:
  - Returns the versions of bases and apps in the store, and on request reads all of it again and compares every file
    with its checksum.
options:
  verify:
    description: Read everything again. Fails where a file is not what its checksum says.
    type: bool
    default: false
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.store
"""

EXAMPLES = r"""
- name: Verify everything that appliances run from
  strata.fleet.store_info:
    verify: true
"""

RETURN = r"""
versions:
  description: One entry a version.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: C(base) or C(app).
      type: str
    name:
      description: The layer's name.
      type: str
    version:
      description: The layer's version.
      type: str
    commit:
      description: The layer's identity.
      type: str
    size:
      description: Its size in bytes.
      type: int
    used_by:
      description: The appliances that run it now.
      type: list
      elements: str
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import have, model, options, runner
from ansible_collections.strata.fleet.plugins.module_utils.instance import composition_of
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.store import Store, referenced

SPEC = {**options.NODE_OPTIONS, "verify": {"type": "bool", "default": False}}


def work(params: dict[str, t.Any], _check_mode: bool) -> runner.Result:
    """List, and verify when asked."""
    store = Store(params["store_path"], "", [])
    repo = Repo(str(Path(params["store_path"]) / "repo"))
    if not repo.exists():
        return runner.Result(facts={"versions": []})
    users = find_users(have.read_instances(options.engine_of(params), store.path))
    held = {ref: commit for ref, commit in repo.refs().items() if ref.startswith("held/")}
    versions = []
    for ref, commit in sorted(held.items()):
        _held, kind, name, version = ref.split("/")
        size = store.read(kind, name, commit).manifest["size"]
        one = {"kind": kind, "name": name, "version": version, "commit": commit, "size": size}
        versions.append({**one, "used_by": users.get(commit, [])})
    if params["verify"]:
        store.verify(held.values())
    return runner.Result(facts={"versions": versions})


def find_users(instances: dict[str, model.Instance]) -> dict[str, list[str]]:
    """Return the names of the appliances that run each commit."""
    users: dict[str, list[str]] = {}
    for name, item in sorted(instances.items()):
        composition = composition_of(item.config)
        for commit in referenced([composition] if composition else []):
            users.setdefault(commit, []).append(name)
    return users


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
