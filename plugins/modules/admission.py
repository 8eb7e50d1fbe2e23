# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse what the policy does not let appliances run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: admission
short_description: Refuse what the policy does not let appliances run
version_added: 0.1.0
description:
  - Judges what is in a node's store for the appliances of that node, before it is mapped, by all rules of their
    policies that are decided from versions and their files.
  - Judges as well what only somebody's hand can have done to an instance that is there already; a change would wipe
    these traces away.
  - Fails where a policy of mode V(enforce) has a change refused for what was found, and where such a rule cannot be
    decided. Nothing but a cache of facts is written (C(<store_path>/facts)).
options:
  lockdown:
    description: What the module M(strata.fleet.lockdown) returned.
    type: dict
    required: true
  appliances:
    description: The appliances of this node, as the module M(strata.fleet.fleet) returns them.
    type: list
    elements: dict
    required: true
  layers:
    description: The versions by appliance and kind, as the module M(strata.fleet.store) returns them.
    type: dict
    required: true
  files:
    description:
      - The files of the config layer by appliance, as the module M(strata.fleet.appliance) returns them with
        O(strata.fleet.appliance#module:render_only=true). Without them, no config is judged.
    type: dict
    default: {}
  signers:
    description: Names of those whose signatures count. By default all whose keys are in the store.
    type: list
    elements: str
  repair:
    description:
      - Appliances whose instance was looked into by a person. What somebody did to it is no reason any more to refuse
        the change, which sets it right.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.lockdown
  - module: strata.fleet.audit_info
"""

EXAMPLES = r"""
- name: Read the policies
  strata.fleet.lockdown:
  register: __lockdown
  run_once: true

- name: Refuse what they do not allow
  strata.fleet.admission:
    lockdown: "{{ __lockdown.lockdown }}"
    appliances: "{{ __store_fleet.nodes[inventory_hostname] }}"
    layers: "{{ __store_staged.layers }}"
"""

RETURN = r"""
verdicts:
  description:
    - One entry for every rule that an appliance does not keep, or for which it has a waiver; C(status) is V(fail),
      V(unknown), V(expired) or V(waived).
  returned: success
  type: list
  elements: dict
  sample:
    - {rule: setuid-files, appliance: web1, status: fail, severity: high, action: refuse, owners: [Example]}
counts:
  description: How many verdicts there are of each status.
  returned: success
  type: dict
  sample: {guaranteed: 54, fail: 1}
undecided:
  description: In check mode, appliances that are not judged because not all of their versions were fetched.
  returned: success
  type: list
  elements: str
refused:
  description: The same by appliance.
  returned: failure
  type: dict
refusals:
  description: Why the change was refused, a sentence each.
  returned: failure
  type: list
  elements: str
"""

import collections
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import have, options, runner
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import admission, model
from ansible_collections.strata.fleet.plugins.module_utils.model import ABSENT
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo

SPEC = {
    **options.NODE_OPTIONS,
    "lockdown": {"type": "dict", "required": True},
    "appliances": {"type": "list", "elements": "dict", "required": True},
    "layers": {"type": "dict", "required": True},
    "files": {"type": "dict", "default": {}},
    "signers": {"type": "list", "elements": "str"},
    "repair": {"type": "list", "elements": "str", "default": []},
}
SHOWN = (model.FAIL, model.UNKNOWN, model.EXPIRED, model.WAIVED)


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Judge, and refuse."""
    lockdown = params["lockdown"]
    admission.require(lockdown)
    store = Path(params["store_path"])
    repo = Repo(str(store / "repo"))
    items = {item["name"]: item for item in params["appliances"] if item["state"] != ABSENT}
    undecided = sorted(name for name in items if not admission.is_staged(repo, params["layers"][name]))
    if undecided and not check_mode:
        raise admission.Refused(
            f"The store {store} does not have what {', '.join(undecided)} would run: stage it first"
        )
    instances = {body["name"]: body for body in have.read_bodies(options.engine_of(params))}
    library = admission.Library(store, lockdown["today"], params["signers"], write=not check_mode)
    place = {"store": str(store), "pool": params["pool"]}
    facts = [
        admission.gather(library, item, params["layers"][name], instances.get(name), place)
        for name, item in add_files(items, params["files"]).items()
        if name not in undecided
    ]
    ruling = admission.rule_on(facts, lockdown, params["repair"])
    if ruling.unruled:
        raise admission.Refused(
            f"No policy is for {', '.join(ruling.unruled)}, so nothing can be said of what they may run: "
            "are they appliances of this inventory?"
        )
    if ruling.refusals:
        raise admission.Refused("\n".join(ruling.refusals), refusals=ruling.refusals, refused=ruling.refused)
    counts = collections.Counter(verdict.status for verdict in ruling.verdicts)
    shown = [verdict.to_data() for verdict in ruling.verdicts if verdict.status in SHOWN]
    return runner.Result(facts={"verdicts": shown, "counts": dict(counts), "undecided": undecided})


def add_files(items: t.Mapping[str, dict[str, t.Any]], files: t.Mapping[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """Return the appliances with the files of their config, where these are known."""
    return {name: {**item, "files": files[name]} if name in files else item for name, item in items.items()}


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
