# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a node back up its appliances by itself."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_schedule
short_description: Have a node back up its appliances by itself
version_added: 0.1.0
description:
  - Gives each appliance of the node whose C(appliance_backup) has a C(schedule) a systemd timer,
    C(strata-backup@NAME.timer), and a program that backs it up without Ansible as M(strata.fleet.backup) does. Takes
    away those of others.
  - The repositories' secrets are kept below C(/etc/strata/backup), in files that only root reads. They go with the last
    timer that needs them.
  - The action plugin reads appliances and repositories from the inventory, and packs the program.
options:
  appliances:
    description: The appliances of this node, with a schedule or without. The action plugin sets it.
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
        description: When it is backed up, as OnCalendar of systemd.time(7). Never, where it is empty.
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
  program:
    description: The program, in base64. The action plugin sets it.
    type: str
    default: ""
  parallel:
    description: How many appliances are backed up at once, however many timers say so.
    type: int
    default: 2
  wait:
    description: For how many seconds another run may be changing this node's appliances.
    type: float
    default: 3600
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.attributes
  - strata.fleet.repositories
seealso:
  - module: strata.fleet.backup
"""

EXAMPLES = r"""
- name: Have this node back up its appliances
  strata.fleet.backup_schedule:
    parallel: 2
"""

RETURN = r"""
timers:
  description: The timers that are there then, by appliance, with their schedule.
  returned: success
  type: dict
  sample: {web1: "*-*-* 02:00"}
steps:
  description: What was done, or would be in check mode, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["write /etc/strata/backup/web1.json", "start strata-backup@web1.timer"]
"""

import base64
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import backup_options, backup_timers, options, runner
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, StrataError

SPEC = {
    **options.NODE_OPTIONS,
    **backup_options.REPOSITORY_OPTIONS,
    "appliances": {"type": "list", "elements": "dict", "options": backup_options.APPLIANCE, "default": []},
    "node": {"type": "str", "default": ""},
    "program": {"type": "str", "default": ""},
    "parallel": {"type": "int", "default": 2},
    "wait": {"type": "float", "default": 3600},
}
COMMON = ("socket", "project", "pool", "store_path", "node", "wait", "parallel")


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Want, have, plan, apply, report."""
    if params["parallel"] < 1:
        raise BadInput(f"parallel is {params['parallel']}: at least one appliance must be worked on", key="parallel")
    scheduled = [item for item in params["appliances"] if item["schedule"]]
    if scheduled and not Path("/run/systemd/system").is_dir():
        names = ", ".join(item["name"] for item in scheduled)
        raise BadInput(
            f"This node's PID 1 is not systemd, so no timer can back up {names}: run playbooks/backup.yml instead"
        )
    if not Path("/run/systemd/system").is_dir():
        return runner.Result(facts={"timers": {}})
    backup_timers.check_schedules(scheduled)
    used = {item["repository"] for item in scheduled}
    backup_timers.check_places({name: body for name, body in params["repositories"].items() if name in used})
    backup_options.wishes_of(scheduled, backup_options.repositories_of(params))
    common = {key: params[key] for key in COMMON}
    program = base64.b64decode(params["program"])
    want = backup_timers.build(scheduled, params["repositories"], params["secrets"], common, program)
    plan = backup_timers.make_plan(want, backup_timers.read())
    if plan.steps and not check_mode:
        backup_timers.apply(plan)
        left = backup_timers.make_plan(want, backup_timers.read())
        if left.steps:
            raise StrataError(f"The node did not keep what was done: {'; '.join(s.sentence for s in left.steps)}")
    return runner.Result(
        changed=bool(plan.steps),
        steps=[step.sentence for step in plan.steps],
        before=plan.before,
        after=plan.after,
        facts={"timers": {item["name"]: item["schedule"] for item in scheduled}},
    )


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
