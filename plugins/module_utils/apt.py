# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's archive, as the build machine knows it, for another suite."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shlex
import typing as t
import urllib.parse

from ansible_collections.strata.fleet.plugins.module_utils import command
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, CommandError, Unreachable

# What an appliance does not need. The copyright notices stay: whoever passes a layer on must pass them on.
LEFT_OUT = (
    "--path-exclude=/usr/share/doc/*",
    "--path-include=/usr/share/doc/*/copyright",
    *(f"--path-exclude=/usr/share/{name}/*" for name in ("man", "info", "locale", "lintian", "linda", "groff", "bug")),
)


@dataclasses.dataclass(frozen=True)
class Source:
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


@dataclasses.dataclass(frozen=True)
class Deb:
    """One package file: its name has the version; the digest is of what it contains."""

    file: str
    digest: str

    @property
    def package(self) -> tuple[str, str]:
        """Return name and version, which apt writes into the file's name as NAME_VERSION_ARCHITECTURE.deb."""
        name, version, _architecture = self.file.split("_")
        return name, urllib.parse.unquote(version)


def read_sources(folder: pathlib.Path) -> list[Source]:
    """Return the enabled binary package sources in ``sources.list`` and ``sources.list.d`` of this folder."""
    lists = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    found = [source for file in lists if file.is_file() for source in parse_one_line(file.read_text(encoding="utf-8"))]
    for file in sorted((folder / "sources.list.d").glob("*.sources")):
        found += parse_deb822(file.read_text(encoding="utf-8"))
    return found


