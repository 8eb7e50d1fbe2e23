"""A real package's fix becomes a version that tells what it fixes, and goes from channel to channel unbuilt."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils import changes
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result
from ansible_collections.strata.fleet.plugins.modules import app, promote
from ansible_collections.strata.fleet.plugins.plugin_utils import descriptions
from ansible_collections.strata.fleet.tests.integration.content.conftest import build_base, without_deltas
from ansible_collections.strata.fleet.tests.integration.tools import CHECKOUT, Controller
from ansible_collections.strata.fleet.tests.lab import archive

Data = dict[str, t.Any]
CVE = "CVE-2026-99999"


@pytest.fixture(scope="module")
def fixes() -> t.Iterator[archive.Archive]:
    with tempfile.TemporaryDirectory(prefix="strata-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        with archive.archive(Path(folder, "archive")) as made:
            yield made


@pytest.fixture(scope="module")
def depot(place: str, debian: Result) -> t.Iterator[Depot]:
    """Give a copy of the depot, which these tests change."""
    assert debian.changed
    with tempfile.TemporaryDirectory(prefix="strata-", dir="/var/tmp") as folder:
        subprocess.run(["cp", "--archive", "--reflink=auto", place, f"{folder}/depot"], check=True)
        yield Depot(f"{folder}/depot")


@pytest.fixture(scope="module")
def sources(fixes: archive.Archive) -> list[Data]:
    return [*archive.debian(), fixes.source()]


@pytest.fixture(scope="module")
def fixed(depot: Depot, fixes: archive.Archive, sources: list[Data]) -> tuple[Result, Result, tuple[str, str]]:
    """Fix a package and build it into candidate; return what check mode and the build said, and both versions."""
    versions = fixes.fix("libssl3t64", CVE)
    expected = build_base(str(depot.path), check_mode=True, channel="candidate", sources=sources)
    return expected, build_base(str(depot.path), channel="candidate", sources=sources), versions


def move(depot: Depot, source: str, channel: str = "stable", *, check: bool = False) -> Result:
    given = {"depot": str(depot.path), "name": "base/debian-13", "source": source, "channel": channel}
    return promote.work({**given, "lockdown": {}}, check)


def test_where_nothing_differs_nothing_is_published(depot: Depot, sources: list[Data]) -> None:
    refs = depot.repo.refs()
    again = build_base(str(depot.path), sources=sources)
    assert (again.changed, again.steps) == (False, [])
    assert "nothing differs, nothing is published" in again.facts["msg"]
    # Another channel names the same version, and nothing is built for it.
    stable = refs["base/debian-13/stable"]
    with without_deltas():
        first = build_base(str(depot.path), channel="trial", sources=sources)
    assert (first.changed, first.facts["version"]["commit"], first.facts["changes"]) == (
        True,
        stable,
        changes.nothing(),
    )
    assert depot.repo.refs() == {**refs, "base/debian-13/trial": stable}
    depot.repo.delete_ref("base/debian-13/trial")


def test_a_fix_is_a_version_that_tells_what_it_fixes(
    depot: Depot, fixed: tuple[Result, Result, tuple[str, str]], tmp_path: Path
) -> None:
    expected, built, (old, new) = fixed
    package = {"name": "libssl3t64", "from": old, "to": new}
    assert expected.facts["changes"]["packages"] == [{**package, "cves": []}]
    assert built.facts["changes"] == {
        "packages": [{**package, "cves": [CVE]}],
        "cves": [CVE],
        "advisories": ["DSA-9999-1"],
        "complete": True,
    }
    stable = depot.channel("base", "debian-13", "stable")
    assert stable
    commit = built.facts["version"]["commit"]
    line = f"* Fix {CVE} (DSA-9999-1): a fault made up for a test."
    listed = {"source": "openssl", "cves": [CVE], "advisories": ["DSA-9999-1"], "changes": [line]}
    version = depot.repo.manifest(stable)["version"]
    assert changes.read(depot.repo, commit) == [
        {"version": built.facts["version"]["version"], "from": version, "packages": [{**package, **listed}]}
    ]
    assert changes.read(depot.repo, stable) == []
    assert depot.repo.parent(commit) == stable
    depot.repo.checkout(commit, str(tmp_path / "tree"))
    libraries = list((tmp_path / "tree/usr/lib").glob("*/libcrypto.so.3"))
    assert [file.read_bytes().endswith(f"# {CVE} is fixed here.\n".encode()) for file in libraries] == [True]
    shutil.rmtree(tmp_path / "tree")


def test_the_index_tells_what_a_node_fetches(depot: Depot, fixed: tuple[Result, Result, tuple[str, str]]) -> None:
    stable = depot.channel("base", "debian-13", "stable")
    commit = fixed[1].facts["version"]["commit"]
    sizes = json.loads(Path(depot.repo.path, "deltas.json").read_text())
    assert {f"-{commit}", f"{stable}-{commit}"} <= sizes.keys()
    folders = [file.parent for file in Path(depot.repo.path, "deltas").rglob("superblock")]
    found = sorted(sum(file.stat().st_size for file in folder.iterdir()) for folder in folders)
    assert sorted(sizes.values()) == found
    assert 0 < sizes[f"{stable}-{commit}"] < sizes[f"-{commit}"] / 10


def test_the_same_fix_again_builds_nothing(
    depot: Depot, fixed: tuple[Result, Result, tuple[str, str]], sources: list[Data]
) -> None:
    again = build_base(str(depot.path), channel="candidate", sources=sources)
    assert (again.changed, again.steps, again.facts["version"]) == (False, [], fixed[1].facts["version"])


def test_promoting_builds_nothing(depot: Depot, fixed: tuple[Result, Result, tuple[str, str]]) -> None:
    refs = depot.repo.refs()
    commit, old = fixed[1].facts["version"]["commit"], depot.repo.manifest(refs["base/debian-13/stable"])["version"]
    planned = move(depot, "candidate", check=True)
    assert depot.repo.refs() == refs
    moved = move(depot, "candidate")
    assert (planned.changed, planned.steps, planned.before, planned.after, planned.facts) == (
        moved.changed,
        moved.steps,
        moved.before,
        moved.after,
        moved.facts,
    )
    assert depot.repo.refs() == {**refs, "base/debian-13/stable": commit}
    assert (moved.facts["back"], moved.facts["changes"]["cves"]) == (False, [CVE])
    again = move(depot, "candidate")
    assert (again.changed, again.steps) == (False, [])
    back = move(depot, old)
    assert (back.changed, back.facts["back"], back.after["cves_that_come_back"]) == (True, True, [CVE])
    assert "goes back" in back.facts["msg"]
    assert depot.repo.refs() == refs
    with pytest.raises(BadInput, match=f"neither channel nor version 'tested'; it has candidate .*stable \\({old}"):
        move(depot, "tested")
    with pytest.raises(BadInput, match="no name of a channel"):
        move(depot, "candidate", "13.1")
    assert move(depot, "candidate").changed


def test_a_node_that_jumps_versions_learns_of_every_fix(
    depot: Depot, fixed: tuple[Result, Result, tuple[str, str]], fixes: archive.Archive, sources: list[Data]
) -> None:
    assert fixed
    fixes.fix("tzdata", "CVE-2026-88888")
    with without_deltas():
        built = build_base(str(depot.path), sources=sources)
    assert built.facts["changes"]["cves"] == ["CVE-2026-88888"]
    commit = built.facts["version"]["commit"]
    history = changes.read(depot.repo, commit)
    oldest = depot.repo.rev(f"base/debian-13/{history[-1]['from']}")
    found = depot.between(oldest, commit)
    assert found["cves"] == ["CVE-2026-88888", CVE]
    assert (found["complete"], [each["name"] for each in found["packages"]]) == (True, ["libssl3t64", "tzdata"])


def test_the_playbooks_say_what_came_of_it(
    depot: Depot,
    fixed: tuple[Result, Result, tuple[str, str]],
    sources: list[Data],
    controller: Controller,
    tmp_path: Path,
) -> None:
    """They are run as an operator does; nothing is left to build, so they only look, and move a channel."""
    assert fixed
    refs = depot.repo.refs()
    first, newest = (depot.repo.manifest(refs[f"base/debian-13/{word}"])["version"] for word in ("candidate", "stable"))
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "/usr/bin/python3",
        "depot_path": str(depot.path),
        "base_files": [str(CHECKOUT / "inventories/demo/bases/debian-13.yml")],
        "base_sources": sources,
    }
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"depots": {"hosts": {"site": variables}}}))

    def play(name: str, *arguments: str) -> str:
        ran = controller.play(CHECKOUT / f"playbooks/{name}.yml", "-i", str(inventory), *arguments)
        return " ".join(f"{ran.returncode} {ran.output}".split())

    said = play("patch_base")
    assert f"base/debian-13/stable stays {newest}: nothing differs, nothing is published" in said
    assert "changed=0" in said
    promote_it = ("promote", "-e", "promote=base/debian-13", "-e", f"promote_from={first}")
    said = play(*promote_it, "--check", "--diff")
    assert f"goes back from {newest} to {first}, which is older" in said
    assert "cves_that_come_back" in said
    assert depot.repo.refs() == refs
    assert "changed=1" in play(*promote_it)
    assert depot.channel("base", "debian-13", "stable") == refs["base/debian-13/candidate"]
    said = play(*promote_it)
    assert f"names {first} already" in said
    assert "changed=0" in said
    assert "Name what to promote" in play("promote")
    assert "it has candidate" in play("promote", "-e", "promote=base/debian-13", "-e", "promote_from=tested")


def test_an_apps_packages_are_told_as_well(
    depot: Depot,
    fixed: tuple[Result, Result, tuple[str, str]],
    fixes: archive.Archive,
    sources: list[Data],
    tmp_path: Path,
) -> None:
    assert fixed
    description = {
        "name": "list",
        "version": "1.0",
        "vendor": "acme",
        "base": "debian-13",
        "packages": ["publicsuffix"],
        "health": {"type": "tcp", "port": 80},
    }
    (tmp_path / "app").mkdir()
    (tmp_path / "app/app.yml").write_text(json.dumps(description))
    packed = tmp_path / "app.tar"
    descriptions.check(description, "app", "app.yml")
    descriptions.pack(tmp_path / "app", packed)
    given: Data = {"folder": str(tmp_path / "app"), "depot": str(depot.path), "channel": "stable", "base": None}
    given |= {
        "base_channel": "stable",
        "sources": sources,
        "lockdown": {},
        "description": description,
        "tree": str(packed),
    }
    first = app.work(given, False)
    assert (first.facts["version"]["version"], first.facts["changes"]) == ("1.0-1", changes.nothing())
    old, new = fixes.fix("publicsuffix", "CVE-2026-77777")
    second = app.work(given, False)
    assert second.facts["version"]["version"] == "1.0-2"
    assert second.facts["changes"]["packages"] == [
        {"name": "publicsuffix", "from": old, "to": new, "cves": ["CVE-2026-77777"]}
    ]
    # Said differently, the same files: nodes judge health by what the version says.
    described = {**given, "description": {**description, "state_schema": "2"}}
    third = app.work(described, False)
    assert (third.facts["version"]["version"], third.facts["changes"]["packages"]) == ("1.0-3", [])
    assert depot.repo.manifest(third.facts["version"]["commit"])["state_schema"] == "2"
