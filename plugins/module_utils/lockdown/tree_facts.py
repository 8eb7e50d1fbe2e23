# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files of one version, or of a config layer, tell: read once, offline, as plain data.

``collect`` says nothing of right or wrong, that is for tree_rules.py. Paths are those that the appliance has.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import typing as t
from pathlib import Path, PurePosixPath

from ansible_collections.strata.fleet.plugins.module_utils import refusals
from ansible_collections.strata.fleet.plugins.module_utils.instance import CONFIG_LAYER
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import (
    accounts_files,
    exposure,
    firewall,
    ruleset,
    shadows,
    units_files,
)
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import APP, BASE, CONFIG

# Where the folders of a layer are seen in an appliance; the rest of an extension is seen where it is mapped.
HOMES: t.Mapping[str, t.Mapping[str, str]] = {
    BASE: {"usr": "/usr", "etc": "/etc"},
    APP: {"sysext/usr": "/usr", "sysext/opt": "/opt", "confext/etc": "/etc"},
    CONFIG: {"etc": "/etc"},
}
ELSEWHERE = {BASE: "/", APP: "/strata/", CONFIG: f"/strata/confext/{CONFIG_LAYER}/"}
# Small files whose text is kept, because rules read them as the appliance would: merged with those of other layers.
KEPT = re.compile(
    r"/etc/(passwd|group|login\.defs|profile|bash\.bashrc|sysctl\.conf|nftables\.conf|systemd/journald\.conf)"
    r"|/etc/profile\.d/[^/]+\.sh"
    r"|/(etc|usr/lib|usr/local/lib)/(sysctl|sysusers|tmpfiles|systemd/journald\.conf)\.d/[^/]+\.conf"
    r"|/usr/lib/systemd/journald\.conf"
    r"|/(etc|usr/lib)/strata/[^/]+\.nft|/etc/strata/ports\.d/[^/]+|/etc/nftables\.d/[^/]+"
)
# Where such files are: behind a link in place of one of these folders they would not be seen.
FOLDERS = re.compile(
    r"/usr(/lib|/local(/lib)?)?|/etc(/(profile|nftables)\.d)?"
    r"|/(etc|usr/lib|usr/local/lib)/((sysctl|sysusers|tmpfiles)\.d|systemd(/system|/journald\.conf\.d)?|strata(/ports\.d)?)"
)
MERGED = re.compile(r"/(bin|sbin|lib)/")  # links into /usr
CREDENTIALS = (
    "/etc/credstore/*",
    "/etc/credstore.encrypted/*",
    "/usr/lib/credstore/*",
    "/usr/lib/credstore.encrypted/*",
)
# In a config layer a secret is at home, except where everybody's password would be.
ACCOUNT_FILES = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow")
SHADOW_FILES = ("/etc/shadow", "/etc/gshadow")
CAPABILITY = "security.capability"
TMPFILES = re.compile(r"/(etc|usr/lib|usr/local/lib)/tmpfiles\.d/")
SETUID_MODE = re.compile(r"0*[4-7][0-7]{3}")
USUAL_MODES = (0o644, 0o755)
MOST_PATHS = 50  # of one foreign owner
LARGEST_TEXT = 256 * 1024
Found = dict[str, t.Any]


def collect(kind: str, folder: Path, base: Path | None = None) -> Found:
    """Return the facts of a base, app or config folder. ``base`` is the folder of the base that it is laid over.

    ``entries`` is how many files, folders and links were looked at; ``missing`` are programs that were needed and are
    not installed, whose facts are None. ``unread`` are paths of files that rules need and that cannot be read.
    """
    found: Found = {
        "kind": kind,
        "name": _name_of(kind, folder),
        "entries": 0,
        "missing": [],
        "setid": {},
        "capable": {},
        "writable": {},
        "nodes": {},
        "secrets": {},
        "hashes": {},
        "owners": {"uid": {}, "gid": {}},
        "modes": {},
        "texts": {},
        "unread": {},
        "passwords": {},
        "units": {},
        "wants": {},
        "shadows": {},
    }
    for place, entry in _walk(folder, ""):
        found["entries"] += 1
        _look_at(found, kind, _path_of(kind, place), entry, (folder, base))
    if base:
        found["shadows"] = dict(shadows.find(kind, folder, base, HOMES))
    if kind != CONFIG:
        _score(found, kind, folder, base)
    return found


