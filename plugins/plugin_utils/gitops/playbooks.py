# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks of the collection through ansible-runner, and says what failed."""

from __future__ import annotations

import os
import re
import sys
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import clock
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.settings import Settings
from ansible_collections.strata.fleet.plugins.plugin_utils.verdicts import say_some

try:
    import ansible_runner
except ImportError:  # said by run
    ansible_runner = None

RUNS = "runs"
NO_CONFIG = "ansible.cfg"  # an empty one: else Ansible looks for others, such as the user's
UNREACHABLE = 4  # ansible-playbook ends with it where hosts did not answer, and nothing else failed
COLOR = re.compile(r"\x1b\[[0-9;]*m")
FAILED = {"runner_on_failed", "runner_item_on_failed"}
SHOWN = 5
LAST_LINES = 15

Data = dict[str, t.Any]


class Played(t.NamedTuple):
    """How a playbook ended. ``reasons``: a sentence for each thing that failed; ``log``: where all of it stands."""

    code: int
    reasons: tuple[str, ...]
    log: str

    def say(self) -> str:
        """Return why it failed."""
        return "\n".join(self.reasons) or f"ansible-playbook ended with {self.code}, see {self.log}"


class Failures:
    """What the events of a run tell of hosts and why they failed."""

    def __init__(self) -> None:
        self._hosts: dict[str, list[str]] = {}

    def handle(self, event: Data) -> bool:
        """Take an event of ansible-runner. Returns whether it is kept as an artifact: only where something failed."""
        data = event.get("event_data", {})
        if event.get("event") in FAILED and not data.get("ignore_errors"):
            self._note(data, say_result(data.get("res") or {}))
        elif event.get("event") == "runner_on_unreachable" and not (data.get("res") or {}).get("skip_reason"):
            self._note(data, f"did not answer: {say_result(data.get('res') or {})}")
        return event.get("event") in FAILED

    def _note(self, data: Data, reason: str) -> None:
        self._hosts.setdefault(reason, []).append(data.get("host") or data.get("remote_addr") or "?")

    def sentences(self) -> tuple[str, ...]:
        """Return each reason once, with the hosts that it is for."""
        return tuple(
            f"{say_some(list(dict.fromkeys(hosts)), SHOWN)}: {reason}" for reason, hosts in self._hosts.items()
        )


def say_result(result: Data) -> str:
    """Return what a failed task says."""
    if "censored" in result:
        return "a task failed that may not show why, as it handles secrets"
    return str(result.get("msg") or result.get("stderr") or "no reason given").strip()


def run(settings: Settings, playbook: str, checkout: Path, **variables: t.Any) -> Played:
    """Run strata.fleet.<playbook> with the inventory of a checkout. Raises BadInput where that cannot be begun."""
    if ansible_runner is None:
        raise BadInput("This Python lacks ansible-runner: run strata-gitops as the role gitops installs it.")
    inventory = checkout / settings.inventory
    if not inventory.exists():
        raise BadInput(f"The commit has no inventory {settings.inventory}")
    (settings.state / RUNS).mkdir(mode=0o700, exist_ok=True)
    (settings.state / NO_CONFIG).touch()
    failures = Failures()
    done = ansible_runner.run(
        private_data_dir=str(settings.state / RUNS),
        # To the millisecond: a check that is refused takes less than a second, and another one may follow.
        ident=f"{clock.now().replace(':', '')}-{playbook}",
        playbook=f"strata.fleet.{playbook}",
        inventory=str(inventory),
        extravars=variables,
        cmdline=say_options(settings),
        envvars=build_environment(settings),
        quiet=True,
        timeout=settings.timeout,
        event_handler=failures.handle,
        rotate_artifacts=settings.keep_runs,
        # Written down, what the first run is told would count for all later ones.
        suppress_env_files=True,
    )
    log = Path(done.config.artifact_dir) / "stdout"
    reasons = failures.sentences()
    code = 0 if done.status == "successful" else done.rc or 1
    if done.status == "timeout":
        reasons = (f"It did not end within {settings.timeout} s (timeout)", *reasons)
    if code and not reasons:
        reasons = (say_last_lines(log),)
    return Played(code, reasons if code else (), str(log))


def say_options(settings: Settings) -> str:
    """Return options of ansible-playbook: where keys are, never what they are."""
    options = {"--vault-password-file": "vault-password", "--private-key": "node-key"}
    parts = [f"{option} {settings.secrets[name]}" for option, name in options.items() if name in settings.secrets]
    return " ".join(["--diff", *parts])


def build_environment(settings: Settings) -> dict[str, str]:
    """Return what Ansible is told, whatever its settings say: a repository brings data, and no program of its own."""
    hosts = [f"-o UserKnownHostsFile={settings.known_hosts}"] if settings.known_hosts else []
    return {
        # The ansible-playbook beside this Python, whatever else there is.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "ANSIBLE_CONFIG": str(settings.ansible_config or settings.state / NO_CONFIG),
        "ANSIBLE_COLLECTIONS_PATH": str(settings.collections),
        "ANSIBLE_INVENTORY_ENABLED": "yaml,ini,constructed",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        "ANSIBLE_HOST_KEY_CHECKING": "true",
        "ANSIBLE_SSH_COMMON_ARGS": " ".join(["-o StrictHostKeyChecking=yes", *hosts]),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_NOCOLOR": "1",
    }


def say_last_lines(log: Path) -> str:
    """Return the end of what ansible-playbook said: it ended before any task did."""
    lines = COLOR.sub("", log.read_text(errors="replace")).strip().splitlines() if log.exists() else []
    return "\n".join(lines[-LAST_LINES:]) or f"ansible-playbook failed without a word, see {log}"
