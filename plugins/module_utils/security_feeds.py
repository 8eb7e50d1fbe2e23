# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A depot's feeds of security updates (their format: lockdown/feeds.py): from the archive's signed indexes, signed."""

from __future__ import annotations

import dataclasses
import email.utils
import hashlib
import json
import pathlib
import re
import tempfile
import typing as t
import zlib

from ansible_collections.strata.fleet.plugins.module_utils import apt, bases, changelogs, command, sbom
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot, write_whole
from ansible_collections.strata.fleet.plugins.module_utils.errors import (
    BadInput,
    CommandError,
    ContentError,
    StrataError,
)
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import feeds
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.settings import compare_versions
from ansible_collections.strata.fleet.plugins.module_utils.sbom import Package

# Below the repository, which nodes and controllers can read.
FOLDER = "security"
DEARMOR = ("gpg", "--batch", "--quiet", "--dearmor")
# How many entries of a changelog are told: those of some years.
MOST_ENTRIES = 60
Data = dict[str, t.Any]


@dataclasses.dataclass
class Target:
    """A suite that something in the depot is made of.

    ``installed``: by package, the sources' versions by the package's, as they are in the depot's versions.
    """

    suite: str
    abi: str
    components: tuple[str, ...]
    extra: tuple[str, ...]
    installed: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)


class Index(t.NamedTuple):
    """A signed index that apt has verified: its suite and date, until when it is valid ('': always), its digest."""

    suite: str
    date: str
    valid_until: str
    digest: str


class Offer(t.NamedTuple):
    """What a suite has of a package."""

    suite: str
    package: Package
    size: int


def find_targets(depot: Depot) -> list[Target]:
    """Return the suites that the depot's bases are made of, with the packages of all versions of bases and apps."""
    commits = sorted(set(depot.repo.refs().values()))
    every = [(commit, depot.repo.manifest(commit)) for commit in commits if depot.repo.has_content(commit)]
    targets: dict[str, Target] = {}
    for commit, manifest in every:
        if manifest["kind"] == "base":
            kept = read_origin(depot, commit)
            extra = tuple(sorted(each["suite"] for each in kept.get("backports", [])))
            target = Target(kept["suite"], manifest["abi"], tuple(kept["components"]), extra)
            known = targets.setdefault(manifest["abi"], target)
            known.extra = tuple(sorted({*known.extra, *extra}))
            known.components = tuple(sorted({*known.components, *target.components}))
    for commit, manifest in every:
        for package in depot.packages(commit) if manifest["abi"] in targets else ():
            versions = targets[manifest["abi"]].installed.setdefault(package.name, {})
            versions[package.version] = package.source_version or plain(package.version)
    return list(targets.values())


def read_origin(depot: Depot, commit: str) -> Data:
    """Return what a base says it is made of."""
    try:
        said = command.run(["ostree", f"--repo={depot.repo.path}", "cat", commit, "/usr/lib/strata/base.json"])
        return t.cast("Data", json.loads(said))
    except (CommandError, ValueError) as error:
        raise ContentError(
            f"The base {commit} does not say which suite it is made of: {error}", commit=commit
        ) from error


def plain(version: str) -> str:
    """Return a version without the number of a rebuild."""
    return feeds.REBUILD.sub("", version)


def archive_for(depot: Depot, target: Target, given: t.Sequence[apt.Source]) -> apt.Archive:
    """Return the archive with all of the suite's packages, and with those of its security suite."""
    sources = given or apt.for_suite(
        apt.read_sources(pathlib.Path("/etc/apt")),
        own=bases.read_os_release(pathlib.Path("/")).get("VERSION_CODENAME", ""),
        suite=target.suite,
        components=target.components,
        extra=target.extra,
    )
    wanted = f"{target.suite}-security"
    if not any(wanted in source.suites for source in sources):
        raise BadInput(
            f"No source of packages has {wanted}: without its signed index nobody can tell which security updates are "
            "pending. Add it to this machine's apt sources, or to base_sources",
            suite=wanted,
        )
    return apt.Archive(depot.work / "apt" / f"feed-{target.suite}", sources, {})


