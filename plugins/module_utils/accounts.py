# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts of an app: declared, with fixed numbers, because state outlives the layer and is owned by number."""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.refusals import Problem

NO_LOGIN = "/usr/sbin/nologin"
PASSWD_UID, PASSWD_GID = 2, 3
GROUP_GID, GROUP_MEMBERS = 2, 3
Table = dict[str, list[str]]


def read_table(file: pathlib.Path) -> Table:
    """Return the lines of a passwd(5) or group(5) file by name."""
    if not file.is_file():
        return {}
    lines = (line.split(":") for line in file.read_text(encoding="utf-8").splitlines() if line)
    return {fields[0]: fields for fields in lines}


def sysusers(accounts: t.Sequence[t.Mapping[str, t.Any]], groups: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Return sysusers.d(5) lines for what app.yml declares."""
    lines = [f"g {each['name']} {each['gid']}" for each in groups]
    for each in accounts:
        gid = each.get("gid", each["uid"])
        if each.get("group", each["name"]) not in {group["name"] for group in groups}:
            lines.append(f"g {each.get('group', each['name'])} {gid}")
        comment = each.get("comment", each["name"]).replace('"', "'")
        home, shell = each.get("home", "/"), each.get("shell", NO_LOGIN)
        lines.append(f'u {each["name"]} {each["uid"]}:{gid} "{comment}" {home} {shell}')
        lines += [f"m {each['name']} {group}" for group in each.get("groups", [])]
    return "".join(f"{line}\n" for line in lines)


def new_memberships(before: Table, after: Table) -> str:
    """Return sysusers.d(5) lines for who joined which group while the packages were installed."""
    lines = []
    for name, fields in sorted(after.items()):
        old = set(before[name][GROUP_MEMBERS].split(",")) if name in before else set()
        lines += [f"m {member} {name}\n" for member in sorted(set(fields[GROUP_MEMBERS].split(",")) - old - {""})]
    return "".join(lines)


def undeclared(kind: str, before: Table, after: Table, declared: t.Mapping[str, int]) -> t.Iterator[Problem]:
    """Tell of every new line (``kind`` is "passwd" or "group") that app.yml does not declare as it is.

    passwd(5) and group(5) both have the number in the third field.
    """
    word = {"passwd": "account", "group": "group"}[kind]
    for name, fields in sorted(after.items()):
        number = fields[PASSWD_UID if kind == "passwd" else GROUP_GID]
        if name not in before and declared.get(name) != int(number):
            wanted = f"with the number {declared[name]}" if name in declared else "at all"
            yield Problem(
                f"etc/{kind}",
                f"the packages make the {word} {name!r} (number {number}), which app.yml does not declare {wanted}:"
                f" declare it under {word}s with a fixed number from 900 to 949",
            )


def declared_users(accounts: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, int]:
    return {each["name"]: int(each["uid"]) for each in accounts}


def declared_groups(
    accounts: t.Sequence[t.Mapping[str, t.Any]], groups: t.Sequence[t.Mapping[str, t.Any]]
) -> dict[str, int]:
    own = {each.get("group", each["name"]): int(each.get("gid", each["uid"])) for each in accounts}
    return {**own, **{each["name"]: int(each["gid"]) for each in groups}}
