# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""have: what the engine and the machine say of a node, for the rules of engine and host. Reads, and changes nothing.

What cannot be told is said so: {"unknown": reason} in place of the fact.
"""

from __future__ import annotations

import contextlib
import ctypes
import grp
import os
import pwd
import stat
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import engine_state, instance, mounts
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import networks

# Below these stand the settings of a kernel that rules ask for; all of /proc/sys would be thousands.
SYSCTLS = (
    "dev/tty",
    "fs",
    "kernel",
    "net/core",
    "net/ipv4",
    "net/ipv6/conf/all",
    "net/ipv6/conf/default",
    "net/ipv6/icmp",
    "user",
    "vm",
)
SKIPPED = ("conf", "neigh", "route")  # of net/ipv4: one folder for each interface
MAJOR_MODULES = ("apparmor", "selinux", "smack", "tomoyo")
LSM = Path("/sys/kernel/security/lsm")
PROCESS_LABEL = Path("/proc/self/attr/current")
STA_UNSYNC, TIME_ERROR = 0x0040, 5  # adjtimex(2)
TIMEX_SIZE, STATUS_OFFSET = 256, 40  # of struct timex on 64 bits
BLOCK = Path("/sys/dev/block")
BTRFS = Path("/sys/fs/btrfs")

Body = t.Mapping[str, t.Any]
Facts = dict[str, t.Any]


class Here(t.NamedTuple):
    """Where this node keeps things."""

    store: str
    pool: str
    socket: str


def read(engine: Engine, instances: t.Sequence[Body], here: Here) -> Facts:
    """Return the node's facts. ``instances`` are all of the project, as ``engine.instances`` returns them.

    Costs five queries of the engine and about 30 ms. Raises Unreachable where the engine does not answer.
    """
    server = engine.server()
    pool = engine.find(f"/storage-pools/{here.pool}")
    return {
        **read_engine(engine, instances),
        "server": {key: value for key, value in server["config"].items() if key.endswith("_address")},
        "store": here.store,
        "pool": here.pool,
        "limits_enforced": engine_state.limits_enforced(server),
        "bridge_filtering": engine_state.bridge_filtering(),
        "sysctls": read_sysctls(),
        "lsm": read_modules(),
        "time": read_time(),
        "disks": {"store": read_disk(here.store), "pool": read_disk((pool or {}).get("config", {}).get("source", ""))},
        "auditing": {"daemon": is_running("auditd")},
        "engine_socket": read_socket(here.socket),
    }


def read_engine(engine: Engine, instances: t.Sequence[Body]) -> Facts:
    """Return what the engine says: project, networks and lists by name, and which instances Strata did not make.

    ``neighbours`` are the appliances of other projects, as ``networks.read_neighbours`` returns them.
    """
    project = engine.find(f"/projects/{engine.project}")
    return {
        "project": project["config"] if project else None,
        "networks": {body["name"]: body for body in engine.read("/networks", recursion=1)[0]},
        "acls": {body["name"]: body for body in engine.read("/network-acls", recursion=1)[0]},
        "neighbours": networks.read_neighbours(engine),
        "instances": sorted(str(body["name"]) for body in instances),
        "idmaps": {str(each["name"]): each["config"].get("volatile.idmap.base", "") for each in instances},
        "strangers": sorted(str(each["name"]) for each in instances if instance.composition_of(each["config"]) is None),
    }


def read_sysctls() -> dict[str, str]:
    """Return the kernel's settings that this process can read, by dotted key."""
    top = Path("/proc/sys")
    found: dict[str, str] = {}
    folders = [top / each for each in SYSCTLS] + [top / f"net/ipv4/conf/{each}" for each in ("all", "default")]
    while folders:
        folder = folders.pop()
        for entry in _listed(folder):
            if entry.is_dir() and not entry.is_symlink():
                folders += [] if folder == top / "net/ipv4" and entry.name in SKIPPED else [entry]
            else:
                with contextlib.suppress(OSError, UnicodeDecodeError):  # some can only be written
                    found[str(entry.relative_to(top)).replace("/", ".")] = " ".join(entry.read_text().split())
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def read_modules() -> Facts:
    """Return the kernel's security modules that confine programs."""
    if LSM.exists():
        return {"modules": [name for name in LSM.read_text().strip().split(",") if name in MAJOR_MODULES]}
    # Without securityfs: a process has a label where some module gives labels, and the kernel refuses where none does.
    try:
        label = PROCESS_LABEL.read_text().strip("\0\n")
    except OSError:
        return {"modules": []}
    return {"modules": [f"one that labels processes ({label})"]}


