"""Outside judges: what they said, what they were given to look at, and when their word is worth nothing."""

from __future__ import annotations

import hashlib
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import command, judge_options, judge_trees, judges
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, CommandError, ContentError
from ansible_collections.strata.fleet.plugins.module_utils.judge_trees import Tree

# Written by oscap 1.3.7 with ssg-debian 0.1.76 and by Lynis 3.1.4 on Debian 13, shortened.
SAMPLES = Path(__file__).parent / "judges"
BRIDGED, UNBRIDGED = SAMPLES / "debian13-bridged.xml", SAMPLES / "debian13-unbridged.xml"
DEBIAN_12, DEBIAN_13 = ("debian", "12"), ("debian", "13")
STATUS = "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 13\n\n"


def content(*platforms: str) -> judges.Content:
    return judges.Content("ds.xml", "d", "0.1.76", platforms, (f"{judges.PROFILE}anssi_bp28_high",))


def test_what_was_evaluated_is_counted() -> None:
    judgement = judges.read_results(BRIDGED)
    assert judgement.counts == {"error": 1, "fail": 3, "notapplicable": 3, "notchecked": 1, "pass": 3, "unknown": 1}
    assert judgement.evaluated == 6
    assert judgement.rules["fail"][0] == {
        "rule": "package_aide_installed",
        "severity": "medium",
        "title": "Install AIDE",
    }
    judges.require_evaluated(judgement, 6, "it")


def test_nothing_evaluated_is_no_pass() -> None:
    judgement = judges.read_results(UNBRIDGED)
    assert judgement.evaluated == 0
    for least in (0, 1):
        with pytest.raises(ContentError, match=r"0 rules were evaluated.*3 notapplicable.*no pass"):
            judges.require_evaluated(judgement, least, "it")


def test_too_little_evaluated_is_no_pass() -> None:
    with pytest.raises(ContentError, match="at least 7"):
        judges.require_evaluated(judges.read_results(BRIDGED), 7, "it")


@pytest.mark.parametrize("text", ["", "<arf", "<arf/>"])
def test_results_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "arf.xml").write_text(text)
    with pytest.raises(ContentError):
        judges.require_evaluated(judges.read_results(tmp_path / "arf.xml"), 1, "it")


def test_failures_are_explained_or_not() -> None:
    expected = [
        {"rule": "*aide*", "reason": "What is read-only and verified needs no watcher", "owner": "IT"},
        {"rule": "nothing_fails_so", "reason": "?", "owner": "IT"},
    ]
    told = judges.sort_out(judges.read_results(BRIDGED), expected)
    assert {(each["rule"], each["owner"]) for each in told["explained"]} == {
        ("package_aide_installed", "IT"),
        ("aide_build_database", "IT"),
        ("aide_periodic_cron_checking", "IT"),
    }
    assert [each["result"] for each in told["failed"]] == ["error", "unknown"]
    assert told["needless"] == ["nothing_fails_so"]


# Content, and what is done to have it apply


def test_content_is_known_by_its_digest() -> None:
    found = judges.read_content(BRIDGED)
    assert found.digest == hashlib.sha256(BRIDGED.read_bytes()).hexdigest()
    assert (found.version, found.platforms) == ("0.1.76", ("cpe:/o:debian:debian_linux:12",))
    assert judges.require_profile(found, "anssi_bp28_high") == f"{judges.PROFILE}anssi_bp28_high"
    judges.require_digest(found, f"sha256:{found.digest}")
    judges.require_digest(found, "")
    with pytest.raises(ContentError, match="agreed on"):
        judges.require_digest(found, "0" * 64)
    with pytest.raises(BadInput, match="it has anssi_bp28_high"):
        judges.require_profile(found, "cis")


@pytest.mark.parametrize("text", ["", "<x/>"])
def test_content_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "ds.xml").write_text(text)
    with pytest.raises(BadInput):
        judges.read_content(tmp_path / "ds.xml")


