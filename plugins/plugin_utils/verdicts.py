# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollout does with each appliance, and why: from what its node says of it and what its store decided. Pure."""

from __future__ import annotations

import statistics
import typing as t

PATCH, RESUME, CURRENT, BLOCKED = "patch", "resume", "current", "blocked"
NOT_SELECTED, NOT_DEPLOYED, UNKNOWN = "not selected", "not deployed", "unknown"
CHANGING = (RESUME, PATCH)
SHOWN = 6  # CVE ids in a sentence
KINDS = ("base", "app")

Data = dict[str, t.Any]
Body = t.Mapping[str, t.Any]


class Case(t.NamedTuple):
    """Everything that is known of one appliance.

    ``want``: it as the module fleet returns it. ``found``: what its node returned (appliance_info), None for a node
    that is not part of this run. ``staged``: what its node's store decided. ``misfit``: why the target's config cannot
    be rendered.
    """

    want: Body
    node: str
    found: Body | None
    staged: Body
    is_selected: bool
    misfit: str = ""

    @property
    def info(self) -> Body | None:
        """What the node says of the appliance; None where it has none that Strata made, or did not answer."""
        items = (self.found or {}).get("appliances", [])
        return next((item for item in items if item["name"] == self.want["name"] and item["base"]), None)

    @property
    def target(self) -> Body | None:
        """Base and app that it is to run."""
        return self.staged.get("layers", {}).get(self.want["name"])


class Verdict(t.NamedTuple):
    """What is done with an appliance; ``cause``, ``reason`` and ``vendor`` say why nothing is."""

    verdict: str
    cause: str = ""
    reason: str = ""
    vendor: str = ""


def judge(case: Case) -> Verdict:
    """Return what is done with an appliance."""
    if case.found is None:
        return Verdict(NOT_SELECTED, "node", f"its node {case.node} is not part of this run")
    if "appliances" not in case.found:
        said = "did not answer" if case.found.get("unreachable") else "cannot tell"
        return Verdict(UNKNOWN, "node", f"its node {said}: {reason_of(case.found)}")
    if case.info is None:
        return Verdict(NOT_DEPLOYED, "", "deploy it")
    if not case.is_selected and not case.info.get("swap"):
        return Verdict(NOT_SELECTED, "select", "the selection leaves it out")
    if case.target is None:
        return Verdict(UNKNOWN, "store", f"its node's store cannot tell: {reason_of(case.staged)}")
    return _compare(case, case.info, case.target)


def _compare(case: Case, info: Body, target: Body) -> Verdict:
    blocked = case.staged.get("blocked", {}).get(case.want["name"])
    if info.get("swap"):
        return Verdict(RESUME)
    if blocked:
        return Verdict(BLOCKED, blocked["cause"], blocked["reason"], blocked["vendor"] or "")
    if is_at(info, target):
        return Verdict(CURRENT, "", info["fault"])
    return Verdict(BLOCKED, "config", case.misfit, vendor_of(case)) if case.misfit else Verdict(PATCH)


def reason_of(result: Body) -> str:
    """Return why a node gave no answer. Ansible keeps no message of a module that crashed, only shows it."""
    return str(result.get("msg") or "no reason given, run with -vvv to see what happened there")


def is_at(layers: Body, target: Body) -> bool:
    """Whether these base and app are those of the target."""
    return all(layers[kind]["commit"] == target[kind]["commit"] for kind in KINDS)


def vendor_of(case: Case) -> str:
    """Return who makes the app that the appliance is to run."""
    target = case.target or {}
    commit = target.get("app", {}).get("commit")
    return str(case.staged.get("manifests", {}).get(commit, {}).get("vendor") or "")


def find_down(case: Case) -> str:
    """Return why an appliance that should be running does not serve, '' where it does (or is not in this run)."""
    if case.want["state"] != "running" or case.found is None:
        return ""
    if "appliances" not in case.found:
        return "its node does not answer"
    if case.info is None:
        return "not deployed"
    if case.info["state"] != "running":
        return str(case.info["state"])
    fault = str(case.info["fault"] or "unhealthy").partition("\n")[0].rstrip(".:")
    return fault if case.info["health"] == "unhealthy" else ""


