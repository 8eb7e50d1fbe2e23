# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that tell where a node keeps its appliances."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of ``plugins/module_utils/options.py``; a test keeps the two the same."""

    DOCUMENTATION = r"""
options:
  socket:
    description: The engine's unix socket on the node.
    type: path
    default: /var/lib/incus/unix.socket
  project:
    description: The engine project that holds the appliances.
    type: str
    default: strata
  pool:
    description: The storage pool that holds the appliances' state.
    type: str
    default: strata
  store_path:
    description: The folder on the node that holds the layers.
    type: path
    default: /var/lib/strata/store
requirements:
  - Incus 6.0 or newer on the node
  - root on the node
author:
  - The Strata authors (@strata-fleet)
"""

    ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed, or would change in C(check_mode), when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row without changes outside, the second run changes nothing.
    support: full
"""

    READ_ONLY = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
  diff_mode:
    description: Will return details on what has changed, or would change in C(check_mode), when in diff mode.
    support: N/A
  idempotent:
    description: When run twice in a row without changes outside, the second run changes nothing.
    support: full
"""
