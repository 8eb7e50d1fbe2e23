# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the appliances of a node are doing: for people, pipelines and pages alike."""

from __future__ import annotations

import collections
import concurrent.futures
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import (
    backup_marks,
    cut_restores,
    health,
    history,
    marks,
    migration,
)
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import StrataError
from ansible_collections.strata.fleet.plugins.module_utils.instance import PREVIOUS, composition_of
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import quarantine

Body = t.Mapping[str, t.Any]
Status = dict[str, t.Any]


class Sources(t.NamedTuple):
    """Where to look: the engine, the store, and (by the app's commit) the manifests in it."""

    engine: Engine
    store: Path
    manifests: t.Callable[[str], Body]


def read_status(sources: Sources, parallel: int, check_health: bool) -> list[Status]:
    """Return one entry an appliance, in the order of their names.

    Memory is the proportional share (PSS) in bytes of all its processes, so that pages of a base that several
    appliances share are counted once among them.
    """
    bodies = sorted(sources.engine.instances(with_state=True), key=lambda body: str(body["name"]))
    memory = measure_memory(body["state"]["pid"] for body in bodies if body.get("state"))
    with concurrent.futures.ThreadPoolExecutor(max_workers=parallel) as pool:
        return list(pool.map(lambda body: _describe(sources, body, memory, check_health), bodies))


def _describe(sources: Sources, body: Body, memory: t.Mapping[int, int], check_health: bool) -> Status:
    engine, store, manifests = sources
    state = body.get("state") or {}
    composition = composition_of(body["config"])
    previous = composition_of(body["config"], PREVIOUS)
    name = body["name"]
    own_marks = marks.read(store, name)
    cut = quarantine.read(body["config"])
    mark = migration.read(body["config"])
    is_running = body["status"] == "Running"
    answer: Status = {
        "name": name,
        "state": body["status"].lower(),
        "address": health.first_address(state),
        "base": composition.base._asdict() if composition else None,
        "app": composition.app._asdict() if composition else None,
        "config": composition.config if composition else None,
        "memory": memory.get(state.get("pid", 0)),
        "boot_seconds": None,
        "pending": bool(own_marks.get("pending")),
        "previous": {"base": previous.base._asdict(), "app": previous.app._asdict()} if previous else None,
        "swap": own_marks.get("swap"),
        "restore": own_marks.get("restore"),
        "quarantine": quarantine.tell(cut) if cut else None,
        "bad": own_marks.get("bad", []),
        "last_swap": next(reversed(history.read(store, name)), None),
        "backup": backup_marks.tell(store, name, str(body.get("created_at", ""))),
        "health": "not checked",
        "fault": "",
        "look": f"incus exec --project {engine.project} {name} -- sh",
    }
    if composition is None:
        answer["fault"] = "Strata did not make this instance"
    elif mark:
        answer["fault"] = migration.refusal(name, mark)
    elif cut:
        answer["fault"] = f"it is {cut}; to release it: playbooks/release.yml -e release={name}"
    elif own_marks.get("restore"):
        answer["fault"] = (
            f"a restore of backup {own_marks['restore']['snapshot'][:8]} was cut off: run playbooks/restore.yml again "
            f"({cut_restores.command(name, own_marks['restore'])})"
        )
    elif check_health and not is_running:
        answer |= {"health": "unhealthy", "fault": f"it is {answer['state']}"}
    elif check_health:
        answer |= _check(engine, name, manifests(composition.app.commit), answer["address"])
    return answer


def _check(engine: Engine, name: str, manifest: Body, address: str) -> Status:
    """Return what health checks tell. One appliance that cannot be looked at hides no other."""
    check = health.Check(manifest["health"], address, manifest["services"])
    try:
        boot = health.read_boot(engine, name)
        fault = health.judge(engine, name, check, boot)
    except StrataError as error:
        return {"health": "unhealthy", "fault": error.message}
    verdict = {"health": "unhealthy", "fault": fault.text} if fault else {"health": "healthy"}
    return {"boot_seconds": round(boot.seconds, 2) if boot.seconds else None, **verdict}


def measure_memory(inits: t.Iterable[int]) -> dict[int, int]:
    """Return the PSS in bytes of everything that runs in the process namespace of each of these processes."""
    spaces = {space: pid for pid in inits if pid > 0 and (space := _pid_namespace(pid))}
    total: dict[int, int] = collections.defaultdict(int)
    processes = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()) if spaces else ()
    for pid in processes:
        init = spaces.get(_pid_namespace(pid))
        if init:
            total[init] += _pss(pid)
    return dict(total)


def _pid_namespace(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it ended in between
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
