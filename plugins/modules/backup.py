# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up appliances of a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Back up appliances of a node
version_added: 0.1.0
description:
  - Has each appliance's app prepare itself, snapshots all its volumes at one moment, lets it go on, and has restic read
    the snapshots. Nothing is stopped. What the app runs before and after is its own C(quiesce).
  - A backup holds the files, the composition, the inventory's variables without secrets, and the sizes of the volumes.
  - A repository is made where there is none. Where this node's former backups are gone, that is refused.
  - What a killed run left (an appliance that is held, a snapshot, a stale lock) is undone first.
  - An appliance in quarantine is not backed up, and its older backups are all kept.
  - The module does not fail when appliances do; RV(outcomes) tells. It fails where the node cannot work at all.
  - The action plugin reads which appliances of this node are meant, and the repositories, from the inventory (variables
    C(appliance_backup) and C(backup_repositories)).
options:
  names:
    description: Appliances, or groups of them. Without any, all that have C(appliance_backup).
    type: list
    elements: str
    default: []
  prune:
    description:
      - Instead of backing up, free the room of backups that were let go of, in each repository of these appliances.
        The first of the nodes that use a repository does that.
    type: bool
    default: false
  appliances:
    description: The appliances of this node to back up. The action plugin sets it.
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
        description: Which backups are kept, by restic's words. All, where it is empty.
        type: dict
        default: {}
      schedule:
        description: As for M(strata.fleet.backup_schedule); not used here.
        type: str
        default: ""
      variables:
        description: The inventory's variables of the appliance, without secrets, to be in the backup.
        type: dict
        default: {}
  node:
    description: The node's name in the inventory, to be in the backup. The action plugin sets it.
    type: str
    default: ""
  parallel:
    description: How many appliances are backed up at once.
    type: int
    default: 2
  wait:
    description: For how many seconds another run may be changing this node's appliances.
    type: float
    default: 300
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.repositories
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed, or would change in C(check_mode), when in diff mode.
    support: none
  idempotent:
    description: When run twice in a row without changes outside, the second run changes nothing.
    support: none
    details: Each run makes a backup.
seealso:
  - module: strata.fleet.backup_info
  - module: strata.fleet.backup_schedule
"""

EXAMPLES = r"""
- name: Back up web1 and everything in the group databases
  strata.fleet.backup:
    names: [web1, databases]
  register: saved

- name: Tell what became of them
  ansible.builtin.debug:
    msg: "{{ item.appliance }} {{ item.outcome }} {{ item.snapshot }} {{ item.reason }}"
  loop: "{{ saved.outcomes.values() }}"
  loop_control:
    label: "{{ item.appliance }}"
"""

RETURN = r"""
outcomes:
  description: What became of each appliance, by its name. Empty in check mode.
  returned: success
  type: dict
  contains:
    appliance:
      description: The appliance's name.
      type: str
    repository:
      description: The repository's name.
      type: str
    outcome:
      description: V(saved), V(failed), or V(skipped) for an appliance in quarantine.
      type: str
    snapshot:
      description: restic's id of the backup.
      type: str
    made:
      description: The moment of which it is, ISO 8601 in UTC.
      type: str
    held:
      description: For how many seconds the app was prepared, or paused, for that moment.
      type: float
    seconds:
      description: How long all of it took.
      type: float
    added:
      description: Bytes that the repository grew by.
      type: int
    processed:
      description: Bytes of all files in the backup.
      type: int
    files:
      description: How many files it has.
      type: int
    forgotten:
      description: How many older backups were let go of.
      type: int
    reason:
      description: Why it failed or was skipped, or what else there is to know.
      type: str
steps:
  description: What was done, or would be in check mode, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["snapshot web1.var as they are at one moment", "back up web1 to repository offsite"]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import (
    backup_have,
    backup_options,
    backup_plan,
    backup_run,
    options,
    runner,
)
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.repositories import Repository

SPEC = {
    **options.NODE_OPTIONS,
    **backup_options.REPOSITORY_OPTIONS,
    "names": {"type": "list", "elements": "str", "default": []},
    "prune": {"type": "bool", "default": False},
    "appliances": {"type": "list", "elements": "dict", "options": backup_options.APPLIANCE, "default": []},
    "node": {"type": "str", "default": ""},
    "parallel": {"type": "int", "default": 2},
    "wait": {"type": "float", "default": 300},
}


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Want, have, plan, back up, report."""
    if params["parallel"] < 1:
        raise BadInput(f"parallel is {params['parallel']}: at least one appliance must be worked on", key="parallel")
    repositories = backup_options.repositories_of(params)
    wishes = backup_options.wishes_of(params["appliances"], repositories)
    if params["prune"]:
        return prune(repositories.values(), check_mode)
    node = backup_options.node_of(params)
    present = backup_have.read(node.engine, node.store, node.pool, {wish.name for wish in wishes}) if wishes else {}
    driver = node.engine.pool_driver(node.pool) if present else ""
    plan = backup_plan.make_plan(wishes, present, node.pool, driver)
    outcomes = {} if check_mode else backup_run.run(plan, node, repositories, params["parallel"])
    return runner.Result(
        changed=bool(plan.sentences()),
        steps=plan.sentences(),
        facts={"outcomes": outcomes},
        warnings=[job.problem for job in plan.jobs if job.problem] if check_mode else [],
    )


def prune(repositories: t.Iterable[Repository], check_mode: bool) -> runner.Result:
    """Free the room of backups that were let go of."""
    steps = []
    for repository in repositories:
        steps.append(f"free what no backup needs in repository {repository.name}")
        if not check_mode:
            backup_run.prune(repository)
    return runner.Result(changed=bool(steps), steps=steps, facts={"outcomes": {}})


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
