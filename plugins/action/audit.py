# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the controller: prints how the fleet keeps to its policies, and writes it down."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import typing as t
from pathlib import Path

from ansible.plugins.action import ActionBase
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import model
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.catalogue import RULES
from ansible_collections.strata.fleet.plugins.plugin_utils import files
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_findings import NEVER, find_quarantines
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_html import write_html
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_junit import write_junit
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_report import FORMAT, Call, build_report, to_json
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_sarif import write_sarif
from ansible_collections.strata.fleet.plugins.plugin_utils.audit_table import draw_report
from ansible_collections.strata.fleet.plugins.plugin_utils.feed_verdicts import add_verdicts
from ansible_collections.strata.fleet.plugins.plugin_utils.inventory import failures, plain

NAME = "audit.json"
SIGNATURE = "audit.json.asc"
FORMATS = ("json", "junit", "sarif", "html")
SPEC = {
    "found": {"type": "dict"},
    "found_as": {"type": "str", "default": ""},
    "lockdown": {"type": "dict"},
    "nodes": {"type": "list", "elements": "str"},
    "folder": {"type": "path", "default": ""},
    "formats": {"type": "list", "elements": "str", "choices": list(FORMATS), "default": list(FORMATS)},
    "feeds": {"type": "list", "elements": "dict", "default": []},
    "fail_on": {"type": "str", "choices": ["", *model.SEVERITIES, NEVER], "default": ""},
    "fail": {"type": "bool", "default": True},
    "signature": {"type": "str", "default": ""},
    "unsigned": {"type": "str", "default": ""},
}
LACKING = "The module audit is given lockdown, and found or found_as; or signature or unsigned."

Data = dict[str, t.Any]


class ActionModule(ActionBase):
    """The action of the module strata.fleet.audit."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: Data | None = None) -> Data:
        """Print the summary and write the files, or (called again) the signature."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(SPEC)
        arguments = plain(arguments)
        folder = Path(arguments["folder"]) if arguments["folder"] else None
        with failures():
            if arguments["signature"] or arguments["unsigned"]:
                return self._sign(folder, arguments)
            if arguments["found_as"]:
                arguments["found"] = read_found(arguments, (task_vars or {})["hostvars"])
            return self._report(folder, arguments)

    def _report(self, folder: Path | None, arguments: Data) -> Data:
        if arguments["found"] is None or arguments["lockdown"] is None:
            raise BadInput(LACKING)
        now = dt.datetime.now(dt.UTC)
        arguments["found"] = add_verdicts(arguments["found"], arguments["lockdown"], arguments["feeds"], now)
        report = make_report(arguments, now, read_report(folder) if folder else None)
        text = to_json(report)
        written = write_files(folder, arguments["formats"], report, text) if folder else []
        self._display.display(draw_report(report, written))
        answer = {
            "changed": False,
            "msg": report["verdict"],
            **{key: report[key] for key in ("good", "counts")},
            "quarantine": find_quarantines(arguments["found"], arguments["lockdown"]["policies"]),
            "file": str(folder / NAME) if folder else "",
            "files": written,
        }
        # Ansible prints all that a failed task returns.
        is_failed = arguments["fail"] and not report["good"]
        return {**answer, "failed": True} if is_failed else {**answer, "failed": False, "since": report["since"]}

    def _sign(self, folder: Path | None, arguments: Data) -> Data:
        if not folder:
            raise BadInput("A signature needs the folder of the report that it is for.")
        said = f"The report is {folder / NAME}. It is not signed: {arguments['unsigned']}."
        if arguments["signature"]:
            files.write(folder / SIGNATURE, arguments["signature"])
            said = f"The report is {folder / NAME}, signed in {SIGNATURE}."
        self._display.display(said)
        return {"changed": False, "msg": said, "files": [str(folder / SIGNATURE)] if arguments["signature"] else []}


def read_found(arguments: Data, every_host: t.Any) -> Data:
    """Return what nodes registered, as it is: to template the verdicts of a large fleet takes minutes."""
    found = {}
    for node in list_nodes(arguments):
        if arguments["found_as"] in (known := every_host.raw_get(node)):
            found[node] = known[arguments["found_as"]]
    return t.cast("Data", plain(found))


def list_nodes(arguments: Data) -> list[str]:
    """Return the nodes that were to be audited."""
    if arguments["nodes"] is not None:
        return list(arguments["nodes"])
    return list((arguments["lockdown"] or {}).get("nodes") or {})


def make_report(arguments: Data, now: dt.datetime, before: Data | None) -> Data:
    """Return the report of an audit that ends now."""
    lockdown = arguments["lockdown"]
    call = Call(f"{now:%Y-%m-%dT%H:%M:%SZ}", list_nodes(arguments), arguments["fail_on"])
    return build_report(arguments["found"], lockdown, RULES, call, before)


def read_report(folder: Path) -> Data | None:
    """Return the report that is in the folder, None where there is none of this format."""
    with contextlib.suppress(OSError, ValueError):
        report = json.loads((folder / NAME).read_text(encoding="utf-8"))
        if isinstance(report, dict) and report.get("format") == FORMAT:
            return report
    return None


def write_files(folder: Path, formats: t.Collection[str], report: Data, text: str) -> list[str]:
    """Write the files and return their paths. A signature over an older report is removed first."""
    writers: dict[str, tuple[str, t.Callable[[], str]]] = {
        "json": (NAME, lambda: text),
        "junit": ("audit.xml", lambda: write_junit(report)),
        "sarif": ("audit.sarif", lambda: write_sarif(report)),
        "html": ("audit.html", lambda: write_html(report, text)),
    }
    try:
        (folder / SIGNATURE).unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{folder / SIGNATURE} cannot be removed: {error.strerror}") from error
    written = []
    for name in ("json", *(each for each in FORMATS[1:] if each in formats)):
        file, write = writers[name]
        files.write(folder / file, write())
        written.append(str(folder / file))
    return written
