# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which units systemd would know, start or refuse, from unit files, links and drop-ins of several layers. Pure."""

from __future__ import annotations

import posixpath
import re
import typing as t

# From the strongest to the weakest.
FOLDERS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
KINDS = "service|socket|target|timer|path|mount|automount|swap|slice|scope|device"
_BELOW = "|".join(FOLDERS)
UNIT = re.compile(rf"(?P<folder>{_BELOW})/(?P<name>[^/]+\.({KINDS}))")
DROP_IN = re.compile(rf"(?P<folder>{_BELOW})/(?P<name>[^/]+)\.d/[^/]+\.conf")
LINK = re.compile(rf"(?P<folder>{_BELOW})/(?P<by>[^/]+)\.(wants|requires|upholds)/(?P<name>[^/]+)")
FOLDER = re.compile(rf"({_BELOW})/[^/]+\.(wants|requires|upholds|d)")
STARTING = {
    "Unit": ("Wants", "Requires", "BindsTo", "Upholds"),
    "Socket": ("Service",),
    "Timer": ("Unit",),
    "Path": ("Unit",),
    "Automount": (),
}
# What sets something off without naming it sets off the service, or mount, of its own name.
IMPLIED = {"socket": "service", "timer": "service", "path": "service", "automount": "mount"}
FIRST = ("default.target", "basic.target", "sysinit.target")
# default.target may not be there as a file: then it is this.
USUAL = "multi-user.target"

# What a unit says that systemd leaves out in a container.
NOT_IN_A_CONTAINER = ("!container", "no", "false", "vm", "!yes", "!true")
# A service that changes a packet filter, and which file it loads.
FILTERING = re.compile(r"(^|[\s/\"'])(nft|ip6?tables(-\w+)*|ebtables|firewall-cmd|ufw)([\s\"';]|$)")
NFT = re.compile(r"nft\b.*?\s(?:-f|--file)[\s=]+(\S+)")

Unit = dict[str, t.Any]
Tree = t.Mapping[str, t.Any]


def is_unit_path(path: str) -> bool:
    """Whether it is the path of a unit or of a drop-in."""
    return UNIT.fullmatch(path) is not None or DROP_IN.fullmatch(path) is not None


def is_link_path(path: str) -> bool:
    """Whether a link at this path makes one unit start another."""
    return LINK.fullmatch(path) is not None


def is_unit_folder(path: str) -> bool:
    """Whether it is the path of a folder of such links, or of drop-ins."""
    return FOLDER.fullmatch(path) is not None


def name_of(path: str) -> str:
    """Return the unit that a unit file or a drop-in is of."""
    found = UNIT.fullmatch(path) or DROP_IN.fullmatch(path)
    return found["name"] if found else ""


def read_unit(path: str, text: str) -> Unit:
    """Return whether a unit file masks its unit, and which units it starts.

    ``elsewhere``: not in a container. ``once``: its service runs while it starts, and is gone then. ``nft``: that
    it changes the packet filter, and which files it gives to nft when it starts.
    """
    if not text.strip() and UNIT.fullmatch(path):
        return {"mask": True}
    unit: Unit = {"starts": []}
    section = ""
    for line in map(str.strip, text.replace("\\\n", " ").splitlines()):
        if line.startswith("["):
            section = line.strip().strip("[]")
        key, equals, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if not equals:
            continue
        if section == "Unit" and key == "ConditionVirtualization":
            unit["elsewhere"] = value in NOT_IN_A_CONTAINER
        elif key in STARTING.get(section, ()):
            unit["starts"] += value.split()
        elif section == "Service" and key == "Type":
            unit["once"] = value == "oneshot"
        elif section == "Service" and key.startswith("Exec") and FILTERING.search(value):
            loaded = NFT.findall(value) if key == "ExecStart" else []
            unit["nft"] = unit.get("nft", []) + loaded
    return unit


