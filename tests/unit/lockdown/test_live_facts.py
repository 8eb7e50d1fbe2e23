"""What is read of /proc and of an appliance's memory, from texts and folders such as they are."""

from __future__ import annotations

import os
import socket
import sys
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import live_facts, live_units
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.live_units import Declared

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINE = "   {}: {}:{:04X} {}:0000 {} 00000000:00000000 00:00000000 00000000 1065536        0 {} 1 0 100 0 0 10 0\n"
LITTLE = sys.byteorder == "little"
ANY, LOOP, LAN = ("00000000", "0100007F", "0B00570A") if LITTLE else ("00000000", "7F000001", "0A57000B")
ANY6 = "0" * 32
LOOP6 = "0" * 24 + ("01000000" if LITTLE else "00000001")
MAPPED_LOOP = "0" * 16 + ("FFFF0000" if LITTLE else "0000FFFF") + LOOP

needs_linux = pytest.mark.skipif(not Path("/proc/self/ns/net").exists(), reason="no /proc of Linux")


def table(*rows: tuple[str, int, str, int]) -> str:
    lines = [
        LINE.format(number, address, port, "0" * len(address), state, inode)
        for number, (address, port, state, inode) in enumerate(rows)
    ]
    return HEAD + "".join(lines)


def test_sockets_that_wait_for_others_are_told() -> None:
    text = table((ANY, 80, "0A", 1), (LOOP, 9115, "0A", 2), (LAN, 40000, "01", 3), (LAN, 22, "0A", 4))
    assert live_facts.parse_sockets(text, "tcp") == {
        1: {"protocol": "tcp", "address": "0.0.0.0", "port": 80},
        4: {"protocol": "tcp", "address": "10.87.0.11", "port": 22},
    }


def test_of_udp_those_that_are_connected_wait_for_nobody_else() -> None:
    text = table((ANY6, 53, "07", 1), (ANY6, 5353, "01", 2), (LOOP6, 53, "07", 3), (MAPPED_LOOP, 53, "07", 4))
    assert live_facts.parse_sockets(text, "udp") == {1: {"protocol": "udp", "address": "::", "port": 53}}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0::/lxc.payload.strata_web1-2/init.scope\n", ("/lxc.payload.strata_web1-2", "init.scope")),
        ("9:name=systemd:/\n0::/a/lxc.payload.web1/system.slice/x.service/y\n", ("/a/lxc.payload.web1", "x.service")),
        ("0::/lxc.payload.web1\n", ("/lxc.payload.web1", "")),
        ("0::/lxc.monitor.strata_web1\n", ("", "")),
        ("0::/system.slice/ssh.service\n", ("", "")),
        ("", ("", "")),
    ],
)
def test_the_control_group_tells_whose_a_process_is(text: str, wanted: tuple[str, str]) -> None:
    assert live_facts.parse_group(text) == wanted


def test_user_ids_are_mapped_by_ranges() -> None:
    assert live_facts.parse_map("         0    1065536      65536\n 70000 5 1\n") == [
        [0, 1065536, 65536],
        [70000, 5, 1],
    ]


@needs_linux
def test_a_process_that_shares_namespaces_with_the_node_is_known() -> None:
    status = live_facts.parse_status(Path("/proc/self/status").read_text())
    process = live_facts.Process(os.getpid(), "x.service", status)
    found = live_facts.describe(process, [live_facts.namespaces_of(os.getpid())])
    assert found["node"] == sorted(live_facts.NAMESPACES)
    assert (found["name"], found["unit"], found["uids"]) == (status["Name"], "x.service", [os.getuid()])
    assert live_facts.describe(process, [{"net": "net:[1]"}])["node"] == []


@needs_linux
def test_an_open_socket_is_found_with_its_process() -> None:
    own = live_facts.Process(os.getpid(), "x.service", {"Name": "pytest"})
    with socket.create_server(("0.0.0.0", 0)) as listening:
        port = listening.getsockname()[1]
        found = [each for each in live_facts.read_sockets(os.getpid(), [own]) if each["port"] == port]
    expected = {"protocol": "tcp", "address": "0.0.0.0", "port": port, "process": "pytest", "unit": "x.service"}
    assert found == [expected]


@needs_linux
def test_settings_are_read_for_every_interface() -> None:
    found = live_facts.read_sysctls(["net.ipv4.conf.all.rp_filter", "net.ipv4.tcp_syncookies", "net.absent"])
    assert {"net.ipv4.conf.all.rp_filter", "net.ipv4.conf.lo.rp_filter", "net.ipv4.tcp_syncookies"} <= found.keys()
    assert "net.absent" not in found
    assert not any(".default." in key for key in found)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root enters namespaces")
def test_a_thread_that_looked_inside_leaves_the_others_where_they_are() -> None:
    before = Path("/proc/self/ns/net").readlink()
    thread = threading.Thread(target=lambda: live_facts.enter(os.getpid()))
    thread.start()
    thread.join()
    assert Path("/proc/self/ns/net").readlink() == before


