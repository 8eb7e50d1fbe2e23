# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""have: what runs in the appliances of a node, seen from the node: nobody logs in, nothing inside is asked or started.

Sources of the formats: proc_pid_status(5), proc_pid_cgroup(5), proc_pid_net(5), namespaces(7).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import ipaddress
import json
import os
import re
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import command
from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError
from ansible_collections.strata.fleet.plugins.module_utils.hardening import OF_ALL_INTERFACES
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import live_units

PROC = Path("/proc")
# Namespaces of which an appliance has its own; the kernel shows settings by those of the thread that reads.
NAMESPACES = ("user", "mnt", "net", "pid", "ipc", "uts")
ENTERED = ("net", "ipc", "uts")
PAYLOAD = re.compile(r"(?P<root>.*/lxc\.payload\.[^/]+)(?P<rest>/.*)?")
UNIT = re.compile(r".+\.(service|socket|scope|slice|mount)")
TABLES = ("tcp", "tcp6", "udp", "udp6")
# States of sockets that wait for others: TCP's LISTEN, and of UDP those that are not connected.
WAITING = {"tcp": "0A", "udp": "07"}
FILTERING = 2  # of Seccomp in proc_pid_status(5)
AT_ONCE = 4
MOMENT = 0.05  # seconds in which a process that the engine starts inside is in its place
TIMEOUT = 20.0  # seconds
GONE = "it was started or stopped while it was looked at"

Facts = dict[str, t.Any]


class Process(t.NamedTuple):
    """A process of an appliance: its pid on the node, its unit, and the fields of its status in /proc."""

    pid: int
    unit: str
    status: t.Mapping[str, str]


class Running(t.NamedTuple):
    """An appliance to look at: the pid of its init (0: it does not run), and the folders of its base and app."""

    pid: int
    layers: tuple[Path, ...]


class Ask(t.NamedTuple):
    """What is to be found out besides what /proc says: the loaded packet filter, and these kernel settings."""

    ruleset: bool
    sysctls: t.Collection[str]


def read(appliances: t.Mapping[str, Running], ask: Ask) -> dict[str, Facts]:
    """Return the facts of each appliance by its name. One that does not run has ``stopped`` alone.

    ``sockets`` wait for others (``protocol``, ``address``, ``port``, ``process``, ``unit``), but not on loopback.
    ``processes`` have ``name``, ``unit``, ``seccomp``, ``bounding`` (their most capabilities), ``uids`` on the node,
    ``user`` (their user namespace) and ``node``, the kinds of namespaces that they share with the node; the first one
    is its init. ``map`` is the user id map, ``units`` are those in memory that nobody declared, ``ruleset`` is what
    is loaded, as nft lists it, ``sysctls`` the values by key. {"unknown": reason} stands for any that cannot be told.
    """
    running = {name: own for name, own in appliances.items() if own.pid}
    members = group_processes({name: own.pid for name, own in running.items()})
    declared = {own.layers: live_units.read_declared(own.layers) for own in running.values()}
    outside = [namespaces_of(pid) for pid in (os.getpid(), 1)]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        work = {
            name: pool.submit(read_one, own, members[name], declared[own.layers], outside, ask)
            for name, own in running.items()
        }
        return {name: work[name].result() if name in work else {"stopped": True} for name in appliances}


def read_one(
    appliance: Running, own: t.Sequence[Process], declared: live_units.Declared, outside: t.Sequence[Facts], ask: Ask
) -> Facts:
    """Return the facts of an appliance that runs. The thread stays in its namespaces."""
    pid = appliance.pid
    return {
        "stopped": False,
        "sockets": _or_why(lambda: read_sockets(pid, own)),
        "processes": _or_why(lambda: read_processes(pid, own, outside)),
        "map": _or_why(lambda: parse_map((PROC / str(pid) / "uid_map").read_text())),
        "units": _or_why(lambda: live_units.read_units(f"{PROC}/{pid}/root", declared)),
        **_inside(appliance, ask),
    }


def _or_why(reading: t.Callable[[], t.Any]) -> t.Any:
    try:
        return reading()
    except (FileNotFoundError, ProcessLookupError):
        return {"unknown": GONE}
    except OSError as error:
        return {"unknown": f"the kernel does not say it: {error.strerror or error}"}
    except CommandError as error:
        return {"unknown": error.message}
    except (ValueError, LookupError) as error:
        # Whoever is root inside chooses names and rules: none of them may end the audit of the others.
        return {"unknown": f"what the kernel says of it cannot be read ({type(error).__name__}: {error})"}


