from __future__ import annotations

import os
import pathlib

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import layers

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes whiteouts and other owners")


def write(root: pathlib.Path, *names: str, text: str = "text\n") -> None:
    for name in names:
        layers.make_folder((root / name).parent)
        (root / name).write_text(text)
        (root / name).chmod(0o644)


@pytest.fixture
def base(tmp_path: pathlib.Path) -> pathlib.Path:
    root = tmp_path / "base"
    write(root, "usr/bin/sh", "etc/hosts", "etc/passwd", "var/lib/dpkg/status", "var/log/old")
    return root


@pytest.fixture
def upper(tmp_path: pathlib.Path) -> pathlib.Path:
    root = tmp_path / "upper"
    layers.make_folder(root)
    return root


def split(upper: pathlib.Path, base: pathlib.Path, *exclude: str) -> tuple[layers.Split, pathlib.Path]:
    tree = upper.parent / "tree"
    made = layers.Split(upper, [base], tree, exclude)
    made.run()
    return made, tree


def files(tree: pathlib.Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if not path.is_dir())


def test_where_things_go(upper: pathlib.Path, base: pathlib.Path) -> None:
    write(upper, "usr/bin/tool", "opt/vendor/tool", "etc/tool/tool.conf", "var/lib/tool/seed")
    made, tree = split(upper, base)
    assert made.problems == []
    assert files(tree) == [
        "confext/etc/tool/tool.conf",
        "sysext/opt/vendor/tool",
        "sysext/usr/bin/tool",
        "sysext/usr/share/factory/var/lib/tool/seed",
    ]


def test_both_layers_exist_even_when_empty(upper: pathlib.Path, base: pathlib.Path) -> None:
    _made, tree = split(upper, base)
    assert (tree / "sysext/usr").is_dir()
    assert (tree / "confext/etc").is_dir()


def test_what_is_left_out(upper: pathlib.Path, base: pathlib.Path) -> None:
    write(
        upper, "etc/ld.so.cache", "etc/passwd-", "etc/rc2.d/S01tool", "etc/init.d/tool", "var/lib/dpkg/info/tool.list"
    )
    write(upper, "run/tool.pid", "tmp/x", "usr/share/man/man1/tool.1", "var/log/apt/history.log", "etc/apt/x")
    write(upper, "usr/share/doc/tool/copyright", "usr/share/doc/tool/README", "etc/tool/extra")
    made, tree = split(upper, base, "/etc/tool/ex*")
    assert made.problems == []
    assert files(tree) == ["sysext/usr/share/doc/tool/copyright"]


def test_a_file_in_the_place_of_the_base_s(upper: pathlib.Path, base: pathlib.Path) -> None:
    write(upper, "usr/bin/sh", text="another\n")
    write(upper, "etc/hosts")
    made, _tree = split(upper, base)
    assert [(problem.path, problem.allow) for problem in made.problems] == [("usr/bin/sh", "shadow")]


def test_a_mode_that_differs(upper: pathlib.Path, base: pathlib.Path) -> None:
    write(upper, "etc/hosts")
    (upper / "etc/hosts").chmod(0o600)
    (upper / "usr").mkdir(mode=0o700)
    made, _tree = split(upper, base)
    assert [problem.path for problem in made.problems] == ["etc/hosts", "usr"]


def test_a_place_that_no_layer_has(upper: pathlib.Path, base: pathlib.Path) -> None:
    write(upper, "srv/data", "root/.cache", "vmlinuz")
    (upper / "home/tool").mkdir(parents=True)
    made, _tree = split(upper, base)
    assert [problem.path for problem in made.problems] == ["srv/data", "vmlinuz"]


@root_only
def test_a_deleted_file_of_the_base(upper: pathlib.Path, base: pathlib.Path) -> None:
    write(upper, "usr/bin/tool")
    os.mknod(upper / "usr/bin/sh", 0o020000, os.makedev(0, 0))
    made, tree = split(upper, base)
    assert [(problem.path, "deletes it" in problem.reason) for problem in made.problems] == [("usr/bin/sh", True)]
    assert files(tree) == ["sysext/usr/bin/tool"]


@root_only
def test_folders_keep_owner_and_mode(upper: pathlib.Path, base: pathlib.Path) -> None:
    write(upper, "var/lib/tool/data/seed")
    os.chown(upper / "var/lib/tool", 910, 910)
    (upper / "var/lib/tool").chmod(0o750)
    (upper / "var/log/tool").mkdir(parents=True)
    os.chown(upper / "var/log/tool", 910, 4)
    (upper / "var/log/tool").chmod(0o2750)
    for name in ("var", "var/lib", "var/log"):
        (upper / name).chmod(0o755)
    made, tree = split(upper, base)
    assert layers.attributes(tree / "sysext/usr/share/factory/var/lib/tool") == (0o040750, 910, 910)
    assert layers.tmpfiles(made.state, tree) == "C /var/lib/tool - - - - -\nd /var/log/tool 2750 910 4 - -\n"


def test_extension_release() -> None:
    assert layers.extension_release("debian-13") == "ID=debian\nVERSION_ID=13\n"
    assert layers.extension_release("_any") == "ID=_any\n"
