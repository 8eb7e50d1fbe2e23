# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build refuses to put into a layer: what would be the same secret, or a hole, in every appliance."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import pathlib
import re
import stat
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput

PRIVATE_KEY = re.compile(rb"^-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----\s", re.MULTILINE)
# crypt(5): a field that begins with $, the method, $.
PASSWORD_HASH = re.compile(rb"^[a-z_][a-z0-9_.-]*:\$(1|2[abxy]|5|6|7|y|gy|sha1|md5)\$", re.MULTILINE)
MACHINE_IDS = (
    "etc/machine-id",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
)
HOST_KEY = re.compile(r"ssh_host_.*_key")
# A private key in a text file is small; libraries that merely name the marker are binaries.
LARGEST_SECRET = 256 * 1024
KINDS_OF_NODES = (
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


@dataclasses.dataclass(frozen=True, order=True)
class Problem:
    """Something that must not be in a layer. ``allow`` is the list in app.yml that would permit it, if any."""

    path: str
    reason: str
    allow: str = ""


def find_problems(root: pathlib.Path, top: str, *, setid: bool = False) -> t.Iterator[Problem]:
    """Look through ``root/top``; with ``setid``, files that run as somebody else are problems too."""
    for folder, folders, files in os.walk(root / top):
        for name in sorted(folders + files):
            path = pathlib.Path(folder, name)
            yield from problems_of(path, str(path.relative_to(root)), setid=setid)


def problems_of(path: pathlib.Path, name: str, *, setid: bool) -> t.Iterator[Problem]:
    state = path.lstat()
    for is_kind, kind in KINDS_OF_NODES:
        if is_kind(state.st_mode):
            yield Problem(name, f"it is {kind}, which a layer cannot have: make it at run time")
    if not stat.S_ISREG(state.st_mode):
        return
    if setid and runs_as_another(path, state):
        yield Problem(name, "it runs with the rights of its owner, group or capabilities", "setuid")
    if reason := secret_in(path, name, state.st_size):
        yield Problem(name, f"{reason}, the same in every appliance: make it on first boot", "secrets")


def runs_as_another(path: pathlib.Path, state: os.stat_result) -> bool:
    capable = "security.capability" in os.listxattr(path, follow_symlinks=False)
    return bool(state.st_mode & (stat.S_ISUID | stat.S_ISGID)) or capable


def secret_in(path: pathlib.Path, name: str, size: int) -> str:
    """Return what kind of secret the file is, "" for none."""
    if size == 0 or size > LARGEST_SECRET:
        return ""
    if name.endswith(MACHINE_IDS):
        return "it is the identity of a machine"
    if HOST_KEY.fullmatch(path.name):
        return "it is an SSH host key"
    content = path.read_bytes()
    if b"\0" in content:
        return ""
    # Looking for a plain word first is ten times as fast as either pattern, and nearly every file has neither.
    if b"PRIVATE KEY" in content and PRIVATE_KEY.search(content):
        return "it has a private key"
    return "it has a password's hash" if b":$" in content and PASSWORD_HASH.search(content) else ""


def allowed(problem: Problem, allow: t.Mapping[str, t.Sequence[str]]) -> bool:
    """Whether app.yml permits this: lists of paths and shell patterns by kind."""
    return any(fnmatch.fnmatchcase(f"/{problem.path}", pattern) for pattern in allow.get(problem.allow, ()))


def refuse(name: str, problems: t.Iterable[Problem], allow: t.Mapping[str, t.Sequence[str]] | None = None) -> None:
    """Raise BadInput with every problem that is not allowed."""
    found = sorted(problem for problem in problems if not allowed(problem, allow or {}))
    if not found:
        return
    lines = [f"/{problem.path}: {problem.reason}{hint(problem)}" for problem in found]
    more = f" (and {len(found) - 20} more)" if len(found) > 20 else ""  # noqa: PLR2004
    raise BadInput(
        f"{name} is not published: {'; '.join(lines[:20])}{more}",
        name=name,
        paths=[f"/{problem.path}" for problem in found],
    )


def hint(problem: Problem) -> str:
    return f" (or list it under allow.{problem.allow}, or leave it out with exclude)" if problem.allow else ""
