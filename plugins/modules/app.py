# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build an app and publish it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app
short_description: Build an app over a base and publish it in a depot
version_added: 0.1.0
description:
  - Installs packages, archives and files over the exact base, in an overlay, and splits what changed into a system
    extension (C(/usr), C(/opt)) and a configuration extension (C(/etc)); what belongs into C(/var) is made on the first
    boot.
  - Refuses what must not be in a layer, with the path and what to do. Among them are an account that is not declared, a
    file that takes the place of the base's, a secret, a device node and a set-uid file.
  - Looks first at what the package archive offers now. When the description, the files, the base and every package are
    those of the channel's present version, nothing is built. When building gives the same content, nothing is
    published. When another channel names what would be built, this one is pointed at the same version.
  - A version tells which packages changed since the one before it, and what their changelogs say of it, with CVE ids.
options:
  folder:
    description:
      - The app's folder on the controller. Its C(app.yml) is documented in C(docs/schemas/app.schema.json), by which it
        is checked on the controller; C(files/) is copied into the app as it is.
    type: path
    required: true
  base:
    description: The base to build over, instead of the one that C(app.yml) names.
    type: str
  base_channel:
    description: The channel of the base.
    type: str
    default: stable
  description:
    description: What C(app.yml) says. Filled in on the controller.
    type: dict
  tree:
    description: The folder as a tar file on the host. Filled in on the controller.
    type: path
requirements:
  - apt, ostree, gpg, systemd and the archive's keyring on the host
extends_documentation_fragment:
  - strata.fleet.build
seealso:
  - module: strata.fleet.base
  - module: strata.fleet.depot
"""

EXAMPLES = r"""
- name: Build nginx
  strata.fleet.app:
    folder: apps/nginx
    depot: /var/lib/strata/depot
"""

RETURN = r"""
version:
  description: What the channel names; in check mode what it named before.
  returned: when there is a version
  type: dict
  contains:
    kind:
      description: Always V(app).
      type: str
      sample: app
    name:
      description: The app's name.
      type: str
      sample: nginx
    version:
      description: The version.
      type: str
      sample: 1.26-1
    commit:
      description: The commit.
      type: str
      sample: 2da192f84a4bff6f828a7534b12d1bfb46a393479f5f999579c416dca9e56b3d
    abi:
      description: Which bases it fits; V(_any) means all.
      type: str
      sample: debian-13
    architecture:
      description: Debian's name of the architecture.
      type: str
      sample: amd64
    packages:
      description: How many packages it adds.
      type: int
      sample: 16
    size:
      description: Bytes on disk.
      type: int
      sample: 7916012
    built:
      description: When it was built.
      type: str
      sample: "2026-11-22T14:02:00Z"
changes:
  description:
    - What changed since the version that the channel named before, or for a new channel since V(stable). The CVE ids
      and advisories are those in the packages' own changelogs.
    - In check mode the packages that would be there in another version; their changelogs are read when they are built.
  returned: success
  type: dict
  contains:
    packages:
      description: Each package that differs, with C(name), C(from), C(to) and C(cves); an absent version is null.
      type: list
      elements: dict
      sample: [{"name": "openssl", "from": "3.5.4-1", "to": "3.5.4-1+deb13u1", "cves": ["CVE-2026-1234"]}]
    cves:
      description: The CVE ids of all of them.
      type: list
      elements: str
      sample: [CVE-2026-1234]
    advisories:
      description: Debian's advisories (DSA, DLA) that the changelogs name.
      type: list
      elements: str
      sample: [DSA-6000-1]
    complete:
      description: Whether the depot's history could tell all of it.
      type: bool
      sample: true
msg:
  description: What came of it, as a sentence.
  returned: success
  type: str
  sample: "app/nginx/stable stays 1.26-1: nothing differs, nothing is published"
steps:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: ["build app/nginx from 16 packages over debian-13 13.20261122.1", "publish app/nginx 1.26-1 as stable"]
"""

import os
import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import apps, bases, building
from ansible_collections.strata.fleet.plugins.module_utils.build_options import BUILD_OPTIONS, read_sources
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import publishing
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result, run

SPEC = {
    **BUILD_OPTIONS,
    "folder": {"type": "path", "required": True},
    "base": {"type": "str"},
    "base_channel": {"type": "str", "default": "stable"},
    "description": {"type": "dict"},
    "tree": {"type": "path"},
}


def read_description(params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    if not (params["description"] and params["tree"]):
        raise BadInput(
            f"{params['folder']} was not read: call this module by its full name, strata.fleet.app", key="folder"
        )
    return {**params["description"], **({"base": params["base"]} if params["base"] else {})}


def work(params: dict[str, t.Any], check_mode: bool) -> Result:
    os.umask(0o022)
    depot, description, channel = Depot(params["depot"]), read_description(params), params["channel"]
    if check_mode and not depot.repo.exists():
        return building.not_yet("app", description["name"])
    depot.require()
    publishing.guard(depot, params["lockdown"])
    name, tree = description["name"], pathlib.Path(params["tree"])
    with depot.locked():
        base = apps.find_base(depot, description, params["base_channel"])
        archive = bases.archive(depot, base.description(), read_sources(params["sources"]))
        debs = apps.resolve(archive, description, base)
        inputs = apps.digest_of(description, apps.file_digest(tree), base, debs)
        before = building.look(depot, building.Place("app", name, channel), inputs)
        if before.found is None and not check_mode:
            apps.Build(depot, description, base, tree).run(archive, channel, inputs)
        elif before.found and not check_mode:
            depot.point("app", name, channel, before.found)
        over = f"{base.manifest['name']} {base.manifest['version']}"
        task = f"build app/{name} from {len(debs)} packages over {over}"
        return building.report(depot, before, task, debs, check_mode=check_mode)


def main() -> None:
    run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
