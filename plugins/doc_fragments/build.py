# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that tell where to build and publish."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of ``plugins/module_utils/build_options.py``; a test keeps the two the same."""

    DOCUMENTATION = r"""
options:
  depot:
    description: The depot's folder on the host.
    type: path
    required: true
  channel:
    description: The channel that is to name the version.
    type: str
    default: stable
  lockdown:
    description:
      - The depot's policy, by which a version that is not allowed is refused before it is published. Filled in on the
        controller, from C(lockdown_policies) and C(lockdown_waivers).
    type: dict
    default: {}
  sources:
    description: Where packages come from, instead of the archive in the machine's apt sources.
    type: list
    elements: dict
    default: []
    suboptions:
      uris:
        description: Addresses of the archive.
        type: list
        elements: str
        required: true
      suites:
        description: Its suites.
        type: list
        elements: str
        required: true
      components:
        description: Its components.
        type: list
        elements: str
        default: [main]
      signed_by:
        description: The file on the host with the archive's public key.
        type: path
        default: ""
author:
  - The Strata authors (@strata-fleet)
attributes:
  check_mode:
    description: Tells whether a version would be built. Only then building could show that its content is the same.
    support: full
  diff_mode:
    description: Tells the version and the packages that differ before and after.
    support: full
  idempotent:
    description: The same inputs publish nothing new.
    support: full
"""
