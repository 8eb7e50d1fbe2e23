# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hardening of a base's tree: reads it, has hardening.py decide, writes what that says."""

from __future__ import annotations

import contextlib
import os
import pathlib
import stat
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import command, firewall, hardening
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput

TOPS = ("usr", "etc")
UNITS = "etc/systemd/system"
UNIT_FOLDERS = (UNITS, "usr/lib/systemd/system")
STATUS = "usr/lib/sysimage/dpkg/status"
TEXTS = (hardening.LOGIN_DEFINITIONS, *hardening.SHELL_FILES, "etc/passwd", "etc/shadow")
CAPABILITY = "security.capability"
MOST = 20
# Of this machine's network the check must see and change nothing.
APART = ("unshare", "--net", "--")


def apply(root: pathlib.Path, rules: hardening.Rules) -> None:
    """Make the tree as the rules ask for. Files that ``hardening.files`` gives are there already."""
    for path, text in hardening.changed_texts(rules, read_texts(root)).items():
        (root / path).write_text(text, encoding="utf-8")
    for unit in hardening.masked(rules, read_units(root)):
        (root / UNITS / unit).unlink(missing_ok=True)
        (root / UNITS / unit).symlink_to("/dev/null")
    for path, entry in walk(root):
        restrict(rules, path, pathlib.Path(entry.path), entry.stat(follow_symlinks=False).st_mode)


def read_texts(root: pathlib.Path) -> dict[str, str]:
    return {path: (root / path).read_text(encoding="utf-8") for path in TEXTS if (root / path).is_file()}


def read_units(root: pathlib.Path) -> set[str]:
    return {file.name for folder in UNIT_FOLDERS for file in (root / folder).glob("*.*") if not file.is_dir()}


def walk(root: pathlib.Path) -> t.Iterator[tuple[str, os.DirEntry[str]]]:
    """Give everything that belongs to a base, with its path as the appliance has it."""
    folders = [root / top for top in TOPS]
    while folders:
        for entry in sorted(os.scandir(folders.pop()), key=lambda each: each.name):
            yield f"/{pathlib.Path(entry.path).relative_to(root)}", entry
            if entry.is_dir(follow_symlinks=False):
                folders.append(pathlib.Path(entry.path))


def restrict(rules: hardening.Rules, path: str, file: pathlib.Path, mode: int) -> None:
    if stat.S_ISLNK(mode):
        return
    bits = hardening.mode_of(rules, path, stat.S_IMODE(mode), is_folder=stat.S_ISDIR(mode))
    if bits != stat.S_IMODE(mode):
        file.chmod(bits)
    if not hardening.keeps_capabilities(rules, path):
        # It has none, or the file system keeps none.
        with contextlib.suppress(OSError):
            os.removexattr(file, CAPABILITY, follow_symlinks=False)


def refuse(root: pathlib.Path, name: str, lockdown: t.Mapping[str, t.Any]) -> None:
    """Raise BadInput with everything that the rules do not allow and that cannot be made otherwise."""
    rules = lockdown.get("rules", {})
    texts = {key: (root / f"etc/{key}").read_text(encoding="utf-8") for key in ("passwd", "group")}
    found = [
        *hardening.refused_packages(rules, read_status(root / STATUS)),
        *hardening.refused_accounts(rules, texts["passwd"]),
        *hardening.refused_owners(rules, read_owners(root), texts["passwd"], texts["group"]),
    ]
    if found:
        more = f"; and {len(found) - MOST} more" if len(found) > MOST else ""
        raise BadInput(
            f"{name} is not published, {lockdown['name']} does not allow it: {'; '.join(found[:MOST])}{more}",
            name=name,
            lockdown=lockdown["name"],
        )
    if rules.get("firewall"):
        check_ruleset(root)


def read_status(status: pathlib.Path) -> list[dict[str, str]]:
    """Return the stanzas of what is installed."""
    stanzas = [
        dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        for stanza in status.read_text(encoding="utf-8").split("\n\n")
    ]
    return [each for each in stanzas if each.get("Status", "").endswith(" installed")]


def read_owners(root: pathlib.Path) -> dict[tuple[int, int], str]:
    """Return each pair of numbers that owns something, with one path that it owns."""
    owners: dict[tuple[int, int], str] = {}
    for path, entry in walk(root):
        state = entry.stat(follow_symlinks=False)
        owners.setdefault((state.st_uid, state.st_gid), path)
    return owners


def check_ruleset(root: pathlib.Path) -> None:
    """Raise CommandError when the nft of this tree does not accept its rulesets."""
    for ruleset in (firewall.RULESET, firewall.CLOSED):
        command.run([*APART, "chroot", str(root), "/usr/sbin/nft", "--check", "--file", f"/{ruleset}"])
