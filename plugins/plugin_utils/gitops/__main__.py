# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of a control node: strata-gitops cycle | plan | accept COMMIT | status."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import clock
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, Conflict, StrataError
from ansible_collections.strata.fleet.plugins.plugin_utils import files
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import cycle as cycles
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import ledger, metrics, outcome, report
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import settings as all_settings
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.run import guard
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.settings import Settings

SETTINGS = Path("/etc/strata/gitops/settings.json")
USAGE = 2
COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


def main(argv: t.Sequence[str] | None = None) -> int:
    """Do what is asked; returns the exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        settings = all_settings.read(arguments.settings, read_changes(arguments))
        if arguments.command == "check":
            return 0
        if arguments.command == "status":
            return show(read_report(settings), arguments.json)
    except BadInput as error:
        cycles.say(error.message)
        return USAGE
    try:
        return work(settings, arguments)
    except Conflict as error:
        cycles.say(error.message)
        return outcome.CODES[outcome.BUSY]
    except (StrataError, OSError) as error:  # such as a state folder that cannot be written
        cycles.say(str(error))
        return outcome.CODES[outcome.ERROR]


def build_parser() -> argparse.ArgumentParser:
    """Return what reads the arguments."""
    parser = argparse.ArgumentParser(prog="strata-gitops", description="Make the fleet what a branch says.")
    parser.add_argument("--settings", type=Path, default=SETTINGS, help="default: %(default)s")
    parser.add_argument("--allowed-signers", metavar="FILE", help="trust these, and nobody whom the settings trust")
    parser.add_argument("--gpg-key", metavar="FILE", action="append", help="likewise, an armored OpenPGP key")
    commands = parser.add_subparsers(dest="command", required=True)
    texts = {
        "cycle": "fetch, judge, plan, apply, look, and undo where it did harm",
        "plan": "the same up to the plan: nothing is changed or remembered",
        "accept": "a cycle that takes COMMIT as the branch's head although its history was rewritten",
        "status": "what the last cycle found",
        "check": "whether the settings can be used",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--json", action="store_true", help="print the report as JSON")
        if name in ("cycle", "plan"):
            command.add_argument(
                "--before",
                metavar="COMMIT",
                default="",
                help="where nothing is remembered: what the branch was before",
            )
        if name == "accept":
            command.add_argument("commit", type=read_commit, help="all 40 digits")
    return parser


def read_commit(said: str) -> str:
    """Return a commit that is named in full. Raises argparse's error where it is not."""
    if not COMMIT.fullmatch(said):
        raise argparse.ArgumentTypeError(f"{said!r} is not a commit with all its 40 digits")
    return said


def read_changes(arguments: argparse.Namespace) -> dict[str, t.Any]:
    """Return what the command line says of whom to trust. Then settings that lie in the repository add nobody."""
    signers, keys = arguments.allowed_signers, arguments.gpg_key or []
    if not signers and not keys:
        return {}
    return {
        "allowed_signers": str(Path(signers).resolve()) if signers else "",
        "gpg_keys": [str(Path(path).resolve()) for path in keys],
    }


def work(settings: Settings, arguments: argparse.Namespace) -> int:
    """Run a cycle, whole or dry; show and keep its report."""
    began = time.monotonic()
    with cycles.only_one(settings.state):
        cycle = cycles.Cycle(settings, cycles.open_repository(settings), ledger.read(settings.state))
        cycle.before = getattr(arguments, "before", "")
        if not cycle.before.strip("0"):  # how pipelines say that there was no branch
            cycle.before = ""
        cycle.dry = arguments.command == "plan"
        if arguments.command == "accept":
            cycle.rewritten = arguments.commit
        guard(cycle)
        result = cycles.finish(cycle)
        facts = report.Facts(
            repository=cycle.repository.say(),
            branch=settings.branch,
            now=clock.now(),
            seconds=time.monotonic() - began,
            result=result,
            remarks=cycle.remarks,
            plan=cycle.plan,
            commit=cycle.commit,
            mended=cycle.mended,
        )
        body = report.build(facts, cycle.ledger, read_report(settings, absent={}))
        if not cycle.dry:
            keep(settings, body)
    return show(body, arguments.json)


def keep(settings: Settings, body: ledger.Data) -> None:
    """Write the report, and the metrics where they are wanted."""
    files.write_json(settings.state / report.NAME, body)
    if settings.metrics:
        files.write(settings.metrics, metrics.write(body))


def read_report(settings: Settings, absent: ledger.Data | None = None) -> ledger.Data:
    """Return the last report, ``absent`` where there is none. Raises BadInput where that is nothing."""
    path = settings.state / report.NAME
    try:
        return t.cast("ledger.Data", json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        if absent is not None:
            return absent
        raise BadInput(f"{path} cannot be read: there was no cycle yet, or this user may not read it") from error


def show(body: ledger.Data, as_json: bool) -> int:
    """Print a report; returns the exit code of the cycle that it is of."""
    text = json.dumps(body, indent=1, sort_keys=True) if as_json else report.draw(body)
    sys.stdout.write(f"{text}\n")
    return int(body["code"])


if __name__ == "__main__":
    sys.exit(main())