def try_firewall(below: t.Sequence[Found], found: Found) -> None:
    """Note what the packet filter comes to with this layer on top of others, where that can be told."""
    trees = [*below, found]
    if not below or firewall.texts_of([found]) or any(found[key] for key in ("units", "wants")):
        found["tried"] = firewall.try_out(trees)
        if found["tried"] is None:
            found["missing"].append(ruleset.PROGRAM)


def _name_of(kind: str, folder: Path) -> str:
    """Return the name under which systemd merges it, by which it sorts."""
    if kind != APP:
        return CONFIG_LAYER if kind == CONFIG else ""
    releases = sorted(folder.glob("*/*/extension-release.d/extension-release.*"))
    releases += sorted(folder.glob("*/*/*/extension-release.d/extension-release.*"))
    return releases[0].name.removeprefix("extension-release.") if releases else ""


def _walk(folder: Path | str, below: str) -> t.Iterator[tuple[str, os.DirEntry[str]]]:
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        place = f"{below}{entry.name}"
        yield place, entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{place}/")


def _path_of(kind: str, place: str) -> str:
    for home, seen in HOMES[kind].items():
        if place == home or place.startswith(f"{home}/"):
            return seen + place[len(home) :]
    return ELSEWHERE[kind] + place


def _look_at(found: Found, kind: str, path: str, entry: os.DirEntry[str], folders: tuple[Path, Path | None]) -> None:
    state = entry.stat(follow_symlinks=False)
    _note_owner(found["owners"], path, state)
    if stat.S_ISLNK(state.st_mode):
        _keep_link(found, kind, path, str(Path(entry.path).readlink()), folders)
        return
    _note_mode(found, path, state.st_mode)
    if stat.S_ISREG(state.st_mode):
        if capabilities := _capabilities(entry.path):
            found["capable"][path] = capabilities
        if kind != CONFIG or path in ACCOUNT_FILES:
            _look_for_secrets(found, path, entry.path, state.st_size)
        if path in SHADOW_FILES or is_kept(path):
            if state.st_size > LARGEST_TEXT:
                found["unread"][path] = f"larger than {LARGEST_TEXT // 1024} KiB"
            else:
                _keep_text(found, path, _text_of(Path(entry.path)))


def is_kept(path: str) -> bool:
    """Whether rules read this file."""
    return units_files.is_unit_path(path) or KEPT.fullmatch(path) is not None


def _text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _note_mode(found: Found, path: str, kind_and_mode: int) -> None:
    mode = stat.S_IMODE(kind_and_mode)
    is_folder = stat.S_ISDIR(kind_and_mode)
    for is_kind, word in refusals.KINDS_OF_NODES:
        if is_kind(kind_and_mode):
            found["nodes"][path] = word
    if mode & stat.S_IWOTH and not (is_folder and mode & stat.S_ISVTX):
        found["writable"][path] = f"{mode:04o}"
    if mode & (stat.S_ISUID | stat.S_ISGID) and not is_folder:
        found["setid"][path] = f"{mode:04o}"
    if path.startswith("/etc/") or mode not in USUAL_MODES:
        found["modes"][path] = f"{mode:04o}"


def _capabilities(place: str) -> str:
    """Return a file's capabilities in hexadecimal, '' for none: the sets after capabilities(7)'s magic may be empty."""
    if CAPABILITY not in os.listxattr(place, follow_symlinks=False):
        return ""
    value = os.getxattr(place, CAPABILITY, follow_symlinks=False)
    return value.hex() if any(value[4:20]) else ""


def _note_owner(owners: dict[str, dict[str, list[str]]], path: str, state: os.stat_result) -> None:
    for kind, number in (("uid", state.st_uid), ("gid", state.st_gid)):
        if number:
            paths = owners[kind].setdefault(str(number), [])
            if len(paths) < MOST_PATHS:
                paths.append(path)


def _look_for_secrets(found: Found, path: str, place: str, size: int) -> None:
    if any(fnmatch.fnmatchcase(path, pattern) for pattern in CREDENTIALS) and size:
        found["secrets"][path] = "it is a credential"
    elif reason := refusals.secret_in(Path(place), path, size):
        found["hashes" if "password" in reason else "secrets"][path] = reason


