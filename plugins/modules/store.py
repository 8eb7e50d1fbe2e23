# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the layers that a node's appliances need in the node's store."""

from __future__ import annotations

DOCUMENTATION = r"""
module: store
short_description: Have the layers that appliances need in the node's store
version_added: 0.1.0
description:
  - Decides which version of base and app each appliance runs, fetches what is missing from the depot, verifies
    signatures and content, and checks it out where the engine maps it from.
  - An appliance that exists keeps the versions it runs unless it asks for others by name or version, or O(refresh) is
    set. Without O(refresh), a node that has everything contacts nothing.
  - Unsigned, wrongly signed or damaged content, an app built for another base, and a disk without room are refused
    before anything is fetched or mapped.
options:
  url:
    description: The depot, as C(http://), C(https://) or C(file://) address of its repository.
    type: str
    default: ""
  trust:
    description: Who may sign what. The first entry whose O(trust[].refs) match decides.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: A name for the signer.
        type: str
        required: true
      key:
        description: The signer's armored OpenPGP public key.
        type: str
        required: true
      refs:
        description: Patterns of what this signer may sign, such as V(base/*) or V(app/nginx).
        type: list
        elements: str
        required: true
  appliances:
    description:
      - The node's appliances, as the module M(strata.fleet.fleet) returns them. Those whose state is V(absent) need
        nothing. Where C(base) or C(app) name a C(commit), that version must be it.
    type: list
    elements: dict
    default: []
  refresh:
    description:
      - Choose anew, for the appliances that exist, what their channels name now. One that cannot take it stays what it
        is, and RV(blocked) tells why.
    type: bool
    default: false
  avoid:
    description:
      - With O(refresh), the combinations of base and app that failed anywhere, as M(strata.fleet.appliance_info)
        returns them. No appliance is moved to one.
    type: list
    elements: dict
    default: []
  signatures:
    description:
      - Ask the depot for signatures that were added to versions which the store has already, as
        M(strata.fleet.countersign) does. O(url) and O(trust) are needed.
    type: bool
    default: false
  collect:
    description:
      - Remove what no appliance of the node needs, for what it runs now or ran before, or for O(appliances). What a
        restore or drill needs that is under way stays, too.
    type: bool
    default: false
  strict:
    description: Fail where one appliance cannot have what it asks for. Without it, RV(faults) tells.
    type: bool
    default: true
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.attributes
seealso:
  - module: strata.fleet.fleet
  - module: strata.fleet.appliance
  - module: strata.fleet.store_info
"""

EXAMPLES = r"""
- name: Stage what this node's appliances need
  strata.fleet.store:
    url: https://depot.example.com/repo
    trust:
      - name: site
        key: "{{ lookup('ansible.builtin.file', 'keys/site.asc') }}"
        refs: ["base/*", "app/*"]
    appliances: "{{ fleet.nodes[inventory_hostname] }}"
  register: staged

- name: Take over what was countersigned since
  strata.fleet.store:
    url: https://depot.example.com/repo
    trust: "{{ store_trust | strata.fleet.signers }}"
    signatures: true

- name: Remove what nothing needs any more
  strata.fleet.store:
    collect: true
"""

