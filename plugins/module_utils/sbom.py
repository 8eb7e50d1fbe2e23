# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a layer is made of, from dpkg's database."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import typing as t
import urllib.parse

SOURCE = "debian:source"
SOURCE_VERSION = "debian:source-version"


@dataclasses.dataclass(frozen=True)
class Package:
    name: str
    version: str
    architecture: str
    source: str
    description: str = ""
    source_version: str = ""

    @property
    def changelog_version(self) -> str:
        """Return what the source's changelog calls the version, with the "+b1" of a rebuild."""
        rebuild = re.search(r"\+b\d+$", self.version)
        source_version = self.source_version or self.version
        return source_version + rebuild[0] if rebuild and not source_version.endswith(rebuild[0]) else source_version


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
    # "Source: lvm2 (2.03.31-2)": the version only where it is another one than the package's.
    source, _space, source_version = fields.get("Source", fields["Package"]).partition(" ")
    return Package(
        name=fields["Package"],
        version=fields["Version"],
        architecture=fields.get("Architecture", ""),
        source=source,
        description=fields.get("Description", ""),
        source_version=source_version.strip("()"),
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
        "properties": [
            {"name": SOURCE, "value": package.source},
            *([{"name": SOURCE_VERSION, "value": package.source_version}] if package.source_version else []),
        ],
    }


def packages_in(document: t.Mapping[str, t.Any]) -> list[Package]:
    """Return the packages of a document that ``cyclonedx`` made."""
    found = []
    for component in document["components"]:
        if component["type"] == "library":
            values = {each["name"]: each["value"] for each in component["properties"]}
            architecture = component["purl"].partition("?arch=")[2]
            source = values.get(SOURCE, component["name"])
            found.append(
                Package(
                    component["name"],
                    component["version"],
                    architecture,
                    source,
                    source_version=values.get(SOURCE_VERSION, ""),
                )
            )
    return found
