# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an appliance serves: booted without a failed unit, and its app's own check passes."""

from __future__ import annotations

import http
import http.client
import json
import socket
import time
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import EngineError, Unhealthy

BOOT_PROPERTIES = ("SystemState", "UserspaceTimestampMonotonic", "FinishTimestampMonotonic")
MICROSECONDS = 1_000_000
BOOTED = ("running", "degraded")
CONNECT_TIMEOUT = 0.5  # it is one hop away; while an appliance boots, a lost packet is sent again only after a second
PROBE_TIMEOUT = 3
LOOK_INSIDE_EVERY = 0.7  # seconds, while it boots
UNSETTLED = 5  # seconds in which a settling appliance may recover from a fault
LOG_LINES = "12"


class Check(t.NamedTuple):
    """How to tell that an app serves: the manifest's ``health``, where it listens, and the units it consists of."""

    health: t.Mapping[str, t.Any]
    address: str
    services: t.Sequence[str]


def wait_until_healthy(engine: Engine, name: str, check: Check, timeout: float) -> None:
    """Return when the appliance is healthy. Raises Unhealthy, with the failed units' last log lines, when it is not."""
    deadline = time.monotonic() + timeout
    next_look_inside = 0.0
    while True:
        # To run a program inside costs a booting appliance more than to knock at its port.
        reason = None
        if check.address and time.monotonic() < next_look_inside:
            reason = _knock(engine, name, check)
        if reason is None:
            next_look_inside = time.monotonic() + LOOK_INSIDE_EVERY
            reason = find_fault(engine, name, check)
        if not reason:
            return
        if reason.is_final or time.monotonic() > deadline:
            when = "" if reason.is_final else f" after {timeout:.0f} s"
            raise Unhealthy(
                f"Appliance {name} is not healthy{when}: {reason.text}.\n{explain(engine, name, check)}", appliance=name
            )
        time.sleep(0.1)


def stay_healthy(engine: Engine, name: str, check: Check, seconds: float) -> None:
    """Return when the appliance has been seen healthy for so long. Raises Unhealthy when it did not stay so.

    A service that systemd had to restart did not, however quickly it was back.
    """
    begun = time.monotonic()
    restarts = _look_at_restarts(engine, name, check)
    while (left := begun + seconds - time.monotonic()) > 0:
        time.sleep(min(1, left))
        if fault := find_fault(engine, name, check):
            try:
                wait_until_healthy(engine, name, check, 0 if fault.is_final else UNSETTLED)
            except Unhealthy as error:
                error.message = f"{_for_a_while(begun)} {error.message}"
                raise
    risen = [
        unit for unit, count in _look_at_restarts(engine, name, check).items() if count != restarts.get(unit, count)
    ]
    if risen:
        raise Unhealthy(
            f"{_for_a_while(begun)} Appliance {name}: {', '.join(risen)} ended and was started again.\n"
            f"{explain(engine, name, check._replace(services=risen))}",
            appliance=name,
        )


def _for_a_while(begun: float) -> str:
    return f"It was healthy for some time and failed within {time.monotonic() - begun:.0f} s."


def _look_at_restarts(engine: Engine, name: str, check: Check) -> dict[str, str]:
    try:
        return read_restarts(engine, name, check.services)
    except EngineError:  # it stopped: that is found out and said elsewhere
        return {}


class Fault(t.NamedTuple):
    """Why an appliance is not healthy, and whether waiting can mend it."""

    text: str
    is_final: bool


class Boot(t.NamedTuple):
    """systemd's word for the whole system (initializing, starting, running, degraded, ...), and how long it took."""

    word: str
    seconds: float | None


def find_fault(engine: Engine, name: str, check: Check) -> Fault | None:
    """Look once."""
    status = engine.read(f"/instances/{name}")[0]["status"]
    if status != "Running":
        return Fault(f"its instance is {status.lower()}", True)
    return judge(engine, name, check, read_boot(engine, name))


def read_restarts(engine: Engine, name: str, services: t.Sequence[str]) -> dict[str, str]:
    """Return how often systemd restarted each of these services by itself."""
    if not services:
        return {}
    shown = engine.execute(name, ["systemctl", "show", "--property=Id,NRestarts", *services]).stdout
    units = (dict(line.partition("=")[::2] for line in stanza.splitlines()) for stanza in shown.split("\n\n"))
    return {unit["Id"]: unit["NRestarts"] for unit in units if unit.get("NRestarts")}


def _knock(engine: Engine, name: str, check: Check) -> Fault | None:
    """Look from outside only. None says that nothing is known to be wrong."""
    if check.health.get("type") not in ("http", "tcp"):
        return Fault("its own check has to wait", False)
    refusal = probe(engine, name, check)
    return Fault(refusal, False) if refusal else None


def judge(engine: Engine, name: str, check: Check, boot: Boot) -> Fault | None:
    """Return what is wrong with a running appliance that is this far."""
    if boot.word not in BOOTED:
        return Fault(f"systemd says {boot.word or 'nothing yet'}", False)
    try:
        if boot.word == "degraded":
            return Fault(f"failed units: {', '.join(failed_units(engine, name))}", True)
        refusal = probe(engine, name, check)
    except EngineError as error:  # a command that hangs, or an instance that stops under it
        return Fault(error.message, False)
    return Fault(refusal, False) if refusal else None


def read_boot(engine: Engine, name: str) -> Boot:
    """Return how far systemd is. Before it answers, the word is ''."""
    try:
        shown = engine.execute(name, ["systemctl", "show", f"--property={','.join(BOOT_PROPERTIES)}"]).stdout
    except EngineError:
        return Boot("", None)
    values = dict(line.partition("=")[::2] for line in shown.split())
    word, started, finished = (values.get(key, "") for key in BOOT_PROPERTIES)
    seconds = (int(finished) - int(started)) / MICROSECONDS if int(finished or 0) else None
    return Boot(word, seconds)


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


def probe_http(
    address: str, health: t.Mapping[str, t.Any], to_connect: float = CONNECT_TIMEOUT, to_answer: float = PROBE_TIMEOUT
) -> str:
    """Return why a GET is not answered with the expected status (200 unless the app says otherwise)."""
    port, path = health["port"], health.get("path", "/")
    expected = health.get("status", http.HTTPStatus.OK)
    connection = http.client.HTTPConnection(address, port, timeout=to_connect)
    try:
        connection.connect()
        connection.sock.settimeout(to_answer)
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"GET http://{address}:{port}{path}: {error}"
    finally:
        connection.close()
    return "" if status == expected else f"GET http://{address}:{port}{path} answered {status}, expected {expected}"


def probe_tcp(address: str, port: int, to_connect: float = CONNECT_TIMEOUT) -> str:
    """Return why no connection is accepted."""
    try:
        with socket.create_connection((address, port), timeout=to_connect):
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
