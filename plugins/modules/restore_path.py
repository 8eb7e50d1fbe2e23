# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one path out of a backup into a folder of the node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_path
short_description: Bring one path out of a backup into a folder of the node
version_added: 0.1.0
description:
  - Puts a file or folder as it was into C(<folder>/<appliance>/<backup>), below a folder that is named after its path,
    with the owners that the appliance knows. The appliance is left alone. What is there already stays as it is.
  - RV(msg) tells how to bring it into the running appliance.
options:
  backup:
    description: The backup, as the module M(strata.fleet.restore_info) returns it.
    type: dict
    required: true
  path:
    description: The path inside the appliance.
    type: str
    required: true
  folder:
    description: Where paths are put, readable by root only.
    type: path
    default: /var/lib/strata/restored
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
extends_documentation_fragment:
  - strata.fleet.node
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed, or would change in C(check_mode), when in diff mode.
    support: none
  idempotent:
    description: When run twice in a row without changes outside, the second run changes nothing.
    support: full
seealso:
  - module: strata.fleet.restore_info
"""

EXAMPLES = r"""
- name: Get yesterday's settings of the database back
  strata.fleet.restore_path:
    repositories: "{{ backup_repositories }}"
    backup: "{{ found.backups.db1 }}"
    path: /var/lib/postgresql/17/main/postgresql.auto.conf
"""

RETURN = r"""
path:
  description: Where it is on the node.
  returned: success
  type: str
  sample: /var/lib/strata/restored/web1/1a2b3c4d/var+lib+site/site
msg:
  description: The same in words, with the command that brings it into the appliance.
  returned: success
  type: str
"""

import json
import os
import posixpath
import shlex
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import (
    backup_record,
    options,
    path_restore,
    restore_sources,
    runner,
)

SPEC = {
    **options.NODE_OPTIONS,
    **restore_sources.REPOSITORY_OPTIONS,
    "backup": {"type": "dict", "required": True},
    "path": {"type": "str", "required": True},
    "folder": {"type": "path", "default": "/var/lib/strata/restored"},
}


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Find it, and bring it."""
    backup, path = params["backup"], params["path"]
    snapshot = backup["snapshot"]
    record = backup_record.parse(json.dumps(backup["record"]), f"The record of backup {snapshot[:8]}")
    saved = path_restore.locate(record, path)
    own = Path(params["folder"], record.appliance)
    path_restore.check_folder(own)
    target = path_restore.target_of(own / snapshot[:8], path)
    is_there = os.path.lexists(target)
    if not is_there and not check_mode:
        path_restore.have_folder(own)
        with restore_sources.open_all(params, [backup["repository"]]) as restics:
            restic = restics[backup["repository"]]
            path_restore.bring(restic, snapshot, saved, target, path_restore.find_volume(record, saved))
    sentence = f"bring {path} of {record.appliance} ({record.made}) to {target}"
    return runner.Result(
        changed=not is_there,
        steps=[] if is_there else [sentence],
        facts={"path": str(target), "msg": explain(target, path, record.appliance, params["project"])},
    )


def explain(target: Path, path: str, appliance: str, project: str) -> str:
    """Return where it is, and how it gets into the appliance beside what is there now."""
    folder, name = posixpath.split(path)
    pack = shlex.join(
        ["tar", "-C", str(target.parent), "-c", "--numeric-owner", f"--transform=s/^{name}/{name}.restored/"]
    )
    unpack = shlex.join(["incus", "exec", "--project", project, appliance, "--", "tar", "-C", folder, "-x", "-p"])
    return (
        f"{path} is at {target}. To put it into {appliance}, beside what is there, as {path}.restored: "
        f"{pack} {shlex.quote(name)} | {unpack} --numeric-owner"
    )


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
