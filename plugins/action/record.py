# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: writes the record of a rollout, as JSON and as Markdown, and shows it as a table."""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import json
import socket
import subprocess
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.plugin_utils import files
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import failures, plain
from ansible_collections.strata.fleet.plugins.plugin_utils.patch_record import (
    COMPLETE,
    FORMAT,
    Origin,
    build_record,
    find_recorded,
    say_verdict,
    write_markdown,
)
from ansible_collections.strata.fleet.plugins.plugin_utils.patch_report import draw_record

SPEC = {
    "plan": {"type": "dict"},
    "state": {"type": "dict"},
    "path": {"type": "path", "required": True},
    "signer": {"type": "str", "default": ""},
    "record": {"type": "dict"},
    "signature": {"type": "str", "default": ""},
    "unsigned": {"type": "str", "default": ""},
}
TOGETHER = [["plan", "state"]]
EITHER = [["plan", "record"]]

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.record."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Write the files, print the table (or whether it is signed, once that is known), and return the record."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            SPEC, required_together=TOGETHER, required_one_of=EITHER, mutually_exclusive=EITHER
        )
        arguments = plain(arguments)
        sources = plain((task_vars or {}).get("ansible_inventory_sources") or [])
        record = arguments["record"] or make_record(arguments, sources)
        if arguments["unsigned"]:
            record["by"]["signer"] = ""
        place = Path(arguments["path"]) / f"{record['id']}.json"
        text = json.dumps(record, indent=1, sort_keys=True) + "\n"
        with failures():
            files.write(place, text)
            files.write(place.with_suffix(".md"), write_markdown(record))
            if arguments["signature"]:
                files.write(place.with_suffix(".json.asc"), arguments["signature"])
        self._display.display(say_signed(record, place, arguments) if arguments["record"] else draw_record(record))
        return {
            "changed": True,
            "record": record,
            "text": text,
            "file": str(place),
            "complete": record["result"] == COMPLETE,
            "msg": say_verdict(record),
        }


def make_record(arguments: Data, sources: t.Sequence[str]) -> Data:
    """Return the record of a rollout that ends now."""
    ended = f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    recorded = find_recorded(arguments["plan"], read_records(Path(arguments["path"])))
    origin = find_origin(sources, arguments["signer"])
    return build_record(arguments["plan"], arguments["state"], origin, ended, recorded)


def read_records(folder: Path) -> t.Iterator[Data]:
    """Yield the records that are there, the newest one first. What is no record of this format is passed over."""
    for file in sorted(folder.glob("*.json"), reverse=True):
        with contextlib.suppress(OSError, ValueError):
            record = json.loads(file.read_text())
            if isinstance(record, dict) and (record.get("format"), "result" in record) == (FORMAT, True):
                yield record


def say_signed(record: Data, place: Path, arguments: Data) -> str:
    """Return where the record is, and who signed it or why nobody did."""
    if arguments["signature"]:
        return f"The record is {place}, signed by the depot {record['by']['signer']} in {place.name}.asc."
    return f"The record is {place}. It is not signed: {arguments['unsigned']}."


def find_origin(sources: t.Sequence[str], signer: str) -> Origin:
    """Return who runs this, and which state of the inventory in Git they run it from."""
    folders = [place if place.is_dir() else place.parent for source in sources if (place := Path(source)).exists()]
    commit = ask_git(folders[0], "rev-parse", "HEAD") if folders else ""
    is_modified = bool(commit and ask_git(folders[0], "status", "--porcelain", "--", "."))
    return Origin(getpass.getuser(), socket.gethostname(), list(sources), commit, is_modified, signer)


def ask_git(folder: Path, *argv: str) -> str:
    """Return what Git says of a folder, '' where it is in no checkout (or there is no Git)."""
    try:
        done = subprocess.run(["git", "-C", folder, *argv], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
