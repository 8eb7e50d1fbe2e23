"""From signed indexes and changelogs to a depot's feed, and from that to what an appliance lacks."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
import pathlib
import subprocess
import tempfile
import time
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import security_feeds
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot, Draft
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError, Unreachable
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import feeds
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result
from ansible_collections.strata.fleet.plugins.module_utils.sbom import Package
from ansible_collections.strata.fleet.plugins.modules import depot as depot_module
from ansible_collections.strata.fleet.plugins.modules import security_feed

Data = dict[str, t.Any]
ARCHITECTURE = subprocess.run(
    ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
).stdout.strip()
LISTS = f"main/binary-{ARCHITECTURE}/Packages"
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
OPENSSL = """\
openssl (3.5.7-1~deb13u3) trixie-security; urgency=high

  * CVE-2026-3333 (Heap overflow)

 -- Somebody <somebody@debian.org>  Tue, 29 Sep 2026 10:00:00 +0000

openssl (3.5.7-1) unstable; urgency=medium

  * New upstream, with CVE-2026-2222.

 -- Somebody <somebody@debian.org>  Tue, 01 Sep 2026 10:00:00 +0000

openssl (3.5.4-1~deb13u1) trixie; urgency=medium

  * The release.

 -- Somebody <somebody@debian.org>  Thu, 20 Nov 2025 10:00:00 +0000
