# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that tell an outside judge what to look at."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of ``plugins/module_utils/judge_options.py``; a test keeps the two the same."""

    DOCUMENTATION = r"""
options:
  name:
    description: What is judged is called so in the results, and their files begin with it.
    type: str
    required: true
  trees:
    description:
      - Folders to lay over each other, that of the base first, then those of its app and its config. On a node
        these are the checked-out versions in the store, which are mapped into appliances just so.
      - They are only read. The judge looks at a copy in C(/var/tmp), which vanishes.
    type: list
    elements: path
    default: []
  depot:
    description: The depot's folder, to judge what O(refs) name instead of O(trees).
    type: path
  refs:
    description: Versions or channels in the depot, that of the base first, such as C(base/debian-13/stable).
    type: list
    elements: str
    default: []
  folder:
    description: The folder on the host to keep the judge's own results in. Without it they are not kept.
    type: path
author:
  - The Strata authors (@strata-fleet)
attributes:
  check_mode:
    description: Judges in check mode, too, and then keeps no files.
    support: full
  diff_mode:
    description: Changes nothing but the files of results.
    support: none
  idempotent:
    description: The results are those of each run.
    support: none
"""