def read_link(path: str, target: str) -> Unit:
    """Return what a link in place of a unit file says."""
    if posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) == "/dev/null":
        return {"mask": True}
    other = posixpath.basename(target)
    return {"starts": []} if other == name_of(path) else {"alias": other, "starts": []}


def known(trees: t.Sequence[Tree]) -> dict[str, tuple[Unit, int]]:
    """Return for each unit what counts for it, and from which tree (its number); the last tree is on top."""
    paths = {path: (unit, number) for number, tree in enumerate(trees) for path, unit in tree["units"].items()}
    found: dict[str, tuple[Unit, int]] = {}
    for folder in reversed(FOLDERS):
        for path, each in paths.items():
            unit = UNIT.fullmatch(path)
            if unit and unit["folder"] == folder:
                found[unit["name"]] = each
    return found


def masked(trees: t.Sequence[Tree]) -> set[str]:
    """Return the units that cannot be started."""
    return {name for name, (unit, _number) in known(trees).items() if unit.get("mask")}


def linked(trees: t.Sequence[Tree]) -> dict[tuple[str, str], int]:
    """Return the links that count, as (by what, what): the number of the tree that has it."""
    paths = {path: (target, number) for number, tree in enumerate(trees) for path, target in tree["wants"].items()}
    found: dict[tuple[str, str], int] = {}
    for folder in reversed(FOLDERS):
        for path, (target, number) in paths.items():
            link = LINK.fullmatch(path)
            if not link or link["folder"] != folder:
                continue
            pair = link["by"], link["name"]
            if posixpath.basename(target) == "null":
                found.pop(pair, None)
            else:
                found[pair] = number
    return found


def enabled(trees: t.Sequence[Tree]) -> dict[str, int]:
    """Return the units that start by themselves, by name and by alias: the number of the tree that makes them.

    What any unit's wants or requires name, and all that those start in turn, activated by a socket, timer or path
    included; but nothing that is masked.
    """
    units, links = known(trees), linked(trees)
    drop_ins = _drop_ins(trees)
    hidden = masked(trees)
    queue = [(name, number) for (_by, name), number in links.items()]
    queue += [(name, units.get(name, ({}, 0))[1]) for name in (*FIRST, USUAL)]
    found: dict[str, int] = {}
    while queue:
        name, number = queue.pop()
        if name in found or name in hidden:
            continue
        own = units.get(name) or units.get(template_of(name))
        if own is None or own[0].get("mask") or own[0].get("elsewhere"):
            continue
        found[name] = max(number, own[1])
        unit, home = own
        queue += [(unit["alias"], found[name])] if "alias" in unit else []
        queue += [(each.replace("%i", _instance_of(name)), home) for each in unit["starts"]]
        queue += drop_ins.get(name, []) + drop_ins.get(template_of(name), [])
        queue += [(implied, home) for implied in _implied(name, unit)]
    return found


def _drop_ins(trees: t.Sequence[Tree]) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for number, tree in enumerate(trees):
        for path, unit in tree["units"].items():
            if DROP_IN.fullmatch(path):
                found.setdefault(name_of(path), []).extend((name, number) for name in unit.get("starts", ()))
    return found


def _implied(name: str, unit: Unit) -> t.Iterator[str]:
    stem, _dot, kind = name.rpartition(".")
    if kind not in IMPLIED or any(each.endswith(".service") for each in unit["starts"]):
        return
    yield f"{stem}.{IMPLIED[kind]}"
    yield f"{stem}@.{IMPLIED[kind]}"  # of a socket that accepts


def template_of(name: str) -> str:
    """Return NAME@.KIND for NAME@INSTANCE.KIND, the name itself for others."""
    stem, _dot, kind = name.rpartition(".")
    return f"{stem.partition('@')[0]}@.{kind}" if "@" in stem else name


def _instance_of(name: str) -> str:
    return name.rpartition(".")[0].partition("@")[2]
