"""What a depot does with trees that are ready: one version of equal content, its history, channels and deltas."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import building, changes
from ansible_collections.strata.fleet.plugins.module_utils.apt import Deb
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot, Draft
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import admission
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result
from ansible_collections.strata.fleet.plugins.module_utils.sbom import Package
from ansible_collections.strata.fleet.plugins.modules import depot as depot_module
from ansible_collections.strata.fleet.plugins.modules import promote, signature

Data = dict[str, t.Any]
CVES = {"2": ["CVE-2026-2222"], "3": ["CVE-2026-3333"]}


@pytest.fixture
def depot(tmp_path: pathlib.Path) -> Depot:
    given: Data = {"path": str(tmp_path / "site"), "signer": "Site", "key_file": None, "keep": 5, "mirrors": []}
    depot_module.work(given, check_mode=False)
    return Depot(given["path"])


class Builder:
    """Publishes a tool of some version, as the module base does."""

    def __init__(self, depot: Depot, tree: pathlib.Path) -> None:
        self.depot = depot
        self.tree = tree
        self.builds = 0
        self.clock = 0

    def __call__(self, version: str, channel: str = "stable", *, check_mode: bool = False, **said: t.Any) -> Result:
        debs = [Deb(f"tool_{version}_all.deb", ""), Deb("apt_3_all.deb", "")]
        inputs = said.pop("inputs", version + json.dumps(said))
        before = building.look(self.depot, building.Place("base", "deb", channel), inputs)
        if before.found is None and not check_mode:
            self.depot.publish(self.draft(version, channel, inputs, said))
        elif before.found and not check_mode:
            self.depot.point("base", "deb", channel, before.found)
        return building.report(self.depot, before, "build base/deb", debs, check_mode=check_mode)

    def draft(self, version: str, channel: str, inputs: str, said: Data) -> Draft:
        self.builds += 1
        self.clock += 1
        (self.tree / "usr/bin/tool").write_text(f"tool {version}\n" * 1000)
        found = [Package("tool", version, "all", "tool")]

        def tell(earlier: t.Sequence[Package]) -> list[Data]:
            entry = {"source": "tool", "cves": CVES.get(version, []), "advisories": [], "changes": []}
            return [{"name": "tool", "from": earlier[0].version, "to": version, **entry}]

        manifest = {"format": 1, "kind": "base", "name": "deb", "abi": "deb-13", "architecture": "all", "size": 1}
        manifest |= {"packages": {"tool": version}, "built": f"2026-01-01T00:00:{self.clock:02}Z", **said}
        return Draft("base", "deb", channel, str(self.tree), "13.20260101.", manifest, found, [], inputs, tell)


def under(mode: str) -> Data:
    """Return what a depot judges by where its policy allows no set-user-id programs."""
    rules = {"setuid-files": {"value": [], "severity": "high"}}
    policy = {"digest": "d", "names": ["site"], "mode": mode, "rules": rules, "actions": {"high": "refuse"}}
    return {"policy": policy, "waivers": [], "names": ["depot1"], "today": "2026-01-02"}


@pytest.fixture
def build(depot: Depot, tree: pathlib.Path) -> Builder:
    return Builder(depot, tree)


def names(depot: Depot) -> dict[str, str]:
    """Return the versions that the channels name."""
    heads = depot.heads("base", "deb", "")
    return {word: depot.repo.manifest(commit)["version"][-1] for word, commit in heads.items() if word[0].isalpha()}


def move(
    depot: Depot,
    source: str,
    channel: str = "stable",
    *,
    check: bool = False,
    name: str = "base/deb",
    lockdown: Data | None = None,
) -> Result:
    given = {"depot": str(depot.path), "name": name, "source": source, "channel": channel}
    return promote.work({**given, "lockdown": lockdown or {}}, check)


def test_content_is_published_once(build: Builder, depot: Depot) -> None:
    first = build("1")
    assert first.steps == ["build base/deb", "publish base/deb 13.20260101.1 as stable"]
    assert (build("1").changed, build.builds) == (False, 1)
    same = build("1", inputs="others")
    assert (same.changed, same.steps[1], build.builds) == (
        False,
        "publish nothing: the content is that of the present version",
        2,
    )
    assert "nothing differs, nothing is published" in same.facts["msg"]
    assert (build("1", inputs="others").steps, build.builds) == ([], 2)
    assert len(depot.repo.refs()) == 2


def test_a_candidate_of_what_stable_names_is_the_same_version(build: Builder, depot: Depot) -> None:
    build("1")
    planned = build("1", "candidate", check_mode=True)
    assert names(depot) == {"stable": "1"}
    candidate = build("1", "candidate")
    assert planned.steps == candidate.steps == ["point base/deb/candidate at 13.20260101.1, which is the same"]
    assert (candidate.changed, build.builds, names(depot)) == (True, 1, {"candidate": "1", "stable": "1"})
    # Found to be the same only by building it.
    trial = build("1", "trial", inputs="others")
    assert trial.steps == ["build base/deb", "point base/deb/trial at 13.20260101.1, which is the same"]
    assert names(depot) == {"candidate": "1", "stable": "1", "trial": "1"}


def test_a_candidate_is_told_in_relation_to_stable(build: Builder, depot: Depot) -> None:
    stable = build("1").facts["version"]
    guessed = build("2", "candidate", check_mode=True)
    assert guessed.facts["changes"]["packages"] == [{"name": "tool", "from": "1", "to": "2", "cves": []}]
    assert guessed.after["changed_packages"] == {"tool": "2"}
    candidate = build("2", "candidate")
    assert candidate.facts["changes"]["cves"] == ["CVE-2026-2222"]
    assert (candidate.before, candidate.after["cves"]) == ({"changed_packages": {"tool": "1"}}, ["CVE-2026-2222"])
    commit = candidate.facts["version"]["commit"]
    assert depot.repo.parent(commit) == stable["commit"]
    assert changes.read(depot.repo, commit)[0]["from"] == stable["version"]
    assert names(depot) == {"candidate": "2", "stable": "1"}


def test_what_stable_skipped_is_told_when_it_catches_up(build: Builder) -> None:
    build("1")
    build("2", "candidate")
    build("3", "candidate")
    caught_up = build("3")
    assert (caught_up.changed, build.builds) == (True, 3)
    assert caught_up.facts["changes"]["cves"] == ["CVE-2026-2222", "CVE-2026-3333"]
    assert caught_up.facts["changes"]["complete"]


def test_a_version_that_was_left_is_not_built_again_under_another_number(build: Builder, depot: Depot) -> None:
    build("1")
    build("2")
    move(depot, "13.20260101.1")
    assert names(depot) == {"stable": "1"}
    build("2")
    assert (names(depot), build.builds) == ({"stable": "2"}, 2)


def test_a_manifest_that_says_something_else_is_a_version(build: Builder, depot: Depot) -> None:
    build("1")
    build("1", state_schema="")
    assert names(depot) == {"stable": "1"}
    build("1", state_schema="2")
    assert names(depot) == {"stable": "2"}


def test_a_channel_has_no_versions_name(build: Builder) -> None:
    with pytest.raises(BadInput, match="no name of a channel"):
        build("1", "13")


def test_promoting_moves_the_channel_and_nothing_else(build: Builder, depot: Depot) -> None:
    build("1")
    commit = build("2", "candidate").facts["version"]["commit"]
    planned = move(depot, "candidate", check=True)
    assert names(depot)["stable"] == "1"
    moved = move(depot, "candidate")
    assert (planned.steps, planned.before, planned.after) == (moved.steps, moved.before, moved.after)
    assert moved.steps == ["point base/deb/stable at 13.20260101.2 instead of 13.20260101.1"]
    assert (depot.channel("base", "deb", "stable"), moved.facts["version"]["commit"]) == (commit, commit)
    assert (moved.facts["back"], moved.facts["changes"]["cves"], moved.after["cves"]) == (
        False,
        ["CVE-2026-2222"],
        ["CVE-2026-2222"],
    )
    again = move(depot, "candidate")
    assert (again.changed, again.before == again.after) == (False, True)
    assert depot.summary_is_current()


def test_going_back_is_said(build: Builder, depot: Depot) -> None:
    build("1")
    build("2")
    back = move(depot, "13.20260101.1")
    assert back.steps == ["point base/deb/stable at 13.20260101.1 instead of 13.20260101.2, which is older"]
    assert back.after["back"] == "this is older than 13.20260101.2"
    assert (back.after["cves_that_come_back"], back.after["changed_packages"]) == (["CVE-2026-2222"], {"tool": "1"})
    assert "goes back from 13.20260101.2 to 13.20260101.1" in back.facts["msg"]
    assert names(depot) == {"stable": "1"}


def test_what_the_policy_does_not_allow_is_not_promoted(build: Builder, depot: Depot, tree: pathlib.Path) -> None:
    build("1")
    (tree / "usr/bin/tool").chmod(0o4755)
    build("2", "candidate")
    refs = depot.repo.refs()
    for check in (True, False):
        with pytest.raises(admission.Refused, match=r"^base deb: /usr/bin/tool is .* rule setuid-files of policy site"):
            move(depot, "candidate", check=check, lockdown=under("enforce"))
    assert depot.repo.refs() == refs
    assert not list(depot.work.glob("judged-*"))
    waiver = {"control": "setuid-files", "subject": "base/deb", "expires": "2026-01-02"}
    assert move(depot, "candidate", check=True, lockdown={**under("enforce"), "waivers": [waiver]}).changed
    assert move(depot, "candidate", lockdown=under("audit")).changed
    # What the channel names already is not judged: nothing would change.
    assert not move(depot, "candidate", lockdown=under("enforce")).changed


def test_an_app_is_judged_over_the_base_that_it_was_built_over(
    build: Builder, depot: Depot, tmp_path: pathlib.Path
) -> None:
    base = build("1").facts["version"]
    app = tmp_path / "app"
    (app / "sysext/usr/bin").mkdir(parents=True)
    (app / "sysext/usr/bin/tool").write_text("#!/bin/sh\n")
    (app / "sysext/usr/bin/tool").chmod(0o4755)

    def publish(commit: str) -> None:
        (app / "sysext/usr/over").write_text(commit)
        over = {"name": "deb", "version": base["version"], "commit": commit}
        draft = build.draft("1", "candidate", commit, {"kind": "app", "name": "tool", "base": over})
        depot.publish(dataclasses.replace(draft, kind="app", name="tool", tree=str(app)))

    publish(base["commit"])
    with pytest.raises(admission.Refused, match=r"^app tool: /usr/bin/tool is"):
        move(depot, "candidate", name="app/tool", lockdown=under("enforce"))
    publish("0" * 64)
    with pytest.raises(admission.Refused, match=f"was built over base/deb {base['version']}, which .* does not have"):
        move(depot, "candidate", name="app/tool", lockdown=under("enforce"))
    assert move(depot, "candidate", name="app/tool").changed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"source": "tested"}, r"neither channel nor version 'tested'; it has stable \(13.20260101.1\), 13.20260101.1"),
        ({"source": "stable", "name": "base/debian"}, "There is no base/debian in this depot; it has base/deb"),
        ({"source": "stable", "name": "deb"}, "'deb' names no base or app: write it as base/debian-13 or app/nginx"),
        ({"source": "stable", "channel": "1.0"}, "'1.0' is no name of a channel"),
    ],
)
def test_what_cannot_be_promoted(build: Builder, depot: Depot, given: Data, said: str) -> None:
    build("1")
    with pytest.raises(BadInput, match=said):
        move(depot, **given)


def test_a_mirrored_channel_is_the_vendors(build: Builder, depot: Depot) -> None:
    commit = build("1").facts["version"]["commit"]
    build("2")
    place = pathlib.Path(depot.repo.path, "refs/remotes/acme/base/deb/stable")
    place.parent.mkdir(parents=True)
    place.write_text(f"{commit}\n")
    with pytest.raises(BadInput, match="is a channel of the vendor 'acme'"):
        move(depot, "13.20260101.1")
    assert move(depot, "13.20260101.1", "approved").changed


def test_the_index_has_the_bytes_of_each_delta(build: Builder, depot: Depot) -> None:
    commits = [build(number).facts["version"]["commit"] for number in ("1", "2", "3")]
    index = pathlib.Path(depot.repo.path, "deltas.json")
    sizes = json.loads(index.read_text())
    assert {f"-{commits[2]}", f"{commits[1]}-{commits[2]}", f"{commits[0]}-{commits[2]}"} <= sizes.keys()
    folders = {file.parent for file in pathlib.Path(depot.repo.path, "deltas").rglob("superblock")}
    found = [sum(file.stat().st_size for file in folder.iterdir()) for folder in folders]
    assert sorted(sizes.values()) == sorted(found)
    # A depot that has none yet gets one.
    index.unlink()
    assert not depot.summary_is_current()
    build("3")
    assert json.loads(index.read_text()) == sizes


def test_a_signature_is_the_depots(depot: Depot, tmp_path: pathlib.Path) -> None:
    text = '{"outcome": "patched"} ä\n'
    signed = signature.work({"depot": str(depot.path), "text": text}, False).facts
    assert signed["fingerprint"] == depot.fingerprint()
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    record = tmp_path / "record.json"
    record.write_text(text)
    (tmp_path / "record.asc").write_text(signed["signature"])
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
    subprocess.run([*gpg, "--import", str(depot.public_key_file)], check=True)
    verify = [*gpg, "--verify", str(tmp_path / "record.asc"), str(record)]
    assert subprocess.run(verify, check=False, capture_output=True).returncode == 0
    record.write_text(text.replace("patched", "failed"))
    assert subprocess.run(verify, check=False, capture_output=True).returncode != 0


def test_without_a_depot_nothing_is_signed(tmp_path: pathlib.Path) -> None:
    with pytest.raises(BadInput, match="not a depot yet"):
        signature.work({"depot": str(tmp_path), "text": "x"}, False)
