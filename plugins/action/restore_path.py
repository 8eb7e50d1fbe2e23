# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: takes the secrets of repositories apart, then lets the module do the rest."""

from __future__ import annotations

from ansible_collections.strata.fleet.plugins.plugin_utils.repository_action import RepositoryAction


class ActionModule(RepositoryAction):
    """The action of the module strata.fleet.restore_path."""

    MODULE = "strata.fleet.restore_path"