def test_the_content_for_a_release(tmp_path: Path) -> None:
    for version in (11, 12, 14):
        (tmp_path / f"ssg-debian{version}-ds.xml").touch()
    assert judges.find_content(DEBIAN_12, tmp_path).name == "ssg-debian12-ds.xml"
    assert judges.find_content(DEBIAN_13, tmp_path).name == "ssg-debian12-ds.xml"
    for release in (("debian", "10"), ("fedora", "43"), ("debian", "")):
        with pytest.raises(BadInput, match="ssg-debian"):
            judges.find_content(release, tmp_path)


def test_another_release_passes_by_a_bridge_that_is_told(tmp_path: Path) -> None:
    own = content("cpe:/o:debian:debian_linux:12")
    assert judges.plan_bridge(own, DEBIAN_12) == ("", [])
    assert judges.plan_bridge(content(), DEBIAN_12) == ("", [])
    platform, bridges = judges.plan_bridge(own, DEBIAN_13)
    assert platform == "cpe:/o:debian:debian_linux:12"
    assert "lets it pass for Debian 12" in bridges[0]
    options = judges.write_helpers(tmp_path, DEBIAN_13, platform)
    assert options == ["--cpe", str(tmp_path / "strata-cpe.xml")]
    assert '"cpe:/o:debian:debian_linux:12"' in (tmp_path / "strata-cpe.xml").read_text()
    assert 'VERSION_ID="?13"?$' in (tmp_path / "strata-oval.xml").read_text()
    assert judges.write_helpers(tmp_path, DEBIAN_12, "") == []
    with pytest.raises(BadInput, match="none of its rules"):
        judges.plan_bridge(content("cpe:/o:redhat:enterprise_linux:9"), DEBIAN_13)


# How it ends tells nothing: oscap ended with 0, with 16 rules passed and none failed, when it could not read packages.


class FakeOscap:
    """Ends and writes as oscap was seen to."""

    def __init__(self, ends: int = 0, errors: str = "", seen: t.Sequence[str] = ("true", "true")) -> None:
        self.ends, self.errors, self.seen = ends, errors, seen

    def __call__(self, argv: t.Sequence[str], **_more: t.Any) -> str:
        if self.errors:
            Path(argv[argv.index("--verbose-log-file") + 1]).write_text(self.errors)
        if "--results" in argv:
            found = "".join(
                f'<definition definition_id="oval:strata:def:{number}" result="{result}"/>'
                for number, result in enumerate(self.seen, 1)
            )
            text = f'<oval_results xmlns="{judges.OVAL_RESULTS[1:-1]}">{found}</oval_results>'
            Path(argv[argv.index("--results") + 1]).write_text(text)
        if self.ends:
            raise CommandError("it ended badly", returncode=self.ends)
        return ""


def look(monkeypatch: pytest.MonkeyPatch, folder: Path, fake: FakeOscap) -> None:
    monkeypatch.setattr(command, "run", fake)
    judges.look(Tree(folder, DEBIAN_13, []), folder)


@pytest.mark.parametrize("ends", [0, judges.FAILED])
def test_a_judge_that_sees_the_tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ends: int) -> None:
    look(monkeypatch, tmp_path, FakeOscap(ends))


def test_a_probe_that_failed_makes_the_word_worthless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="dpkginfo_init has failed"):
        look(monkeypatch, tmp_path, FakeOscap(0, "E: oscap:     dpkginfo_init has failed.\n"))


@pytest.mark.parametrize(
    ("seen", "what"), [(("false", "true"), "packages"), (("true", "unknown"), "release"), ((), "pack")]
)
def test_a_judge_that_does_not_see_the_tree(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seen: t.Sequence[str], what: str
) -> None:
    with pytest.raises(ContentError, match=what):
        look(monkeypatch, tmp_path, FakeOscap(0, "", seen))


def test_other_errors_are_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(CommandError):
        look(monkeypatch, tmp_path, FakeOscap(1))


# What it is given to look at


