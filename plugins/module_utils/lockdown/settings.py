# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of rules, by kind of setting: what is well-formed, which is stricter, what two make together. Pure."""

from __future__ import annotations

import fnmatch
import itertools
import math
import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import model

NUMBERS = (model.AT_MOST, model.AT_LEAST)
LISTS = (model.ONLY, model.NONE, model.ALL)
MAPS = (model.EQUAL, model.OLDEST)
LAST_PORT = 65535
PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?/(tcp|udp)")
MOST_PROBES = 243  # of five wildcards; a word with more is covered by nothing but itself
Part = tuple[list[int], int]
END: Part = ([0], 0)
VERSION = re.compile(r"(?:\d+:)?\d[A-Za-z0-9.+~-]*(?<!-)")
# What the words in the values of some rules look like; a word that cannot match anything would protect nothing.
FORMATS: t.Mapping[str, tuple[re.Pattern[str], str]] = {
    "allowed-ports": (PORTS, "80/tcp or 1024-65535/tcp"),
    "published-ports": (PORTS, "80/tcp or 1024-65535/tcp"),
    "revoked-keys": (re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}"), "a fingerprint, of 40 or 64 hexadecimal digits"),
    "umask": (re.compile(r"0?[0-7]{3}"), '"027", in quotes'),
    "sensitive-modes": (re.compile(r"0?[0-7]{3,4}"), '"0640", in quotes'),
}


def find_fault(rule: str, setting: str, value: t.Any) -> str:
    """Return what is wrong with a rule's value, as the end of a sentence that begins with its name; '' for nothing."""
    if setting == model.SWITCH:
        return "" if isinstance(value, bool) else f"has to be true or false, not {value!r}"
    if setting in NUMBERS:
        return "" if _is_amount(value) else f"has to be a number that is not negative, not {value!r}"
    if setting in LISTS:
        return _find_list_fault(rule, value)
    return _find_map_fault(rule, setting, value)


