# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program in a scratch tree whose programs nobody trusts: as a user that this host does not have, cut off."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import stat
import subprocess
import time
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import command
from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError

# Users from here on are nobody's: neither accounts nor containers are given such high numbers.
FIRST_USER = 3_000_000_000
USERS = 65536
DEVICES = {"null": 3, "zero": 5, "random": 8, "urandom": 9}  # of the memory devices, major number 1
NAMESPACES = ("--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc")
PATIENCE = 10.0  # seconds until a process is in its namespace
HOLD = ("unshare", "--user", "sleep", "3600")


def run(root: pathlib.Path, argv: t.Sequence[str], timeout: float) -> None:
    """Run it with ``root`` as its root, in namespaces of its own, without a network. How it ends does not matter.

    Raises CommandError where it could not be run, or takes more than ``timeout`` seconds.
    """
    add_devices(root / "dev")
    give_away(root)
    with user_namespace() as holder:
        enter = ("nsenter", f"--user=/proc/{holder}/ns/user", "--setuid=0", "--setgid=0", "--")
        unshare = ("unshare", *NAMESPACES, f"--root={root}", "--")
        try:
            command.run([*enter, *unshare, *argv], timeout=timeout)
        except CommandError as error:
            if "returncode" not in error.facts:
                raise


def add_devices(folder: pathlib.Path) -> None:
    """Make the devices that any program expects."""
    for name, minor in DEVICES.items():
        if not (folder / name).exists():
            os.mknod(folder / name, stat.S_IFCHR, os.makedev(1, minor))
            (folder / name).chmod(0o666)


def give_away(root: pathlib.Path) -> None:
    """Move all owners to the users of the namespace; the modes stay, the capabilities of files do not."""
    root.parent.chmod(0o711)
    for path in (root, *root.rglob("*")):
        state = path.lstat()
        if state.st_uid >= FIRST_USER:
            continue  # another name of a file that was given away
        os.chown(path, state.st_uid + FIRST_USER, state.st_gid + FIRST_USER, follow_symlinks=False)
        if not stat.S_ISLNK(state.st_mode):
            path.chmod(stat.S_IMODE(state.st_mode))


@contextlib.contextmanager
def user_namespace() -> t.Iterator[int]:
    """Give the process id of one that holds a user namespace open."""
    with subprocess.Popen(HOLD, stdin=subprocess.DEVNULL) as holder:
        try:
            wait_for_namespace(holder.pid)
            for kind in ("uid", "gid"):
                pathlib.Path(f"/proc/{holder.pid}/{kind}_map").write_text(f"0 {FIRST_USER} {USERS}", encoding="ascii")
            yield holder.pid
        finally:
            holder.send_signal(signal.SIGKILL)


def wait_for_namespace(process: int) -> None:
    own = pathlib.Path("/proc/self/ns/user").readlink()
    end = time.monotonic() + PATIENCE
    while pathlib.Path(f"/proc/{process}/ns/user").readlink() == own:
        if time.monotonic() > end:
            raise CommandError("No user namespace could be made on this host, to run a program of the tree in")
        time.sleep(0.01)
