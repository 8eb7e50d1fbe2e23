"""What is read of volumes, also of one whose appliance goes on working, or means ill."""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import volume_files
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError


def fill(root: Path) -> Path:
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/file").write_text("content")
    (root / "a/link").symlink_to("b/file")
    (root / "c").write_text("more")
    for path in (root / "c", root / "a/b/file", root / "a/b", root / "a"):
        os.utime(path, ns=(0, 0))
    os.utime(root / "a/link", ns=(0, 0), follow_symlinks=False)
    return root


def test_the_same_files_are_the_same(tmp_path: Path) -> None:
    one, other = (fill(tmp_path / name) for name in ("one", "other"))
    assert volume_files.list_files(one) == volume_files.list_files(other)
    assert volume_files.read_files(one) == volume_files.read_files(other)
    assert volume_files.list_files(one)[:2] == (5, 11)
    assert volume_files.read_files(one)[:2] == (5, 11)
    assert volume_files.measure(one) > 0


def change_time(root: Path) -> None:
    os.utime(root / "c", ns=(0, 1))


def change_mode(root: Path) -> None:
    (root / "c").chmod(0o600)


def change_target(root: Path) -> None:
    (root / "a/link").unlink()
    (root / "a/link").symlink_to("b")
    os.utime(root / "a/link", ns=(0, 0), follow_symlinks=False)


@pytest.mark.parametrize("change", [change_time, change_mode, change_target])
def test_a_listing_tells_what_content_does_not(tmp_path: Path, change: t.Callable[[Path], None]) -> None:
    one, other = (fill(tmp_path / name) for name in ("one", "other"))
    change(other)
    assert volume_files.list_files(one) != volume_files.list_files(other)
    assert volume_files.read_files(one) == volume_files.read_files(other)


def test_content_tells_what_a_listing_does_not(tmp_path: Path) -> None:
    one, other = (fill(tmp_path / name) for name in ("one", "other"))
    (other / "c").write_text("less")
    os.utime(other / "c", ns=(0, 0))
    assert volume_files.list_files(one) == volume_files.list_files(other)
    assert volume_files.read_files(one) != volume_files.read_files(other)


def test_what_goes_away_meanwhile_is_left_out(tmp_path: Path) -> None:
    root = fill(tmp_path / "one")
    walk = volume_files._walk(root)
    assert next(walk).path == "/a"
    (root / "c").unlink()
    assert [entry.path for entry in walk] == ["/a/b", "/a/b/file", "/a/link"]


def test_a_folder_that_becomes_a_link_is_not_followed(tmp_path: Path) -> None:
    root = fill(tmp_path / "one")
    outside = fill(tmp_path / "outside")
    walk = volume_files._walk(root)
    assert next(walk).path == "/a"
    (root / "a").rename(root / "z")
    (root / "a").symlink_to(outside / "a")
    assert [entry.path for entry in walk] == ["/c"]


def test_folders_nested_without_end_are_refused(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _each in range(volume_files.DEEPEST + 800):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(ContentError, match="folders in each other"):
        volume_files.measure(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # too deep for those who clean up after tests


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="gone"):
        volume_files.list_files(tmp_path / "gone")
