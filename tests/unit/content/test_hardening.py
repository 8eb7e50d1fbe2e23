"""What rules make of a base, and what they refuse."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.action import base as base_action
from ansible_collections.strata.fleet.plugins.module_utils import bases, firewall, hardened_tree, hardening
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput

PASSWD = "root:x:0:0:root:/root:/bin/bash\nsync:x:4:65534:sync:/bin:/bin/sync\nold:x:9:9::/:\nme:x:33:33::/:/bin/zsh\n"
STATUS = """Package: dpkg
Essential: yes
Status: install ok installed

Package: perl-base
Status: install ok installed

Package: libperl
Status: install ok installed

Package: adduser
Status: install ok installed
Depends: passwd (>= 1), perl-base:any | perl, debconf
Description: adds users
 Depends: nobody

Package: gone
Status: deinstall ok config-files
"""


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("usr/bin", "etc/systemd/system", "usr/lib/systemd/system", "usr/lib/sysimage/dpkg"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    (tmp_path / "etc/shadow").write_text("root:*:1::::::\nme::1::::::\n")
    (tmp_path / "usr/lib/sysimage/dpkg/status").write_text(STATUS)
    return tmp_path


def tool(root: pathlib.Path, path: str, mode: int) -> pathlib.Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("tool\n")
    file.chmod(mode)
    return file


def test_no_rules_change_nothing(root: pathlib.Path) -> None:
    before = {path: path.lstat() for path in root.rglob("*")}
    hardened_tree.apply(root, {})
    hardened_tree.refuse(root, "base", {})
    assert {path: path.lstat() for path in root.rglob("*")} == before
    assert hardening.files({}) == {}
    assert hardening.packages({}) == hardening.services({}) == []


def test_a_switch_that_is_off_asks_for_nothing() -> None:
    rules = {"firewall": False, "password-hashes": False, "world-writable": False, "extra-root": False}
    assert hardening.files(rules) == {}
    assert hardening.changed_texts(rules, {"etc/shadow": "me::1::::::\n"}) == {}
    assert hardening.mode_of(rules, "/usr/x", 0o666, is_folder=False) == 0o666
    assert hardening.refused_accounts(rules, "you:x:0:0::/:/bin/sh\n") == []


@pytest.mark.parametrize(
    ("mode", "allowed", "becomes"),
    [(0o4755, [], 0o755), (0o2755, [], 0o755), (0o6755, ["/usr/bin/*"], 0o6755), (0o4755, ["/usr/sbin/*"], 0o755)],
)
def test_set_id_bits(root: pathlib.Path, mode: int, allowed: list[str], becomes: int) -> None:
    su = tool(root, "usr/bin/su", mode)
    hardened_tree.apply(root, {"setuid-files": allowed})
    assert su.stat().st_mode & 0o7777 == becomes


def test_a_folder_keeps_its_group_for_new_files(root: pathlib.Path) -> None:
    (root / "usr/share").mkdir()
    (root / "usr/share").chmod(0o2775)
    hardened_tree.apply(root, {"setuid-files": []})
    assert (root / "usr/share").stat().st_mode & 0o7777 == 0o2775


@pytest.mark.skipif(os.geteuid() != 0, reason="only root grants capabilities")
@pytest.mark.parametrize(("allowed", "kept"), [([], False), (["/usr/bin/ping"], True)])
def test_capabilities(root: pathlib.Path, allowed: list[str], kept: bool) -> None:
    ping = tool(root, "usr/bin/ping", 0o755)
    # Version 2, effective, CAP_NET_RAW: see vfs_cap_data in linux/capability.h.
    os.setxattr(ping, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    hardened_tree.apply(root, {"file-capabilities": allowed})
    assert ("security.capability" in os.listxattr(ping)) is kept


def test_what_everybody_may_write(root: pathlib.Path) -> None:
    file = tool(root, "usr/lib/open", 0o666)
    (root / "usr/tmp").mkdir()
    (root / "usr/tmp").chmod(0o1777)
    (root / "usr/drop").mkdir()
    (root / "usr/drop").chmod(0o777)
    (root / "usr/link").symlink_to("lib/open")
    hardened_tree.apply(root, {"world-writable": True})
    assert [path.stat().st_mode & 0o7777 for path in (file, root / "usr/tmp", root / "usr/drop")] == [
        0o664,
        0o1777,
        0o775,
    ]


def test_sensitive_modes_and_set_id_bits_together(root: pathlib.Path) -> None:
    file = tool(root, "etc/secret", 0o4666)
    hardened_tree.apply(root, {"sensitive-modes": {"/etc/secret": "0600", "/etc/absent": "0600"}, "setuid-files": []})
    assert file.stat().st_mode & 0o7777 == 0o600


def test_accounts(root: pathlib.Path) -> None:
    hardened_tree.apply(root, {"password-hashes": True, "login-shells": ["ro*"]})
    shells = {line.split(":")[0]: line.split(":")[-1] for line in (root / "etc/passwd").read_text().splitlines()}
    assert shells == {"root": "/bin/bash", "sync": "/bin/sync", "old": "/usr/sbin/nologin", "me": "/usr/sbin/nologin"}
    assert (root / "etc/shadow").read_text() == "root:*:1::::::\nme:!*:1::::::\n"


@pytest.mark.parametrize("password", ["", "$y$j9T$a$b", "!$y$j9T$a$b", "abJnggxhB/yWI"])
def test_a_password_of_any_kind_is_locked(password: str) -> None:
    assert hardening.lock_passwords(f"me:{password}:1::::::\n") == "me:!*:1::::::\n"


def test_umask_of_logins_shells_and_services() -> None:
    rules = {"umask": {"umask": "027"}}
    texts = {"etc/login.defs": "# UMASK is\nUMASK 022\nUMASK\t002\nX y\n", "etc/profile": "PATH=/bin\n"}
    changed = hardening.changed_texts(rules, texts)
    assert changed["etc/login.defs"] == "# UMASK is\nX y\nUMASK\t\t027\n"
    assert changed["etc/profile"] == "PATH=/bin\n\numask 027\n"
    assert hardening.files(rules)[hardening.SERVICES] == "[Service]\nUMask=027\n"


def test_masked_units(root: pathlib.Path) -> None:
    tool(root, "usr/lib/systemd/system/rpcbind.socket", 0o644)
    tool(root, "etc/systemd/system/debug-shell.service", 0o644)
    rules = {"masked-units": ["ctrl-alt-del.target", "debug*"], "denied-units": ["rpc*", "debug-*", "absent*"]}
    hardened_tree.apply(root, rules)
    folder = root / "etc/systemd/system"
    assert {path.name: str(path.readlink()) for path in folder.iterdir()} == dict.fromkeys(
        ("ctrl-alt-del.target", "debug-shell.service", "rpcbind.socket"), "/dev/null"
    )


def test_sysctls_of_the_appliance_come_first_and_reach_every_interface() -> None:
    text = hardening.render_sysctls(
        {"kernel.kptr_restrict": 2, "net.ipv4.conf.all.send_redirects": 0, "net.ipv4.conf.default.send_redirects": 1}
    )
    assert text.splitlines() == [
        "net.ipv4.conf.all.send_redirects = 0",
        "net.ipv4.conf.default.send_redirects = 1",
        "net.ipv4.conf.*.send_redirects = 0",
        "# The node decides these; what stands here has no effect in a container.",
        "-kernel.kptr_restrict = 2",
    ]


def test_forwarding_comes_first_because_the_kernel_sets_others_with_it() -> None:
    text = hardening.render_sysctls({"net.ipv4.conf.all.accept_redirects": 0, "net.ipv4.ip_forward": 0})
    assert text.startswith("net.ipv4.ip_forward = 0\nnet.ipv4.conf.all.accept_redirects = 0\n")


def test_journald_is_sorted_after_debian_s_own() -> None:
    (path,) = hardening.files({"journald": {"Storage": "persistent", "ForwardToSyslog": "no"}})
    assert pathlib.PurePath(path).name > "syslog.conf"
    assert hardening.files({"journald": {"B": "1", "A": "x"}})[path] == "[Journal]\nA=x\nB=1\n"


@pytest.mark.parametrize(("said", "size"), [({}, "32M"), ({"SystemMaxUse": "8M"}, "8M")])
def test_a_journal_that_is_kept_does_not_fill_the_volume(said: dict[str, str], size: str) -> None:
    (text,) = hardening.files({"journald": {"Storage": "persistent", **said}}).values()
    assert text == f"[Journal]\nStorage=persistent\nSystemMaxUse={size}\n"


def test_packages_that_a_rule_needs() -> None:
    assert hardening.packages({"required-packages": ["acl", "lib*"], "firewall": True}) == ["acl", "nftables"]
    assert "nftables" in bases.all_packages({"lockdown": {"name": "x", "rules": {"firewall": True}}})


def test_a_denied_package_is_named_with_what_wants_it(root: pathlib.Path) -> None:
    rules = {"denied-packages": ["perl*", "libperl", "dpkg", "gone"]}
    with pytest.raises(BadInput) as caught:
        hardened_tree.refuse(root, "debian-13", {"name": "hardened", "rules": rules})
    assert caught.value.message == (
        "debian-13 is not published, hardened does not allow it: the package dpkg is denied (dpkg): every Debian has "
        "it; the package libperl is denied (libperl): the description names it; the package perl-base is denied "
        "(perl*): adduser needs it"
    )


@pytest.mark.parametrize("number", ["0", "00"])
def test_a_second_root(number: str) -> None:
    accounts = f"{PASSWD}toor:x:{number}:0::/:/bin/sh\n"
    assert hardening.refused_accounts({"extra-root": True}, accounts) == ["the account toor has root's number 0"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_nobody(root: pathlib.Path) -> None:
    os.chown(tool(root, "usr/bin/odd", 0o755), 4711, 0)
    with pytest.raises(BadInput, match="/usr/bin/odd belongs to the numbers 4711:0"):
        hardened_tree.refuse(root, "base", {"name": "hardened", "rules": {"unowned-files": True}})


def test_the_values_are_part_of_what_makes_a_version() -> None:
    def digest(rules: dict[str, t.Any]) -> str:
        return bases.digest_of({"name": "x", "lockdown": {"name": "y", "rules": rules}}, "init", [])

    assert digest({"umask": {"umask": "027"}}) != digest({"umask": {"umask": "077"}})
    assert digest({}) == digest({})


def test_ports_are_opened_by_protocol() -> None:
    ports: list[dict[str, object]] = [
        {"port": 443},
        {"port": 80, "protocol": "tcp"},
        {"port": 53, "protocol": "udp"},
        {"port": 443},
    ]
    assert firewall.render_ports(ports).splitlines()[1:] == [
        "add element inet strata tcp_ports { 80, 443 }",
        "add element inet strata udp_ports { 53 }",
    ]
    assert firewall.render_ports([]).startswith("#")


def test_no_network_without_the_firewall() -> None:
    (network,) = (text for path, text in firewall.files().items() if "networkd" in path)
    assert f"Requires={firewall.UNIT}" in network
    assert f"After={firewall.UNIT}" in network


def test_a_description_gets_the_values_that_it_names() -> None:
    description = {"name": "debian-13", "lockdown": "ours"}
    known = {"ours": {"rules": {"umask": {"umask": "077"}}, "owner": "IT", "mode": "enforce"}}
    found = base_action.harden(description, known)
    assert found["lockdown"] == {"name": "ours", "rules": {"umask": {"umask": "077"}}}
    assert description["lockdown"] == "ours"


@pytest.mark.parametrize("profile", ["baseline", "hardened", "anssi-bp-028"])
def test_every_profile_can_be_built_in(root: pathlib.Path, profile: str) -> None:
    (root / "usr/lib/sysimage/dpkg/status").write_text("")
    rules = base_action.harden({"name": "x", "lockdown": profile}, {})["lockdown"]["rules"]
    assert bool(hardening.files(rules)) is (profile != "baseline")
    hardened_tree.apply(root, rules)


def test_a_profile_that_is_not_there() -> None:
    with pytest.raises(BadInput, match="hardend"):
        base_action.harden({"name": "x", "lockdown": "hardend"}, {})


def test_no_lockdown_asks_for_nothing() -> None:
    assert base_action.harden({"name": "x"}, {"site": {"profile": "hardened"}}) == {"name": "x"}
