# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a packet filter lets in: nft's rules of an appliance, tried in a network namespace of their own, and read."""

from __future__ import annotations

import json
import posixpath
import re
import shutil
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import command
from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError

PROGRAM = "nft"
# Loaded where nothing else is, and listed there: a file may be accepted and still say something else than it seems to.
TRY = 'nft -f "$1" && nft --json list ruleset'
FAMILIES = ({"inet"}, {"ip", "ip6"})
LONGEST_RANGE = 65536
ANSWERS = {"established", "related"}
# A client's own DHCP, whose answers are no reply that the kernel knows.
DHCP = ({67}, {68}), ({547}, {546})
# Files of the node are none of the appliance's, and nft's errors would quote them.
INCLUDE = re.compile(r"""(\binclude(?:\s|\\\n)+["'])([^"'\n]*)(["'])""")
Rules = t.Sequence[t.Mapping[str, t.Any]]
Sets = t.Mapping[tuple[str, str, str], t.Any]


class Opening(t.NamedTuple):
    """What comes in. ``denies``: whatever no rule accepts is dropped. ``ports`` such as (80, 'tcp').

    ``other`` are rules that accept something else than ports, answers, loopback and ICMP, as text.
    """

    denies: bool
    ports: frozenset[tuple[int, str]]
    other: tuple[str, ...]


