# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What packages' own changelogs tell of their new versions."""

from __future__ import annotations

import dataclasses
import gzip
import pathlib
import re
import shutil
import typing as t
import zlib

from ansible_collections.strata.fleet.plugins.module_utils import apt, changes, command
from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError, ContentError, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.sbom import Package
from ansible_collections.strata.fleet.plugins.module_utils.versions import version_order

# deb-changelog(5): "package (version) distributions; metadata", and " -- maintainer  date" at the end.
HEADER = re.compile(r"^\w[-+.\w]* \((?P<version>[^() \t]+)\)(?P<distributions>[^;]*);")
TRAILER = re.compile(r"^ -- (?:.*>)?(?P<date>.*)")
CVE = re.compile(r"\bCVE-\d{4}-\d{4,}\b")
ADVISORY = re.compile(r"\bD[SL]A-\d+(?:-\d+)?\b")
# The newest entries come first, so what is cut off is old.
LONGEST_CHANGELOG = 4 * 2**20
MOST_LINES = 40
LONGEST_LINE = 200
MOST_LINKS = 3
# How many other packages of the same source are fetched to find its changelog.
MOST_OTHERS = 3


@dataclasses.dataclass(frozen=True)
class Block:
    """One version in a changelog: what it tells, the distributions it was made for, and when (RFC 5322)."""

    version: str
    lines: tuple[str, ...]
    distributions: tuple[str, ...] = ()
    date: str = ""


@dataclasses.dataclass(frozen=True)
class News:
    """What a changelog tells between two versions; ``note`` says why it is nothing or not all."""

    cves: tuple[str, ...] = ()
    advisories: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    note: str = ""


def parse(text: str) -> list[Block]:
    """Return the versions of a changelog in Debian's format, in its order, newest first."""
    blocks: list[Block] = []
    version, lines, made_for = "", list[str](), list[str]()
    for line in text.splitlines():
        if header := HEADER.match(line):
            version, lines, made_for = header["version"], [], header["distributions"].split()
        elif version and (trailer := TRAILER.match(line)):
            blocks.append(Block(version, tuple(lines), tuple(made_for), trailer["date"].strip()))
            version = ""
        elif version and line.strip():
            lines.append(line.removeprefix("  ").rstrip())
    return blocks


def is_newer(version: str, than: str) -> bool:
    """Compare as Debian does. Raises CommandError where one of them is no version."""
    try:
        command.run(["dpkg", "--compare-versions", version, "gt", than])
    except CommandError as error:
        if error.facts.get("returncode") == 1:
            return False
        raise
    return True


def news(blocks: t.Sequence[Block], old: str, new: str) -> News:
    """Return what these entries tell of the versions after ``old``, up to ``new``."""
    wanted: list[Block] = []
    for block in blocks:
        if not is_newer(block.version, old):
            break
        if not is_newer(block.version, new):
            wanted.append(block)
    lines = [line for block in wanted for line in block.lines]
    note = ""
    if not wanted:
        note = f"its changelog tells nothing between {old} and {new}"
    elif wanted[-1] is blocks[-1]:
        note = f"its changelog does not reach back to {old}"
    elif len(lines) > MOST_LINES:
        note = f"the first {MOST_LINES} of {len(lines)} lines"
    text = "\n".join(lines)
    return News(ids(CVE, text), ids(ADVISORY, text), tuple(line[:LONGEST_LINE] for line in lines[:MOST_LINES]), note)


def ids(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    return tuple(sorted(set(pattern.findall(text)), key=version_order))


def describe(
    archive: apt.Archive, after: t.Sequence[Package], scratch: pathlib.Path, before: t.Sequence[Package]
) -> list[dict[str, t.Any]]:
    """Return the packages of an entry of a history (see changes.py). What cannot be read is noted, never raised."""
    old, new = ({package.name: package for package in packages} for packages in (before, after))
    reader = Reader(archive, after, scratch)
    found = []
    for each in changes.differences(*({name: each.version for name, each in known.items()} for known in (old, new))):
        name = each["name"]
        told = reader.read(old[name], new[name]) if name in old and name in new else News()
        found.append(
            {
                **each,
                "source": new.get(name, old.get(name)).source,  # type: ignore[union-attr]
                "cves": list(told.cves),
                "advisories": list(told.advisories),
                "changes": list(told.lines),
                **({"note": told.note} if told.note else {}),
            }
        )
    return found


class Reader:
    """Reads changelogs from package files, each source's once."""

    def __init__(self, archive: apt.Archive, packages: t.Sequence[Package], scratch: pathlib.Path) -> None:
        self._archive = archive
        self._packages = {package.name: package for package in packages}
        self._scratch = scratch
        self._known: dict[tuple[str, str, str], News] = {}

    def read(self, old: Package, new: Package) -> News:
        """Return what changed from the old package to the new one."""
        versions = old.changelog_version, new.changelog_version
        key = (new.source, *versions)
        if key not in self._known:
            try:
                self._known[key] = news(self.find(new), *versions)
            except (StrataError, OSError, EOFError, ValueError, zlib.error) as error:
                self._known[key] = News(note=f"its changelog could not be read: {error}"[:LONGEST_LINE])
        return self._known[key]

    def find(self, package: Package) -> list[Block]:
        """Return the changelog in the package, or in another one that was built from the same source.

        Raises ContentError where none of them has one that can be read.
        """
        same = [each for each in self._packages.values() if each.source == package.source and each != package]
        same = same[:MOST_OTHERS]
        problems = []
        for each in (package, *same):
            try:
                if blocks := parse(self._text(each.name)):
                    return blocks
                problems.append(f"{each.name} has none")
            except (StrataError, OSError, EOFError, ValueError, zlib.error) as error:
                problems.append(str(error))
        raise ContentError("; ".join(problems))

    def _text(self, name: str, links: int = 0) -> str:
        folder = self._unpack(name) / "usr/share/doc" / name
        if links > MOST_LINKS:
            raise ContentError(f"the documentation of {name} is a link in a circle")
        if folder.is_symlink():
            return self._text(folder.readlink().name, links + 1)
        # Of a native package it is changelog.gz; else that is its makers' own. The rebuild's comes first.
        files = sorted(folder.glob("changelog.Debian.*.gz"))
        files += [folder / file for file in ("changelog.Debian.gz", "changelog.Debian")]
        files = [file for file in files if file.is_symlink() or file.is_file()] or [folder / "changelog.gz"]
        return "\n".join(self._content(file, links) for file in files)

    def _content(self, file: pathlib.Path, links: int) -> str:
        if file.is_symlink() and (other := file.readlink().parent.name):
            return self._text(other, links + 1)
        if not file.is_file():
            return ""
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as content:
            return content.read(LONGEST_CHANGELOG).decode("utf-8", "replace")

    def _unpack(self, name: str) -> pathlib.Path:
        """Return the unpacked files of a package that the new version has."""
        if name not in self._packages:
            raise ContentError(f"it is in {name}, which is not installed")
        target = self._scratch / name
        if not target.exists():
            shutil.rmtree(self._scratch / "download", ignore_errors=True)
            (self._scratch / "download").mkdir(parents=True)
            deb = self._archive.download(name, self._packages[name].version, self._scratch / "download")
            command.run(["dpkg-deb", "--extract", str(deb), str(target)])
        return target