def describe(case: Case, verdict: Verdict, usual: float | None) -> Data:
    """Return the plan's entry for an appliance. ``usual`` is the fleet's median interruption in seconds."""
    info, target = case.info, case.target
    is_changing = verdict.verdict in CHANGING
    swap = (info or {}).get("swap") or {}
    origin = swap.get("from") or info
    moved = {kind: f"{origin[kind]['commit']}..{target[kind]['commit']}" for kind in KINDS} if origin and target else {}
    moved = {kind: key for kind, key in moved.items() if is_changing and len(set(key.split(".."))) > 1}
    seconds, source = estimate(case, usual) if is_changing else (None, "")
    return {
        "name": case.want["name"],
        "node": case.node,
        "wanted": case.want["state"],
        **verdict._asdict(),
        "vendor": verdict.vendor if verdict.verdict == BLOCKED else vendor_of(case),
        "from": layers_of(origin),
        "to": layers_of(target) if is_changing else None,
        "moves": moved,
        "held": case.staged.get("held", {}).get(case.want["name"], {}).get("reason", "") if is_changing else "",
        "earlier": find_earlier(case) if verdict.verdict == CURRENT else None,
        "why": [*([_resumed(swap)] if swap else []), *_why_all(case, moved, swap)],
        "interruption": seconds,
        "interruption_from": source,
        "down": find_down(case),
        "batch": None,
    }


def find_earlier(case: Case) -> Data | None:
    """Return the outcome of the patch that brought an appliance to where it is to be, None where none did."""
    last = (case.info or {}).get("last_swap") or {}
    is_it = last.get("outcome") == "patched" and is_at(last["to"], t.cast("Body", case.target))
    return dict(last) if is_it else None


def layers_of(entry: Body | None) -> Data | None:
    """Return base and app of something that has them."""
    return {kind: dict(entry[kind]) for kind in KINDS} if entry else None


def estimate(case: Case, usual: float | None) -> tuple[float | None, str]:
    """Return the expected interruption in seconds (None: unknown), and what that is known from."""
    if case.want["state"] != "running":
        return 0.0, "it is stopped"
    own = last_interruption(case.info)
    if own is not None:
        return own, "its last patch"
    return usual, "the fleet's median" if usual is not None else ""


def usual_interruption(infos: t.Iterable[Body]) -> float | None:
    """Return the median of the interruptions of the fleet's last patches in seconds, None where there was none."""
    known = [seconds for info in infos if (seconds := last_interruption(info)) is not None]
    return statistics.median(known) if known else None


def last_interruption(info: Body | None) -> float | None:
    """Return the seconds for which an appliance's last patch interrupted it, None where that is not known."""
    last = (info or {}).get("last_swap") or {}
    return last.get("interruption") if last.get("outcome") == "patched" else None


def _resumed(swap: Body) -> str:
    # Without seconds, so that those of one batch share a line.
    what = "rollback" if swap.get("purpose") == "rollback" else "change"
    return f"a {what} that began at {swap['started'][:16]} UTC was cut short, it is finished first"


def _why_all(case: Case, moved: t.Mapping[str, str], swap: Body) -> list[str]:
    """Return why each layer moves. That of a rollback did not move at the depot: somebody asked for it."""
    return [] if swap.get("purpose") == "rollback" else [_why(case, kind, key) for kind, key in moved.items()]


def _why(case: Case, kind: str, key: str) -> str:
    wish = case.want[kind]
    swap = t.cast("Body", case.info).get("swap") or {}
    old, new = (swap.get("from") or t.cast("Body", case.info))[kind], t.cast("Body", case.target)[kind]
    if old["name"] != new["name"]:
        moved = f"{kind}: the inventory asks for {new['name']} {new['version']} instead of {old['name']}"
    elif wish["version"]:
        moved = f"{kind} {new['name']}: the inventory names {new['version']}, it runs {old['version']}"
    else:
        moved = f"{kind} {new['name']}: {wish['channel']} moved from {old['version']} to {new['version']}"
    changes = case.staged.get("changes", {}).get(key)
    older = ", an older build" if (changes or {}).get("older") else ""
    return f"{moved}{older} ({say_changes(changes)})"


def say_changes(changes: Body | None) -> str:
    """Return how many packages differ and which CVE ids that fixes, in words."""
    if changes is None:
        return "what changed is not known"
    count = len(changes["packages"])
    packages = f"{count} {'package' if count == 1 else 'packages'}"
    fixes = say_some(changes["cves"])
    said = f"{packages}, fixes {fixes}" if fixes else packages
    return said if changes["complete"] else f"{said}; there may be more fixes, as its history does not reach back"


def say_some(names: t.Sequence[str], most: int = SHOWN) -> str:
    """Return the names, the first ones of many."""
    rest = len(names) - most
    return ", ".join(names) if rest <= 0 else f"{', '.join(names[:most])} and {rest} more"