def load(texts: t.Mapping[str, str], start: str) -> dict[str, t.Any] | None:
    """Load the file ``start`` with what it includes; return ``error`` and the ``rules`` as nft lists them.

    None where nft is not installed, or this kernel cannot try it.
    """
    if not shutil.which(PROGRAM) or not _can_try():
        return None
    with tempfile.TemporaryDirectory(prefix="strata-") as folder:
        for path, text in texts.items():
            place = Path(folder, path.lstrip("/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(INCLUDE.sub(lambda found: f"{found[1]}{folder}{_inside(found[2])}{found[3]}", text))
        try:
            said = command.run(["unshare", "-rn", "sh", "-c", TRY, "sh", f"{folder}{start}"], timeout=30)
        except CommandError as error:
            return {"error": str(error.facts.get("stderr", error.message)).replace(folder, ""), "rules": []}
    return {"error": "", "rules": json.loads(said)["nftables"]}


def _inside(path: str) -> str:
    """Return the path of an included file in the appliance: nft looks for others than absolute ones in /etc."""
    return posixpath.normpath(posixpath.join("/etc", path))


def _can_try() -> bool:
    try:
        command.run(["unshare", "-rn", PROGRAM, "--json", "list", "ruleset"], timeout=30)
    except CommandError:
        return False
    return True


def read(rules: Rules) -> Opening:
    """Return what a ruleset, as ``nft --json list ruleset`` gives it, lets in."""
    # nft 1.0.6 says of a table that sleeps only that it has flags; others have none.
    asleep = {(each["table"]["family"], each["table"]["name"]) for each in rules if each.get("table", {}).get("flags")}
    rules = [each for each in rules if not asleep & {(body.get("family"), body.get("table")) for body in each.values()}]
    chains = [each["chain"] for each in rules if "chain" in each]
    inputs = [chain for chain in chains if chain.get("hook") == "input"]
    denying = [chain for chain in inputs if chain.get("policy") == "drop"]
    families = {chain["family"] for chain in denying}
    if not any(wanted <= families for wanted in FAMILIES):
        return Opening(False, frozenset(), ())
    own = [each["rule"] for each in rules if "rule" in each]
    filled = {
        (rule["family"], rule["table"], part["set"]["set"].removeprefix("@"))
        for rule in own
        for part in rule["expr"]
        if "set" in part
    }
    sets = {
        # What packets themselves add to a set may be anything.
        place: [None] if place in filled else body.get("elem", [])
        for body in (each["set"] for each in rules if "set" in each)
        for place in [(body["family"], body["table"], body["name"])]
    }
    ports: set[tuple[int, str]] = set()
    other: list[str] = []
    # Where several chains deny, a packet has to pass all of them; the first alone says what might come in.
    first = [chain for chain in denying if chain["family"] == "inet"][:1] or denying
    for rule in _reached(own, [(chain["family"], chain["table"], chain["name"]) for chain in first]):
        accepted = _accepted(rule, sets)
        if accepted is None:
            other.append(json.dumps(rule["expr"]))
        else:
            ports |= accepted
    return Opening(True, frozenset(ports), tuple(other))


def _reached(rules: Rules, chains: list[tuple[str, str, str]]) -> list[t.Mapping[str, t.Any]]:
    """Return the rules of these chains and of those that they jump to."""
    queue, seen, found = list(chains), set(chains), []
    while queue:
        family, table, name = queue.pop()
        for rule in rules:
            if (rule["family"], rule["table"], rule["chain"]) != (family, table, name):
                continue
            found.append(rule)
            for part in rule["expr"]:
                for word in ("jump", "goto"):
                    target = (family, table, part[word]["target"]) if word in part else None
                    if target and target not in seen:
                        seen.add(target)
                        queue.append(target)
    return found


def _accepted(rule: t.Mapping[str, t.Any], sets: Sets) -> set[tuple[int, str]] | None:
    """Return the ports that a rule accepts, {} where it opens none, None where it is of no kind that is known here."""
    if any("vmap" in part or "queue" in part for part in rule["expr"]):
        return None
    matches = [part["match"] for part in rule["expr"] if "match" in part and part["match"]["op"] in ("==", "in")]
    pairs = [(_left(match), _values(match["right"], sets, (rule["family"], rule["table"]))) for match in matches]
    if not any("accept" in part for part in rule["expr"]) or any(_is_harmless(*pair) for pair in pairs):
        return set()
    protocols: set[str] = set()
    ports: dict[str, set[int] | None] = {}
    for left, right in pairs:
        payload = left.get("payload", {})
        if left.get("meta", {}).get("key") == "l4proto":
            protocols |= {str(each) for each in right}
        if payload.get("field") in ("dport", "sport"):
            protocols |= {payload["protocol"]} - {"th"}
            ports[payload["field"]] = _numbers(right)
    if (ports.get("sport"), ports.get("dport")) in DHCP and protocols == {"udp"}:
        return set()
    opened = ports.get("dport")
    if opened is None or not protocols or protocols - {"tcp", "udp"}:
        return None
    return {(port, protocol) for port in opened for protocol in protocols}


def _left(match: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    return match["left"] if isinstance(match["left"], dict) else {}


def _is_harmless(left: t.Mapping[str, t.Any], right: t.Sequence[t.Any]) -> bool:
    """Whether a match narrows a rule to answers, to loopback or to ICMP."""
    words = {each for each in right if isinstance(each, str)}
    if not words or len(words) != len(right):
        return False
    if left.get("ct", {}).get("key") == "state":
        return words <= ANSWERS
    if left.get("meta", {}).get("key") in ("iif", "iifname"):
        return words == {"lo"}
    if left.get("payload", {}).get("protocol") in ("icmp", "icmpv6"):
        return True
    key = left.get("meta", {}).get("key") or left.get("payload", {}).get("field")
    return key in ("l4proto", "protocol", "nexthdr") and words <= {"icmp", "ipv6-icmp", "icmpv6"}


def _values(right: t.Any, sets: Sets, table: tuple[str, str]) -> list[t.Any]:
    if isinstance(right, str) and right.startswith("@"):
        return list(sets.get((*table, right[1:]), []))
    if isinstance(right, dict) and "set" in right:
        return _values(right["set"], sets, table)
    return list(right) if isinstance(right, list) else [right]


def _numbers(values: t.Iterable[t.Any]) -> set[int] | None:
    """Return ports and ranges of ports, None where something else is among them."""
    found: set[int] = set()
    for each in values:
        inner = each.get("elem", {}).get("val", each) if isinstance(each, dict) else each
        if isinstance(inner, int):
            found.add(inner)
        elif isinstance(inner, dict) and "range" in inner:
            first, last = inner["range"]
            found |= set(range(first, min(last, first + LONGEST_RANGE) + 1))
        else:
            return None
    return found
