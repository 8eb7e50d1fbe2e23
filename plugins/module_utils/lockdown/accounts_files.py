# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""passwd(5), shadow(5) and sysusers.d(5), as far as rules on accounts need them. Pure."""

from __future__ import annotations

import shlex
import typing as t

NO_SHELLS = ("", "/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false", "/bin/sync", "/usr/bin/sync")
PASSWD_FIELDS = 7
LEAST_FIELDS = 4  # the C library takes what is left out for empty
LOCKED = ("!", "*")


class Account(t.NamedTuple):
    """A user; ``uid`` is -1 where the number is chosen at boot."""

    name: str
    uid: int
    shell: str


def read_passwd(text: str) -> dict[str, Account]:
    """Return the users of passwd(5) by name; of two lines of one name the one that opens more counts."""
    found: dict[str, Account] = {}
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) < LEAST_FIELDS or line.startswith("#"):
            continue
        fields += [""] * (PASSWD_FIELDS - len(fields))
        # An empty shell is /bin/sh.
        account = Account(fields[0], _number(fields[2]), fields[6] or "/bin/sh")
        if account.name not in found or account.uid == 0:
            found[account.name] = account
    return found


def read_groups(text: str) -> dict[str, int]:
    """Return the numbers of the groups of group(5) by name."""
    lines = (line.split(":") for line in text.splitlines())
    return {fields[0]: _number(fields[2]) for fields in lines if len(fields) > 2}  # noqa: PLR2004


def read_sysusers(text: str) -> tuple[list[Account], dict[str, int]]:
    """Return the users and groups that sysusers.d(5) lines make; a user without a group's number makes one as well."""
    users: list[Account] = []
    groups: dict[str, int] = {}
    for line in text.splitlines():
        try:
            fields = shlex.split(line, comments=True)
        except ValueError:
            continue
        fields += ["-"] * (6 - len(fields))
        kind, name, number, _comment, _home, shell = fields[:6]
        first, _colon, second = number.partition(":")
        if kind.rstrip("!") == "u":
            # A path: the number of whoever owns it. What systemd would expand or unescape may be any number.
            uid = 0 if first.startswith("/") or "%" in first or "\\" in line else _number(first)
            usual = "/bin/bash" if uid == 0 else "/usr/sbin/nologin"
            users.append(Account(name, uid, usual if shell == "-" else shell))
            groups.setdefault(name, _number(second or first))
        elif kind == "g":
            groups[name] = _number(first)
    return users, groups


def open_passwords(text: str) -> dict[str, str]:
    """Return whose password passwd(5) or shadow(5) lines hold: 'a hash', or 'no password at all'."""
    found = {}
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        if not colon or not name or name.startswith("#"):
            continue
        word = rest.split(":", 1)[0]
        if not word:
            found[name] = "open without a password"
        elif word != "x" and not word.startswith(LOCKED):
            found[name] = "given a password's hash"
        elif word.startswith("!") and word.lstrip("!*"):
            found[name] = "given a password's hash, though locked"
    return found


def without_passwords(text: str) -> str:
    """Return passwd(5) lines without what should not be in them."""
    lines = (line.split(":") for line in text.splitlines())
    return "".join(":".join([*fields[:1], "x", *fields[2:]]) + "\n" for fields in lines if len(fields) > 1)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return -1