def test_who_is_gone_meanwhile_is_unknown() -> None:
    found = live_facts.read(
        {"web1": live_facts.Running(2**22 + 1, ()), "web2": live_facts.Running(0, ())}, live_facts.Ask(True, [])
    )
    assert found["web2"] == {"stopped": True}
    parts = ("sockets", "processes", "map", "units", "ruleset", "sysctls")
    gone = {"unknown": live_facts.GONE}
    assert [found["web1"][part] for part in parts] == [gone] * len(parts)


def test_what_cannot_be_read_of_one_does_not_end_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_layers: t.Iterable[Path]) -> t.NoReturn:
        raise KeyError(3)

    monkeypatch.setattr(live_facts, "read_ruleset", fail)
    monkeypatch.setattr(live_facts, "enter", lambda _pid: None)
    found = live_facts.read({"own": live_facts.Running(os.getpid(), ())}, live_facts.Ask(True, []))
    assert "KeyError" in found["own"]["ruleset"]["unknown"]


def test_an_appliances_own_nft_is_taken_where_its_base_has_one(tmp_path: Path) -> None:
    assert live_facts.find_nft([tmp_path]) == ["nft"]
    loader = tmp_path / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    for file in (loader, tmp_path / "usr/sbin/nft"):
        file.parent.mkdir(parents=True)
        file.touch()
    assert live_facts.find_nft([tmp_path]) == [
        str(loader),
        "--library-path",
        str(loader.parent),
        str(tmp_path / "usr/sbin/nft"),
    ]


DECLARED = Declared(b"\0console-getty.service\0shop@\0data.mount\0", frozenset({"console-getty.service"}))


@pytest.mark.parametrize(
    ("path", "is_made"),
    [
        ("getty.target.wants/console-getty.service", True),
        ("multi-user.target.wants/shop@main.service", True),
        ("multi-user.target.wants/evil.service", False),
        ("data.mount", True),
        ("console-getty.service", False),  # would take the place of the one that the base brings
        ("console-getty.service.d/evil.conf", False),
        ("shop@main.service", True),
        ("evil.service", False),
    ],
)
def test_what_generators_make_is_declared(path: str, is_made: bool) -> None:
    assert live_units.is_generated(path, DECLARED) is is_made


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("[Unit]\n")


def test_units_in_memory_are_told(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(
        root,
        "run/systemd/system/evil.service",
        "run/systemd/system/nginx.service.d/more.conf",
        "run/systemd/transient/run-1.service",
        "run/systemd/generator/getty.target.wants/console-getty.service",
        "run/systemd/generator/multi-user.target.wants/evil.service",
        "run/systemd/units/log-extra-fields",
    )
    assert live_units.read_units(str(root), DECLARED) == [
        "/run/systemd/generator/multi-user.target.wants/evil.service",
        "/run/systemd/system/evil.service",
        "/run/systemd/system/nginx.service.d/more.conf",
        "/run/systemd/transient/run-1.service",
    ]


def test_a_link_inside_does_not_lead_into_the_node(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    write(tmp_path, "secret/key")
    write(root, "run/systemd/units/x")
    (root / "run/systemd/system").symlink_to(secret)
    (root / "run/systemd/transient").mkdir()
    (root / "run/systemd/transient/in").symlink_to(secret)
    assert live_units.read_units(str(root), DECLARED) == ["/run/systemd/system", "/run/systemd/transient/in"]
    (root / "run/systemd").rename(root / "run/other")
    (root / "run/systemd").symlink_to(secret)
    with pytest.raises(OSError, match="systemd"):
        live_units.read_units(str(root), DECLARED)


def test_layers_tell_what_they_declare(tmp_path: Path) -> None:
    base, app = tmp_path / "base", tmp_path / "app"
    write(base, "usr/lib/systemd/system/getty@.service")
    (base / "usr/lib/systemd/system-generators").mkdir()
    (base / "usr/lib/systemd/system-generators/getty").write_bytes(b"\x7fELF getty@\0")
    write(app, "sysext/usr/lib/systemd/system/shop.service")
    generators = app / "sysext/usr/lib/systemd/system-generators"
    generators.mkdir()
    (generators / "leads-out").symlink_to("/etc/passwd")
    found = live_units.read_declared([base, app])
    assert found.units == {"getty@.service", "shop.service"}
    assert b"getty@" in found.generators
    assert b"root:" not in found.generators


def test_looking_leaves_no_mark(tmp_path: Path) -> None:
    write(tmp_path, "run/systemd/system/evil.service")
    folder = tmp_path / "run/systemd/system"
    os.utime(folder, (1, 2))  # a time of access so old that reading would set it
    live_units.read_units(str(tmp_path), DECLARED)
    state = folder.stat()
    assert (state.st_atime, state.st_mtime) == (1, 2)


def test_but_for_nft_nothing_is_started_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: t.Any, **_options: t.Any) -> t.NoReturn:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", refuse)
    ask = live_facts.Ask(False, ["net.ipv4.ip_forward"])
    found = live_facts.read({"own": live_facts.Running(os.getpid(), ())}, ask)
    assert found["own"]["stopped"] is False
