# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How exposed services are, as systemd scores their sandbox. Of what the unit files ask for, not of what runs."""

from __future__ import annotations

import re
import shutil
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import command
from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError

PROGRAM = "systemd-analyze"
TOPS = (("usr/lib", "sysext/usr/lib"), ("usr/local/lib", "sysext/usr/local/lib"), ("etc", "confext/etc"))
# In JSON there are only the single tests, each rounded up: their sum is not the level.
LEVEL = re.compile(r"Overall exposure level for (\S+): (\d+(?:\.\d+)?) ")


def score(services: t.Sequence[str], folders: t.Sequence[Path]) -> dict[str, float] | None:
    """Return the level of each service, 0 to 10; None where systemd's program is not installed or cannot do it.

    ``folders`` are the layers, the last on top. A service that systemd does not accept has no level.
    """
    if not services:
        return {}
    if not shutil.which(PROGRAM):
        return None
    if len(folders) == 1:
        return _score_in(folders[0], services)
    with tempfile.TemporaryDirectory(prefix="strata-") as root:
        for folder in folders:
            # Of what is below, only drop-ins and the services themselves matter; the rest are hundreds of files.
            wanted = None if folder == folders[-1] else {*services}
            for top, inside in TOPS:
                for source in (folder / top, folder / inside):
                    _copy_units(source / "systemd/system", Path(root, top, "systemd/system"), wanted)
        return _score_in(Path(root), services)


def _score_in(root: Path, services: t.Sequence[str]) -> dict[str, float] | None:
    argv = [PROGRAM, "security", "--offline=yes", "--no-pager", f"--root={root}"]
    try:
        said = command.run([*argv, *services])
    except CommandError:
        # One that cannot be loaded ends it for all.
        said = "".join(_try_one(argv, service) for service in services)
    levels = {name: float(level) for name, level in LEVEL.findall(said)}
    return levels or None


def _try_one(argv: t.Sequence[str], service: str) -> str:
    try:
        return command.run([*argv, service])
    except CommandError:
        return ""


def _copy_units(source: Path, target: Path, wanted: t.Collection[str] | None) -> None:
    for place in source.iterdir() if source.is_dir() else ():
        if place.is_dir() and not place.is_symlink():
            if place.name.endswith(".d"):
                shutil.copytree(place, target / place.name, symlinks=True, dirs_exist_ok=True, copy_function=_replace)
        elif wanted is None or place.name in wanted:
            target.mkdir(parents=True, exist_ok=True)
            _replace(str(place), str(target / place.name))


def _replace(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    if not (Path(source).is_symlink() or Path(source).is_file()):
        return  # a pipe or a device, which another rule names
    shutil.copyfile(source, target, follow_symlinks=False)
