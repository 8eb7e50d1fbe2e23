# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Release what restores moved aside."""

from __future__ import annotations

DOCUMENTATION = r"""
module: aside
short_description: Release what restores moved aside
version_added: 0.1.0
description:
  - A restore keeps the state that it replaces as volumes of the engine, such as C(web1.var.aside-20261122T171500Z).
    This deletes those that are named, for good, and tells which there are.
options:
  names:
    description: The volumes to delete, by their whole names. One that is not there is fine, any other is refused.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.attributes
seealso:
  - module: strata.fleet.restore
"""

EXAMPLES = r"""
- name: Let go of what web1 had before it was restored
  strata.fleet.aside:
    names: [web1.var.aside-20261122T171500Z]
"""

RETURN = r"""
asides:
  description: What is kept aside on this node, or would be after this.
  returned: success
  type: list
  elements: str
  sample: [web1.var.aside-20261122T171500Z]
steps:
  description: What was done, or would be in check mode, a sentence each.
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import instance, options, runner
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.store import locked

SPEC = {**options.NODE_OPTIONS, "names": {"type": "list", "elements": "str", "default": []}}


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Delete what is named, and tell what is left."""
    engine, pool = options.engine_of(params), params["pool"]
    wrong = [name for name in params["names"] if not instance.is_aside(name)]
    if wrong:
        raise BadInput(
            f"{wrong[0]!r} is not what a restore moved aside: those are called like web1.var.aside-20261122T171500Z. "
            "Nothing was deleted."
        )
    there = sorted(name for name in engine.volume_names(pool) if instance.is_aside(name))
    gone = [name for name in there if name in params["names"]]
    if gone and not check_mode:
        with locked(params["store_path"]):
            for name in gone:
                engine.delete(f"/storage-pools/{pool}/volumes/custom/{name}")
    left = [name for name in there if name not in gone]
    return runner.Result(
        changed=bool(gone),
        steps=[f"delete {name}, the state before a restore" for name in gone],
        before={"asides": there},
        after={"asides": left},
        facts={"asides": left},
    )


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
