# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What backups hold, and whether they can be restored here."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_info
short_description: Tell what backups hold, and whether this node has room for them
version_added: 0.1.0
description:
  - Finds the backup that is meant (the latest, by id, or by time), reads the record that it carries, and compares the
    room that its volumes take with what is free in the pool. Changes nothing.
  - Refuses an unknown repository, appliance or backup, a wrong password, and a pool without room.
options:
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
  requests:
    description: Which backups are asked for.
    type: list
    elements: dict
    required: true
    suboptions:
      appliance:
        description: The appliance that was backed up.
        type: str
        required: true
      repository:
        description: The name of the repository.
        type: str
        required: true
      snapshot:
        description:
          - C(latest), an id, or a time (ISO 8601, UTC unless it names a zone); the newest until then is meant. An
            incomplete one is meant by its id alone.
        type: str
        default: latest
      volume:
        description: One volume, by the app's name for it. Empty means all.
        type: str
        default: ""
  appliances:
    description: Appliances, as the module M(strata.fleet.fleet) returns them, that get the layers of their backups.
    type: list
    elements: dict
    default: []
  parallel:
    description: How many of them are there at once, for the room. V(0) means all.
    type: int
    default: 0
  originals:
    description: Whose backups they are, by the name that they come under. Empty means under their own.
    type: dict
    default: {}
  anew:
    description: What is there under these names is removed first, as a drill does. Its room counts as free.
    type: bool
    default: false
  into_pool:
    description: They come into volumes of the pool, which needs room for them, and a driver that can be written.
    type: bool
    default: true
  strict:
    description: Fail for the first that cannot be had. Without it, RV(faults) tells.
    type: bool
    default: true
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.restore
  - module: strata.fleet.drill
"""

EXAMPLES = r"""
- name: Look at the latest backup of web1
  strata.fleet.restore_info:
    repositories: "{{ backup_repositories }}"
    requests:
      - appliance: web1
        repository: offsite
  register: found
"""

RETURN = r"""
backups:
  description:
    - By appliance, C(snapshot) (restic's id), C(repository), C(volumes), the C(bytes) that they hold, whether
      it is C(complete), and the C(record) that the backup carries.
  returned: success
  type: dict
faults:
  description: Without O(strict), why others cannot be had, by appliance.
  returned: success
  type: dict
appliances:
  description:
    - Those of O(appliances) that have a backup, with the base and app that it names, by version and commit. One of
      which a single volume is asked for stays as it was given.
  returned: success
  type: list
  elements: dict
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import (
    options,
    restore_choice,
    restore_room,
    restore_sources,
    restoring,
    runner,
)
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.restore_sources import Request, find_all, open_all

REQUEST = {
    "appliance": {"type": "str", "required": True},
    "repository": {"type": "str", "required": True},
    "snapshot": {"type": "str", "default": "latest"},
    "volume": {"type": "str", "default": ""},
}
SPEC = {
    **options.NODE_OPTIONS,
    **restore_sources.REPOSITORY_OPTIONS,
    "requests": {"type": "list", "elements": "dict", "options": REQUEST, "required": True},
    "appliances": {"type": "list", "elements": "dict", "default": []},
    "parallel": {"type": "int", "default": 0},
    "originals": {"type": "dict", "default": {}},
    "anew": {"type": "bool", "default": False},
    "into_pool": {"type": "bool", "default": True},
    "strict": {"type": "bool", "default": True},
}


def work(params: dict[str, t.Any], _check_mode: bool) -> runner.Result:
    """Read, and report."""
    requests = [Request(**request) for request in params["requests"]]
    engine = options.engine_of(params)
    if params["into_pool"]:
        restoring.require_driver(engine, params["pool"])
    with open_all(params, [request.repository for request in requests]) as restics:
        found, faults = find_all(restics, requests)
    if faults and params["strict"]:
        raise BadInput("\n".join(faults[name] for name in sorted(faults)), faults=faults)
    if params["into_pool"]:
        check_room(engine, params, found)
    appliances = with_layers(params["appliances"], found.values())
    warnings = [
        restore_choice.warn(name, backup["snapshot"]) for name, backup in found.items() if not backup["complete"]
    ]
    return runner.Result(facts={"backups": found, "faults": faults, "appliances": appliances}, warnings=warnings)


def check_room(engine: Engine, params: t.Mapping[str, t.Any], found: t.Mapping[str, dict[str, t.Any]]) -> None:
    """Raise DiskFull where the pool has no room for the largest of these that are there at once."""
    names = {name: own for name, own in params["originals"].items() if own in found} or {name: name for name in found}
    store, pool = Path(params["store_path"]), params["pool"]
    there = restore_room.read_there(engine, store, pool, names)
    if params["anew"]:
        gone, there = list(there.restored), restore_room.There({}, {})
    else:
        gone = [each for name, own in names.items() for each in restore_room.leftovers(name, found[own], there)]
    sizes = sorted((restore_room.bytes_to_come(name, found[own], there) for name, own in names.items()), reverse=True)
    needed = sum(sizes[: params["parallel"] or len(sizes)])
    free = restore_room.free_bytes(engine, pool)
    restore_room.check_room(pool, free, needed, lambda: restore_room.measure(engine, pool, gone))


def with_layers(items: t.Iterable[dict[str, t.Any]], backups: t.Iterable[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return the appliances that are in these backups, with what they were composed of."""
    by_name = {backup["appliance"]: backup for backup in backups}
    dressed = []
    for item in items:
        backup = by_name.get(item["name"])
        if backup:
            composition = backup["record"]["composition"] if backup["whole"] else {}
            layers = {kind: {"channel": "", **composition[kind]} for kind in ("base", "app") if kind in composition}
            dressed.append({**item, **layers})
    return dressed


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
