# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show which appliances run a package, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Show which appliances run a package, or an old version of it
version_added: 0.1.0
description:
  - Prints a table of the appliances that have a package, from the package lists of what they are composed of, with the
    base or app that brings it. Versions are compared as Debian does.
  - Runs on the controller only.
options:
  found:
    description: What M(strata.fleet.packages_info) returned, by node, or Ansible's word that the node did not answer.
    type: dict
    required: true
  older_than:
    description: Show only versions before this one. Without it, all of them.
    type: str
    default: ""
  path:
    description: Also write the rows as JSON to this file on the controller.
    type: path
    default: ""
  fail:
    description: Fail when an appliance has the package (in such a version), or when a node did not answer.
    type: bool
    default: false
extends_documentation_fragment:
  - strata.fleet.node.read_only
requirements:
  - python-debian on the controller
  - rich on the controller
author:
  - The Strata authors (@strata-fleet)
seealso:
  - module: strata.fleet.packages_info
"""

EXAMPLES = r"""
- name: Look for openssl
  strata.fleet.packages_info:
    names: [openssl]
  register: found

- name: Show who runs an old one
  strata.fleet.packages:
    found: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'found'))) }}"
    older_than: 3.5.4-1
  run_once: true
"""

RETURN = r"""
packages:
  description: One row for each package of an appliance.
  returned: success
  type: list
  elements: dict
  contains:
    appliance:
      description: The appliance's name.
      type: str
    node:
      description: The node that it is on.
      type: str
    package:
      description: The package's name.
      type: str
    version:
      description: The package's version.
      type: str
    layer:
      description: The base or app that it is in, with its version.
      type: str
      sample: base debian-13 13.20261122.1
unanswered:
  description: Nodes that did not answer, with the reason.
  returned: success
  type: dict
"""
