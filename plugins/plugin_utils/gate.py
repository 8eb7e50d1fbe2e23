# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the batches of a rollout: whether it goes on, and with whom. Pure; the time comes in."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t

from ansible_collections.strata.fleet.plugins.plugin_utils import batches, verdicts, windows
from ansible_collections.strata.fleet.plugins.plugin_utils.batches import Service

PATCHED, REVERTED, ROLLED_BACK, FAILED, SKIPPED = "patched", "reverted", "rolled_back", "failed", "skipped"
GOOD = (PATCHED, REVERTED)  # the second is the end of a rollback that was cut short
SHOWN = 5  # appliances of one reason in a sentence
THRESHOLD = "100%"
ADVICE = (
    "What to do: where a node went away, run again when it is back. Where the version is to blame, mend it, publish it "
    "and run again; or put back those that were patched with playbooks/rollback.yml. To try the same version again: "
    "--extra-vars '{\"patch_retry\": true}'."
)

Data = dict[str, t.Any]
Body = t.Mapping[str, t.Any]


@dataclasses.dataclass
class State:
    """How far a rollout is.

    ``started``: by appliance, the number of the batch that it was started in. ``outcomes``: by appliance, as the module
    patch returns them. ``deferred``: by appliance, why there was no room for it. ``halted``: why it goes on no further.
    """

    started: dict[str, int] = dataclasses.field(default_factory=dict)
    outcomes: dict[str, Data] = dataclasses.field(default_factory=dict)
    deferred: dict[str, str] = dataclasses.field(default_factory=dict)
    halted: str = ""


class Seen(t.NamedTuple):
    """What nodes returned since the gate before this one: from module patch, and (where looked at) appliance_info."""

    done: t.Mapping[str, Body]
    found: t.Mapping[str, Body]


def pass_gate(plan: Body, state: State, seen: Seen, number: int, now: dt.datetime) -> dict[str, list[str]]:
    """Return who is started in batch ``number``, by node; nobody, where the rollout has halted or this is its end.

    Takes what became of the batch before into ``state``. One that was patched and is not healthy any more has failed.
    After the last batch of the plan, those that were put off have their turn, as long as somebody has room.
    """
    entries = {entry["name"]: entry for entry in plan["appliances"]}
    _collect(state, entries, seen, number - 1)
    lost = _look_again(state, entries, seen.found)
    if not state.halted and number > 1:
        judged = {name for name, begun in state.started.items() if begun == number - 1} | lost
        # What became of those that were cut short says nothing of what the others move to.
        state.halted = _judge(plan, state, {name for name in judged if entries[name]["verdict"] != verdicts.RESUME})
    batch = _find_batch(plan, state, number)
    if state.halted or batch is None:
        return {}
    picked, deferred = _choose(plan, state, seen, batch)
    if picked and batch["kind"] != "resume":
        state.halted = _check_canaries(plan, state, batch) or _check_window(plan, now)
    return {} if state.halted else _start(state, entries, picked, deferred, batch["number"])


def _find_batch(plan: Body, state: State, number: int) -> Body | None:
    """Return the batch of that number: after those of the plan, ones like the last, for those that were put off."""
    planned = plan["batches"]
    if number <= len(planned):
        return t.cast("Body", planned[number - 1])
    return {**planned[-1], "number": number, "appliances": []} if state.deferred else None


def _collect(state: State, entries: t.Mapping[str, Body], seen: Seen, number: int) -> None:
    for name in [name for name, begun in state.started.items() if begun == number]:
        entry = entries[name]
        outcome = seen.done.get(entry["node"], {}).get("outcomes", {}).get(name)
        state.outcomes[name] = outcome or _conclude(entry, seen)


def _conclude(entry: Body, seen: Seen) -> Data:
    """Return the outcome of an appliance of which its node's module said nothing."""
    result = seen.done.get(entry["node"], {})
    info = _info(entry, seen.found)
    last = (info or {}).get("last_swap") or {}
    if info and verdicts.is_at(info, entry["to"]) and info["health"] == "healthy" and not info.get("swap"):
        # Somebody else did it, or a module that outlived its connection.
        return last if last and verdicts.is_at(last["to"], entry["to"]) else _outcome(entry, PATCHED, "it was there")
    if result.get("unreachable"):
        return _outcome(entry, FAILED, f"its node did not answer any more: {verdicts.reason_of(result)}")
    return _outcome(entry, FAILED, f"its node could not work: {verdicts.reason_of(result)}")


def _outcome(entry: Body, word: str, reason: str) -> Data:
    layers = {"from": entry["from"], "to": entry["to"]}
    times = {"started": None, "ended": None, "interruption": None}
    return {"appliance": entry["name"], "outcome": word, **layers, **times, "reason": reason, "state": "kept"}


def _info(entry: Body, found: t.Mapping[str, Body]) -> Body | None:
    items = found.get(entry["node"], {}).get("appliances", [])
    return next((item for item in items if item["name"] == entry["name"] and item["base"]), None)


def _look_again(state: State, entries: t.Mapping[str, Body], found: t.Mapping[str, Body]) -> set[str]:
    """Return who was patched well, but is not healthy now."""
    words = {PATCHED: "patched", REVERTED: "taken back"}
    lost = set()
    for name, outcome in state.outcomes.items():
        entry = entries[name]
        if outcome["outcome"] not in GOOD or entry["node"] not in found:
            continue
        info, done = _info(entry, found), words[outcome["outcome"]]
        if info is None:
            state.outcomes[name] = {**outcome, "outcome": FAILED, "reason": f"{done}, but its node answers no more"}
            lost.add(name)
        elif info["health"] == "unhealthy" and entry["wanted"] == "running":
            reason = f"{done}, but not healthy any more: {info['fault']}"
            state.outcomes[name] = {**outcome, "outcome": FAILED, "reason": reason}
            lost.add(name)
    return lost


