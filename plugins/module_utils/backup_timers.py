# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plan and apply, for backups that a node makes by itself: a timer an appliance, one program, and what they need."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import command
from ansible_collections.strata.fleet.plugins.module_utils.backup_options import parse_secrets
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, CommandError
from ansible_collections.strata.fleet.plugins.module_utils.model import Plan, Step

PROGRAM = "/usr/local/lib/strata/backup.pyz"
SETTINGS = "/etc/strata/backup"
UNITS = "/etc/systemd/system"
OWN = (
    (SETTINGS, "*.json"),
    (f"{SETTINGS}/repositories", "*.json"),
    (UNITS, "strata-backup@*.timer"),
    (UNITS, "strata-backup@.service"),
    (str(Path(PROGRAM).parent), Path(PROGRAM).name),
)
UNFINISHED = f"{SETTINGS}/.unfinished"  # is there while systemd may not know yet what the files say
ONLY_ROOT, EVERYONE = 0o600, 0o644
# Where the sandbox below lets nothing be written, or throws away what was.
SHUT = ("/home", "/root", "/run/user", "/usr", "/boot", "/efi", "/etc", "/tmp", "/var/tmp")  # noqa: S108 - to refuse
# What the sandbox leaves is what showing restic the snapshots takes: mounts, reading all files, and openat2(2), which
# bwrap calls and RestrictSUIDSGID forbids.
SERVICE = f"""\
# Written by Strata (role backup).
[Unit]
Description=Back up appliance %i
Wants=network-online.target
After=network-online.target incus.service

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 {PROGRAM} %i
ExecStopPost=-/usr/bin/python3 {PROGRAM} --mend %i
UMask=0077
Nice=10
CPUWeight=20
IOWeight=20
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_CHOWN CAP_FOWNER CAP_NET_RAW
LockPersonality=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectSystem=full
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=mnt
RestrictRealtime=yes
SystemCallArchitectures=native
"""
TIMER = """\
# Written by Strata (role backup).
[Unit]
Description=When appliance %i is backed up

[Timer]
OnCalendar={schedule}
Persistent=true

[Install]
WantedBy=timers.target
"""

Data = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class File:
    """A file as it should be; ``shown`` is what a diff tells of it."""

    content: bytes = dataclasses.field(repr=False)
    mode: int
    shown: str


class Timers(t.NamedTuple):
    """What there is: files by path, with mode and content, and the timers that run.

    ``is_cut``: a run was cut off, so what runs may be what the files said before.
    """

    files: t.Mapping[str, File]
    running: t.Collection[str]
    is_cut: bool = False


def build(
    items: t.Iterable[Data], repositories: Data, secrets: t.Mapping[str, str], common: Data, program: bytes
) -> dict[str, File]:
    """Return the files that have these appliances backed up; none at all where there is no appliance.

    ``secrets`` are texts of JSON by repository, as the module got them.
    ``common`` is what all jobs have: socket, project, pool, store_path, node, wait, parallel.
    """
    files: dict[str, File] = {}
    for item in items:
        job = {key: item[key] for key in ("name", "repository", "keep", "variables")} | dict(common)
        files[f"{SETTINGS}/{item['name']}.json"] = _file(_json(job), ONLY_ROOT)
        name, shown = item["repository"], dict(repositories[item["repository"]])
        files[f"{SETTINGS}/repositories/{name}.json"] = _file(
            _json(shown | parse_secrets(name, secrets[name])), ONLY_ROOT, _json(shown)
        )
        timer = TIMER.format(schedule=item["schedule"])
        files[f"{UNITS}/strata-backup@{item['name']}.timer"] = _file(timer, EVERYONE)
    if files:
        files[f"{UNITS}/strata-backup@.service"] = _file(SERVICE, EVERYONE)
        files[PROGRAM] = File(program, EVERYONE, f"sha256 {hashlib.sha256(program).hexdigest()}\n")
    return files


def _file(text: str, mode: int, shown: str = "") -> File:
    return File(text.encode(), mode, shown or text)


def _json(data: Data) -> str:
    return json.dumps(data, indent=1, sort_keys=True) + "\n"


