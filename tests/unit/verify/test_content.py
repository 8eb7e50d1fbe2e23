"""Whether files are the declared ones: in real repositories and folders, changed in every way that there is."""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import config_layer, content, findings, skeleton
from ansible_collections.strata.fleet.plugins.module_utils.model import ConfigFile
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="a bare repository keeps owners")
KEY = b"key"


class Layer(t.NamedTuple):
    """A version in a repository, and its checkout."""

    repo: Path
    commit: str
    folder: Path

    def faults(self) -> list[content.Fault]:
        """Return what is found, by the whole of what verifying does."""
        entries = content.list_entries(self.repo, self.commit)
        return content.find_layer_faults(self.repo, self.folder, entries, content.audit(self.repo).damaged)


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    tree = tmp_path / "tree"
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/empty").mkdir()
    (tree / "usr/bin/one").write_text("one")
    (tree / "usr/bin/two").write_text("two")
    (tree / "usr/bin/nothing").write_text("")
    (tree / "usr/bin/link").symlink_to("one")
    repo = Repo(str(tmp_path / "repo"))
    repo.create("bare")
    commit = repo.write_tree(str(tree))
    repo.set_ref("held/app/x/1", commit)
    repo.checkout(commit, str(tmp_path / "layers" / commit))
    return Layer(tmp_path / "repo", commit, tmp_path / "layers" / commit)


@root_only
def test_nobody_touched_it(layer: Layer) -> None:
    assert layer.faults() == []
    assert content.audit(layer.repo).said == ""


def change_in_place(folder: Path) -> None:
    (folder / "usr/bin/one").write_text("1")


def change_mode_in_place(folder: Path) -> None:
    (folder / "usr/bin/one").chmod(0o4755)


def replace(folder: Path) -> None:
    (folder / "usr/bin/one").unlink()
    (folder / "usr/bin/one").write_text("one")


def fill_the_empty_one(folder: Path) -> None:
    (folder / "usr/bin/nothing").unlink()
    (folder / "usr/bin/nothing").write_text("something")


def turn_into_a_link(folder: Path) -> None:
    (folder / "usr/bin/nothing").unlink()
    (folder / "usr/bin/nothing").symlink_to("one")


def turn_the_link(folder: Path) -> None:
    (folder / "usr/bin/link").unlink()
    (folder / "usr/bin/link").symlink_to("two")


def open_a_folder(folder: Path) -> None:
    (folder / "usr/empty").chmod(0o777)


def add_a_file(folder: Path) -> None:
    (folder / "usr/empty/more").write_text("more")


def add_a_folder(folder: Path) -> None:
    (folder / "usr/more/deep").mkdir(parents=True)
    (folder / "usr/more/deep/file").write_text("more")


def remove_a_folder(folder: Path) -> None:
    shutil.rmtree(folder / "usr/bin")


def fold_into_a_file(folder: Path) -> None:
    (folder / "usr/empty").rmdir()
    (folder / "usr/empty").write_text("")


