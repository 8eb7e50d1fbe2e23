# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One path out of a backup, into a folder of the node, with owners as the appliance knows them.

Not into the appliance's volume: what runs there could turn a folder of its own into a link while root writes into it.
"""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import shutil
import stat
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.backup_record import Record
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.restic import Restic


class Range(t.NamedTuple):
    """Ids from ``outside`` on, of the node, are those from ``inside`` on of the appliance; of users, groups or both."""

    users: bool
    groups: bool
    outside: int
    inside: int
    size: int


def locate(record: Record, path: str) -> str:
    """Return where a path of the appliance is in its backup. Raises BadInput for one that no volume holds."""
    holding = [each for each in record.volumes.values() if _is_below(path, each.path)]
    if not holding:
        has = ", ".join(sorted(each.path for each in record.volumes.values()))
        raise BadInput(
            f"{path} is not in a backup of {record.appliance}: it holds what is below {has}; the rest comes with base, "
            "app and config."
        )
    volume = max(holding, key=lambda each: len(each.path))
    return volume.saved + path[len(volume.path.rstrip("/")) :]


def target_of(folder: Path, path: str) -> Path:
    """Return where a path comes to be. Each has a folder of its own: one is never taken for a part of another."""
    own = path.strip("/").replace("%", "%25").replace("+", "%2B").replace("/", "+")
    return folder / own / posixpath.basename(path)


def have_folder(folder: Path) -> None:
    """Have a folder that nobody else reaches. Raises BadInput for one that was made otherwise."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    check_folder(folder)


def check_folder(folder: Path) -> None:
    """Raise BadInput where others reach into a folder, or may put another in its place. One that is not there is fine.

    Root would follow their links, and they would read what comes out of a backup.
    """
    for place, is_shared in ((folder.parent, True), (folder, False)):
        try:
            fault = _find_fault(place.lstat(), is_shared)
        except FileNotFoundError:
            return
        if fault:
            raise BadInput(
                f"{place}, into which a path of a backup is to come, {fault}: have it belong to root, with mode 0700, "
                "or name another folder (restore_folder). Nothing was restored."
            )


def _find_fault(state: os.stat_result, is_shared: bool) -> str:
    """Return what is wrong with a folder; in one that ``is_shared``, others may have folders of their own."""
    mode = stat.S_IMODE(state.st_mode)
    if not stat.S_ISDIR(state.st_mode):
        return "is no folder"
    if state.st_uid != os.geteuid():
        return f"belongs to user {state.st_uid}"
    if is_shared:
        return f"has mode {mode:04o}" if mode & 0o022 and not mode & stat.S_ISVTX else ""
    return f"has mode {mode:04o}" if mode & 0o077 else ""


def find_volume(record: Record, saved: str) -> str:
    """Return the map of ids of the volume that has this path of a backup."""
    return next(each.idmap for each in record.volumes.values() if _is_below(saved, each.saved))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def parse_map(text: str) -> list[Range]:
    """Return the ranges of a map as the engine has it in volatile.idmap.last."""
    return [
        Range(each["Isuid"], each["Isgid"], each["Hostid"], each["Nsid"], each["Maprange"])
        for each in json.loads(text or "[]")
    ]


def inside(number: int, ranges: t.Iterable[Range], *, users: bool) -> int:
    """Return a user's or group's number as the appliance knows it."""
    for each in ranges:
        if (each.users if users else each.groups) and each.outside <= number < each.outside + each.size:
            return number - each.outside + each.inside
    return number


def bring(restic: Restic, snapshot: str, saved: str, target: Path, idmap: str) -> None:
    """Have at ``target``, which is not there, what a backup has at ``saved``: whole, or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    try:
        is_folder = next((each["type"] for each in restic.ls(snapshot, saved) if each["path"] == saved), "dir") == "dir"
        restic.restore(snapshot, saved, part)
        shift(part, parse_map(idmap))
        (part if is_folder else part / target.name).rename(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(part)


def shift(root: Path, ranges: t.Sequence[Range]) -> None:
    """Give everything below ``root``, and itself, the owners that the appliance knows."""
    for path in [root, *root.rglob("*")]:
        state = path.lstat()
        user, group = inside(state.st_uid, ranges, users=True), inside(state.st_gid, ranges, users=False)
        if (user, group) != (state.st_uid, state.st_gid):
            os.lchown(path, user, group)
            if not stat.S_ISLNK(state.st_mode):  # a change of owner takes setuid away
                path.chmod(stat.S_IMODE(state.st_mode))
