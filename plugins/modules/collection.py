# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have this collection on a machine, to run it there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: collection
short_description: Have this collection on a machine, to run it there
version_added: 0.1.0
description:
  - Puts the collection that runs into a folder of the machine that is named by its digest, and has the link C(current)
    lead to it. The link changes at once, so whoever begins a run finds one version or the other.
  - One other version is kept besides, for a run that began with it.
  - The action plugin packs the collection, and sends it only where the machine has another.
options:
  path:
    description: The folder.
    type: path
    required: true
  digest:
    description: What names the version. The action plugin sets it.
    type: str
    default: ""
  archive:
    description: The collection as a zip archive on the machine. The action plugin sets it.
    type: path
author:
  - The Strata authors (@strata-fleet)
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description: Tells the versions before and after.
    support: full
  idempotent:
    description: Running it twice changes nothing the second time.
    support: full
"""

EXAMPLES = r"""
- name: Have this collection on the control node
  strata.fleet.collection:
    path: /opt/strata/gitops/collections
"""

RETURN = r"""
path:
  description: The folder that has C(ansible_collections) of this version.
  returned: success
  type: str
  sample: /opt/strata/gitops/collections/6b05e3c62b13c23f
is_wanted:
  description: Whether the archive is needed and was not given. The action plugin gives it then.
  returned: success
  type: bool
  sample: false
steps:
  description: What was done, or would be in check mode, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["unpack 6b05e3c62b13c23f", "make it the current one"]
"""

import os
import shutil
import typing as t
import zipfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import runner
from ansible_collections.strata.fleet.plugins.module_utils.model import Step

SPEC = {
    "path": {"type": "path", "required": True},
    "digest": {"type": "str", "default": ""},
    "archive": {"type": "path"},
}
LINK = "current"
PLACE = "ansible_collections/strata/fleet"


class Have(t.NamedTuple):
    """What the folder has: where the link leads, and versions, the newest first."""

    current: str
    versions: tuple[str, ...]


def read(folder: Path) -> Have:
    """Return what the folder has."""
    link = folder / LINK
    versions = [path for path in folder.glob("*") if path.is_dir() and path.name != LINK]
    versions.sort(key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    return Have(os.readlink(link) if link.is_symlink() else "", tuple(path.name for path in versions))  # noqa: PTH115


def plan(digest: str, have: Have) -> list[Step]:
    """Return the steps to this version. Pure."""
    steps = []
    if digest not in have.versions:
        steps.append(Step("", "unpack", f"unpack {digest}", {"digest": digest}))
    if digest != have.current:
        steps.append(Step("", "link", f"have {LINK} lead to {digest}", {"digest": digest}))
    # A run that is under way may need the one that was current when it began.
    others = [version for version in have.versions if version != digest]
    others.sort(key=lambda version: version != have.current)
    steps += [Step("", "remove", f"remove {version}", {"digest": version}) for version in others[1:]]
    return steps


def apply(steps: t.Iterable[Step], folder: Path, archive: Path) -> None:
    """Carry the steps out."""
    os.umask(0o022)  # whoever runs it is not root
    for step in steps:
        version = folder / step.args["digest"]
        if step.action == "unpack":
            unpack(archive, version)
        elif step.action == "link":
            new = folder / f".{LINK}.new"
            new.unlink(missing_ok=True)
            new.symlink_to(version.name)
            new.rename(folder / LINK)
        else:
            shutil.rmtree(version)


def unpack(archive: Path, version: Path) -> None:
    """Have the archive's files in the folder, all of them or none."""
    new = version.with_name(f".{version.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(new / PLACE)
    os.sync()
    new.rename(version)


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Want, have, plan, apply, report."""
    folder, digest = Path(params["path"]), params["digest"]
    have = read(folder)
    steps = plan(digest, have)
    is_wanted = not check_mode and not params["archive"] and digest not in have.versions
    if not check_mode and not is_wanted:
        apply(steps, folder, Path(params["archive"] or ""))
    return runner.Result(
        changed=bool(steps),
        steps=[step.sentence for step in steps],
        before=f"{have.current}\n",
        after=f"{digest}\n",
        facts={"path": str(folder / digest), "is_wanted": is_wanted},
    )


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
