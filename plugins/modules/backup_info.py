# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What backups there are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: Tell what backups there are of a node's appliances
version_added: 0.1.0
description:
  - Returns the backups of the node's appliances that are in their repositories, and what the node remembers of them.
    Changes nothing, and locks no repository.
  - The action plugin reads which appliances are meant, and the repositories, from the inventory, as for
    M(strata.fleet.backup).
options:
  names:
    description: Appliances, or groups of them. Without any, all that have C(appliance_backup).
    type: list
    elements: str
    default: []
  appliances:
    description: The appliances of this node. The action plugin sets it.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The appliance's name.
        type: str
        required: true
      repository:
        description: The name of the repository.
        type: str
        required: true
      keep:
        description: As for M(strata.fleet.backup); not used here.
        type: dict
        default: {}
      schedule:
        description: As for M(strata.fleet.backup_schedule); not used here.
        type: str
        default: ""
      variables:
        description: As for M(strata.fleet.backup); not used here.
        type: dict
        default: {}
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.read_only
  - strata.fleet.repositories
seealso:
  - module: strata.fleet.backup
"""

EXAMPLES = r"""
- name: See which backups of web1 there are
  strata.fleet.backup_info:
    names: [web1]
  register: found
"""

RETURN = r"""
appliances:
  description: One entry an appliance, by its name.
  returned: success
  type: dict
  contains:
    repository:
      description: The repository's name.
      type: str
    snapshots:
      description: The backups that are there, the oldest first.
      type: list
      elements: dict
      contains:
        id:
          description: restic's id of it.
          type: str
        time:
          description: When it was written, ISO 8601 in UTC.
          type: str
        host:
          description: The appliance's name.
          type: str
        tags:
          description: C(strata), or C(strata-incomplete) where a file could not be read.
          type: list
          elements: str
    remembered:
      description:
        - What the node remembers - the C(repository) and its C(id), the last C(attempt), the last C(good) one, how many
          C(failures) since, and by drills what is C(proven) and the last C(drill).
      type: dict
    fault:
      description: Why the repository cannot tell, empty where it can.
      type: str
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import backup_marks, backup_options, options, restic, runner
from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError

SPEC = {
    **options.NODE_OPTIONS,
    **backup_options.REPOSITORY_OPTIONS,
    "names": {"type": "list", "elements": "str", "default": []},
    "appliances": {"type": "list", "elements": "dict", "options": backup_options.APPLIANCE, "default": []},
}


def work(params: dict[str, t.Any], _check_mode: bool) -> runner.Result:
    """Read, and report."""
    store = Path(params["store_path"])
    repositories = backup_options.repositories_of(params)
    wishes = backup_options.wishes_of(params["appliances"], repositories)
    listed: dict[str, list[restic.Snapshot]] = {}
    faults: dict[str, str] = {}
    for name in dict.fromkeys(wish.repository for wish in wishes):
        try:
            with restic.opened(repositories[name]) as client:
                listed[name] = client.snapshots()
        except StrataError as error:  # what the others have is told all the same
            faults[name] = error.message
    found = {
        wish.name: {
            "repository": wish.repository,
            "snapshots": [each._asdict() for each in listed.get(wish.repository, ()) if each.host == wish.name],
            "remembered": backup_marks.read(store, wish.name),
            "fault": faults.get(wish.repository, ""),
        }
        for wish in wishes
    }
    return runner.Result(facts={"appliances": found}, warnings=list(faults.values()))


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
