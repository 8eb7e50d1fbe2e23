# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages the appliances of a node run."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packages_info
short_description: Tell which packages the appliances of a node run
version_added: 0.1.0
description:
  - Reads the compositions from the engine and the package lists of their layers from the node's store. No appliance is
    entered, and one that is stopped is told of like any other.
options:
  names:
    description:
      - Patterns of package names, such as V(libssl*). A package that matches any of them is returned, and so is one
        made from a source package of a matching name, as advisories name them (libssl3t64 for V(openssl)).
    type: list
    elements: str
    default: ["*"]
extends_documentation_fragment:
  - strata.fleet.node
  - strata.fleet.node.read_only
seealso:
  - module: strata.fleet.packages
  - module: strata.fleet.store_info
"""

EXAMPLES = r"""
- name: Look for openssl
  strata.fleet.packages_info:
    names: [openssl, "libssl*"]
  register: found
"""

RETURN = r"""
appliances:
  description: Name, version and commit of C(base) and C(app), by appliance.
  returned: success
  type: dict
  sample:
    web1:
      base: {name: debian-13, version: 13.20261122.1, commit: 5f0c...}
      app: {name: nginx, version: 1.26-1, commit: 81aa...}
packages:
  description: Packages with their versions, by the commit of the layer that they are in.
  returned: success
  type: dict
  sample:
    5f0c...: {openssl: 3.5.4-1}
"""

import fnmatch
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import have, manifests, options, runner
from ansible_collections.strata.fleet.plugins.module_utils.instance import composition_of
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.store import referenced

SOURCE = "debian:source"  # the property of a component that names it
SPEC = {**options.NODE_OPTIONS, "names": {"type": "list", "elements": "str", "default": ["*"]}}


def work(params: dict[str, t.Any], _check_mode: bool) -> runner.Result:
    """Read, and report."""
    store = Path(params["store_path"])
    repo = Repo(str(store / "repo"))
    instances = have.read_instances(options.engine_of(params), store)
    compositions = {name: made for name, item in sorted(instances.items()) if (made := composition_of(item.config))}
    packages = {
        commit: choose(repo.manifest(commit)["packages"], read_sources(repo, commit), params["names"])
        for commit in sorted(referenced(compositions.values()))
    }
    appliances = {name: {"base": made.base._asdict(), "app": made.app._asdict()} for name, made in compositions.items()}
    return runner.Result(facts={"appliances": appliances, "packages": packages})


def read_sources(repo: Repo, commit: str) -> dict[str, str]:
    """Return the source package of each package of a version, by its bill of materials; {} where it has none."""
    text = repo.metadata(commit, manifests.SBOM_KEY)
    components = manifests.decode(text)["components"] if text else []
    return {
        component["name"]: one["value"]
        for component in components
        for one in component.get("properties", [])
        if one["name"] == SOURCE
    }


def choose(packages: t.Mapping[str, str], sources: t.Mapping[str, str], patterns: t.Sequence[str]) -> dict[str, str]:
    """Return the packages of which the name, or that of their source, matches any of the patterns."""
    return {
        name: version
        for name, version in packages.items()
        if any(fnmatch.fnmatchcase(each, pattern) for each in (name, sources.get(name, name)) for pattern in patterns)
    }


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