"""


def entry(version: str, date: str, suite: str, *cves: str) -> Data:
    return {"version": version, "date": date, "suite": suite, "cves": list(cves)}


def feed(**more: t.Any) -> Data:
    openssl = [
        entry("3.5.7-1~deb13u3", "2026-11-10", "trixie-security", "CVE-2026-3333"),
        entry("3.5.7-1~deb13u2", "2026-10-20", "trixie-security", "CVE-2026-2222"),
        entry("3.5.7-1~deb13u1", "2026-09-01", "trixie"),
    ]
    expat = [
        entry("2.9.0-1~deb13u1", "2026-10-11", "trixie-security"),
        entry("2.9.0-1", "2026-08-05", "unstable", "CVE-2026-7777"),
    ]
    lvm2 = [entry("2.03.31-3", "2026-11-01", "trixie-security"), entry("2.03.31-2", "2026-01-01", "unstable")]
    tzdata = [entry("2026f-1", "2026-10-28", "trixie"), entry("2026c-1", "2026-08-16", "trixie")]
    return {
        "format": 1,
        "suite": "trixie",
        "abi": "debian-13",
        "date": "2026-11-21T00:53:03Z",
        "valid_until": "2026-11-28T00:53:03Z",
        "packages": {
            "libssl3t64": {"version": "3.5.7-1~deb13u3", "security": "3.5.7-1~deb13u3", "source": "openssl"},
            "libexpat1": {"version": "2.9.0-1~deb13u1", "security": "2.9.0-1~deb13u1", "source": "expat"},
            "libdevmapper": {
                "version": "2:1.02.205-3",
                "security": "2:1.02.205-3",
                "source": "lvm2",
                "source_version": "2.03.31-3",
                "were": {"2:1.02.205-2": "2.03.31-2"},
            },
            "tzdata": {"version": "2026f-1"},
            "bash": {"version": "5.2-2"},
            "zlib1g": {"version": "1:1.3-2", "security": "1:1.3-2", "source": "zlib"},
        },
        "sources": {
            "openssl": {"version": "3.5.7-1~deb13u3", "entries": openssl},
            "expat": {"version": "2.9.0-1~deb13u1", "entries": expat},
            "lvm2": {"version": "2.03.31-3", "entries": lvm2},
            "tzdata": {"version": "2026f-1", "entries": tzdata},
        },
        **more,
    }


def lacks(packages: dict[str, str], given: Data | None = None) -> list[Data]:
    manifests = {"base": {"packages": packages}}
    return t.cast("list[Data]", feeds.pending(given or feed(), manifests, NOW)["updates"])


@pytest.mark.parametrize(
    ("name", "installed", "is_security", "since", "cves"),
    [
        ("libssl3t64", "3.5.7-1~deb13u1", True, "2026-10-20", ["CVE-2026-2222", "CVE-2026-3333"]),
        ("libssl3t64", "3.5.7-1~deb13u2", True, "2026-11-10", ["CVE-2026-3333"]),
        # Rebuilt: the number of the rebuild is not the source's.
        ("libssl3t64", "3.5.7-1~deb13u2+b1", True, "2026-11-10", ["CVE-2026-3333"]),
        # What unstable had earlier was not to be had here.
        ("libexpat1", "2.8.3-1", True, "2026-10-11", ["CVE-2026-7777"]),
        ("libdevmapper", "2:1.02.205-2", True, "2026-11-01", []),
        # Nobody knows the source's version of this one, or there is no changelog.
        ("libdevmapper", "2:1.02.100-1", True, None, []),
        ("zlib1g", "1:1.3-1", True, None, []),
        ("bash", "5.2-1", True, None, []),
        # An update without anything of security.
        ("tzdata", "2026c-1", False, None, []),
    ],
)
def test_what_is_lacking(name: str, installed: str, is_security: bool, since: str | None, cves: list[str]) -> None:
    (update,) = lacks({name: installed})
    assert (update["security"], update["since"], update["cves"]) == (is_security, since, cves)
    assert (update["days"] is None) == (since is None)


@pytest.mark.parametrize("installed", ["3.5.7-1~deb13u3", "3.5.7-1~deb13u3+b1", "3.6.0-1"])
def test_what_is_not_lacking(installed: str) -> None:
    assert lacks({"libssl3t64": installed}) == []


def test_layers_are_told_apart_and_the_oldest_comes_first() -> None:
    manifests = {"base": {"packages": {"libssl3t64": "3.5.7-1~deb13u2"}}, "app": {"packages": {"libexpat1": "2.8.3-1"}}}
    found = feeds.pending(feed(), manifests, NOW)
    assert [(each["layer"], each["package"], each["days"]) for each in found["updates"]] == [
        ("app", "libexpat1", 42),
        ("base", "libssl3t64", 12),
    ]


def test_packages_of_which_nobody_tells() -> None:
    manifests = {"base": {"packages": {"bash": "5.2-2"}}, "app": {"packages": {"acme": "1"}}}
    assert feeds.pending(feed(), manifests, NOW)["strangers"] == {"app": ["acme"]}


@pytest.mark.parametrize(
    ("date", "until", "said"),
    [
        ("2026-11-21T00:53:03Z", "2026-11-28T00:53:03Z", ""),
        ("2026-11-14T00:53:03Z", "2026-11-21T00:53:03Z", "valid until 2026-11-21T00:53:03Z"),
        ("2026-11-14T00:53:03Z", "", "8 days ago"),
        ("2026-11-14T00:53:03Z", "2027-11-21T00:53:03Z", "8 days ago"),
        ("2026-11-16T00:53:03Z", "", ""),
    ],
)
def test_stale_feeds(date: str, until: str, said: str) -> None:
    told = feeds.find_staleness(feed(date=date, valid_until=until), NOW)
    assert told.endswith(said)
    assert bool(told) == bool(said)


def test_the_feed_for_a_release() -> None:
    other = feed(abi="debian-12")
    assert feeds.choose([other, feed()], {"base": {"abi": "debian-13"}}) == feed()
    assert feeds.choose([other], {"base": {"abi": "debian-13"}}) is None
    assert feeds.choose([feed()], {}) is None


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}'])
def test_what_is_no_feed(text: str) -> None:
    with pytest.raises(ContentError):
        feeds.parse(text)


def test_a_thousand_appliances_take_no_time() -> None:
    many = feed(packages={f"p{number}": {"version": "2-1"} for number in range(3000)})
    started = time.process_time()  # of this process alone: the machine may have much else to do
    manifests = {"base": {"packages": {f"p{number}": "2-1" for number in range(150)}}}
    for _each in range(1000):
        feeds.pending(many, manifests, NOW)
    assert time.process_time() - started < 1


# From a real archive, made here: apt verifies it


class Archive:
    """An archive on disk with a release and its security suite, signed."""

    def __init__(self, folder: pathlib.Path, home: str) -> None:
        self.folder = folder
        self.gpg = ["gpg", "--homedir", home, "--batch", "--quiet"]
        self.key = folder / "key.gpg"
        folder.mkdir()
        self.key.write_bytes(subprocess.run([*self.gpg, "--export"], check=True, capture_output=True).stdout)
        self.date, self.until = "-1 day", "+6 days"

    def put(self, suite: str, name: str, version: str, *, source: str = "", changelog: str = "") -> None:
        root = self.folder / f"tree-{suite}-{name}-{version}"
        document = root / "usr/share/doc" / name
        document.mkdir(parents=True)
        (document / "changelog.Debian.gz").write_bytes(gzip.compress(changelog.encode()))
        control = {"Package": name, "Version": version, "Architecture": "all", "Maintainer": "x", "Description": "x"}
        control |= {"Source": source} if source else {}
        (root / "DEBIAN").mkdir()
        text = "".join(f"{key}: {value}\n" for key, value in control.items())
        (root / "DEBIAN/control").write_text(text)
        place = f"pool/{name}_{version}_all.deb".replace(":", "%3a")
        (self.folder / "pool").mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, self.folder / place], check=True, stdout=-3)
        deb = (self.folder / place).read_bytes()
        stanza = f"{text}Filename: {place}\nSize: {len(deb)}\nSHA256: {hashlib.sha256(deb).hexdigest()}\n\n"
        lists = self.folder / "dists" / suite / LISTS
        lists.parent.mkdir(parents=True, exist_ok=True)
        with lists.open("a") as file:
            file.write(stanza)
        self.sign(suite)

    def sign(self, suite: str) -> None:
        folder = self.folder / "dists" / suite
        lists = (folder / LISTS).read_bytes()
        fields = {
            "Origin": "Debian",
            "Suite": suite,
            "Codename": suite,
            "Architectures": ARCHITECTURE,
            "Components": "main",
        }
        for key, offset in (("Date", self.date), ("Valid-Until", self.until)):
            argv = ["date", "--utc", "--rfc-email", f"--date={offset}"]
            fields[key] = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
        text = "".join(f"{key}: {value}\n" for key, value in fields.items())
        text += f"SHA256:\n {hashlib.sha256(lists).hexdigest()} {len(lists)} {LISTS}\n"
        subprocess.run(
            [*self.gpg, "--yes", "--clearsign", "--output", folder / "InRelease"], input=text.encode(), check=True
        )

    def sources(self, *suites: str) -> list[Data]:
        every = list(suites or ("trixie", "trixie-security"))
        return [{"uris": [f"copy:{self.folder}"], "suites": every, "components": ["main"], "signed_by": str(self.key)}]


@pytest.fixture(scope="module")
def home() -> t.Iterator[str]:
    # pytest's own temporary folders are too deep for the agent's socket.
    with tempfile.TemporaryDirectory(prefix="sg-", dir="/tmp") as folder:
        argv = ["gpg", "--homedir", folder, "--batch", "--quiet", "--passphrase", "", "--quick-gen-key", "a@test"]
        subprocess.run([*argv, "ed25519", "sign"], check=True)
        yield folder
        subprocess.run(["gpgconf", "--homedir", folder, "--kill", "all"], check=True)


@pytest.fixture
def archive(tmp_path: pathlib.Path, home: str) -> Archive:
    made = Archive(tmp_path / "archive", home)
    made.put("trixie", "libssl3t64", "3.5.4-1~deb13u1", source="openssl")
    made.put("trixie", "bash", "5.2-2")
    made.put("trixie", "unwanted", "1")
    made.put("trixie-security", "libssl3t64", "3.5.7-1~deb13u3", source="openssl", changelog=OPENSSL)
    made.put("trixie-security", "chromium", "1")
    return made


@pytest.fixture
def depot(tmp_path: pathlib.Path) -> Depot:
    given: Data = {"path": str(tmp_path / "site"), "signer": "Site", "key_file": None, "keep": 5, "mirrors": []}
    depot_module.work(given, check_mode=False)
    made = Depot(given["path"])
    publish(made, tmp_path / "tree")
    return made


def publish(depot: Depot, tree: pathlib.Path) -> None:
    (tree / "usr/lib/strata").mkdir(parents=True)
    (tree / "usr/lib/strata/base.json").write_text('{"suite": "trixie", "components": ["main"], "backports": []}')
    found = [Package("libssl3t64", "3.5.4-1~deb13u1", "all", "openssl"), Package("bash", "5.2-2", "all", "bash")]
    manifest = {"format": 1, "kind": "base", "name": "deb", "abi": "debian-13", "architecture": "all", "size": 1}
    manifest |= {"packages": {each.name: each.version for each in found}, "built": "2026-01-01T00:00:00Z"}
    depot.publish(Draft("base", "deb", "stable", str(tree), "13.", manifest, found, [], "inputs", lambda _old: []))


def work(depot: Depot, archive: Archive, *, check: bool = False, refresh: bool = True, **more: t.Any) -> Result:
    given = {"depot": str(depot.path), "refresh": refresh, "sources": archive.sources(), **more}
    return security_feed.work(given, check)


def file_of(depot: Depot) -> pathlib.Path:
    return depot.path / "repo/security/trixie.json"


def test_a_feed_from_an_archive(depot: Depot, archive: Archive) -> None:
    assert work(depot, archive, check=True).changed
    assert not file_of(depot).exists()

    result = work(depot, archive)
    assert result.changed
    (told,) = result.facts["feeds"]
    text = file_of(depot).read_text()
    assert (told["text"], told["age"], told["stale"], told["sources"]) == (text, 1, "", ["openssl"])
    made = feeds.parse(text)
    assert made["packages"] == {
        "bash": {"version": "5.2-2"},
        "chromium": {"version": "1", "security": "1"},
        "libssl3t64": {"version": "3.5.7-1~deb13u3", "security": "3.5.7-1~deb13u3", "source": "openssl"},
    }
    manifests = {"base": depot.repo.manifest(depot.channel("base", "deb", "stable") or "")}
    (update,) = feeds.pending(made, manifests, NOW)["updates"]
    assert (update["since"], update["cves"]) == ("2026-09-29", ["CVE-2026-2222", "CVE-2026-3333"])

    again = work(depot, archive)
    assert (again.changed, again.steps, again.warnings) == (False, [], [])


def test_only_what_changed_is_written_anew(depot: Depot, archive: Archive) -> None:
    before = feeds.parse(work(depot, archive).facts["feeds"][0]["text"])
    (archive.folder / "pool").rename(archive.folder / "gone")
    archive.put("trixie-security", "bash", "5.2-3")
    result = work(depot, archive)
    assert result.changed
    after = feeds.parse(result.facts["feeds"][0]["text"])
    assert after["packages"]["bash"] == {"version": "5.2-3", "security": "5.2-3"}
    # The package with openssl's changelog is gone from the archive: what was known of it is kept.
    assert after["sources"]["openssl"] == before["sources"]["openssl"]


def test_without_a_way_to_the_archive_the_old_feed_is_kept(depot: Depot, archive: Archive) -> None:
    work(depot, archive)
    text = file_of(depot).read_text()
    archive.folder.rename(archive.folder.with_name("gone"))
    result = work(depot, archive)
    assert not result.changed
    assert result.facts["feeds"][0]["text"] == text
    assert "stays that of" in result.warnings[0]
    assert work(depot, archive, refresh=False).facts["feeds"] == result.facts["feeds"]


@pytest.mark.parametrize("fault", ["unsigned", "tampered", "expired", "gone"])
def test_an_index_that_cannot_be_trusted_makes_no_feed(depot: Depot, archive: Archive, fault: str) -> None:
    index = archive.folder / "dists/trixie-security/InRelease"
    if fault == "unsigned":
        index.write_text(index.read_text().partition("-----BEGIN PGP SIGNATURE")[0])
    elif fault == "tampered":
        index.write_text(index.read_text().replace("Origin: Debian", "Origin: Strange"))
    elif fault == "expired":
        archive.date, archive.until = "-9 days", "-2 days"
        archive.sign("trixie-security")
    else:
        index.unlink()
    with pytest.raises(Unreachable):
        work(depot, archive)
    assert not file_of(depot).exists()


@pytest.mark.parametrize("fault", ["changed", "unsigned", "strange"])
def test_a_feed_that_was_tampered_with_is_made_anew(depot: Depot, archive: Archive, fault: str) -> None:
    work(depot, archive)
    file, signature = file_of(depot), file_of(depot).with_name("trixie.json.asc")
    text = file.read_text()
    if fault == "changed":
        file.write_text(text.replace("3.5.7-1~deb13u3", "3.5.4-1~deb13u1"))
    elif fault == "unsigned":
        signature.unlink()
    else:
        signature.write_text(archive_signature(archive, text))
    offline = work(depot, archive, refresh=False)
    assert offline.facts["feeds"] == []
    assert "is not signed by the depot's key" in offline.warnings[0]
    assert work(depot, archive).changed
    assert file.read_text() == text
    assert work(depot, archive).warnings == []


def archive_signature(archive: Archive, text: str) -> str:
    argv = [*archive.gpg, "--armor", "--detach-sign"]
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout


def test_without_the_security_suite_there_is_nothing_to_tell(depot: Depot, archive: Archive) -> None:
    with pytest.raises(BadInput, match="trixie-security"):
        work(depot, archive, sources=archive.sources("trixie"))


def test_what_an_index_says() -> None:
    text = "Suite: stable-security\nCodename: trixie-security\nDate: Sat, 21 Nov 2026 00:53:03 UTC\n"
    index = security_feeds.read_index(text)
    assert index[:3] == ("trixie-security", "2026-11-21T00:53:03Z", "")
    with pytest.raises(ContentError):
        security_feeds.read_index("Suite: x\n")


def test_a_feed_is_plain_json(depot: Depot, archive: Archive) -> None:
    work(depot, archive)
    assert json.loads(file_of(depot).read_text())["format"] == feeds.FORMAT