def _is_amount(value: t.Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _find_list_fault(rule: str, value: t.Any) -> str:
    if not isinstance(value, list):
        return f"has to be a list, not {value!r}"
    for word in value:
        if not isinstance(word, str) or not word:
            return f"has to be a list of words; {word!r} is none (write it in quotes)"
        if not _fits(rule, word):
            return f"has {word!r}, which should look like {FORMATS[rule][1]}"
    return ""


def _find_map_fault(rule: str, setting: str, value: t.Any) -> str:
    if not isinstance(value, dict) or not all(isinstance(key, str) and key for key in value):
        return f"has to be a mapping of names to values, not {value!r}"
    for key, each in value.items():
        if isinstance(each, bool) or not isinstance(each, str | int | float) or (rule in FORMATS and each != str(each)):
            return f"has {key} as {each!r}, which YAML does not keep as it is written: put it in quotes"
        if setting == model.OLDEST and not (isinstance(each, str) and VERSION.fullmatch(each)):
            return f"has {key} as {each!r}, which is not a version: write it in quotes, such as '13.20261122.1'"
        if not _fits(rule, str(each)):
            return f"has {key} as {each!r}, which should look like {FORMATS[rule][1]}"
    return ""


def _fits(rule: str, word: str) -> bool:
    if rule not in FORMATS:
        return True
    pattern, _example = FORMATS[rule]
    return pattern.fullmatch(word) is not None and (pattern is not PORTS or read_ports(word) is not None)


def normalise(setting: str, value: t.Any) -> t.Any:
    """Return a well-formed value in its one form: lists sorted and without repetition, what is to be equal as text."""
    if setting in LISTS:
        return sorted(set(value))
    if setting in MAPS:
        return {key: str(each) for key, each in sorted(value.items())}
    return value


def find_looser(setting: str, value: t.Any, than: t.Any) -> str:
    """Return how a normalised value is looser than another of the same rule, '' where it is as strict or stricter.

    What the other requires or denies and this leaves out is not looser: the two add up.
    """
    if setting == model.SWITCH:
        return "false, which was true" if than and not value else ""
    if setting in NUMBERS:
        is_looser = value > than if setting == model.AT_MOST else value < than
        return f"{value}, which was {than}" if is_looser else ""
    if setting == model.ONLY:
        more = [word for word in value if not is_covered(word, than)]
        return f"{', '.join(more)} besides {', '.join(than) or 'nothing'}" if more else ""
    if setting in MAPS:
        common = [key for key in value if key in than and _is_worse(setting, value[key], than[key])]
        return ", ".join(f"{key} {value[key]}, which was {than[key]}" for key in common)
    return ""


def _is_worse(setting: str, value: str, than: str) -> bool:
    return compare_versions(value, than) < 0 if setting == model.OLDEST else value != than


def find_contradiction(setting: str, value: t.Any, other: t.Any) -> str:
    """Return what two normalised values of a rule ask for that cannot both be, '' for nothing."""
    if setting != model.EQUAL:
        return ""
    return ", ".join(
        f"{key} is {value[key]} and {other[key]}" for key in value if key in other and value[key] != other[key]
    )


def merge(setting: str, value: t.Any, other: t.Any) -> t.Any:
    """Return the strictest of two normalised values that do not contradict each other: what both ask for.

    Of two lists of what alone is allowed, what both allow. Where two patterns overlap and neither covers the other,
    neither is allowed: the stricter guess.
    """
    if setting == model.SWITCH:
        return value or other
    if setting in NUMBERS:
        return min(value, other) if setting == model.AT_MOST else max(value, other)
    if setting == model.ONLY:
        both = [word for word in value if is_covered(word, other)] + [word for word in other if is_covered(word, value)]
        return normalise(setting, both + _common_ports(value, other))
    if setting in LISTS:
        return normalise(setting, [*value, *other])
    if setting == model.OLDEST:
        older = [key for key in other if key in value and not _is_worse(setting, value[key], other[key])]
        return normalise(setting, {**value, **other, **{key: value[key] for key in older}})
    return normalise(setting, {**value, **other})


def asks_nothing(setting: str, value: t.Any) -> bool:
    """Whether a value asks for nothing at all: a switch that is off, an empty list of what is denied or required."""
    return setting not in (*NUMBERS, model.ONLY) and not value


def is_covered(word: str, patterns: t.Iterable[str]) -> bool:
    """Whether everything that a pattern stands for is also what one of the others stands for."""
    return any(_covers(pattern, word) for pattern in patterns)


def _covers(pattern: str, word: str) -> bool:
    if pattern == word:
        return True
    wide, narrow = read_ports(pattern), read_ports(word)
    if wide and narrow:
        return wide[2] == narrow[2] and wide[0] <= narrow[0] and narrow[1] <= wide[1]
    if "[" in pattern + word:
        return False  # what two sets of letters have in common is not worked out
    # It covers the word if it matches all that the word's wildcards can become: nothing, one or two strange letters.
    parts = [["", "\0", "\0\0"] if each == "*" else ["\0"] if each == "?" else [each] for each in word]
    if math.prod(map(len, parts)) > MOST_PROBES:
        return False
    return all(fnmatch.fnmatchcase("".join(probe), pattern) for probe in itertools.product(*parts))


def read_ports(word: str) -> tuple[int, int, str] | None:
    """Return the first port, the last port and the protocol of '80/tcp' or '1024-65535/tcp'; None for other words."""
    found = PORTS.fullmatch(word)
    if not found:
        return None
    first, last = int(found[1]), int(found[2] or found[1])
    return (first, last, found[3]) if 1 <= first <= last <= LAST_PORT else None


def _common_ports(value: t.Iterable[str], other: t.Iterable[str]) -> list[str]:
    pairs = itertools.product(filter(None, map(read_ports, value)), filter(None, map(read_ports, other)))
    common = [(max(one[0], two[0]), min(one[1], two[1]), one[2]) for one, two in pairs if one[2] == two[2]]
    return [
        f"{first}/{protocol}" if first == last else f"{first}-{last}/{protocol}"
        for first, last, protocol in common
        if first <= last
    ]


def compare_versions(one: str, two: str) -> int:
    """Return -1, 0 or 1 as a version is before, the same as, or after another in Debian's order, deb-version(7)."""
    for ours, theirs in zip(_split_version(one), _split_version(two), strict=True):
        for mine, other in itertools.zip_longest(ours, theirs, fillvalue=END):
            if mine != other:
                return 1 if mine > other else -1
    return 0


def _split_version(version: str) -> tuple[list[Part], list[Part], list[Part]]:
    epoch, colon, rest = version.rpartition(":")
    upstream, dash, revision = rest.rpartition("-")
    return _order(epoch if colon else "0"), _order(upstream if dash else revision), _order(revision if dash else "0")


def _order(version: str) -> list[Part]:
    """Return by turns text and number. A tilde is before the end of text, that before letters, they before the rest."""
    return [
        ([*(-1 if each == "~" else ord(each) + 256 * (not each.isalpha()) for each in text), 0], int(number or 0))
        for text, number in re.findall(r"(\D*)(\d*)", version)
    ]
