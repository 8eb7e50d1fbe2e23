# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way in which a module starts and ends."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError


@dataclasses.dataclass
class Result:
    """What a module reports.

    ``steps`` are sentences, in the order in which they are (or in check mode: would be) carried out.
    ``before`` and ``after`` make the diff. ``facts`` are the module's own return values.
    """

    changed: bool = False
    steps: list[str] = dataclasses.field(default_factory=list)
    before: t.Any = None
    after: t.Any = None
    facts: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)


def run(module: AnsibleModule, work: t.Callable[[dict[str, t.Any], bool], Result]) -> None:
    """Call ``work(params, check_mode)`` and end the module with what it returns or raises."""
    try:
        result = work(module.params, module.check_mode)
    except StrataError as error:
        changed = bool(error.facts.get("steps_done"))
        module.fail_json(msg=error.message, changed=changed, error=type(error).__name__, **error.facts)
        return
    for warning in result.warnings:
        module.warn(warning)
    answer: dict[str, t.Any] = {"changed": result.changed, "steps": result.steps, **result.facts}
    if result.before is not None or result.after is not None:
        answer["diff"] = {"before": result.before, "after": result.after}
    module.exit_json(**answer)
