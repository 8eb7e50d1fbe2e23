# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an appliance serves: booted without a failed unit, and its app's own check passes."""

from __future__ import annotations

import json
import socket
import time
import typing as t
import urllib.error

from ansible.module_utils.urls import open_url
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import EngineError, Unhealthy

BOOTED = ("running", "degraded")
PROBE_TIMEOUT = 3
LOG_LINES = "12"


class Check(t.NamedTuple):
    """How to tell that an app serves: the manifest's ``health``, where it listens, and the units it consists of."""

    health: t.Mapping[str, t.Any]
    address: str
    services: t.Sequence[str]


def wait_until_healthy(engine: Engine, name: str, check: Check, timeout: float) -> None:
    """Return when the appliance is healthy. Raises Unhealthy, with the failed units' last log lines, when it is not."""
    deadline = time.monotonic() + timeout
    while True:
        reason = find_fault(engine, name, check)
        if not reason:
            return
        if reason.is_final or time.monotonic() > deadline:
            when = "" if reason.is_final else f" after {timeout:.0f} s"
            raise Unhealthy(
                f"Appliance {name} is not healthy{when}: {reason.text}.\n{explain(engine, name, check)}", appliance=name
            )
        time.sleep(0.1)


class Fault(t.NamedTuple):
    """Why an appliance is not healthy, and whether waiting can mend it."""

    text: str
    is_final: bool


def find_fault(engine: Engine, name: str, check: Check) -> Fault | None:
    """Look once."""
    status = engine.read(f"/instances/{name}")[0]["status"]
    if status != "Running":
        return Fault(f"its instance is {status.lower()}", True)
    booted = boot_state(engine, name)
    if booted not in BOOTED:
        return Fault(f"systemd says {booted or 'nothing yet'}", False)
    if booted == "degraded":
        return Fault(f"failed units: {', '.join(failed_units(engine, name))}", True)
    refusal = probe(engine, name, check)
    return Fault(refusal, False) if refusal else None


def boot_state(engine: Engine, name: str) -> str:
    """Return systemd's word for the system: initializing, starting, running, degraded, ...; '' before it answers."""
    try:
        return engine.execute(name, ["systemctl", "is-system-running"]).stdout.strip()
    except EngineError:
        return ""


def failed_units(engine: Engine, name: str) -> list[str]:
    """Return the names of the failed units."""
    shown = engine.execute(name, ["systemctl", "list-units", "--state=failed", "--output=json", "--no-pager"]).stdout
    return [unit["unit"] for unit in json.loads(shown or "[]")]


def probe(engine: Engine, name: str, check: Check) -> str:
    """Return why the app's own check fails, '' when it passes."""
    kind = check.health.get("type")
    if kind == "command":
        argv = check.health["command"]
        done = engine.execute(name, argv)
        said = (done.stderr or done.stdout).strip()[-300:]
        return f"{' '.join(argv)!r} ended with {done.returncode}: {said}" if done.returncode else ""
    if kind not in ("http", "tcp"):
        return ""
    address = check.address or find_address(engine, name)
    if not address:
        return "it has no network address yet"
    return probe_http(address, check.health) if kind == "http" else probe_tcp(address, check.health["port"])


def probe_http(address: str, health: t.Mapping[str, t.Any]) -> str:
    """Return why a GET is not answered with the expected status (200 unless the app says otherwise)."""
    url = f"http://{address}:{health['port']}{health.get('path', '/')}"
    expected = health.get("status", 200)
    try:
        status = open_url(url, timeout=PROBE_TIMEOUT, use_proxy=False, follow_redirects="none").status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError as error:
        return f"GET {url}: {getattr(error, 'reason', error)}"
    return "" if status == expected else f"GET {url} answered {status}, expected {expected}"


def probe_tcp(address: str, port: int) -> str:
    """Return why no connection is accepted."""
    try:
        with socket.create_connection((address, port), timeout=PROBE_TIMEOUT):
            return ""
    except OSError as error:
        return f"connect to {address}:{port}: {error}"


def find_address(engine: Engine, name: str) -> str:
    """Return the first global IPv4 address that the appliance has, '' while it has none."""
    state = engine.read(f"/instances/{name}/state")[0]
    return first_address(state)


def first_address(state: t.Mapping[str, t.Any]) -> str:
    """Return the first global IPv4 address in an instance's state as the engine gives it."""
    for card in (state.get("network") or {}).values():
        for address in card["addresses"]:
            if address["family"] == "inet" and address["scope"] == "global":
                return str(address["address"])
    return ""


def explain(engine: Engine, name: str, check: Check) -> str:
    """Return what an operator would look at first: the last log lines of the units at fault, or the console."""
    try:
        units = failed_units(engine, name) or check.services
        return "\n".join(f"Last lines of {unit}:\n{unit_log(engine, name, unit)}" for unit in units)
    except EngineError:
        return f"Last lines of its console:\n{engine.console_log(name)[-2000:].strip()}"


def unit_log(engine: Engine, name: str, unit: str) -> str:
    """Return the last lines that a unit wrote to the journal, indented."""
    argv = ["journalctl", "--unit", unit, "--lines", LOG_LINES, "--output", "cat", "--no-pager"]
    lines = engine.execute(name, argv).stdout.strip().splitlines()
    return "\n".join(f"    {line}" for line in lines) or "    (nothing)"