def _inside(appliance: Running, ask: Ask) -> Facts:
    entered = _or_why(lambda: enter(appliance.pid))
    if entered is not None:
        return {"ruleset": entered, "sysctls": entered}
    not_asked = {"unknown": "it was not asked for"}
    return {
        "ruleset": _or_why(lambda: read_ruleset(appliance.layers[:1])) if ask.ruleset else not_asked,
        "sysctls": _or_why(lambda: read_sysctls(ask.sysctls)),
    }


def enter(pid: int) -> None:
    """Put this thread where the kernel shows the settings of a process. Its user and its files stay the node's."""
    for name in ENTERED:
        with Path(f"/proc/{pid}/ns/{name}").open("rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))


def read_ruleset(base: t.Iterable[Path]) -> list[Facts]:
    """Return the packet filter that is loaded where this thread is, as nft lists it."""
    listed = command.run([*find_nft(base), "--json", "list", "ruleset"], timeout=TIMEOUT)
    return t.cast("list[Facts]", json.loads(listed)["nftables"])


def find_nft(base: t.Iterable[Path]) -> list[str]:
    """Return how to call the nft of an appliance's base on the node, which IT made; the node's where it has none.

    One that is older than what wrote the rules crashes on them (tried: 1.0.6 on rules of 1.1.3).
    """
    for usr in (folder / "usr" for folder in base):
        loaders = sorted(usr.glob("lib/*/ld-linux*.so.*"))
        if loaders and (usr / "sbin/nft").is_file():
            return [str(loaders[0]), "--library-path", str(loaders[0].parent), str(usr / "sbin/nft")]
    return ["nft"]


# -- processes -------------------------------------------------------------------------------------------------------


def group_processes(inits: t.Mapping[str, int]) -> dict[str, list[Process]]:
    """Return the processes of each appliance by the pid of its init, which comes first, in one pass over /proc.

    Its are all in its control group, wherever they put themselves, and all in its pid namespace.
    """
    found: dict[str, list[Process]] = {name: [] for name in inits}
    names: dict[str, str] = {}
    for name, pid in inits.items():
        names |= {place: name for place in (_group_of(pid)[0], _link(f"/proc/{pid}/ns/pid")) if place}
    for entry in os.scandir(PROC):
        if entry.name.isdigit():
            root, unit = _group_of(int(entry.name))
            place = next((each for each in (root, _link(f"/proc/{entry.name}/ns/pid")) if each in names), "")
            with contextlib.suppress(OSError):  # it ended in between
                if place:
                    status = parse_status((PROC / entry.name / "status").read_text(errors="replace"))
                    found[names[place]].append(Process(int(entry.name), unit, status))
    return {name: sorted(own, key=lambda each: (each.pid != inits[name], each.pid)) for name, own in found.items()}


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115  thousands of them
    except OSError:
        return ""


def _group_of(pid: int) -> tuple[str, str]:
    try:
        return parse_group((PROC / str(pid) / "cgroup").read_text())
    except OSError:
        return "", ""


def parse_group(text: str) -> tuple[str, str]:
    """Return the control group of the appliance that a process is in ('' for none), and its unit. Pure."""
    for line in text.splitlines():
        found = PAYLOAD.fullmatch(line.split(":", 2)[-1])
        if found:
            parts = [part for part in (found["rest"] or "").split("/") if UNIT.fullmatch(part)]
            return found["root"], parts[-1] if parts else ""
    return "", ""


def parse_status(text: str) -> dict[str, str]:
    """Return the fields of a status. Pure."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, _colon, value in pairs}


def parse_map(text: str) -> list[list[int]]:
    """Return a map of user ids: first inside, first on the node, how many, for each of its ranges. Pure."""
    return [[int(word) for word in line.split()] for line in text.splitlines()]


def namespaces_of(pid: int) -> dict[str, str]:
    """Return a process's namespaces by kind; those that cannot be read are left out."""
    links = {name: _link(f"/proc/{pid}/ns/{name}") for name in NAMESPACES}
    return {name: link for name, link in links.items() if link}


def read_processes(init: int, own: t.Sequence[Process], outside: t.Sequence[Facts]) -> list[Facts]:
    """Return what rules ask of processes. Whatever looks wrong is looked at again: it may have been on its way in.

    Raises ProcessLookupError where its init is not among them any more.
    """
    if not own or own[0].pid != init:
        raise ProcessLookupError
    found = {process.pid: describe(process, outside) for process in own}
    odd = [process for process in own if found[process.pid]["node"] or found[process.pid]["seccomp"] != FILTERING]
    if odd:
        time.sleep(MOMENT)
    for process in odd:
        try:
            status = parse_status((PROC / str(process.pid) / "status").read_text(errors="replace"))
            found[process.pid] = describe(process._replace(status=status), outside)
        except OSError:
            del found[process.pid]
    return list(found.values())


def describe(process: Process, outside: t.Sequence[Facts]) -> Facts:
    """Return what rules ask of one process."""
    status = process.status
    spaces = namespaces_of(process.pid)
    return {
        "name": status.get("Name", ""),
        "unit": process.unit,
        "uids": sorted({int(word) for word in status.get("Uid", "").split()}),
        "seccomp": int(status.get("Seccomp", "0")),
        "bounding": int(status.get("CapBnd", "0"), 16),
        "user": spaces.get("user", ""),
        "node": sorted(name for name, space in spaces.items() if any(space == each.get(name) for each in outside)),
    }


# -- sockets ---------------------------------------------------------------------------------------------------------


def read_sockets(init: int, own: t.Sequence[Process]) -> list[Facts]:
    """Return what waits for others in any network that the appliance's processes have, with whose it is.

    Raises FileNotFoundError where its init is gone: that nothing is found then does not mean that nothing waits.
    """
    places: dict[str, int] = {}
    for pid in (init, *(process.pid for process in own)):
        places.setdefault(_link(f"/proc/{pid}/ns/net"), pid)
    places.pop("", None)
    shown = [init, *(pid for pid in places.values() if pid != init and _has_card(pid))]
    found = {inode: each for pid in shown for inode, each in _waiting(pid, TABLES).items()}
    # A name server's answer is awaited for a moment: what is gone at a second look does not wait for others.
    still = {inode for pid in shown for inode in _waiting(pid, TABLES[2:])}
    found = {inode: each for inode, each in found.items() if each["protocol"] == "tcp" or inode in still}
    owners = find_owners(own, found) if found else {}
    for inode, each in found.items():
        each["process"], each["unit"] = owners.get(inode, ("", ""))
    return sorted(found.values(), key=lambda each: (each["port"], each["protocol"], each["address"]))


def _has_card(pid: int) -> bool:
    """Whether a process's network has more than loopback: nobody reaches one that is a service's private one."""
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()
    except OSError:
        return False
    return any(line.split(":")[0].strip() != "lo" for line in lines if ":" in line)


def _waiting(pid: int, tables: t.Iterable[str]) -> dict[int, Facts]:
    found: dict[int, Facts] = {}
    for table in tables:
        file = Path(f"/proc/{pid}/net/{table}")
        if not table.endswith("6") or file.exists():  # not where the kernel has no IPv6
            found |= parse_sockets(file.read_text(), table[:3])
    return found


def parse_sockets(text: str, protocol: str) -> dict[int, Facts]:
    """Return by inode the sockets of a table of /proc/net that wait for others, but not those on loopback. Pure."""
    found: dict[int, Facts] = {}
    for line in text.splitlines()[1:]:
        fields = line.split()
        number, port = fields[1].split(":")
        address = parse_address(number)
        if fields[3] == WAITING[protocol] and not address.is_loopback:
            found[int(fields[9])] = {"protocol": protocol, "address": str(address), "port": int(port, 16)}
    return found


def parse_address(number: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address that /proc/net writes as words of 32 bits in the machine's order. Pure."""
    words = [int(number[start : start + 8], 16) for start in range(0, len(number), 8)]
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    if len(words) == 1:
        return ipaddress.IPv4Address(packed)
    address = ipaddress.IPv6Address(packed)
    return address.ipv4_mapped or address


def find_owners(own: t.Iterable[Process], inodes: t.Iterable[int]) -> dict[int, tuple[str, str]]:
    """Return name and unit of the process that has each socket: of several the one with the lowest number."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, tuple[str, str]] = {}
    for process in sorted(own, reverse=True):
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{process.pid}/fd"):
                inode = wanted.get(_link(entry.path))
                if inode is not None:
                    found[inode] = (process.status.get("Name", ""), process.unit)
    return found


# -- kernel settings -------------------------------------------------------------------------------------------------


def read_sysctls(keys: t.Iterable[str]) -> dict[str, str]:
    """Return these settings as this thread has them, and where they are kept for each interface, all of them.

    A key that is not there is left out.
    """
    found = {}
    for key in keys:
        for each in (key, *_of_interfaces(key)):
            with contextlib.suppress(OSError):
                found[each] = " ".join(_path_of(each).read_text().split())
    return found


def _of_interfaces(key: str) -> list[str]:
    if not OF_ALL_INTERFACES.fullmatch(key):
        return []
    head, leaf = key.split(".all.", 1)
    with contextlib.suppress(OSError):
        names = sorted(entry.name for entry in _path_of(head).iterdir())
        # In a name of an interface a dot is none of the key's.
        return [f"{head}.{name.replace('.', '/')}.{leaf}" for name in names if name not in ("all", "default")]
    return []


def _path_of(key: str) -> Path:
    return Path("/proc/sys", key.translate(str.maketrans("./", "/.")))