def make_plan(want: t.Mapping[str, File], have: Timers) -> Plan:
    """Return the steps; timers end before what they need goes, and begin after it is there. Pure."""
    changed = [path for path, file in want.items() if not _is_same(file, have.files.get(path))]
    gone = sorted(set(have.files) - set(want))
    timers = sorted(_unit(path) for path in want if path.endswith(".timer"))
    ended = [_unit(path) for path in gone if path.endswith(".timer")]
    begun = [unit for unit in timers if have.is_cut or unit not in have.running or f"{UNITS}/{unit}" in changed]
    steps = [Step("", "stop_timer", f"stop {unit}", {"unit": unit}) for unit in ended]
    steps += [Step("", "remove", f"remove {path}", {"path": path}) for path in gone]
    steps += [Step("", "write", f"write {path}", {"path": path, "file": want[path]}) for path in sorted(changed)]
    if have.is_cut or any(path.startswith(UNITS) for path in (*gone, *changed)):
        steps.append(Step("", "reload", "have systemd read its units again", {}))
    steps += [Step("", "start_timer", f"start {unit}", {"unit": unit}) for unit in begun]
    before = {path: have.files[path].shown for path in (*changed, *gone) if path in have.files}
    return Plan(tuple(steps), before, {path: want[path].shown for path in changed})


def _is_same(file: File, present: File | None) -> bool:
    return present is not None and (file.content, file.mode) == (present.content, present.mode)


def _unit(path: str) -> str:
    return Path(path).name


def read() -> Timers:
    """Return what the node has of all this."""
    files = {}
    for folder, pattern in OWN:
        for path in sorted(Path(folder).glob(pattern)):
            content = path.read_bytes()
            files[str(path)] = File(content, path.stat().st_mode & 0o7777, _show(path, content))
    timers = [_unit(path) for path in files if path.endswith(".timer")]
    running = [unit for unit in timers if command.call(["systemctl", "is-active", "--quiet", unit]).returncode == 0]
    return Timers(files, running, Path(UNFINISHED).exists())


def _show(path: Path, content: bytes) -> str:
    if path.parent.name == "repositories":
        shown = {key: value for key, value in json.loads(content).items() if key in ("url", "known_hosts")}
        return _json(shown)
    return f"sha256 {hashlib.sha256(content).hexdigest()}\n" if str(path) == PROGRAM else content.decode()


def check_schedules(items: t.Iterable[Data]) -> None:
    """Raise BadInput for a schedule that systemd does not understand."""
    for item in items:
        try:
            command.run(["systemd-analyze", "calendar", item["schedule"]])
        except CommandError as error:
            raise BadInput(
                f"Appliance {item['name']}: appliance_backup.schedule {item['schedule']!r} is no time that systemd "
                f"knows; write it as OnCalendar of systemd.time(7), such as '*-*-* 02:00': {error.message}",
                appliance=item["name"],
            ) from error


def check_places(repositories: Data) -> None:
    """Raise BadInput for a repository in a folder of this node where a timer's run cannot keep anything."""
    for name, shown in repositories.items():
        place = os.path.realpath(shown["url"]) if shown["url"].startswith("/") else ""
        shut = [folder for folder in SHUT if place == folder or place.startswith(f"{folder}/")]
        if shut:
            raise BadInput(
                f"Repository {name} is in {place}, but what a timer runs is shut out of {shut[0]}: move it, such as to "
                "/var/backups, or take schedule out of the appliance_backup of those who use it",
                repository=name,
            )


def apply(plan: Plan) -> None:
    """Carry the plan out. Where that is cut off, the next plan has systemd read all of it."""
    _make_folders(Path(UNFINISHED))
    Path(UNFINISHED).touch()
    for step in plan.steps:
        ACTIONS[step.action](**step.args)
    Path(UNFINISHED).unlink()


def _make_folders(path: Path) -> None:
    for folder in reversed([each for each in path.parents if not each.exists()]):
        folder.mkdir(mode=0o700 if str(folder).startswith(SETTINGS) else 0o755)


def _write(path: str, file: File) -> None:
    target = Path(path)
    _make_folders(target)
    temporary = target.with_name(f".{target.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode), "wb") as opened:
        os.fchmod(opened.fileno(), file.mode)
        opened.write(file.content)
    temporary.rename(target)


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _stop_timer(unit: str) -> None:
    command.run(["systemctl", "disable", "--now", unit])


def _start_timer(unit: str) -> None:
    command.run(["systemctl", "enable", unit])
    command.run(["systemctl", "restart", unit])  # also one that runs by another schedule


def _reload() -> None:
    command.run(["systemctl", "daemon-reload"])


ACTIONS: t.Mapping[str, t.Callable[..., None]] = {
    "write": _write,
    "remove": _remove,
    "stop_timer": _stop_timer,
    "start_timer": _start_timer,
    "reload": _reload,
}
