# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that tell a node which backups it takes appliances from."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of ``BACKUP_OPTIONS`` in ``module_utils/restore_orders.py``; a test keeps the two the same."""

    DOCUMENTATION = r"""
options:
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
  backups:
    description: The backups by appliance, as the module M(strata.fleet.restore_info) returns them.
    type: dict
    required: true
  originals:
    description: The appliance whose config and layers one has, by name, where it is a copy of that one.
    type: dict
    default: {}
  network:
    description:
      - Name and address (with a prefix length) of the network that copies are on. It is made where it is missing; the
        node reaches them, and they reach nobody.
    type: dict
    default: {}
"""