@root_only
@pytest.mark.parametrize(
    ("tamper", "path", "what"),
    [
        (change_in_place, "/usr/bin/one", "was changed"),
        (change_mode_in_place, "/usr/bin/one", "was changed"),
        (replace, "/usr/bin/one", "was replaced, or its mode or owner was changed"),
        (fill_the_empty_one, "/usr/bin/nothing", "was replaced, or its mode or owner was changed"),
        (turn_into_a_link, "/usr/bin/nothing", "was replaced, or its mode or owner was changed"),
        (turn_the_link, "/usr/bin/link", "was replaced, or its mode or owner was changed"),
        (open_a_folder, "/usr/empty", "was replaced, or its mode or owner was changed"),
        (fold_into_a_file, "/usr/empty", "was replaced, or its mode or owner was changed"),
        (add_a_file, "/usr/empty/more", "was added"),
        (add_a_folder, "/usr/more", "was added"),
        (remove_a_folder, "/usr/bin", "was removed"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or "",
)
def test_layer(layer: Layer, tamper: t.Callable[[Path], None], path: str, what: str) -> None:
    tamper(layer.folder)
    assert layer.faults() == [(path, what)]
    assert layer.faults() == [(path, what)]  # looking leaves no mark
    assert list((layer.repo / "state").iterdir()) == []


@root_only
def test_the_repository_itself(layer: Layer) -> None:
    next((layer.repo / "objects").rglob("*.dirtree")).unlink()
    assert content.audit(layer.repo).said != ""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "rootfs"
    place.mkdir()
    for name in (*skeleton.FOLDERS, "tmp"):
        (place / name).mkdir()
        (place / name).chmod(content.FOLDER_MODES.get(name, 0o755))
    for name in skeleton.LINKS:
        (place / name).symlink_to(f"usr/{name}")
    return place


def test_a_root_as_the_engine_leaves_it(root: Path) -> None:
    (root / "strata/sysext/nginx").mkdir(parents=True)
    (root / "srv/data").mkdir()
    (root / "srv/formerly/mapped").mkdir(parents=True)
    assert content.find_root_faults(root, ["/usr", "/srv/data"]) == []


def test_root(root: Path) -> None:
    (root / "file").write_text("")
    (root / "srv/data").mkdir()
    (root / "srv/data/under").write_text("")
    (root / "opt/own/deep").mkdir(parents=True)
    (root / "opt/own/deep/file").write_text("")
    (root / "home").chmod(0o777)
    (root / "lib64").unlink()
    (root / "lib64").symlink_to("/var/lib64")
    (root / "lib").unlink()
    (root / "mnt").rmdir()
    os.mkfifo(root / "root/pipe")
    strange = "is there, and should not be"
    assert content.find_root_faults(root, ["/srv/data"]) == [
        ("/file", strange),
        ("/home", "has another mode or owner"),
        ("/lib", "was removed"),
        ("/lib64", strange),
        ("/mnt", "was removed"),
        ("/opt/own", strange),
        ("/root/pipe", strange),
        ("/srv/data/under", strange),
    ]


FILES = (
    ConfigFile("/etc/site/page", "hello\n", "hello\n", 0o644, 0, 0, "reload", ()),
    ConfigFile("/etc/site/password", "secret\n", "***\n", 0o400, 0, 0, "restart", ()),
)


def write_config(store: Path, files: t.Sequence[ConfigFile]) -> tuple[str, Path]:
    name = config_layer.digest(files, KEY)
    config_layer.write(store, "web1", name, files, KEY)
    return name, store / "config" / "web1" / name


@root_only
def test_config(tmp_path: Path) -> None:
    name, folder = write_config(tmp_path, FILES)
    assert config_layer.find_faults(tmp_path, "web1", name, KEY) == []

    etc = folder / "zz-config" / "etc"
    (etc / "site/page").write_text("bye\n")
    (etc / "site/password").chmod(0o444)
    (etc / "more").symlink_to("/var")
    (folder / "zz-config" / config_layer.RELEASE).unlink()
    assert config_layer.find_faults(tmp_path, "web1", name, KEY) == [
        ("zz-config/etc/extension-release.d/extension-release.zz-config", "was removed"),
        ("zz-config/etc/more", "was added"),
        ("zz-config/etc/site/page", "was changed"),
        ("zz-config/etc/site/password", "was changed"),
    ]
    (folder / "files.json").write_text("{}")
    assert config_layer.find_faults(tmp_path, "web1", name, KEY) == [("files.json", "was changed")]

    write_config(tmp_path, FILES)
    assert config_layer.find_faults(tmp_path, "web1", name, KEY) == []
    shutil.rmtree(folder)
    assert config_layer.find_faults(tmp_path, "web1", name, KEY) == [("", "was removed")]


@root_only
def test_config_of_no_files(tmp_path: Path) -> None:
    name, _folder = write_config(tmp_path, ())
    assert config_layer.find_faults(tmp_path, "web1", name, KEY) == []


def test_many_findings_are_cut() -> None:
    every = [findings.Finding("", "layer", str(number), "it was changed", "mend it") for number in range(50)]
    shown = findings.cut(every)
    assert len(shown) == findings.MOST
    assert shown[-1].sentence == "it was changed (and 30 more of this kind)"
    assert findings.cut(every[:3]) == every[:3]