def read_index(text: str) -> Index:
    """Read an InRelease file."""
    fields = dict(re.findall(r"^(Codename|Suite|Date|Valid-Until): (.+)$", text, re.MULTILINE))
    date, until = (iso_time(fields[key]) if key in fields else "" for key in ("Date", "Valid-Until"))
    if not date:
        raise ContentError("An index of packages has no date: it is not an InRelease file as Debian's archive has it")
    return Index(fields.get("Codename") or fields["Suite"], date, until, hashlib.sha256(text.encode()).hexdigest())


def iso_time(text: str) -> str:
    """Return "Sat, 21 Nov 2026 00:53:03 UTC" as 2026-11-21T00:53:03Z."""
    return email.utils.parsedate_to_datetime(text).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_indexes(archive: apt.Archive) -> list[Index]:
    """Return the signed indexes that apt fetched and verified."""
    files = sorted((archive.folder / "state/lists").glob("*_InRelease"))
    return [read_index(file.read_text(encoding="utf-8")) for file in files]


def read_offers(archive: apt.Archive, security: str, wanted: t.Container[str]) -> list[Offer]:
    """Return all packages of the security suite, and those of the others whose names are wanted."""
    asked = ["apt-get", "indextargets", "--format", "$(CODENAME) $(FILENAME)", "Created-By: Packages"]
    offers = []
    for line in command.run(asked, env=archive.environment()).splitlines():
        suite, file = line.split(" ", 1)
        for stanza in pathlib.Path(file).read_text(encoding="utf-8").split("\n\n"):
            name = stanza.partition("\n")[0].removeprefix("Package: ").strip()
            if name and (suite == security or name in wanted):
                fields = dict(each.split(": ", 1) for each in stanza.splitlines() if ": " in each and each[0] != " ")
                offers.append(Offer(suite, sbom.package_of(fields), int(fields.get("Size", 0))))
    return offers


def newest_of(offers: t.Iterable[Offer], security: str) -> dict[str, tuple[Offer, str]]:
    """Return by package the newest offer, and the version in the security suite ('' where it has none)."""
    found: dict[str, tuple[Offer, str]] = {}
    for offer in offers:
        name, version = offer.package.name, offer.package.version
        best, secure = found.get(name, (offer, ""))
        if compare_versions(version, best.package.version) > 0:
            best = offer
        if offer.suite == security and (not secure or compare_versions(version, secure) > 0):
            secure = version
        found[name] = best, secure
    return found


def describe(newest: t.Mapping[str, tuple[Offer, str]], target: Target) -> dict[str, Data]:
    """Return the feed's packages."""
    packages = {}
    for name, (offer, secure) in sorted(newest.items()):
        package = offer.package
        entry: Data = {"version": package.version}
        entry |= {"security": secure} if secure else {}
        entry |= {"source": package.source} if package.source != name else {}
        if package.source_version and package.source_version != plain(package.version):
            entry |= {"source_version": package.source_version, "were": target.installed.get(name, {})}
        packages[name] = entry
    return packages


def find_sources(newest: t.Mapping[str, tuple[Offer, str]], target: Target, told: t.Container[str]) -> dict[str, str]:
    """Return the sources (by name: their version) whose changelogs are to be read.

    Those of which the depot has an older version of a package, and those that the feed before this one told of: a node
    may still run what the depot has dropped.
    """
    wanted = {}
    for name, versions in target.installed.items():
        if name in newest:
            package = newest[name][0].package
            is_pending = any(compare_versions(version, package.version) < 0 for version in versions)
            if is_pending or package.source in told:
                wanted[package.source] = package.source_version or plain(package.version)
    return wanted


def read_changelogs(
    archive: apt.Archive, newest: t.Mapping[str, tuple[Offer, str]], wanted: t.Mapping[str, str], before: Data
) -> tuple[dict[str, Data], list[str]]:
    """Return the feed's sources, and what could not be read. What the feed ``before`` tells is not fetched again."""
    told: dict[str, Data] = {}
    problems = []
    ordered = sorted((offer for offer, _secure in newest.values()), key=lambda offer: offer.size)
    with tempfile.TemporaryDirectory(prefix="strata-") as folder:
        reader = changelogs.Reader(archive, [offer.package for offer in ordered], pathlib.Path(folder))
        for source, version in sorted(wanted.items()):
            if before.get(source, {}).get("version") == version:
                told[source] = before[source]
                continue
            package = next(offer.package for offer in ordered if offer.package.source == source)
            try:
                told[source] = {
                    "version": version,
                    "entries": [entry_of(each) for each in recent(reader.find(package))],
                }
            except (StrataError, OSError, EOFError, ValueError, zlib.error) as error:
                problems.append(f"The changelog of {source} could not be read: {error}")
    return told, problems


