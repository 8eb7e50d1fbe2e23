# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""have: what runs in the appliances of a node, seen from the node: nobody logs in, nothing inside is asked.

Sources of the formats: proc_pid_status(5), proc_pid_cgroup(5), proc_pid_net(5), namespaces(7).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ipaddress
import json
import os
import re
import struct
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import command
from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError

PROC = Path("/proc")
TABLES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}  # and the state of a socket that waits for others
SOCKET = re.compile(r"socket:\[(\d+)\]")
# Where systemd takes units from that are in memory; what its generators make follows from the files.
UNIT_FOLDERS = tuple(f"run/systemd/{name}" for name in ("system", "system.control", "system.attached", "transient"))
AT_ONCE = 4
TIMEOUT = 20.0

Facts = dict[str, t.Any]


class Process(t.NamedTuple):
    """A process of an appliance: its pid on the node, and what proc_pid_status(5) says of it."""

    pid: int
    name: str
    parent: int
    pid_space: str
    user_space: str
    seccomp: int


class Running(t.NamedTuple):
    """An appliance to look at: the pid of its init (0: it does not run), and its base's ``usr`` on the node."""

    pid: int
    base_usr: Path


class Ask(t.NamedTuple):
    """What is to be found out besides what /proc says: the loaded packet filter, and these kernel settings."""

    ruleset: bool
    sysctls: t.Collection[str]


def read(appliances: t.Mapping[str, Running], ask: Ask) -> dict[str, Facts]:
    """Return the facts of each appliance by its name.

    ``sockets`` wait for others (``protocol``, ``address``, ``port``, ``process``, ``unit``), ``processes`` have
    ``name``, ``unit``, ``seccomp`` and ``outside`` (in the node's own user namespace), ``map`` is the user id map,
    ``units`` are those in memory, ``ruleset`` is what nft lists and ``sysctls`` the values by key ({"unknown": reason}
    for both). One that does not run has ``stopped`` alone.
    """
    every = list_processes()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        running = {name: own for name, own in appliances.items() if own.pid}
        found = dict(zip(running, pool.map(lambda own: read_one(own, every, ask), running.values()), strict=True))
    return {name: found.get(name) or {"stopped": True} for name in appliances}


def read_one(appliance: Running, every: t.Sequence[Process], ask: Ask) -> Facts:
    """Return the facts of an appliance that runs."""
    pid = appliance.pid
    own = members(pid, every)
    outside = _link(PROC / "self/ns/user")
    try:
        return {
            "stopped": False,
            "sockets": read_sockets(pid, own),
            "processes": [
                {
                    "name": process.name,
                    "unit": unit_of(process.pid),
                    "seccomp": process.seccomp,
                    "outside": process.user_space == outside,
                }
                for process in own
            ],
            "map": (PROC / str(pid) / "uid_map").read_text().split(),
            "units": read_units(pid),
            "ruleset": read_ruleset(appliance) if ask.ruleset else {"unknown": "it was not asked for"},
            "sysctls": read_sysctls(pid, ask.sysctls),
        }
    except FileNotFoundError:
        return {"stopped": True}


def list_processes() -> list[Process]:
    """Return every process of the node, in one pass."""
    found = []
    for entry in os.scandir(PROC):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, KeyError, ValueError):  # gone meanwhile
                found.append(_read_process(int(entry.name)))
    return found


def _read_process(pid: int) -> Process:
    folder = PROC / str(pid)
    status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
    seccomp = int(status.get("Seccomp", "0"))
    spaces = (_link(folder / "ns/pid"), _link(folder / "ns/user"))
    return Process(pid, status["Name"], int(status["PPid"]), *spaces, seccomp)


def _link(path: Path) -> str:
    return str(path.readlink())


def members(init: int, every: t.Sequence[Process]) -> list[Process]:
    """Return the processes of an appliance: all in its pid namespace, and whatever descends from these."""
    space = next((process.pid_space for process in every if process.pid == init), "")
    own = {process.pid for process in every if process.pid_space == space and space}
    while more := {process.pid for process in every if process.parent in own} - own:
        own |= more
    return [process for process in every if process.pid in own]