def _judge(plan: Body, state: State, judged: t.Collection[str]) -> str:
    """Return why the rollout halts after those who are judged, '' where enough of them are patched."""
    wanted = plan["rollout"].get("threshold", THRESHOLD)
    words = {name: state.outcomes[name]["outcome"] for name in judged}
    good = sum(word in GOOD for word in words.values())
    if good * 100 >= len(words) * batches.percent(wanted):
        return ""
    left = [entry for entry in plan["appliances"] if entry["batch"] and entry["name"] not in state.outcomes]
    parts = [f"Of the last batch {good} of {len(words)} are patched, {wanted} must be: the rollout halts."]
    for word, said in ((ROLLED_BACK, "Back on what they ran before"), (FAILED, "Failed"), (SKIPPED, "Not tried")):
        parts += (
            [f"{said}: {_list(names, state.outcomes)}."] if (names := [n for n in words if words[n] == word]) else []
        )
    parts.append(f"Not touched: {len(left)}.")
    parts.append(ADVICE)
    return " ".join(parts)


def _list(names: t.Iterable[str], outcomes: t.Mapping[str, Body]) -> str:
    """Return each reason once, with those that it is for."""
    reasons: dict[str, list[str]] = {}
    for name in sorted(names):
        reasons.setdefault(first_line(outcomes[name]["reason"]), []).append(name)
    return "; ".join(f"{verdicts.say_some(own, SHOWN)} ({reason})" for reason, own in reasons.items())


def first_line(text: str) -> str:
    """Return the first line of a reason, without what ends it."""
    return (text.strip().splitlines() or ["no reason given"])[0].rstrip(".:")


def _check_window(plan: Body, now: dt.datetime) -> str:
    allowed = plan["rollout"].get("windows", [])
    if windows.is_open(allowed, now):
        return ""
    return (
        f"No maintenance window is open; the next one begins {say_time(windows.next_opening(allowed, now))}. "
        "What is left stays as it is: run again then."
    )


def say_time(moment: dt.datetime) -> str:
    """Return a moment for a person: Tue 2026-11-24 22:00 Europe/Berlin."""
    return f"{moment:%a %Y-%m-%d %H:%M} {getattr(moment.tzinfo, 'key', 'UTC')}"


def _check_canaries(plan: Body, state: State, batch: Body) -> str:
    """Return why the others may not begin: canaries were asked for, and none of them has gone before."""
    if batch["kind"] == "canary":
        return ""
    canaries = {name for each in plan["batches"] if each["kind"] == "canary" for name in each["appliances"]}
    if not canaries or canaries & set(state.started):
        return str(plan["no_canaries"])
    return say_no_canaries({name: reason for name, reason in state.deferred.items() if name in canaries})


def say_no_canaries(reasons: t.Mapping[str, str]) -> str:
    """Return that no canary can go, and why, by canary."""
    said = "; ".join(f"{name} ({first_line(reason)})" for name, reason in reasons.items())
    return f"None of the canaries can go first: {said}. Mend them, or name others in patch_rollout."


def _choose(plan: Body, state: State, seen: Seen, batch: Body) -> tuple[list[str], dict[str, str]]:
    """Return who has room to go down now, and why each of the others has to wait.

    Those that were put off before have their turn where the batch has room for them.
    """
    services = [Service(each["group"], frozenset(each["members"]), each["limit"]) for each in plan["services"]]
    down = find_down(plan, state, seen.found)
    names = [*batch["appliances"], *state.deferred]
    picked = batches.pick(names, batch["size"], services, down)
    is_big = len(picked) == batch["size"]
    return picked, {name: _say_wait(name, services, down, is_big) for name in names if name not in picked}


def _start(
    state: State, entries: t.Mapping[str, Body], picked: t.Iterable[str], deferred: dict[str, str], number: int
) -> dict[str, list[str]]:
    state.deferred = deferred
    members: dict[str, list[str]] = {}
    for name in picked:
        state.started[name] = number
        members.setdefault(entries[name]["node"], []).append(name)
    return members


def find_down(plan: Body, state: State, found: t.Mapping[str, Body]) -> dict[str, str]:
    """Return who does not serve now, and why: as the nodes say, or as the plan and the outcomes do."""
    down = {entry["name"]: entry["down"] for entry in plan["appliances"] if entry["down"]}
    for name, outcome in state.outcomes.items():
        if outcome["outcome"] != SKIPPED:
            down.pop(name, None)
        if outcome["outcome"] not in (*GOOD, ROLLED_BACK, SKIPPED):
            down[name] = first_line(outcome["reason"])
    for entry in plan["appliances"]:
        if entry["node"] in found and entry["wanted"] == "running":
            info = _info(entry, found)
            down.pop(entry["name"], None)
            if info is None:
                answered = "appliances" in found[entry["node"]]
                down[entry["name"]] = "not deployed" if answered else "its node answers no more"
            elif info["state"] != "running" or info["health"] == "unhealthy":
                down[entry["name"]] = first_line(info["fault"] or info["state"])
    return down


def _say_wait(name: str, services: t.Iterable[Service], down: t.Mapping[str, str], is_big: bool) -> str:
    full = [service for service in services if batches.is_full(service, name, (), down)]
    if not full:
        return "a later batch has room for it" if is_big else "its service has no room beside those of its batch"
    gone = sorted(full[0].members & set(down))
    return f"{full[0].group} has no room: {', '.join(f'{each} is down ({down[each]})' for each in gone)}"