def recent(blocks: t.Sequence[changelogs.Block]) -> t.Sequence[changelogs.Block]:
    return blocks[:MOST_ENTRIES]


def entry_of(block: changelogs.Block) -> Data:
    """Return a feed's entry for a version in a changelog."""
    try:
        date = email.utils.parsedate_to_datetime(block.date).date().isoformat()
    except ValueError:
        date = ""
    cves = list(changelogs.ids(changelogs.CVE, "\n".join(block.lines)))
    return {"version": block.version, "date": date, "cves": cves, "suite": " ".join(block.distributions)}


def compose(archive: apt.Archive, target: Target, before: Data | None) -> tuple[Data, list[str]]:
    """Return the feed, and what could not be read; ``before`` itself where it was made from just this."""
    security = f"{target.suite}-security"
    indexes = read_indexes(archive)
    own = [index for index in indexes if index.suite == security]
    if not own:
        raise ContentError(f"The archive gave no signed index of {security}", suite=security)
    inputs = bases.inputs_digest(feeds.FORMAT, sorted(index.digest for index in indexes), target.installed)
    if before and before["inputs"] == inputs:
        return before, []
    newest = newest_of(read_offers(archive, security, target.installed), security)
    earlier = before["sources"] if before else {}
    told, problems = read_changelogs(archive, newest, find_sources(newest, target, earlier), earlier)
    return {
        "format": feeds.FORMAT,
        "suite": target.suite,
        "abi": target.abi,
        "date": own[0].date,
        "valid_until": own[0].valid_until,
        "indexes": {index.suite: index._asdict() for index in indexes},
        # What could not be read now may be readable at the next run.
        "inputs": "" if problems else inputs,
        "packages": describe(newest, target),
        "sources": told,
    }, problems


# Where they are kept


def file_of(depot: Depot, suite: str) -> pathlib.Path:
    """Return where a feed is; its signature is beside it, with .asc at the end."""
    return pathlib.Path(depot.repo.path, FOLDER, f"{suite}.json")


def keep(depot: Depot, feed: Data) -> None:
    """Write a feed and its signature."""
    file = file_of(depot, feed["suite"])
    file.parent.mkdir(mode=0o755, exist_ok=True)
    text = json.dumps(feed, sort_keys=True, separators=(",", ":"))
    signature = depot.sign(text)
    write_whole(file, text)
    write_whole(signature_of(file), signature)


def signature_of(file: pathlib.Path) -> pathlib.Path:
    return file.with_name(f"{file.name}.asc")


def read_kept(depot: Depot, suite: str) -> tuple[str, str] | None:
    """Return a feed's text and its signature, verified; None where there is none. Raises ContentError."""
    file = file_of(depot, suite)
    if not file.is_file():
        return None
    signature = signature_of(file).read_text(encoding="ascii") if signature_of(file).is_file() else ""
    text = file.read_text(encoding="utf-8")
    verify(text, signature, depot.public_key_file.read_text(encoding="ascii"), str(file))
    return text, signature


def verify(text: str, signature: str, key: str, what: str) -> None:
    """Raise ContentError unless the owner of this (armored, public) key signed the text."""
    with tempfile.TemporaryDirectory(prefix="strata-") as folder:
        home = pathlib.Path(folder)
        (home / "signature").write_text(signature, encoding="utf-8")
        try:
            command.run([*DEARMOR, "--homedir", folder, "--output", f"{home}/key"], stdin=key)
            command.run(["gpgv", "--keyring", f"{home}/key", f"{home}/signature", "-"], stdin=text)
        except CommandError as error:
            said = error.facts.get("stderr", error.message)
            raise ContentError(
                f"The feed {what} is not signed by the depot's key, or was changed since, and is not used: {said}",
                path=what,
            ) from error