def parse_one_line(text: str) -> list[Source]:
    """Read the format of sources.list(5) with a source in each line."""
    pattern = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>[^#]+)")
    sources = []
    for line in text.splitlines():
        if found := pattern.match(line.strip()):
            options = dict(each.split("=", 1) for each in (found["options"] or "").split() if "=" in each)
            components = tuple(found["components"].split())
            sources.append(Source((found["uri"],), (found["suite"],), components, options.get("signed-by", "")))
    return sources


def parse_deb822(text: str) -> list[Source]:
    """Read the format of sources.list(5) with a source in each stanza."""
    sources = []
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in (each for each in stanza.splitlines() if each.strip() and not each.startswith("#")):
            if line[0].isspace():
                fields[name] += f"\n{line}"
            else:
                name, _colon, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            uris, suites, components = (tuple(fields.get(key, "").split()) for key in ("uris", "suites", "components"))
            sources.append(Source(uris, suites, components, fields.get("signed-by", "")))
    return sources


def for_suite(
    found: t.Sequence[Source], own: str, suite: str, components: t.Sequence[str], extra: t.Sequence[str]
) -> list[Source]:
    """Return the sources for ``suite`` (and the ``extra`` suites), on the machines from which ``own`` comes.

    ``found`` are the build machine's sources and ``own`` its release's name: whatever serves that release serves the
    others. Sources of other vendors have other suites and are left out.
    """
    archive = [each for each in found if {own, f"{own}-updates", f"{own}-backports"} & set(each.suites)]
    security = [each for each in found if f"{own}-security" in each.suites]
    if not archive:
        raise BadInput(
            f"This machine's apt sources name no Debian archive (its own release is {own or 'unknown'!r}):"
            " give the sources in the inventory (base_sources)",
            key="sources",
        )
    wanted = [dataclasses.replace(archive[0], suites=(suite, f"{suite}-updates", *extra), components=tuple(components))]
    wanted += [
        dataclasses.replace(each, suites=(f"{suite}-security",), components=tuple(components)) for each in security[:1]
    ]
    return wanted


def render_sources(sources: t.Sequence[Source]) -> str:
    return "\n".join(map(render_source, sources))


def render_source(source: Source) -> str:
    fields = {"URIs": source.uris, "Suites": source.suites, "Components": source.components}
    lines = ["Types: deb", *(f"{key}: {' '.join(words)}" for key, words in fields.items())]
    return "\n".join([*lines, *([f"Signed-By: {source.signed_by}"] if source.signed_by else []), ""])


def render_pins(pins: t.Mapping[str, t.Sequence[str]]) -> str:
    """Return preferences by which these packages come from these suites."""
    return "\n".join(
        f"Package: {package}\nPin: release n={suite}\nPin-Priority: 990\n"
        for suite, packages in sorted(pins.items())
        for package in packages
    )


class Archive:
    """The archive for one set of sources, with package lists of its own under ``folder``."""

    def __init__(
        self, folder: pathlib.Path, sources: t.Sequence[Source], pins: t.Mapping[str, t.Sequence[str]]
    ) -> None:
        self.folder = folder
        self.sources_file = folder / "sources.list.d" / "strata.sources"
        self.preferences_file = folder / "preferences"
        self.config_file = folder / "apt.conf"
        self.debs = folder / "cache" / "archives"
        self._sources = sources
        self._pins = pins

    def prepare(self) -> None:
        """Write the configuration and bring the package lists up to date."""
        for name in (
            "sources.list.d",
            "state/lists/partial",
            "cache/archives/partial",
            "log",
            "conf.d",
            "none/partial",
        ):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "empty-status").touch()
        self.sources_file.write_text(render_sources(self._sources), encoding="utf-8")
        self.preferences_file.write_text(render_pins(self._pins), encoding="utf-8")
        self.config_file.write_text(self._config(), encoding="utf-8")
        try:
            self.apt_get("update", "--error-on=any")
        except CommandError as error:
            raise Unreachable(f"The package lists could not be fetched: {error.message}") from error

    def _config(self) -> str:
        architecture = command.run(["dpkg", "--print-architecture"]).strip()
        settings = {
            "Dir::Etc": f"{self.folder}/",
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": f"{self.sources_file.parent}/",
            "Dir::Etc::Preferences": str(self.preferences_file),
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::Etc::Main": "/dev/null",
            "Dir::Etc::Parts": f"{self.folder}/conf.d/",
            "Dir::Etc::TrustedParts": "/etc/apt/trusted.gpg.d/",
            "Dir::State": f"{self.folder}/state/",
            "Dir::State::status": f"{self.folder}/empty-status",
            "Dir::Cache": f"{self.folder}/cache/",
            "Dir::Log": f"{self.folder}/log/",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Install-Recommends": "false",
            "APT::Install-Suggests": "false",
            "APT::Sandbox::User": "root",
            "Acquire::ForceHash": "SHA256",
            "Acquire::Languages": "none",
            "DPkg::Use-Pty": "0",
        }
        return "".join(f'{key} "{value}";\n' for key, value in settings.items()) + network_settings()

    def apt_get(self, *argv: str) -> str:
        return command.run(["apt-get", "--quiet", "--yes", *argv], env=self.environment())

    def environment(self) -> dict[str, str]:
        return {"APT_CONFIG": str(self.config_file), "DEBIAN_FRONTEND": "noninteractive"}

    def resolve(self, packages: t.Sequence[str], status: pathlib.Path | None = None) -> list[Deb]:
        """Return what apt would install for these packages over what ``status`` (dpkg's database) has."""
        options = ["-o", f"Dir::State::status={status}"] if status else []
        try:
            # An empty folder of downloads: what is there already would not be listed.
            said = self.apt_get(
                *options, "-o", f"Dir::Cache::archives={self.folder}/none/", "--print-uris", "install", *packages
            )
        except CommandError as error:
            raise BadInput(
                f"The packages {', '.join(packages)} cannot be installed together: {error.message}", key="packages"
            ) from error
        lines = (shlex.split(line) for line in said.splitlines() if line.startswith("'"))
        return sorted((Deb(file, digest) for _uri, file, _size, digest in lines), key=lambda deb: deb.file)

    def download(self, package: str, version: str, folder: pathlib.Path) -> pathlib.Path:
        """Return the package's file, fetched into ``folder`` from where builds take it, and verified like there."""
        command.run(
            ["apt-get", "--quiet", "--yes", "download", f"{package}={version}"],
            env=self.environment(),
            cwd=str(folder),
        )
        return next(folder.glob(f"{package}_*.deb"))


def network_settings() -> str:
    """Return how this machine's apt reaches its sources (proxies, time limits), as apt's configuration."""
    lines = command.run(["apt-config", "dump", "Acquire"]).splitlines()
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Retries", "Acquire::Queue-Mode")
    return "".join(f"{line}\n" for line in lines if line.startswith(wanted) and not line.endswith('"";'))
