# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the whole inventory on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: inventory_check
short_description: Check everything in the inventory that no node has to be asked about
version_added: 0.1.0
description:
  - Checks nodes and appliances as M(strata.fleet.fleet) does, the policies as M(strata.fleet.lockdown) does,
    C(patch_rollout), C(backup_repositories) and which appliances are backed up where, and that values of
    C(appliance_config) can be read.
  - Whether these values fit their app, only the app's version knows, which a node or the depot has; a plan or a deploy
    tells.
  - All faults are reported at once. Runs on the controller only; connects to nothing.
extends_documentation_fragment:
  - strata.fleet.node.read_only
requirements:
  - netaddr on the controller
  - jsonschema on the controller
  - jmespath on the controller
author:
  - The Strata authors (@strata-fleet)
seealso:
  - module: strata.fleet.fleet
  - module: strata.fleet.lockdown
"""

EXAMPLES = r"""
- name: Check the inventory
  strata.fleet.inventory_check:
  run_once: true
"""

RETURN = r"""
faults:
  description: Everything that is wrong, a sentence each.
  returned: failure
  type: list
  elements: str
"""
