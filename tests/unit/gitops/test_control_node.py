"""What the role gitops stands on: the collection as one file, sealed secrets, defaults as the program has them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import typing as t
import zipfile
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.modules import collection, credentials
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.settings import read_defaults
from ansible_collections.strata.fleet.plugins.plugin_utils.own_collection import pack

CHECKOUT = Path(__file__).parents[3]


def write(folder: Path, files: t.Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_the_archive_has_what_a_run_needs_and_no_more(tmp_path: Path) -> None:
    wanted = {"plugins/a.py": "a", "roles/one/tasks/main.yml": "b", "docs/schemas/x.schema.json": "{}", "LICENSE": "c"}
    others = {
        "docs/page.md": "",
        "tests/t.py": "",
        "plugins/__pycache__/a.pyc": "",
        "roles/.cache/x": "",
        "build/x": "",
    }
    write(tmp_path, wanted | others)
    packed = pack(tmp_path)
    assert zipfile.ZipFile(io.BytesIO(packed.archive)).namelist() == sorted(wanted)


def test_the_digest_follows_content_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, {"plugins/a.py": "a", "plugins/b.py": "b"})
    first = pack(tmp_path)
    (tmp_path / "plugins/a.py").touch()
    assert pack(tmp_path) == first
    write(tmp_path, {"plugins/a.py": "ab", "plugins/b.py": ""})
    assert pack(tmp_path).digest != first.digest


def test_the_program_runs_from_the_archive(tmp_path: Path) -> None:
    archive = tmp_path / "collection.zip"
    archive.write_bytes(pack().archive)
    collection.unpack(archive, tmp_path / "unpacked")
    program = "ansible_collections.strata.fleet.plugins.plugin_utils.gitops"
    done = subprocess.run(
        [sys.executable, "-m", program, "--settings", tmp_path / "none.json", "check"],
        env={"PYTHONPATH": str(tmp_path / "unpacked"), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "none.json cannot be read" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("current", "versions", "expected"),
    [
        ("", [], ["unpack new", "have current lead to new"]),
        ("new", ["new"], []),
        ("old", ["old"], ["unpack new", "have current lead to new"]),
        # Who began with old, goes on with it.
        ("old", ["older", "old"], ["unpack new", "have current lead to new", "remove older"]),
        ("new", ["new", "old"], []),
        # Cut off before the link changed.
        ("old", ["new", "old"], ["have current lead to new"]),
        # Back to one that is there.
        ("late", ["late", "new"], ["have current lead to new"]),
    ],
)
def test_versions_of_the_collection(current: str, versions: list[str], expected: list[str]) -> None:
    have = collection.Have(current, tuple(versions))
    assert [step.sentence for step in collection.plan("new", have)] == expected


def test_a_version_is_there_once_and_the_link_leads_to_it(tmp_path: Path) -> None:
    archive = tmp_path / "collection.zip"
    folder = tmp_path / "collections"
    folder.mkdir()
    for number in ("1", "2", "3"):
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("galaxy.yml", number)
        params = {"path": str(folder), "digest": number, "archive": None}
        assert collection.work(params, True).changed
        assert collection.work(params, False).facts["is_wanted"]
        assert collection.work({**params, "archive": str(archive)}, False).changed
        assert (folder / "current/ansible_collections/strata/fleet/galaxy.yml").read_text() == number
        assert not collection.work(params, False).changed
    assert sorted(path.name for path in folder.iterdir()) == ["2", "3", "current"]


@pytest.mark.parametrize(
    ("want", "have", "expected"),
    [
        ({"a": "1\n"}, {}, ["seal a"]),
        ({"a": "1\n"}, {"a": "1\n"}, []),
        ({"a": "2\n"}, {"a": "1\n"}, ["seal a"]),
        ({"a": "1\n"}, {"a": None}, ["seal a"]),
        ({}, {"a": None, "b": "1\n"}, ["remove a", "remove b"]),
    ],
)
def test_secrets_are_sealed_where_they_differ(
    want: dict[str, str], have: dict[str, str | None], expected: list[str]
) -> None:
    assert [step.sentence for step in credentials.plan(want, have)] == expected


def test_secrets_end_with_one_line_break_and_empty_ones_are_none() -> None:
    given = {"key": "begin\nend", "password": "x\n\n", "token": "", "other": "\n"}
    assert credentials.parse(json.dumps(given)) == {"key": "begin\nend\n", "password": "x\n"}


@pytest.mark.parametrize("text", ["hush", '["hush"]', '{"name": {"hush": 1}}', '{"../hush": "x"}', '{"": "hush"}'])
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        credentials.parse(text)


def test_defaults_are_those_of_the_program() -> None:
    own = yaml.safe_load((CHECKOUT / "roles/gitops/defaults/main.yml").read_text())
    # Where these lie, the role says.
    others = read_defaults().keys() - {
        "ansible_config",
        "known_hosts",
        "allowed_signers",
        "metrics",
        "gpg_keys",
        "credentials",
    }
    assert {key: own[f"gitops_{key}"] for key in others} == {key: read_defaults()[key] for key in others}
