# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a migration, from what its phases returned. Pure."""

from __future__ import annotations

import datetime as dt
import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils.migration import (
    CLEAN,
    FINISH,
    GIVE_BACK,
    START,
    TIDY,
)

MIGRATED, UNDONE, GIVEN_BACK, FAILED, UNFINISHED = "migrated", "undone", "given_back", "failed", "unfinished"
GOOD = (MIGRATED, UNDONE)
SERVES = ("healthy", "stopped")
NO_REASON = "the module gave no reason, run with -vvv to see what happened"

Result = t.Mapping[str, t.Any]


class Outcome(t.NamedTuple):
    """What became of one appliance: a word of those above, why, and how many seconds it was away (None: unknown)."""

    name: str
    source: str
    target: str
    word: str
    reason: str = ""
    seconds: float | None = None

    def __str__(self) -> str:
        away = f", away for {self.seconds:.1f} s by the nodes' clocks" if self.seconds is not None else ""
        said = {
            MIGRATED: f"migrated from {self.source} to {self.target}{away}",
            UNDONE: f"is on {self.source}, as before",
            GIVEN_BACK: f"did not migrate to {self.target}, it runs on {self.source} again",
            FAILED: f"did not migrate from {self.source} to {self.target}",
            UNFINISHED: f"is on {self.target}, and something is left to do",
        }[self.word]
        return f"{self.name}: {said}{f': {self.reason}' if self.reason else ''}"


def judge(entry: Result) -> Outcome:
    """Return what became of one appliance.

    ``entry`` has what each phase returned, {} for one that was not called, and as ``fault`` why no copy was made while
    it ran.
    """
    if entry["fault"]:
        word, reason = FAILED, f"{entry['fault']} It is on {entry['source']}, where it was not stopped. Run again."
    elif entry["phase"] == TIDY:
        left = find_faults(entry, "tidied")
        word, reason = (UNFINISHED, f"{left} Run again.") if left else (UNDONE, "")
    else:
        word, reason = _judge(entry)
    seconds = find_interruption(entry["handed"].get("began"), entry["taken"].get("ended")) if word == MIGRATED else None
    return Outcome(entry["name"], entry["source"], entry["target"], word, reason, seconds)


def _judge(entry: Result) -> tuple[str, str]:
    taken, target = entry["taken"], entry["target"]
    if entry["phase"] in (GIVE_BACK, CLEAN):
        left = find_faults(entry, "given_up", "back", "cleaned")
        return (FAILED, left) if left else (UNDONE, kept_state(entry))
    if taken.get("outcome") in SERVES or entry["phase"] == FINISH:
        left = find_faults(entry, "committed", "finished", "tidied")
        return (UNFINISHED, f"{left} Run again.") if left else (MIGRATED, "")
    reason = taken.get("reason") or taken.get("msg") or entry["handed"].get("msg") or NO_REASON
    if taken.get("unreachable"):
        return FAILED, f"node {target} went away, and may have started it: bring it back and run again. {reason}"
    if entry["phase"] == START:
        hint = "What it wrote there may be newer than what is where it was; to go back to that: migrate_give_back."
        return UNFINISHED, f"it is not healthy: {reason} {hint}"
    if "steps" not in entry["back"]:
        left = find_faults(entry, "given_up", "back")
        return FAILED, f"{reason} It was to be given back: {left or NO_REASON} Run again."
    return GIVEN_BACK, " ".join(filter(None, [reason, kept_state(entry), find_faults(entry, "cleaned")]))


def find_faults(entry: Result, *phases: str) -> str:
    """Return what the phases that did not end well said, '' where all did."""
    faults = [_fault(entry[phase]) for phase in phases]
    return " ".join(fault for fault in faults if fault)


def _fault(result: Result) -> str:
    if not result or result.get("skipped") or "steps" in result:
        return ""
    return str(result.get("msg") or NO_REASON)


def kept_state(entry: Result) -> str:
    """Return where the state is that an appliance wrote where it was given up, '' where there is none."""
    kept = [step for step in entry["cleaned"].get("steps", []) if step.startswith("keep what")]
    release = "To let go of it: playbooks/release_aside.yml -e release_aside=NAME."
    return f"On {entry['target']}: {'; '.join(kept)}. {release}" if kept else ""


def find_interruption(began: str | None, ended: str | None) -> float | None:
    """Return the seconds between two times of ISO 8601, None where they are not known, or cannot be."""
    if not began or not ended:
        return None
    seconds = (dt.datetime.fromisoformat(ended) - dt.datetime.fromisoformat(began)).total_seconds()
    return seconds if seconds >= 0 else None
