from __future__ import annotations

import pathlib

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import apt
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput

DEB822 = """\
Types: deb
# a note
URIs: http://archive.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb deb-src
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main contrib
Signed-By:
 -----BEGIN KEY-----
 .
 -----END KEY-----

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""
ONE_LINE = """\
# deb http://off.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://archive.example/debian bookworm main contrib # note
deb-src http://archive.example/debian bookworm main
deb https://node.example/node_20.x nodistro main
deb http://archive.example/debian-security bookworm-security main
"""


def sources(tmp_path: pathlib.Path, **files: str) -> list[apt.Source]:
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        (tmp_path / "sources.list.d" / name.replace("_", ".")).write_text(text)
    return apt.read_sources(tmp_path)


def test_deb822(tmp_path: pathlib.Path) -> None:
    first, second = sources(tmp_path, debian_sources=DEB822)
    assert first == apt.Source(
        ("http://archive.example/debian",),
        ("bookworm", "bookworm-updates"),
        ("main",),
        "/usr/share/keyrings/debian.gpg",
    )
    assert second.signed_by.splitlines()[1].strip() == "-----BEGIN KEY-----"


@pytest.mark.parametrize(("name", "text"), [("debian_sources", DEB822), ("debian_list", ONE_LINE)])
def test_another_suite_of_the_same_archive(tmp_path: pathlib.Path, name: str, text: str) -> None:
    found = apt.for_suite(sources(tmp_path, **{name: text}), "bookworm", "trixie", ["main"], ["trixie-backports"])
    assert [each.suites for each in found] == [("trixie", "trixie-updates", "trixie-backports"), ("trixie-security",)]
    assert found[0].uris == ("http://archive.example/debian",)
    assert {each.components for each in found} == {("main",)}


def test_a_machine_without_the_archive(tmp_path: pathlib.Path) -> None:
    found = sources(tmp_path, other_list="deb https://node.example/node_20.x nodistro main\n")
    with pytest.raises(BadInput, match="base_sources"):
        apt.for_suite(found, "bookworm", "trixie", ["main"], [])


def test_what_is_written_is_read_again(tmp_path: pathlib.Path) -> None:
    found = sources(tmp_path, debian_sources=DEB822)
    assert apt.parse_deb822(apt.render_sources(found)) == found


def test_pins() -> None:
    text = apt.render_pins({"bookworm-backports": ["src:systemd"]})
    assert text == "Package: src:systemd\nPin: release n=bookworm-backports\nPin-Priority: 990\n"
