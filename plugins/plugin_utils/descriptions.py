# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptions of bases and apps: read, checked and packed on the controller."""

from __future__ import annotations

import json
import pathlib
import tarfile
import typing as t

import yaml

try:
    import jsonschema
except ImportError:
    jsonschema = None  # type: ignore[assignment]

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput

Data = dict[str, t.Any]
COLLECTION = pathlib.Path(__file__).resolve().parents[2]
# What a vendor's folder may hold besides the description; anything else there is not sent.
PACKED = ("files", "templates", "archives")


def read(file: pathlib.Path, kind: str) -> Data:
    """Return the description in this YAML file if the schema of its ``kind`` ("base" or "app") accepts it."""
    if not file.is_file():
        raise BadInput(f"{file} does not exist: a {kind} is described there", path=str(file))
    try:
        description = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is not YAML: {error}", path=str(file)) from error
    check(description, kind, str(file))
    return t.cast("Data", description)


def check(description: t.Any, kind: str, place: str) -> None:
    """Raise BadInput with the key and the reason of everything that the schema does not accept."""
    if jsonschema is None:
        raise BadInput("The Python package jsonschema is needed on the controller: pip install jsonschema")
    schema = json.loads((COLLECTION / "docs/schemas" / f"{kind}.schema.json").read_text(encoding="utf-8"))
    found = sorted(
        jsonschema.Draft202012Validator(schema).iter_errors(description), key=lambda error: list(map(str, error.path))
    )
    if found:
        faults = [f"{'.'.join(map(str, error.path)) or 'the whole file'}: {error.message}" for error in found]
        raise BadInput(f"{place}: {'; '.join(faults)} (see docs/schemas/{kind}.schema.json)", path=place)


def pack(folder: pathlib.Path, target: pathlib.Path) -> None:
    """Write the files of an app into a tar file; the same files give the same bytes, whoever owns them."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as packed:
        for name in PACKED:
            if (folder / name).is_dir():
                packed.add(folder / name, arcname=name, filter=normalise)


def normalise(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 0
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry
