# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line of an inventory that says on which node an appliance is, and that line changed."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.plugin_utils import files

SUFFIXES = (".yml", ".yaml")


class Line(t.NamedTuple):
    """A line of a file, numbered from 1, as it is and as it should be."""

    path: str
    number: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}: {self.before.strip()} -> {self.after.strip()}"


def find_line(sources: t.Iterable[str], name: str, to: str) -> Line | None:
    """Return the one line that gives an appliance its node; None where there is none, or where it is not plain.

    Looked at are ``host_vars`` beside the inventories (``appliance_node: node1``), then the inventories themselves,
    for a line that names the appliance and its node (``web1: {appliance_node: node1}``), or one below its name.
    """
    own = [line for path in _host_vars(sources, name) for line in _matches(path, r"^(appliance_node:\s*)(\S+)", to)]
    inline = rf"^(\s*{re.escape(name)}:\s*\{{.*\bappliance_node:\s*)([^\s,}}]+)"
    listed = [line for path in _inventories(sources) for line in (*_matches(path, inline, to), *_below(path, name, to))]
    found = own or listed
    return found[0] if len(found) == 1 else None


def rewrite(line: Line) -> None:
    """Change that line, and nothing else, in its file. Raises BadInput where the file cannot be written."""
    path = Path(line.path)
    lines = path.read_text().splitlines(keepends=True)
    lines[line.number - 1] = lines[line.number - 1].replace(line.before, line.after)
    files.rewrite(path, "".join(lines))


def advise(name: str, to: str, line: Line | None) -> str:
    """Return what a person is to change."""
    if line:
        return str(line)
    return f"where the inventory says on which node {name} is: appliance_node: {to}"


def _matches(path: Path, pattern: str, to: str) -> list[Line]:
    found = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        after = re.sub(pattern, lambda match: f"{match[1]}{to}", text, count=1)
        if re.match(pattern, text) and "{{" not in text:
            found.append(Line(str(path), number, text, after))
    return found


def _below(path: Path, name: str, to: str) -> list[Line]:
    """Return the line ``appliance_node`` in the block that the appliance's name begins."""
    numbers = set()
    depth = -1
    for number, text in enumerate(path.read_text().splitlines(), 1):
        indent = len(text) - len(text.lstrip())
        if re.fullmatch(rf"\s*{re.escape(name)}:\s*", text):
            depth = indent
        elif text.strip() and indent <= depth:
            depth = -1
        elif depth >= 0:
            numbers.add(number)
    return [line for line in _matches(path, r"^(\s*appliance_node:\s*)(\S+)", to) if line.number in numbers]


def _folders(sources: t.Iterable[str]) -> list[Path]:
    paths = [Path(source) for source in sources]
    return list(dict.fromkeys(path if path.is_dir() else path.parent for path in paths if path.exists()))


def _host_vars(sources: t.Iterable[str], name: str) -> list[Path]:
    found = []
    for folder in _folders(sources):
        own = folder / "host_vars" / name
        plain = [own.with_name(f"{name}{suffix}") for suffix in SUFFIXES]
        found += [path for path in plain if path.is_file()]
        found += sorted(path for path in own.glob("*") if path.suffix in SUFFIXES) if own.is_dir() else []
    return found


def _inventories(sources: t.Iterable[str]) -> list[Path]:
    paths = [Path(source) for source in sources]
    files = [path for path in paths if path.is_file()]
    files += [path for folder in paths if folder.is_dir() for path in sorted(folder.glob("*")) if path.is_file()]
    return [path for path in files if path.suffix in SUFFIXES]