def read_time() -> Facts:
    """Return whether the kernel counts its clock as synchronised."""
    timex = ctypes.create_string_buffer(TIMEX_SIZE)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    if state < 0 or ctypes.sizeof(ctypes.c_long) != 8:  # noqa: PLR2004  the layout is known for 64 bits
        return {"unknown": "the kernel does not say whether its clock is synchronised"}
    status = int.from_bytes(timex.raw[STATUS_OFFSET : STATUS_OFFSET + 4], "little")
    return {"synchronised": not (state == TIME_ERROR or status & STA_UNSYNC)}


def read_disk(path: str) -> Facts:
    """Return whether a folder, file or device is on encrypted block devices, and which these are."""
    try:
        devices = find_devices(os.path.realpath(path)) if path else []
    except OSError as error:
        return {"unknown": f"{path}: {error.strerror}"}
    if not devices:
        return {"unknown": f"{path or 'its source'} is on no block device that this machine shows"}
    return {"encrypted": all(is_encrypted(device) for device in devices), "devices": devices}


def find_devices(path: str) -> list[str]:
    """Return the block devices, as major:minor, that hold a path; of a btrfs all of its devices."""
    mode = Path(path).stat().st_mode
    source = path if stat.S_ISBLK(mode) else _mount_source(path)
    if not source.startswith("/dev/") or not stat.S_ISBLK(Path(source).stat().st_mode):
        return []
    own = _number(Path(source).stat().st_rdev)
    name = (BLOCK / own).resolve().name
    groups = [[each.name for each in _listed(folder / "devices")] for folder in _listed(BTRFS)]
    together = next((group for group in groups if name in group), [name])
    return sorted(_number(Path("/dev", each).stat().st_rdev) for each in together) if len(together) > 1 else [own]


def _mount_source(path: str) -> str:
    here = mounts.parse(Path("/proc/self/mountinfo").read_text())
    device, _root = mounts.locate(path, here)
    return next((mount.source for mount in here if mount.device == device), "")


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def is_encrypted(device: str) -> bool:
    """Whether a block device, or everything that it is made of, is a dm-crypt one."""
    folder = (BLOCK / device).resolve()
    uuid, backing = folder / "dm/uuid", folder / "loop/backing_file"
    if uuid.exists() and uuid.read_text().startswith("CRYPT-"):
        return True
    if backing.exists():
        below = find_devices(backing.read_text().strip())
    else:
        whole = folder.parent if (folder / "partition").exists() else folder
        below = [(slave / "dev").read_text().strip() for slave in _listed(whole / "slaves")]
    return bool(below) and all(is_encrypted(each) for each in below)


def is_running(program: str) -> bool:
    """Whether a process of that name runs."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended in between
                if (entry / "comm").read_text().strip() == program:
                    return True
    return False


def read_socket(path: str) -> Facts:
    """Return who reaches the engine's socket: owner, group, mode (octal) and the group's members but root."""
    try:
        found = Path(path).stat()
    except OSError as error:
        return {"unknown": f"{path}: {error.strerror}"}
    names = {entry.pw_uid: entry.pw_name for entry in pwd.getpwall()}
    group = next((entry for entry in grp.getgrall() if entry.gr_gid == found.st_gid), None)
    members = {entry.pw_name for entry in pwd.getpwall() if entry.pw_gid == found.st_gid} | set(
        group.gr_mem if group else ()
    )
    return {
        "path": path,
        "owner": names.get(found.st_uid, str(found.st_uid)),
        "group": group.gr_name if group else str(found.st_gid),
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
        "members": sorted(members - {"root"}),
    }
