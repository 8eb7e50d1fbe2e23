# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control node remembers from one cycle to the next: commits, and since when something is wrong."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import files

FORMAT = 1
NAME = "ledger.json"

Data = dict[str, t.Any]


@dataclasses.dataclass
class Ledger:
    """Commits are ``{commit, at}`` and more, None where there is none yet.

    - ``seen``: the branch's head when it was last fetched, whatever it is worth.
    - ``accepted``: the newest head with a good signature (``signer``): the branch may only go on from here.
    - ``applying``: what is being applied, with the ``health`` and ``versions`` of every appliance before, and which
      commit that ``undoes``, '' for none. Whoever finds it goes on with it.
    - ``applied``: what the fleet was last made to be, likewise, and on which node each appliance is (``places``).
    - ``good``: the last one that was applied and left the fleet healthy.
    - ``bad``: one that did harm, the ``reason``, and what the fleet went ``back_to``. It is not applied again.
    - ``unreachable``, ``error``: ``since`` and ``reason``, while it lasts.
    - ``content_at``: when all content of the stores was last read. ``results``: cycles so far, by how they ended.
    """

    seen: Data | None = None
    accepted: Data | None = None
    applying: Data | None = None
    applied: Data | None = None
    good: Data | None = None
    bad: Data | None = None
    unreachable: Data | None = None
    error: Data | None = None
    content_at: str = ""
    results: dict[str, int] = dataclasses.field(default_factory=dict)


def read(state: Path) -> Ledger:
    """Return what is remembered, nothing where this is the first cycle. Raises BadInput where it cannot be read."""
    path = state / NAME
    try:
        body = json.loads(path.read_text())
        if body.pop("format") != FORMAT:
            raise BadInput(
                f"{path} was written by another version of Strata: update this control node (playbooks/gitops.yml)"
            )
        return Ledger(**body)
    except FileNotFoundError:
        return Ledger()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(
            f"{path} cannot be read ({error}). It says from which commit the branch may go on: put it back from a "
            "backup of this machine. Without it, the next cycle takes any signed commit of the branch as its first"
        ) from error


def write(state: Path, ledger: Ledger) -> None:
    """Remember it, all or nothing."""
    files.write_json(state / NAME, {"format": FORMAT, **dataclasses.asdict(ledger)})


def note(known: Data | None, reason: str, now: str) -> Data:
    """Return that something is wrong, since when it has been."""
    return {"since": known["since"] if known else now, "at": now, "reason": reason}


def commit_of(entry: Data | None) -> str:
    """Return the commit of an entry, '' where there is none."""
    return str(entry["commit"]) if entry else ""