RETURN = r"""
layers:
  description: The base and the app that were decided on, by appliance.
  returned: success
  type: dict
  sample:
    web1:
      base: {name: debian-13, version: 13.20261122.1, commit: 5f0c...}
      app: {name: nginx, version: 1.26-1, commit: 81aa...}
blocked:
  description:
    - With O(refresh), what appliances do not move to, by appliance. The C(cause) is V(abi) (the app was built for
      another OS), V(pin) (the inventory names a version), V(bad) (it failed before), V(content) (it is missing,
      unsigned, or not what it says it is), V(state) (an older version keeps its state in another format),
      V(rollback) (it is on its way back, and that is finished first) or V(quarantine) (it is cut off until it is
      released).
  returned: with O(refresh)
  type: dict
  sample:
    web1: {kind: app, name: nginx, version: 1.27-1, vendor: Example, cause: abi, reason: app nginx was built for ...}
held:
  description: The same for appliances that move, but not to everything that is new.
  returned: with O(refresh)
  type: dict
fetch:
  description:
    - With O(refresh), what is missing here, with C(kind), C(name), C(version), C(commit), C(size) on disk, and C(bytes)
      on the wire as the depot lists them; null where it comes file by file.
  returned: with O(refresh)
  type: list
  elements: dict
changes:
  description:
    - With O(refresh), the packages that change (C(packages)) and what that mends (C(cves), C(advisories)), by the
      commits before and after. C(complete) is false where the depot does not tell that far back; C(older) is
      true where the new commit was built before the old one.
  returned: with O(refresh)
  type: dict
  sample:
    5f0c...81aa: {packages: [], cves: [CVE-2026-0001], advisories: [], complete: true}
missing:
  description: The versions that were not in the store, and were fetched, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - {kind: base, name: debian-13, version: 13.20261122.1}
appliances:
  description: The appliances that this node's engine has, without those that are only kept after a migration.
  returned: success
  type: list
  elements: str
faults:
  description: Without O(strict), why others cannot have what they ask for, by appliance.
  returned: without O(strict)
  type: dict
manifests:
  description: What the chosen versions say of themselves, by commit, without their package lists.
  returned: success
  type: dict
steps:
  description: What was done, or would be in check mode, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["fetch base debian-13 13.20261122.1 (245 MiB)"]
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import (
    config_layer,
    have,
    migration,
    moves,
    options,
    runner,
    staging,
    store_needs,
)
from ansible_collections.strata.fleet.plugins.module_utils.instance import COMPOSITION, PREVIOUS, composition_of
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import facts_cache, quarantine
from ansible_collections.strata.fleet.plugins.module_utils.model import ABSENT, Composition, Instance
from ansible_collections.strata.fleet.plugins.module_utils.store import Signer, Store, Wish, locked, referenced
from ansible_collections.strata.fleet.plugins.module_utils.swap_plan import ROLLBACK, counts_as

SIGNER = {
    "name": {"type": "str", "required": True},
    "key": {"type": "str", "required": True, "no_log": False},
    "refs": {"type": "list", "elements": "str", "required": True},
}
SPEC = {
    **options.NODE_OPTIONS,
    "url": {"type": "str", "default": ""},
    "trust": {"type": "list", "elements": "dict", "options": SIGNER, "default": [], "no_log": False},
    "appliances": {"type": "list", "elements": "dict", "default": []},
    "refresh": {"type": "bool", "default": False},
    "avoid": {"type": "list", "elements": "dict", "default": []},
    "signatures": {"type": "bool", "default": False},
    "collect": {"type": "bool", "default": False},
    "strict": {"type": "bool", "default": True},
}


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Decide, then fetch and collect."""
    store = Store(params["store_path"], params["url"], [Signer(**signer) for signer in params["trust"]])
    instances = have.read_instances(options.engine_of(params), store.path)
    decided, facts = decide(params, store, instances)
    needed = referenced(list_compositions(instances)) | set(decided.manifests()) | store_needs.read_all(store.path)
    leftovers = store.unreferenced(needed) if params["collect"] else []
    old_configs = find_old_configs(store.path, instances) if params["collect"] else {}
    signed = store.find_new_signatures() if params["signatures"] else []
    result = runner.Result(
        changed=bool(decided.missing or leftovers or old_configs or signed),
        steps=[
            *decided.steps(),
            *(f"take over new signatures of {each.layer.name} {each.layer.version}" for each in signed),
        ]
        + [*(f"remove version {name[:12]} from the store" for name in leftovers)]
        + [f"remove {len(names)} old config layers of {name}" for name, names in old_configs.items()],
        facts={
            "layers": decided.layers(),
            "manifests": decided.manifests(),
            "missing": [
                {"kind": kind, "name": found.layer.name, "version": found.layer.version}
                for kind, found in decided.missing.values()
            ],
            "appliances": sorted(name for name, each in instances.items() if not migration.is_kept(each.config)),
            **facts,
        },
    )
    result.before, result.after = {"remove": leftovers}, {"fetch": decided.steps()}
    if not check_mode and (result.changed or decided.is_new):
        with locked(params["store_path"]):
            store.prepare()
            staging.stage(store, decided)
            store.take_signatures(signed)
            if params["collect"]:
                # Again: another run may have begun to need some of it.
                instances = have.read_instances(options.engine_of(params), store.path)
                still_needed = needed | referenced(list_compositions(instances)) | store_needs.read_all(store.path)
                store.collect([name for name in leftovers if name not in still_needed])
                facts_cache.forget(store.path, still_needed)
                for name, names in find_old_configs(store.path, instances).items():
                    config_layer.remove(store.path, name, names)
    return result


