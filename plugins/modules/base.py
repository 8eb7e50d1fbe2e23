# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build a base and publish it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: base
short_description: Build an operating system's base and publish it in a depot
version_added: 0.1.0
description:
  - Builds the C(/usr) and C(/etc) of a Debian release from a description, by mmdebstrap, without anything of a machine
    in them, and publishes them signed, with the list of packages and an SBOM.
  - Looks first at what the package archive offers now. When the description and every package are those of the
    channel's present version, nothing is built. When building gives the same content, nothing is published. When
    another channel names what would be built, this one is pointed at the same version.
  - A version tells which packages changed since the one before it, and what their changelogs say of it, with CVE ids.
  - Where the description names a lock-down profile or policy, what that asks for is built in; the values come from
    C(lockdown_policies) of the inventory.
  - The package archive is the one that the build machine's own apt sources name, for the suite of the description.
options:
  file:
    description:
      - The description, a YAML file on the controller. Its keys are documented in C(docs/schemas/base.schema.json), by
        which it is checked on the controller.
    type: path
    required: true
  description:
    description: What O(file) says. Filled in on the controller.
    type: dict
  init:
    description: The text of stage 0, the program that puts an appliance together. Filled in on the controller.
    type: str
requirements:
  - mmdebstrap, ostree, gpg and the archive's keyring on the host
extends_documentation_fragment:
  - strata.fleet.build
seealso:
  - module: strata.fleet.app
  - module: strata.fleet.depot
"""

EXAMPLES = r"""
- name: Build Debian 13
  strata.fleet.base:
    file: bases/debian-13.yml
    depot: /var/lib/strata/depot
"""

RETURN = r"""
version:
  description: What the channel names; in check mode what it named before.
  returned: when there is a version
  type: dict
  contains:
    kind:
      description: Always V(base).
      type: str
      sample: base
    name:
      description: The base's name.
      type: str
      sample: debian-13
    version:
      description: The version.
      type: str
      sample: 13.20261122.1
    commit:
      description: The commit.
      type: str
      sample: 2da192f84a4bff6f828a7534b12d1bfb46a393479f5f999579c416dca9e56b3d
    abi:
      description: What apps must be built against to fit.
      type: str
      sample: debian-13
    architecture:
      description: Debian's name of the architecture.
      type: str
      sample: amd64
    packages:
      description: How many packages are in it.
      type: int
      sample: 89
    size:
      description: Bytes on disk.
      type: int
      sample: 83000000
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
  sample: "base/debian-13/stable stays 13.20261122.1: nothing differs, nothing is published"
steps:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: ["build base/debian-13 from 89 packages", "publish base/debian-13 13.20261122.1 as stable"]
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import bases, building
from ansible_collections.strata.fleet.plugins.module_utils.build_options import BUILD_OPTIONS, read_sources
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import publishing
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result, run

SPEC = {
    **BUILD_OPTIONS,
    "file": {"type": "path", "required": True},
    "description": {"type": "dict"},
    "init": {"type": "str"},
}


def work(params: dict[str, t.Any], check_mode: bool) -> Result:
    os.umask(0o022)
    depot, description, channel = Depot(params["depot"]), params["description"], params["channel"]
    if not (description and params["init"]):
        raise BadInput(
            f"{params['file']} was not read: call this module by its full name, strata.fleet.base", key="file"
        )
    if check_mode and not depot.repo.exists():
        return building.not_yet("base", description["name"])
    depot.require()
    publishing.guard(depot, params["lockdown"])
    name = description["name"]
    with depot.locked():
        archive = bases.archive(depot, description, read_sources(params["sources"]))
        archive.prepare()
        debs = archive.resolve(["?essential", *bases.all_packages(description)])
        inputs = bases.digest_of(description, params["init"], debs)
        before = building.look(depot, building.Place("base", name, channel), inputs)
        if before.found is None and not check_mode:
            bases.build(depot, description, init=params["init"], packages=archive, channel=channel, inputs=inputs)
        elif before.found and not check_mode:
            depot.point("base", name, channel, before.found)
        task = f"build base/{name} from {len(debs)} packages"
        return building.report(depot, before, task, debs, check_mode=check_mode)


def main() -> None:
    run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
