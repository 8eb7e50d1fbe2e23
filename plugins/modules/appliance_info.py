# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the appliances of a node are doing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: appliance_info
short_description: Tell what the appliances of a node are doing
version_added: 0.1.0
description:
  - Returns composition, address, health, boot time and memory of every appliance in the node's engine.
options:
  check_health:
    description: Run the apps' health checks. Without it, only the engine is asked.
    type: bool
    default: true
  parallel:
    description: How many appliances are looked at at once.
    type: int
    default: 8
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.appliance
  - module: strata.fleet.patch
"""

EXAMPLES = r"""
- name: Look at every appliance of this node
  strata.fleet.appliance_info:
  register: found

- name: Fail when one is not healthy
  ansible.builtin.assert:
    that: found.appliances | rejectattr('health', 'equalto', 'healthy') | length == 0
"""

RETURN = r"""
appliances:
  description: One entry an appliance, in the order of their names.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The appliance's name.
      type: str
    state:
      description: The engine's word for its state.
      type: str
      sample: running
    address:
      description: Its first global IPv4 address, empty where it has none.
      type: str
    base:
      description: Name, version and commit of its base.
      type: dict
    app:
      description: Name, version and commit of its app.
      type: dict
    config:
      description: Digest of its config layer.
      type: str
    memory:
      description: The proportional share (PSS) of memory of its processes, in bytes.
      type: int
    boot_seconds:
      description: Seconds from systemd's start until everything was up.
      type: float
    pending:
      description: Whether a new config layer is mapped but not merged yet.
      type: bool
    previous:
      description: C(base) and C(app) before they last changed, null where they never did.
      type: dict
    swap:
      description: A swap that was cut off, with C(from), C(to), C(started) and C(snapshot). Null where there is none.
      type: dict
    restore:
      description:
        - A restore that was cut off, with C(snapshot), C(volumes), C(started), and C(whole), C(of) (whose backup) and
          C(repository). Null where there is none.
      type: dict
    quarantine:
      description: Why (C(reason)), since C(when) (UTC) and C(by) whom it is cut off. Null where it is not.
      type: dict
    bad:
      description:
        - Combinations of base and app that failed here, with C(base) and C(app) (commits), C(base_version),
          C(app_version), C(reason) and C(at).
      type: list
      elements: dict
    last_swap:
      description: What became of the last swap, as M(strata.fleet.patch) returns it. Null where there was none.
      type: dict
    backup:
      description:
        - What the node remembers of its backups - the name of the C(repository), the newest C(good) one (C(snapshot),
          C(made), C(seconds), C(added) and C(processed) bytes, C(files)) and its C(age) in seconds, or that of the
          appliance where there is none; how many C(failures) since, the last C(failure) and C(failure_age); what a
          drill has C(proven) and C(proven_age), and C(drill_failure); C(held_since) of an appliance that a backup left
          held.
      type: dict
    health:
      description: C(healthy), C(unhealthy) or C(not checked).
      type: str
    fault:
      description: Why it is not healthy.
      type: str
    look:
      description: A command that gives a shell inside.
      type: str
restores:
  description: The same as C(restore), by name, of appliances whose restore was cut off before they had an instance.
  returned: success
  type: dict
"""

import functools
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import cut_restores, options, runner
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.status import Sources, read_status

SPEC = {
    **options.NODE_OPTIONS,
    "check_health": {"type": "bool", "default": True},
    "parallel": {"type": "int", "default": 8},
}


def work(params: dict[str, t.Any], _check_mode: bool) -> runner.Result:
    """Read, and report."""
    store = Path(params["store_path"])
    repo = Repo(str(store / "repo"))
    found = read_status(
        Sources(options.engine_of(params), store, functools.cache(repo.manifest)),
        params["parallel"],
        params["check_health"],
    )
    cut = cut_restores.read_all(store, {each["name"] for each in found})
    return runner.Result(facts={"appliances": found, "restores": cut})


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