@pytest.fixture
def trees(tmp_path: Path) -> list[Path]:
    base, app, config = tmp_path / "base", tmp_path / "app", tmp_path / "config"
    for folder in (
        base / "usr/lib",
        base / "etc",
        base / "var/lib/dpkg",
        app / "sysext/usr/bin",
        config / "zz-config/etc",
    ):
        folder.mkdir(parents=True)
    (base / "usr/lib/os-release").write_text('ID=debian\nVERSION_ID="13"\n')
    (base / "var/lib/dpkg/status").write_text(STATUS)
    (base / "etc/motd").write_text("base")
    (app / "sysext/usr/bin/tool").write_text("tool")
    (app / "sysext/usr/bin/tool").chmod(0o4755)
    (config / "zz-config/etc/motd").write_text("config")
    (config / "files.json").write_text("{}")
    return [base, app, config]


def test_trees_are_merged_in_a_copy(trees: list[Path]) -> None:
    with judge_trees.merged(trees, {"nginx": "1.26", "base-files": "13"}, ["linux-base"]) as tree:
        assert tree.release == DEBIAN_13
        assert (tree.root / "etc/motd").read_text() == "config"
        assert stat.S_IMODE((tree.root / "usr/bin/tool").stat().st_mode) == 0o4755
        assert stat.S_IMODE((tree.root / "tmp").stat().st_mode) == 0o1777
        assert not (tree.root / "files.json").exists()
        status = (tree.root / "var/lib/dpkg/status").read_text()
        assert status.count("Package: base-files\n") == 1
        assert "Package: nginx\n" in status
        assert "Package: linux-base\n" in status
        assert [each[:10] for each in tree.bridges] == ["1 packages", "linux-base"]
        root = tree.root
    assert not root.exists()
    assert (trees[0] / "var/lib/dpkg/status").read_text() == STATUS
    assert (trees[0] / "etc/motd").read_text() == "base"


def test_a_marker_that_is_installed_is_no_bridge(trees: list[Path]) -> None:
    with judge_trees.merged(trees, {}, ["base-files"]) as tree:
        assert tree.bridges == []


def test_what_cannot_be_judged(trees: list[Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cases: list[tuple[list[Path], type[Exception]]] = [
        ([tmp_path / "empty"], ContentError),
        ([trees[1]], ContentError),
        ([tmp_path / "absent"], BadInput),
    ]
    for given, error in cases:
        with pytest.raises(error), judge_trees.merged(given, {}, []):
            pass
    (trees[0] / "var/lib/dpkg/status").unlink()
    with pytest.raises(ContentError, match="database of packages"), judge_trees.merged(trees, {}, []):
        pass


@pytest.mark.parametrize(
    "given",
    [
        {"trees": [], "depot": None, "refs": []},
        {"trees": ["/a"], "depot": "/d", "refs": ["base/x/stable"]},
        {"trees": [], "depot": None, "refs": ["base/x/stable"]},
    ],
)
def test_either_trees_or_versions(given: dict[str, t.Any]) -> None:
    with pytest.raises(BadInput), judge_options.merged(given):
        pass


def test_results_are_for_their_owner_alone(tmp_path: Path) -> None:
    given = {"name": "web1", "folder": str(tmp_path / "reports")}
    file = judge_options.result_file(given, "high.html")
    judge_options.keep(file, b"weak here")
    judge_options.keep(file, b"and there")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"and there", 0o600)
    with pytest.raises(BadInput):
        judge_options.result_file({**given, "name": "../web1"}, "x")


# Lynis


def test_what_lynis_says() -> None:
    told = judges.read_lynis((SAMPLES / "lynis.dat").read_text())
    assert (told["version"], told["index"]) == ("3.1.4", 58)
    assert told["tests"] > 10
    assert told["warnings"][0]["test"] == "LOGG-2138"
    assert told["suggestions"][1]["text"].startswith("Install libpam-tmpdir")


@pytest.mark.parametrize(
    "text", ["", "hardening_index=99\n", "tests_executed=A-1|\n", "hardening_index=\ntests_executed=A|"]
)
def test_lynis_without_a_test_says_nothing(text: str) -> None:
    with pytest.raises(ContentError):
        judges.read_lynis(text)
