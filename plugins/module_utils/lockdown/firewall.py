# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the packet filter that an appliance would load drops everything but what its app declares.

Which file that is, the unit says that loads it. What it comes to, nft says: ``ruleset.load``, once, when the files are
looked at (``tried`` in the tree that is on top when this is known).
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import composed, ruleset, units_files
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import APP, BASE, Fault, Unknown

FILES = re.compile(r".*\.nft|/etc/nftables\.conf|/etc/nftables\.d/.*|/etc/strata/ports\.d/.*")


def texts_of(trees: t.Iterable[composed.Tree]) -> dict[str, str]:
    """Return nft's files by path, those of the last tree on top."""
    return {path: text for tree in trees for path, text in tree["texts"].items() if FILES.fullmatch(path)}


def try_out(trees: t.Sequence[composed.Tree]) -> dict[str, t.Any] | None:
    """Return what the packet filter of these trees comes to; None where it cannot be tried here.

    ``start`` is the file that an enabled unit loads ('' for none), ``error`` nft's word against it, ``ports`` are what
    it opens, as pairs of port and protocol, ``denies`` and ``other`` as in ``ruleset.Opening``.
    """
    start = find_start(trees)
    if not start:
        return {"start": "", "error": "", "denies": False, "ports": [], "other": []}
    loaded = ruleset.load(texts_of(trees), start)
    if loaded is None:
        return None
    opening = ruleset.read(loaded["rules"])
    return {
        "start": start,
        "error": loaded["error"],
        "denies": opening.denies,
        "ports": sorted(map(list, opening.ports)),
        "other": list(opening.other),
    }


def find_start(trees: t.Sequence[composed.Tree]) -> str:
    """Return the file that an enabled unit gives to nft, '' where none does."""
    known = units_files.known(trees)
    for name in sorted(units_files.enabled(trees)):
        unit = known.get(name, ({}, 0))[0]
        for path in unit.get("nft", ()):
            if path in texts_of(trees):
                return str(path)
    return ""


def find_faults(layers: composed.Layers, declared: t.Collection[tuple[int, str]]) -> t.Iterator[Fault]:
    """Give what is not as it should be, from what was tried when the files were looked at."""
    tried = next((tree["tried"] for _kind, tree in reversed(layers) if "tried" in tree), None)
    if tried is None:
        raise Unknown("the node has no nft that can try the packet filter")
    if not tried["start"]:
        yield Fault("the packet filter", "loaded by no enabled unit", "one that drops what is not declared", BASE)
        return
    yield from _find_meddling(layers)
    start = str(tried["start"])
    if tried["error"]:
        upper = any(kind != BASE and texts_of([tree]) for kind, tree in layers)
        yield Fault(start, f"refused by nft: {tried['error']}", "what nft accepts", APP if upper else BASE)
        return
    if not tried["denies"]:
        yield Fault(start, "open where no rule matches", "a chain for input that drops by default", BASE)
        return
    for rule in tried["other"]:
        yield Fault(start, f"a filter that accepts {rule}", "ports, answers, loopback and ICMP", BASE)
    opened = {(int(port), str(protocol)) for port, protocol in tried["ports"]}
    for port, protocol in sorted(opened - set(declared)):
        kind, path = _whose(layers, port)
        what = f"{port}/{protocol}"
        yield Fault(what, f"opened by {path or start}", _ports(declared), kind)
    for port, protocol in sorted(set(declared) - opened):
        yield Fault(f"{port}/{protocol}", "declared by the app and closed", "it open", APP)


def _find_meddling(layers: composed.Layers) -> t.Iterator[Fault]:
    """Give the units above the base that change the packet filter, or the unit that loads it."""
    base = layers[0][1]["units"]
    loading = {units_files.name_of(path) for path, unit in base.items() if "nft" in unit}
    for kind, tree in layers[1:]:
        for path, unit in tree["units"].items():
            if "nft" in unit:
                yield Fault(path, "a unit that changes the packet filter", "the base's alone", kind)
            elif units_files.name_of(path) in loading and not unit.get("mask"):
                yield Fault(path, "a change of the unit that loads the packet filter", "the base's alone", kind)


def _ports(declared: t.Collection[tuple[int, str]]) -> str:
    return ", ".join(f"{port}/{protocol}" for port, protocol in sorted(declared)) or "no port at all"


def _whose(layers: composed.Layers, port: int) -> tuple[str, str]:
    """Return the layer and file that name a port, the topmost first."""
    for kind, tree in reversed(layers):
        for path, text in texts_of([tree]).items():
            if re.search(rf"\b{port}\b", text):
                return kind, path
    upper = next(((kind, path) for kind, tree in reversed(layers) for path in texts_of([tree]) if kind != BASE), None)
    return upper or (BASE, "")
