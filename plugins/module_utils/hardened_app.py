# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What app.yml says of an app's own lock-down, written into what installing it gave: rights, sandboxes, ports."""

from __future__ import annotations

import os
import pathlib
import stat
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import firewall, layers, sandbox
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput

Description = t.Mapping[str, t.Any]

# Of this collection, and nobody else's to write to.
OWN_FOLDER = "etc/strata"
UNIT_FOLDERS = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
CAPABILITY = "security.capability"


def restrict(description: Description, upper: pathlib.Path) -> None:
    """Take from programs what the app does not need, and shut its services in. Raises BadInput for what is absent."""
    for pattern in description.get("strip", []):
        found = [file for file in sorted(upper.glob(pattern.lstrip("/"))) if is_program(file)]
        if not found:
            raise BadInput(f"The app brings no file {pattern}, from which strip would take rights", key="strip")
        for file in found:
            strip(file)
    for unit, wanted in description.get("sandbox", {}).items():
        if not any((upper / folder / unit).is_file() for folder in UNIT_FOLDERS):
            raise BadInput(f"The app brings no unit {unit}, which sandbox would shut in", key="sandbox")
        write(upper / sandbox.path_of(unit), sandbox.render(sandbox.settings_of(wanted)))


def is_program(file: pathlib.Path) -> bool:
    return file.is_file() and not file.is_symlink()


def strip(file: pathlib.Path) -> None:
    """Take set-id bits and capabilities from a program."""
    file.chmod(stat.S_IMODE(file.stat().st_mode) & ~(stat.S_ISUID | stat.S_ISGID))
    if CAPABILITY in os.listxattr(file):
        os.removexattr(file, CAPABILITY)


def open_ports(description: Description, upper: pathlib.Path) -> None:
    """Write what opens the declared ports, on whichever base the app runs.

    Raises BadInput when the app would say itself what a firewall lets in.
    """
    templates = description.get("config", {}).get("templates", [])
    found = [each["path"] for each in templates if f"{each['path']}/".startswith(f"/{OWN_FOLDER}/")]
    found += [f"/{OWN_FOLDER}"] if (upper / OWN_FOLDER).exists() else []
    if found:
        raise BadInput(
            f"{description['name']} is not published: {', '.join(found)} is not the app's to write; what app.yml says"
            " under ports is opened",
            key="ports",
        )
    write(upper / firewall.ports_file(description["name"]), firewall.render_ports(description.get("ports", [])))


def write(file: pathlib.Path, text: str) -> None:
    layers.make_folder(file.parent)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o644)
