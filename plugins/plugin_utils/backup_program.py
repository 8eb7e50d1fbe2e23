# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that nodes' timers run: some of the collection's modules in one file."""

from __future__ import annotations

import ast
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.plugin_utils import archives

PACKAGE = "ansible_collections.strata.fleet.plugins.module_utils"
ENTRY = "backup_main"
SHEBANG = b"#!/usr/bin/python3\n"
MAIN = f"from {PACKAGE}.{ENTRY} import main\n\nmain()\n"
FOLDER = Path(__file__).parents[1] / "module_utils"


def build_program() -> bytes:
    """Return the program."""
    names = find_modules(ENTRY)
    parents = {str(parent) for name in names for parent in Path(path_of(name)).parents if str(parent) != "."}
    texts = {f"{parent}/__init__.py": "" for parent in parents}
    texts |= {path_of(name): _source(name).read_text() for name in names}
    return SHEBANG + archives.pack({**texts, "__main__.py": MAIN})


def find_modules(entry: str) -> list[str]:
    """Return a module's name and those of all that it imports of its package, such as lockdown.quarantine."""
    found: dict[str, None] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in found and _source(name).exists():
            found[name] = None
            waiting += _imports(ast.parse(_source(name).read_text()))
    return sorted(found)


def path_of(name: str) -> str:
    """Return where a module is in the program."""
    return f"{PACKAGE}.{name}".replace(".", "/") + ".py"


def _source(name: str) -> Path:
    return FOLDER / f"{name.replace('.', '/')}.py"


def _imports(tree: ast.Module) -> t.Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            base = (node.module or "").removeprefix(PACKAGE).lstrip(".")
            if base:
                yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)
