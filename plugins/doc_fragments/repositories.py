# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that tell where backups are kept."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of ``plugins/module_utils/backup_options.py``; a test keeps the two the same."""

    DOCUMENTATION = r"""
options:
  repositories:
    description:
      - Repositories by name, each with its C(url) (restic's own) and, for SFTP, the server's C(known_hosts). The action
        plugin sets it.
    type: dict
    default: {}
  secrets:
    description:
      - The C(password) of each repository, its C(environment) and its C(ssh_key), by its name, each as one text of
        JSON. The action plugin sets it.
    type: dict
    default: {}
requirements:
  - restic 0.14 or newer on the node
  - bubblewrap on the node
"""
