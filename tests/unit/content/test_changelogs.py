from __future__ import annotations

import gzip
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import changelogs, changes, manifests, sbom
from ansible_collections.strata.fleet.plugins.module_utils.apt import Deb
from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError
from ansible_collections.strata.fleet.plugins.module_utils.sbom import Package

TEXT = """\
openssl (3.5.4-1~deb13u2) trixie-security; urgency=high

  * CVE-2026-1234 (Heap overflow),
    and CVE-2026-99 too. DSA-6000-1, DLA-77

 -- Somebody <somebody@debian.org>  Fri, 20 Nov 2026 10:00:00 +0000

openssl (3.5.4-1~deb13u1) trixie; urgency=medium

  * New upstream (Closes: #1). See CVE-2025-5555.

 -- Somebody <somebody@debian.org>  Fri, 20 Nov 2025 10:00:00 +0000

openssl (3.5.1-1) unstable; urgency=medium

  * Old: CVE-2024-4444

 -- Somebody <somebody@debian.org>  Fri, 20 Nov 2024 10:00:00 +0000

# Older entries have been removed from this changelog.
"""


def package(name: str, version: str, source: str = "", source_version: str = "") -> Package:
    return Package(name, version, "amd64", source or name, source_version=source_version)


class FakeArchive:
    """Gives package files that were put there, and fails for others as apt does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.downloads: list[str] = []

    def put(self, name: str, version: str, files: dict[str, str], links: dict[str, str] | None = None) -> None:
        root = self.folder / f"tree-{name}"
        (root / "DEBIAN").mkdir(parents=True)
        control = {"Package": name, "Version": version, "Architecture": "all", "Maintainer": "x", "Description": "x"}
        (root / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in control.items()))
        for place, text in files.items():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes(gzip.compress(text.encode()) if place.endswith(".gz") else text.encode())
        for place, target in (links or {}).items():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).symlink_to(target)
        subprocess.run(
            ["dpkg-deb", "-Znone", "--build", root, self.folder / f"{name}.deb"], check=True, stdout=subprocess.DEVNULL
        )

    def download(self, name: str, version: str, folder: Path) -> Path:
        self.downloads.append(f"{name}={version}")
        if not (self.folder / f"{name}.deb").exists():
            raise CommandError(f"apt-get ended with 100: no package {name}")
        return Path(shutil.copy(self.folder / f"{name}.deb", folder))


@pytest.fixture
def archive(tmp_path: Path) -> FakeArchive:
    return FakeArchive(tmp_path)


def describe(archive: FakeArchive, before: list[Package], after: list[Package]) -> list[dict[str, t.Any]]:
    return changelogs.describe(t.cast("t.Any", archive), after, archive.folder / "scratch", before)


def test_what_a_changelog_tells_between_two_versions() -> None:
    told = changelogs.news(changelogs.parse(TEXT), "3.5.1-1", "3.5.4-1~deb13u2")
    assert told.cves == ("CVE-2025-5555", "CVE-2026-1234")
    assert told.advisories == ("DLA-77", "DSA-6000-1")
    assert told.lines == (
        "* CVE-2026-1234 (Heap overflow),",
        "  and CVE-2026-99 too. DSA-6000-1, DLA-77",
        "* New upstream (Closes: #1). See CVE-2025-5555.",
    )
    assert told.note == ""


@pytest.mark.parametrize(
    ("old", "new", "cves", "note"),
    [
        ("3.5.4-1~deb13u1", "3.5.4-1~deb13u2", ("CVE-2026-1234",), ""),
        ("3.5.1-1", "3.5.4-1~deb13u1", ("CVE-2025-5555",), ""),
        ("3.5.4-1~deb13u2", "3.5.4-1", (), "its changelog tells nothing between 3.5.4-1~deb13u2 and 3.5.4-1"),
        ("3.0-1", "3.5.1-1", ("CVE-2024-4444",), "its changelog does not reach back to 3.0-1"),
    ],
)
def test_only_what_lies_between(old: str, new: str, cves: tuple[str, ...], note: str) -> None:
    told = changelogs.news(changelogs.parse(TEXT), old, new)
    assert (told.cves, told.note) == (cves, note)


def test_long_changelogs_are_cut_but_their_ids_are_not() -> None:
    lines = "".join(f"  * CVE-2026-{number} {'x' * 300}\n" for number in range(1000, 1100))
    text = f"a (2) sid; urgency=low\n\n{lines}\n -- x <x@x>  now\n\na (1) sid; urgency=low\n\n -- x <x@x>  now\n"
    told = changelogs.news(changelogs.parse(text), "1", "2")
    assert (len(told.cves), len(told.lines), max(map(len, told.lines))) == (100, 40, 200)
    assert told.note == "the first 40 of 100 lines"


def test_packages_of_one_source_share_its_changelog_and_links_are_followed(archive: FakeArchive) -> None:
    archive.put("libssl3", "3.5.4-1~deb13u2", {"usr/share/doc/libssl3/changelog.Debian.gz": TEXT})
    archive.put("openssl", "3.5.4-1~deb13u2", {}, {"usr/share/doc/openssl": "libssl3"})
    names = ("openssl", "libssl3", "same")
    before = [package(name, "3.5.4-1~deb13u1", "openssl") for name in names[:2]] + [package("same", "1")]
    after = [package(name, "3.5.4-1~deb13u2", "openssl") for name in names[:2]] + [package("same", "1")]
    found = describe(archive, [*before, package("gone", "1")], [*after, package("came", "1")])
    assert [(each["name"], each["from"], each["to"], each["cves"]) for each in found] == [
        ("came", None, "1", []),
        ("gone", "1", None, []),
        ("libssl3", "3.5.4-1~deb13u1", "3.5.4-1~deb13u2", ["CVE-2026-1234"]),
        ("openssl", "3.5.4-1~deb13u1", "3.5.4-1~deb13u2", ["CVE-2026-1234"]),
    ]
    assert [each.get("note") for each in found] == [None] * 4
    assert archive.downloads == ["libssl3=3.5.4-1~deb13u2"]


def test_a_link_is_followed_when_asked_for_first(archive: FakeArchive) -> None:
    archive.put("libssl3", "2", {"usr/share/doc/libssl3/changelog.Debian.gz": TEXT})
    archive.put("alpha", "2", {}, {"usr/share/doc/alpha/changelog.Debian.gz": "../libssl3/changelog.Debian.gz"})
    old, new = package("alpha", "1", "openssl", "3.5.1-1"), package("alpha", "2", "openssl", "3.5.4-1~deb13u1")
    found = describe(archive, [old], [new, package("libssl3", "2")])
    assert ("alpha", ["CVE-2025-5555"]) in [(each["name"], each["cves"]) for each in found]


def test_a_rebuild_is_found_in_the_changelog_of_its_architecture(archive: FakeArchive) -> None:
    rebuilt = "openssl (3.5.1-1+b1) sid; urgency=low, binary-only=yes\n\n  * Rebuild\n\n -- x <x@x>  now\n\n"
    folder = "usr/share/doc/openssl"
    files = {
        f"{folder}/changelog.Debian.amd64.gz": rebuilt,
        f"{folder}/changelog.Debian.gz": TEXT[TEXT.index("openssl (3.5.1") :],
    }
    archive.put("openssl", "3.5.1-1+b1", files)
    old, new = (package("openssl", version, source_version="3.5.1-1") for version in ("3.5.1-1", "3.5.1-1+b1"))
    assert describe(archive, [old], [new])[0]["changes"] == ["* Rebuild"]


@pytest.mark.parametrize(
    ("files", "note"),
    [
        (None, "its changelog could not be read: apt-get ended with 100"),
        ({}, "its changelog could not be read: tool has none"),
        ({"usr/share/doc/tool/changelog.Debian": "no changelog"}, "its changelog could not be read: tool has none"),
    ],
    ids=["absent", "none", "no changelog"],
)
def test_what_cannot_be_read_is_noted(archive: FakeArchive, files: dict[str, str] | None, note: str) -> None:
    if files is not None:
        archive.put("tool", "2", files)
    found = describe(archive, [package("tool", "1")], [package("tool", "2")])
    assert (found[0]["cves"], found[0]["changes"]) == ([], [])
    assert found[0]["note"].startswith(note)


def test_a_damaged_changelog_is_noted(archive: FakeArchive) -> None:
    archive.put("tool", "2", {"usr/share/doc/tool/changelog.Debian.gz": TEXT})
    place = archive.folder / "tree-tool/usr/share/doc/tool/changelog.Debian.gz"
    place.write_bytes(place.read_bytes()[:40])
    subprocess.run(
        ["dpkg-deb", "-Znone", "--build", archive.folder / "tree-tool", archive.folder / "tool.deb"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    found = describe(archive, [package("tool", "1")], [package("tool", "2")])
    assert "could not be read" in found[0]["note"]


def test_links_in_a_circle_end(archive: FakeArchive) -> None:
    archive.put("one", "2", {}, {"usr/share/doc/one": "two"})
    archive.put("two", "2", {}, {"usr/share/doc/two": "one"})
    found = describe(archive, [package("one", "1"), package("two", "2")], [package("one", "2"), package("two", "2")])
    assert "link in a circle" in found[0]["note"]


def test_the_bill_of_materials_keeps_what_is_needed_later() -> None:
    found = [package("dmsetup", "2:1.02.205-2", "lvm2", "2.03.31-2"), package("libc6", "2.41-12+deb13u4", "glibc")]
    assert sbom.packages_in(sbom.cyclonedx("base", found, [{"name": "a.tar", "sha256": "0"}])) == found
    assert found[0].changelog_version == "2.03.31-2"
    assert package("a", "1:2-3+b1", source_version="2-3").changelog_version == "2-3+b1"
    assert package("a", "2-3+b1").changelog_version == "2-3+b1"


def test_the_name_of_a_package_file_has_its_version() -> None:
    assert Deb("libcap2_1%3a2.75-10+deb13u1+b3_amd64.deb", "").package == ("libcap2", "1:2.75-10+deb13u1+b3")


def test_a_history_stays_short() -> None:
    def entry(number: int) -> dict[str, t.Any]:
        changed = {"name": "p", "source": "p", "from": "1", "to": "2", "cves": [f"CVE-2026-{1000 + number}"]}
        text = [str(hash((number, line))) for line in range(40)]
        return {
            "version": f"{number}",
            "from": f"{number - 1}",
            "packages": [{**changed, "advisories": [], "changes": text}],
        }

    history: t.Sequence[changes.Entry] = []
    for number in range(1, 41):
        history = changes.extend(history, entry(number), longest=6000)
    assert len(manifests.encode(history)) <= 6000
    assert [each["version"] for each in history] == [str(number) for number in range(40, 40 - len(history), -1)]
    assert len(history) == changes.MOST_ENTRIES
    assert history[0] == entry(40)
    assert history[-1]["packages"][0]["note"] == changes.LEFT_OUT
    assert history[-1]["packages"][0]["cves"] == ["CVE-2026-1011"]
    assert len(changes.extend(history, entry(41), longest=400)) < changes.MOST_ENTRIES