def decide(
    params: dict[str, t.Any], store: Store, instances: t.Mapping[str, Instance]
) -> tuple[staging.Staging, dict[str, t.Any]]:
    """Return which layers each appliance runs, and what is to be told about that."""
    requests = [to_request(item) for item in params["appliances"] if item["state"] != ABSENT]
    if not params["refresh"]:
        # What is mapped now, whatever a patch that was cut off had begun: only a patch takes that up.
        running = {name: present for name, item in instances.items() if (present := composition_of(item.config))}
        if params["strict"]:
            return staging.decide(store, requests, running), {}
        decided, faults = staging.decide_each(store, requests, running)
        return decided, {"faults": faults}
    running = {name: present for name, item in instances.items() if (present := counts_as(item))}
    going_back = {name for name, item in instances.items() if item.marks.get("swap", {}).get("purpose") == ROLLBACK}
    cut = {name: str(found) for name, item in instances.items() if (found := quarantine.read(item.config))}
    moved = moves.decide_moves(store, requests, running, moves.Holds(params["avoid"], going_back, cut))
    fetch = [
        {
            "kind": kind,
            **found.layer._asdict(),
            "bytes": store.transfer(kind, found.layer).bytes,
            "size": found.manifest["size"],
        }
        for kind, found in moved.staging.missing.values()
    ]
    return moved.staging, {
        "blocked": {name: obstacle._asdict() for name, obstacle in moved.blocked.items()},
        "held": {name: obstacle._asdict() for name, obstacle in moved.held.items()},
        "fetch": fetch,
        "changes": moved.changes,
    }


def to_request(item: t.Mapping[str, t.Any]) -> staging.Request:
    """Return what an appliance, as the module fleet describes it, needs in the store."""
    wishes = [
        Wish(kind, asked["name"], asked["version"], asked["channel"], asked.get("commit", ""))
        for kind in ("base", "app")
        for asked in [item[kind]]
    ]
    return staging.Request(item["name"], *wishes)


def list_compositions(instances: t.Mapping[str, Instance]) -> list[Composition]:
    """Return what every instance runs, what it ran before its last change, and what a swap goes between."""
    keys = [(item.config, key) for item in instances.values() for key in (COMPOSITION, PREVIOUS)]
    swaps = [mark for item in instances.values() if (mark := item.marks.get("swap"))]
    ends = [Composition.from_data(mark[end]) for mark in swaps for end in ("from", "to")]
    return ends + [composition for config, key in keys if (composition := composition_of(config, key))]


def find_old_configs(store: Path, instances: t.Mapping[str, Instance]) -> dict[str, list[str]]:
    """Return the config layers that no instance runs or ran before its last change, by appliance."""
    used = {name: {each.config for each in list_compositions({name: item})} for name, item in instances.items()}
    found = config_layer.list_layers(store)
    old = {name: sorted(layers - used.get(name, set())) for name, layers in found.items()}
    return {name: layers for name, layers in old.items() if layers}


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
