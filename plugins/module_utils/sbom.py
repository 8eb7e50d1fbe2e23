# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a layer is made of, from dpkg's database."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t
import urllib.parse


@dataclasses.dataclass(frozen=True)
class Package:
    name: str
    version: str
    architecture: str
    source: str
    description: str


def read_packages(status: pathlib.Path) -> list[Package]:
    """Return the packages that this status database (deb822 stanzas) says are installed, by name."""
    stanzas = status.read_text(encoding="utf-8").split("\n\n")
    fields = [
        dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        for stanza in stanzas
    ]
    found = [package_of(each) for each in fields if each.get("Status", "").endswith(" installed")]
    return sorted(found, key=lambda package: package.name)


def package_of(fields: t.Mapping[str, str]) -> Package:
    return Package(
        name=fields["Package"],
        version=fields["Version"],
        architecture=fields.get("Architecture", ""),
        source=fields.get("Source", fields["Package"]).split(" ")[0],
        description=fields.get("Description", ""),
    )


def cyclonedx(
    name: str, packages: t.Iterable[Package], files: t.Iterable[t.Mapping[str, str]] = ()
) -> dict[str, t.Any]:
    """Return a CycloneDX 1.5 document; ``files`` are archives with a ``name`` and a ``sha256``.

    Neither time nor serial number: the same packages give the same document.
    """
    components = [debian_component(package) for package in packages]
    components += [
        {"type": "file", "name": each["name"], "hashes": [{"alg": "SHA-256", "content": each["sha256"]}]}
        for each in files
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "operating-system", "name": name}},
        "components": components,
    }


def debian_component(package: Package) -> dict[str, t.Any]:
    """Return a component named by its package URL (the purl specification's type "deb")."""
    version = urllib.parse.quote(package.version, safe="")
    purl = f"pkg:deb/debian/{urllib.parse.quote(package.name)}@{version}?arch={package.architecture}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "properties": [{"name": "debian:source", "value": package.source}],
    }