def unit_of(pid: int) -> str:
    """Return the unit that a process belongs to, '' where none can be told."""
    try:
        lines = (PROC / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return ""
    unified = next((line for line in lines if line.startswith("0::")), "")
    names = [part for part in unified.split("/") if part.endswith((".service", ".scope"))]
    return names[-1] if names else ""


def read_sockets(init: int, own: t.Sequence[Process]) -> list[Facts]:
    """Return the sockets in the appliance's network that wait for others, loopback's left out."""
    found = [
        each
        for table, state in TABLES.items()
        for each in parse_sockets((PROC / str(init) / "net" / table).read_text(), table.rstrip("6"), state)
    ]
    owners = _owners({str(each["inode"]) for each in found}, own) if found else {}
    for each in found:
        process = owners.get(str(each.pop("inode")))
        each["process"] = process.name if process else ""
        each["unit"] = unit_of(process.pid) if process else ""
    return found


def parse_sockets(text: str, protocol: str, state: str) -> t.Iterator[Facts]:
    """Give the sockets of a table of /proc/net in this state, but not those that only loopback reaches."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        number, port = fields[1].split(":")
        address = parse_address(number)
        if fields[3] == state and not address.is_loopback:
            yield {"protocol": protocol, "address": str(address), "port": int(port, 16), "inode": fields[9]}


def parse_address(number: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address that /proc/net writes as words of 32 bits in the machine's order."""
    words = [int(number[start : start + 8], 16) for start in range(0, len(number), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if len(words) == 1:
        return ipaddress.IPv4Address(packed)
    address = ipaddress.IPv6Address(packed)
    return address.ipv4_mapped or address


def _owners(inodes: t.Collection[str], own: t.Iterable[Process]) -> dict[str, Process]:
    found: dict[str, Process] = {}
    for process in own:
        with contextlib.suppress(OSError):
            for entry in os.scandir(PROC / str(process.pid) / "fd"):
                with contextlib.suppress(OSError):
                    match = SOCKET.fullmatch(str(Path(entry.path).readlink()))
                    if match and match[1] in inodes:
                        found.setdefault(match[1], process)
    return found


def read_units(init: int) -> list[str]:
    """Return the paths of units that only the running system has, as the appliance names them."""
    root = PROC / str(init) / "root"
    found = []
    for top in UNIT_FOLDERS:
        for folder, _folders, names in os.walk(root / top):
            found += [f"/{Path(folder, name).relative_to(root)}" for name in names]
    return sorted(found)


def read_ruleset(appliance: Running) -> t.Any:
    """Return the rules of nft that are loaded in the appliance's network, as nft lists them."""
    try:
        argv = [f"--net={PROC}/{appliance.pid}/ns/net", *find_nft(appliance.base_usr), "--json", "list", "ruleset"]
        return json.loads(command.run(["nsenter", *argv], timeout=TIMEOUT))["nftables"]
    except (CommandError, ValueError, KeyError) as error:
        return {"unknown": f"no nft could list its packet filter: {error}"}


def find_nft(usr: Path) -> list[str]:
    """Return how to call the base's own nft on the node, else the node's.

    One that is older than what wrote the rules crashes on them (tried: 1.0.6 on rules of 1.1.3).
    """
    program = usr / "sbin/nft"
    for loader in sorted(usr.glob("lib/*/ld-linux*.so.*")):
        if program.is_file():
            return [str(loader), "--library-path", str(loader.parent), str(program)]
    return ["nft"]


def read_sysctls(init: int, keys: t.Collection[str]) -> Facts:
    """Return the values of kernel settings of the appliance's network; others are the node's."""
    files = [f"/proc/sys/{key.replace('.', '/')}" for key in sorted(keys) if key.startswith("net.")]
    files = [file for file in files if Path(file).exists()]
    if not files:
        return {}
    try:
        argv = ["nsenter", f"--net={PROC}/{init}/ns/net", "grep", "--with-filename", "", *files]
        said = command.run(argv, timeout=TIMEOUT)
    except CommandError as error:
        return {"unknown": f"its settings could not be read: {error}"}
    lines = (line.partition(":") for line in said.splitlines())
    return {path.removeprefix("/proc/sys/").replace("/", "."): " ".join(value.split()) for path, _colon, value in lines}
