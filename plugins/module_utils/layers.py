# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Splitting what an installation changed (an overlay's upper folder) into a sysext and a confext."""

from __future__ import annotations

import filecmp
import fnmatch
import os
import pathlib
import stat
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.refusals import Problem

FACTORY = "usr/share/factory"
# Of the package manager, of the moment, or made anew: patterns of paths; a folder's pattern covers what is below it.
DROPPED = (
    *("dev", "proc", "run", "sys", "tmp", "boot", "root/.*"),
    *("etc/.pwd.lock", "etc/ld.so.cache", "etc/apt", "etc/init.d", "etc/rc?.d"),
    *("etc/passwd*", "etc/group*", "etc/shadow*", "etc/gshadow*", "etc/subuid*", "etc/subgid*"),
    *("usr/lib/sysimage", "usr/sbin/policy-rc.d", "usr/share/doc/*/[!c]*", "usr/share/man", "usr/share/lintian"),
    *("var/lib/dpkg", "var/lib/apt", "var/lib/ucf", "var/lib/pam", "var/lib/systemd", "var/lib/shells.state"),
    *("var/cache/apt", "var/cache/debconf", "var/cache/ldconfig", "var/cache/man", "var/backups", "var/tmp", "var/run"),
)
HOMES = {"usr": "sysext", "opt": "sysext", "etc": "confext", "var": f"sysext/{FACTORY}"}
OPAQUE = "trusted.overlay.opaque"


class Split:
    """One run over an upper folder. ``problems`` and what is to be made in ``/var`` are known afterwards."""

    def __init__(
        self, upper: pathlib.Path, below: t.Sequence[pathlib.Path], tree: pathlib.Path, exclude: t.Sequence[str]
    ) -> None:
        self._upper = upper
        self._below = below
        self._tree = tree
        self._exclude = [each.strip("/") for each in exclude]
        self.problems: list[Problem] = []
        self.state: list[str] = []

    def run(self) -> None:
        for home in ("sysext/usr", "confext/etc"):
            make_folder(self._tree / home)
        self._folder("")

    def _folder(self, name: str) -> None:
        for entry in sorted(os.scandir(self._upper / name), key=lambda each: each.name):
            path = f"{name}/{entry.name}".lstrip("/")
            if not is_dropped(path, (*DROPPED, *self._exclude)):
                self._entry(path, entry)

    def _entry(self, path: str, entry: os.DirEntry[str]) -> None:
        below = self._original(path)
        if is_whiteout(entry):
            self._refuse(path, "installing the app deletes it, and it is the base's")
        elif path.split("/", 1)[0] not in HOMES:
            if entry.is_dir(follow_symlinks=False):
                self._folder(path)
            else:
                self._refuse(path, "only /usr, /opt, /etc and /var can be in an app")
        elif entry.is_dir(follow_symlinks=False):
            self._directory(path, below)
        elif path.startswith("var/log/"):
            pass
        elif below is None:
            self._place(path)
        elif not is_same(self._upper / path, below):
            self._refuse(path, "it would take the place of the base's file", "shadow")
            self._place(path)

    def _directory(self, path: str, below: pathlib.Path | None) -> None:
        if below is None:
            self._place(path)
        elif not below.is_dir():
            self._refuse(path, "it would take the place of the base's file")
        elif attributes(self._upper / path) != attributes(below):
            self._refuse(path, "installing the app changes the mode or owner of the base's folder")
        elif OPAQUE in os.listxattr(self._upper / path):
            self._refuse(path, "installing the app replaces the base's whole folder")
        self._folder(path)

    def _refuse(self, path: str, reason: str, allow: str = "") -> None:
        self.problems.append(Problem(path, reason, allow))

    def _original(self, path: str) -> pathlib.Path | None:
        return next((folder / path for folder in self._below if os.path.lexists(folder / path)), None)

    def _place(self, path: str) -> None:
        """Move one file, or make one folder, where it belongs; with the folders above it as they are in the base."""
        source = self._upper / path
        target = self._tree / HOMES[path.split("/", 1)[0]] / path
        if path.startswith("var/"):
            self.state.append(path)
        self._make_above(pathlib.PurePath(path).parent)
        if source.is_dir() and not source.is_symlink():
            copy_folder(source, target)
        else:
            source.rename(target)
            clean_attributes(target)

    def _make_above(self, folder: pathlib.PurePath) -> None:
        for each in [*reversed(folder.parents), folder][1:]:
            target = self._tree / HOMES[each.parts[0]] / each
            if not target.exists():
                make_folder(target.parent)
                copy_folder(self._upper / each, target)


def is_dropped(path: str, patterns: t.Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) and path.count("/") == pattern.count("/") for pattern in patterns)


def is_whiteout(entry: os.DirEntry[str]) -> bool:
    """Whether overlayfs marks here that a lower file is deleted: a character device 0:0."""
    state = entry.stat(follow_symlinks=False)
    return stat.S_ISCHR(state.st_mode) and state.st_rdev == 0


def attributes(path: pathlib.Path) -> tuple[int, int, int]:
    state = path.lstat()
    return state.st_mode, state.st_uid, state.st_gid


def is_same(one: pathlib.Path, other: pathlib.Path) -> bool:
    if attributes(one) != attributes(other):
        return False
    if one.is_symlink():
        return one.readlink() == other.readlink()
    return one.is_file() and filecmp.cmp(one, other, shallow=False)


def make_folder(path: pathlib.Path) -> None:
    for each in [*reversed(path.parents), path]:
        if not each.exists():
            each.mkdir()
            each.chmod(0o755)


def copy_folder(source: pathlib.Path, target: pathlib.Path) -> None:
    target.mkdir(exist_ok=True)
    mode, uid, gid = attributes(source)
    os.chown(target, uid, gid)
    target.chmod(stat.S_IMODE(mode))


def clean_attributes(path: pathlib.Path) -> None:
    """Remove what overlayfs noted for itself."""
    for name in os.listxattr(path, follow_symlinks=False):
        if name.startswith("trusted."):
            os.removexattr(path, name, follow_symlinks=False)


def tmpfiles(state: t.Sequence[str], tree: pathlib.Path) -> str:
    """Return tmpfiles.d(5) lines that make an app's first ``/var``.

    A folder with files is copied once, when it is absent; folders alone are made each time.
    """
    known = set(state)
    factory = tree / "sysext" / FACTORY
    lines = []
    for top in (path for path in state if str(pathlib.PurePath(path).parent) not in known):
        below = [path for path in state if path == top or path.startswith(f"{top}/")]
        folders = [path for path in below if (factory / path).is_dir() and not (factory / path).is_symlink()]
        if folders == below:
            lines += [folder_line(path, factory / path) for path in folders]
        else:
            lines.append(f"C /{escaped(top)} - - - - -\n")
    return "".join(lines)


def folder_line(path: str, folder: pathlib.Path) -> str:
    mode, uid, gid = attributes(folder)
    return f"d /{escaped(path)} {stat.S_IMODE(mode):04o} {uid} {gid} - -\n"


def escaped(path: str) -> str:
    return path.replace("%", "%%").replace(" ", "\\x20")


def extension_release(abi: str) -> str:
    """Return the file by which systemd tells whether a layer fits a base; ``_any`` fits every one."""
    if abi == "_any":
        return "ID=_any\n"
    name, _dash, version = abi.rpartition("-")
    return f"ID={name}\nVERSION_ID={version}\n"