def _keep_text(found: Found, path: str, text: str) -> None:
    if units_files.is_unit_path(path):
        found["units"][path] = units_files.read_unit(path, text)
        return
    if path in ("/etc/passwd", *SHADOW_FILES):
        # What is kept is whose password it is, never the password.
        found["passwords"].update({f"{path}:{name}": how for name, how in accounts_files.open_passwords(text).items()})
        text = accounts_files.without_passwords(text)
    if TMPFILES.match(path):
        # Who makes a file set-uid at every boot has one, wherever it is.
        modes = (line.split()[2].lstrip("~:") for line in text.splitlines() if len(line.split()) > 2)  # noqa: PLR2004
        for mode in filter(SETUID_MODE.fullmatch, modes):
            found["setid"][path] = mode
    elif path not in SHADOW_FILES:
        found["texts"][path] = text


def _keep_link(found: Found, kind: str, path: str, target: str, folders: tuple[Path, Path | None]) -> None:
    wanted = _target_of(path, target)
    source = _resolve(kind, wanted, folders)
    if units_files.is_link_path(path):
        found["wants"][path] = target
    elif FOLDERS.fullmatch(path):
        found["unread"][path] = f"a link to {target}, in place of a folder"
    elif units_files.is_unit_path(path) and (wanted == "/dev/null" or units_files.is_unit_path(wanted)):
        found["units"][path] = units_files.read_link(path, target)
    elif units_files.is_unit_folder(path) and source and source.is_dir():
        _keep_linked_folder(found, path, source)
    elif units_files.is_unit_folder(path) or units_files.is_unit_path(path) or path in SHADOW_FILES or is_kept(path):
        if wanted == "/dev/null" or (kind == BASE and not source and wanted.startswith(("/usr/", "/etc/"))):
            _keep_text(found, path, "")
        elif source and source.is_file() and source.stat().st_size <= LARGEST_TEXT:
            _keep_text(found, path, _text_of(source))
        else:
            found["unread"][path] = f"a link to {target}, which is no plain file of the layer or of the base"


def _keep_linked_folder(found: Found, path: str, source: Path) -> None:
    """A link in place of a folder of wants or drop-ins: what it leads to counts as if it were there."""
    for place in sorted(source.iterdir()):
        inner = f"{path}/{place.name}"
        if units_files.is_link_path(inner):
            found["wants"][inner] = place.name
        elif units_files.is_unit_path(inner):
            if place.is_symlink() or not place.is_file() or place.stat().st_size > LARGEST_TEXT:
                found["unread"][inner] = "no plain, small file"
            else:
                _keep_text(found, inner, _text_of(place))


def _target_of(path: str, target: str) -> str:
    wanted = os.path.normpath(PurePosixPath(path).parent / target)
    return f"/usr{wanted}" if MERGED.match(wanted) else wanted


def _resolve(kind: str, wanted: str, folders: tuple[Path, Path | None]) -> Path | None:
    """Return the file of this layer or of the base that a link leads to, None where neither has it."""
    folder, base = folders
    places = [
        (folder / home, wanted.removeprefix(f"{seen}/"))
        for home, seen in HOMES[kind].items()
        if wanted.startswith(f"{seen}/")
    ]
    places += [(base, wanted.lstrip("/"))] if base else []
    return next((top / inner for top, inner in places if _is_plain(top, inner)), None)


def _is_plain(top: Path, inner: str) -> bool:
    """Whether it is there, and not by another link: that would be followed on the node, not in the appliance."""
    place = top / inner
    return place.resolve() == top.resolve() / inner and (place.is_file() or place.is_dir())


def _score(found: Found, kind: str, folder: Path, base: Path | None) -> None:
    """Have systemd score the services that a base enables, or that an app brings; each by one name."""
    aliases = {name: unit.get("alias") for name, (unit, _number) in units_files.known([found]).items()}
    if kind == BASE:
        wanted = set(units_files.enabled([found]))
    else:
        wanted = {units_files.name_of(path) for path, unit in found["units"].items() if not unit.get("mask")}
        # A template is scored as what is started of it; what a socket starts of one has any name.
        started = {name.replace("@.", "@0.") for name in units_files.enabled([found]) if "@" in name}
        wanted |= {name for name in started if units_files.template_of(name) in wanted}
    wanted = {name for name in wanted if not aliases.get(name)}
    services = sorted(name for name in wanted if name.endswith(".service") and not name.endswith("@.service"))
    found["exposure"] = exposure.score(services, [*([base] if base else []), folder])
    found["unscored"] = [name for name in services if name not in (found["exposure"] or {})]
    if found["exposure"] is None:
        found["missing"].append(exposure.PROGRAM)
