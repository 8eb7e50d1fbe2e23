# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an app or a config layer takes from the base: its files, its units, its programs' place in PATH."""

from __future__ import annotations

import os
import re
import stat
import typing as t
from pathlib import Path

# A file of the same name in /etc counts in place of that in /usr/lib; a drop-in changes what it is of.
OVERRIDES = re.compile(
    r"(?P<folder>systemd/(system|user|network)|(sysctl|tmpfiles|sysusers|modules-load|binfmt|environment)\.d"
    r"|udev/rules\.d|pam\.d|systemd/[a-z]+\.conf\.d)/(?P<name>[^/]+)"
)
# A link may stand for the whole folder.
DROP_INS = re.compile(r"systemd/system/(?P<name>[^/]+)\.d(/[^/]+)?")
# What they set, every service of the base gets: LD_PRELOAD, for one.
MANAGERS = re.compile(r"systemd/((system|user)\.conf(\.d(/[^/]+)?)?|(system|user)-environment-generators(/[^/]+)?)")
PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
# Every program would load what they name.
LOADED_BY_ALL = ("/etc/ld.so.preload", "/etc/ld.so.cache")
EXTENSIONS = re.compile(r".*/extension-release\.d(/.*)?")
# By which the kernel's overlay hides what is below.
HIDING = re.compile(r"(trusted|user)\.overlay\.(opaque|redirect|whiteout|metacopy)")


def find(
    kind: str, folder: Path, base: Path, homes: t.Mapping[str, t.Mapping[str, str]]
) -> t.Iterator[tuple[str, str]]:
    """Give each path that takes something from the base, and what: 'in place of the base's /usr/bin/su'."""
    for home, seen in homes[kind].items():
        if (folder / home).is_dir():
            yield from _find_below(folder / home, seen, base)


def _find_below(folder: Path, seen: str, base: Path) -> t.Iterator[tuple[str, str]]:
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        path = f"{seen}/{entry.name}"
        is_folder = entry.is_dir(follow_symlinks=False)
        if not EXTENSIONS.fullmatch(path) and (taken := _taken(path, is_folder, base)):
            yield path, taken
        elif is_folder and any(map(HIDING.fullmatch, os.listxattr(entry.path, follow_symlinks=False))):
            yield path, f"marked to hide the base's {path}"
        if is_folder:
            yield from _find_below(Path(entry.path), path, base)


def _taken(path: str, is_folder: bool, base: Path) -> str:
    below = base / path.lstrip("/")
    if os.path.lexists(below):
        both = is_folder and stat.S_ISDIR(below.lstat().st_mode)
        return "" if both else f"in place of the base's {path}"
    if path in LOADED_BY_ALL:
        return "loaded into every program of the base"
    return "" if is_folder else _override(path, base) or _earlier(path, base)


def _override(path: str, base: Path) -> str:
    inner = path.removeprefix("/etc/").removeprefix("/usr/local/lib/").removeprefix("/usr/lib/")
    found = OVERRIDES.fullmatch(inner)
    if found:
        others = (f"{top}/{inner}" for top in ("usr/lib", "usr/local/lib", "etc"))
        taken = next((other for other in others if os.path.lexists(base / other)), "")
        if taken:
            return f"in place of the base's /{taken}"
    if MANAGERS.fullmatch(inner):
        return "a setting of all services of the base"
    drop_in = DROP_INS.fullmatch(inner)
    if drop_in:
        name = drop_in["name"]
        template = re.sub("@[^.]+", "@", name)
        for top in ("usr/lib", "etc"):
            for each in (name, template):
                if os.path.lexists(base / top / "systemd/system" / each):
                    return f"a change of the base's {each}"
        if changed := _by_prefix(name, base):
            return f"a change of the base's {changed}"
        return "a change of the base's units" if "." not in name.rstrip("-") or name.endswith("-") else ""
    return ""


def _by_prefix(name: str, base: Path) -> str:
    """Return a unit of the base that drop-ins of this name are for: a-.service is for a-b.service."""
    stem, _dot, kind = name.rpartition(".")
    if not stem.endswith("-"):
        return ""
    folders = (base / top / "systemd/system" for top in ("usr/lib", "etc"))
    units = (each.name for folder in folders if folder.is_dir() for each in sorted(folder.iterdir()))
    return next((each for each in units if each.startswith(stem) and each.endswith(f".{kind}")), "")


def _earlier(path: str, base: Path) -> str:
    folder, _slash, name = path.rpartition("/")
    if folder not in PATH:
        return ""
    later = PATH[PATH.index(folder) + 1 :]
    taken = next((each for each in later if os.path.lexists(base / each.lstrip("/") / name)), "")
    return f"found before the base's {taken}/{name}" if taken else ""
