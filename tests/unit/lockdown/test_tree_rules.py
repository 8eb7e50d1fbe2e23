"""What is wrong with files of a base, an app or a config layer: every attack is found by its rule, and by its path."""

from __future__ import annotations

import json
import os
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import firewall as built
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import ruleset, tree_facts, tree_rules
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Facts, Moot, Unknown
from ansible_collections.strata.fleet.tests.unit.lockdown.plots import (
    FILTER,
    MANIFESTS,
    Files,
    collect,
    find,
    link,
    with_mode,
)

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices, capabilities and other owners")
HASH = "$y$j9T$abc$def"
KEY = "-----BEGIN {} KEY-----\nMC4CAQ==\n".format("PRIVATE")
UNITS = "confext/etc/systemd/system"
SHOP = "sysext/usr/lib/systemd/system"
Attack = tuple[str, str, dict[str, t.Any], list[str]]
VALUES: dict[str, t.Any] = {
    "setuid-files": [],
    "file-capabilities": [],
    "world-writable": True,
    "device-nodes": True,
    "baked-secrets": True,
    "password-hashes": True,
    "extra-root": True,
    "login-shells": ["root"],
    "unowned-files": True,
    "shadowed-files": [],
    "masked-units": ["debug-shell.service", "absent.service"],
    "denied-units": ["ssh.*", "debug*"],
    "unit-exposure": 4,
    "umask": {"umask": "027"},
    "sysctls": {"net.ipv4.ip_forward": "0", "net.ipv4.conf.all.rp_filter": "1"},
    "journald": {"Storage": "persistent"},
    "firewall": True,
    "sensitive-modes": {"/etc/shadow": "0640", "/etc/absent": "0600"},
}
# Which rule, which layer, what files it has more, and what the rule says is wrong.
ATTACKS: list[Attack] = [
    ("setuid-files", "app", {"sysext/usr/bin/up": with_mode(0o4755)}, ["/usr/bin/up"]),
    ("setuid-files", "app", {"sysext/opt/up": with_mode(0o2711)}, ["/opt/up"]),
    ("setuid-files", "app", {"sysext/hidden/up": with_mode(0o4755)}, ["/strata/sysext/hidden/up"]),
    (
        "setuid-files",
        "app",
        {"sysext/usr/lib/tmpfiles.d/a.conf": "z /var/up ~4755 - - -\n"},
        ["/usr/lib/tmpfiles.d/a.conf"],
    ),
    ("setuid-files", "base", {"usr/bin/su": with_mode(0o4755)}, ["/usr/bin/su"]),
    ("world-writable", "app", {f"{SHOP}/shop.service": with_mode(0o666)}, ["/usr/lib/systemd/system/shop.service"]),
    ("world-writable", "config", {"etc/shop/open.conf": with_mode(0o646)}, ["/etc/shop/open.conf"]),
    ("device-nodes", "app", {"sysext/usr/lib/pipe": os.mkfifo}, ["/usr/lib/pipe"]),
    ("baked-secrets", "app", {"confext/etc/shop/tls.key": KEY}, ["/etc/shop/tls.key"]),
    ("baked-secrets", "app", {"confext/etc/ssh/ssh_host_rsa_key": "x"}, ["/etc/ssh/ssh_host_rsa_key"]),
    ("baked-secrets", "base", {"usr/lib/credstore/token": "x"}, ["/usr/lib/credstore/token"]),
    ("password-hashes", "base", {"etc/shadow": f"root:{HASH}:1::::::\n"}, ["/etc/shadow"]),
    ("password-hashes", "base", {"etc/shadow": "root::1::::::\n"}, ["/etc/shadow"]),
    ("password-hashes", "base", {"etc/shadow": "root:xyBgbb0rN4lRM:1::::::\n"}, ["/etc/shadow"]),
    ("password-hashes", "base", {"etc/shadow": f"root:!{HASH}:1::::::\n"}, ["/etc/shadow"]),
    ("password-hashes", "app", {"confext/etc/shadow": f"root:{HASH}:1::::::\n"}, ["/etc/shadow"]),
    ("password-hashes", "app", {"confext/etc/htpasswd": f"admin:{HASH}\n"}, ["/etc/htpasswd"]),
    ("password-hashes", "config", {"etc/passwd": "root::0:0::/root:/bin/sh\n"}, ["/etc/passwd"]),
    ("extra-root", "base", {"etc/passwd": "root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\n"}, ["toor"]),
    ("extra-root", "app", {"confext/etc/passwd": "root:x:0:0::/:\ntoor:x:00:0::/:\n"}, ["toor"]),
    ("extra-root", "app", {"sysext/usr/lib/sysusers.d/a.conf": 'u toor 0 "x"\n'}, ["toor"]),
    ("extra-root", "app", {"confext/etc/sysusers.d/a.conf": "u! toor /usr/bin/su\n"}, ["toor"]),
    ("extra-root", "config", {"etc/sysusers.d/b.conf": "u toor 0:0\n"}, ["toor"]),
    ("extra-root", "app", {"sysext/usr/lib/sysusers.d/b.conf": "u root2 %T\n"}, ["root2"]),
    (
        "extra-root",
        "config",
        {"etc/sysusers.d/a.conf": "u root5 ", "etc/sysusers.d/b.conf": "0\n"},
        ["root5"],
    ),
    ("extra-root", "app", {"sysext/usr/lib/sysusers.d/c.conf": "u root3 \\x30\n"}, ["root3"]),
    ("extra-root", "app", {"confext/etc/passwd": "root4::0:0\n"}, ["root4"]),
    ("login-shells", "app", {"sysext/usr/lib/sysusers.d/a.conf": 'u db 911 "x" / /bin/bash\n'}, ["db"]),
    ("login-shells", "base", {"etc/passwd": "root:x:0:0::/:/bin/sh\nme:x:7:7::/:\n"}, ["me"]),
    ("shadowed-files", "app", {"sysext/usr/sbin/sshd": "x"}, ["/usr/sbin/sshd"]),
    ("shadowed-files", "app", {"sysext/usr/local/bin/su": "x"}, ["/usr/local/bin/su"]),
    ("shadowed-files", "app", {"confext/etc/passwd": "x"}, ["/etc/passwd"]),
    ("shadowed-files", "app", {"confext/etc/ld.so.preload": "x"}, ["/etc/ld.so.preload"]),
    ("shadowed-files", "app", {f"{UNITS}/ssh.service": "[Service]\n"}, ["/etc/systemd/system/ssh.service"]),
    ("shadowed-files", "app", {f"{UNITS}/ssh.service.d/a.conf": "x"}, ["/etc/systemd/system/ssh.service.d/a.conf"]),
    ("shadowed-files", "app", {f"{UNITS}/service.d/a.conf": "x"}, ["/etc/systemd/system/service.d/a.conf"]),
    (
        "shadowed-files",
        "app",
        {f"{UNITS}/ssh.service.d": link("/usr/share/shop")},
        ["/etc/systemd/system/ssh.service.d"],
    ),
    (
        "shadowed-files",
        "app",
        {"confext/etc/systemd/system.conf.d/a.conf": "[Manager]\nDefaultEnvironment=LD_PRELOAD=/usr/lib/a.so\n"},
        ["/etc/systemd/system.conf.d/a.conf"],
    ),
    ("shadowed-files", "app", {"confext/etc/sysctl.d/50-site.conf": "x"}, ["/etc/sysctl.d/50-site.conf"]),
    ("shadowed-files", "app", {"sysext/usr/lib/strata/firewall.nft": "x"}, ["/usr/lib/strata/firewall.nft"]),
    (
        "shadowed-files",
        "app",
        {"confext/etc/profile": link("x")},
        ["/etc/profile"],
    ),
    ("masked-units", "app", {f"{UNITS}/debug-shell.service": "[Service]\n"}, ["debug-shell.service"]),
    ("masked-units", "app", {f"{SHOP}/absent.service": "[Service]\n"}, ["absent.service"]),
    ("denied-units", "app", {f"{UNITS}/multi-user.target.wants/ssh.service": link("/x")}, ["ssh.service"]),
    ("denied-units", "app", {f"{UNITS}/timers.target.requires/ssh.service": link("/x")}, ["ssh.service"]),
    ("denied-units", "app", {f"{SHOP}/shop.service": "[Unit]\nWants=a.target \\\n  ssh.service\n"}, ["ssh.service"]),
    ("denied-units", "app", {f"{UNITS}/shop.service.d/a.conf": "[Unit]\nUpholds=ssh.service\n"}, ["ssh.service"]),
    (
        "denied-units",
        "app",
        {f"{SHOP}/ssh.socket": "[Socket]\n", f"{UNITS}/sockets.target.wants/ssh.socket": link("/x")},
        ["ssh.service", "ssh.socket"],
    ),
    (
        "denied-units",
        "app",
        {f"{SHOP}/door.service": link("ssh.service"), f"{UNITS}/multi-user.target.wants/door.service": link("/x")},
        ["ssh.service"],
    ),
    (
        "denied-units",
        "app",
        {"sysext/opt/wants/ssh.service": "x", f"{UNITS}/basic.target.wants": link("/opt/wants")},
        ["ssh.service"],
    ),
    ("umask", "base", {"etc/login.defs": "# UMASK 027\n"}, ["/etc/login.defs"]),
    ("umask", "base", {"etc/login.defs": "UMASK 022\n"}, ["/etc/login.defs"]),
    ("umask", "app", {"confext/etc/profile.d/a.sh": "if true; then umask 002; fi\n"}, ["/etc/profile.d/a.sh"]),
    ("sysctls", "app", {"sysext/usr/lib/sysctl.d/60-a.conf": "net/ipv4/ip_forward=1\n"}, ["net.ipv4.ip_forward"]),
    (
        "sysctls",
        "app",
        {"confext/etc/sysctl.d/50-site.conf": ""},
        ["net.ipv4.conf.all.rp_filter", "net.ipv4.ip_forward"],
    ),
    ("sysctls", "config", {"etc/sysctl.d/99-a.conf": "-net.ipv4.ip_forward = 1\n"}, ["net.ipv4.ip_forward"]),
    (
        "sysctls",
        "app",
        {"sysext/usr/lib/sysctl.d/10-a.conf": "net.ipv4.conf.all.rp_filter = 0\n"},
        ["net.ipv4.conf.all.rp_filter"],
    ),
    (
        "journald",
        "app",
        {"confext/etc/systemd/journald.conf.d/z.conf": "[Journal]\nStorage=none\n"},
        ["journald Storage"],
    ),
    ("sensitive-modes", "base", {"etc/shadow": with_mode(0o644, "root:*:\n")}, ["/etc/shadow"]),
    ("sensitive-modes", "app", {"confext/etc/shadow": with_mode(0o660, "root:*:\n")}, ["/etc/shadow"]),
]
CLEAN = [rule.name for rule in tree_rules.RULES]
NEEDS = {"unit-exposure": "systemd-analyze", "firewall": "nft"}


def prepare(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the programs out where they are not needed: they take most of the time."""
    if rule not in NEEDS:
        monkeypatch.setenv("PATH", "")
    elif not shutil.which(NEEDS[rule]):
        pytest.skip(f"{NEEDS[rule]} is not installed")
    if rule == "firewall" and ruleset.load({"/a": ""}, "/a") is None:
        pytest.skip("no network namespace can be made here")


@pytest.mark.parametrize("rule", CLEAN)
def test_clean_layers_have_no_fault(tmp_path: Path, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(rule, monkeypatch)
    assert find(collect(tmp_path), rule, VALUES[rule]) == []


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack[0]}-{attack[3][0]}")
def test_an_attack_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack) -> None:
    rule, layer, files, wrong = attack
    prepare(rule, monkeypatch)
    faults = find(collect(tmp_path, layer, files), rule, VALUES[rule])
    assert sorted(fault.what for fault in faults) == wrong
    assert {fault.layer for fault in faults} == {layer}


@pytest.mark.parametrize("rule", CLEAN)
@pytest.mark.parametrize(
    "trees",
    [
        None,
        {},
        {"base": {"entries": 0}, "app": {"entries": 0}},
        {"base": {"entries": 9, "name": ""}},
        {"base": {"entries": 9, "name": ""}, "app": {"entries": 0}},
    ],
)
def test_nothing_is_decided_of_what_was_not_looked_at(rule: str, trees: t.Any) -> None:
    with pytest.raises(Unknown):
        find(Facts("shop1", manifests=MANIFESTS, trees=trees), rule, VALUES[rule])


@root_only
def test_device_nodes_capabilities_and_strangers_files(tmp_path: Path) -> None:
    def device(place: Path) -> None:
        os.mknod(place, 0o20600, os.makedev(1, 3))

    def capable(place: Path) -> None:
        place.write_text("x")
        # cap_net_raw=ep, and what setcap leaves when it takes everything away
        os.setxattr(place, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))

    def emptied(place: Path) -> None:
        place.write_text("x")
        os.setxattr(place, "security.capability", bytes.fromhex("0000000200000000000000000000000000000000"))

    def given(place: Path) -> None:
        place.write_text("x")
        os.chown(place, 910, 4711)

    files: Files = {
        "sysext/usr/lib/null": device,
        "sysext/usr/bin/ping": capable,
        "sysext/usr/bin/was": emptied,
        "sysext/opt/mine": given,
    }
    facts = collect(tmp_path, "app", files)
    wrong = {rule: [fault.what for fault in find(facts, rule, VALUES[rule])] for rule in CLEAN if rule not in NEEDS}
    assert wrong == {
        **{rule: [] for rule in wrong},
        "device-nodes": ["/usr/lib/null"],
        "file-capabilities": ["/usr/bin/ping"],
        "unowned-files": ["/opt/mine"],  # the user is the app's own, the group is nobody's
    }


@root_only
@pytest.mark.parametrize(("number", "is_known"), [(910, True), (65534, True), (911, False)])
def test_owners_are_known_from_every_layer(tmp_path: Path, number: int, is_known: bool) -> None:
    def given(place: Path) -> None:
        place.write_text("x")
        os.chown(place, number, number)

    faults = find(collect(tmp_path, "config", {"etc/shop/own": given}), "unowned-files", True)
    assert [fault.what for fault in faults] == ([] if is_known else ["/etc/shop/own"] * 2)


@pytest.mark.parametrize(
    ("rule", "files", "value"),
    [
        ("setuid-files", {"sysext/usr/bin/up": with_mode(0o4755)}, ["/usr/bin/u*"]),
        ("shadowed-files", {"sysext/usr/sbin/sshd": "x"}, ["/usr/sbin/sshd"]),
        ("login-shells", {"sysext/usr/lib/sysusers.d/a.conf": 'u db 911 "x" / /bin/bash\n'}, ["root", "db"]),
        ("masked-units", {f"{UNITS}/absent.service": link("/dev/null")}, ["absent.service"]),
        ("masked-units", {f"{UNITS}/absent.service": ""}, ["absent.service"]),
        ("journald", {}, {"Storage": "Persistent"}),
        ("umask", {"confext/etc/profile.d/a.sh": "umask 077\n"}, {"umask": "027"}),
        ("umask", {"confext/etc/profile.d/a.sh": "# umask 000\n"}, {"umask": "027"}),
        ("sysctls", {"confext/etc/sysctl.d/99-a.conf": "# net.ipv4.ip_forward=1\n"}, {"net.ipv4.ip_forward": "0"}),
        ("sensitive-modes", {"confext/etc/shadow": with_mode(0o600, "root:*:\n")}, {"/etc/shadow": "0640"}),
        ("world-writable", {"sysext/usr/lib/tmp": lambda place: (place.mkdir(), place.chmod(0o1777))}, True),
        ("denied-units", {f"{SHOP}/ssh.socket": "[Socket]\n"}, ["ssh.*"]),
        ("baked-secrets", {"sysext/usr/lib/credstore/token": ""}, True),
    ],
)
def test_what_is_allowed_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, files: dict[str, t.Any], value: t.Any
) -> None:
    prepare(rule, monkeypatch)
    assert find(collect(tmp_path, "app", files), rule, value) == []


def test_the_base_does_not_start_what_is_masked_or_not_for_containers(tmp_path: Path) -> None:
    wants = "etc/systemd/system/multi-user.target.wants"
    files: Files = {
        f"{wants}/debug-shell.service": link("/x"),
        f"{wants}/ssh.service": link("/x"),
        "usr/lib/systemd/system/ssh.service": "[Unit]\nConditionVirtualization=!container\n",
    }
    assert find(collect(tmp_path, "base", files), "denied-units", VALUES["denied-units"]) == []


def test_the_order_of_layers_is_that_of_their_names(tmp_path: Path) -> None:
    files = {
        "confext/etc/extension-release.d/extension-release.zzz": "ID=_any\n",
        "confext/etc/sysctl.d/99-a.conf": "net.ipv4.ip_forward=1\n",
    }
    facts = collect(tmp_path, "app", files)
    trees = dict(facts.trees or {})
    trees["config"] = {**trees["config"], "texts": {"/etc/sysctl.d/99-a.conf": "net.ipv4.ip_forward=0\n"}}
    mended = facts._replace(trees=trees)
    assert find(mended, "sysctls", VALUES["sysctls"]) == []
    trees["app"] = {**trees["app"], "name": "zzz"}
    assert find(facts._replace(trees=trees), "sysctls", VALUES["sysctls"])


def test_a_passwords_hash_is_not_kept(tmp_path: Path) -> None:
    files = {"etc/shadow": f"root:{HASH}:1::::::\n", "etc/passwd": f"root:{HASH}:0:0::/:/bin/sh\n"}
    facts = collect(tmp_path, "base", files)
    assert HASH not in repr(facts.trees)


@pytest.mark.parametrize(
    ("layer", "files", "wrong"),
    [
        ("app", {f"{SHOP}/shop.service": "[Service]\nExecStart=/usr/bin/shop\n"}, ["shop.service"]),
        ("app", {f"{UNITS}/shop.service.d/a.conf": "[Service]\nPrivateUsers=no\nDynamicUser=no\n"}, []),
        (
            "app",
            {
                f"{SHOP}/till@.service": "[Service]\nExecStart=/usr/bin/shop\n",
                f"{UNITS}/multi-user.target.wants/till@1.service": link("/usr/lib/systemd/system/till@.service"),
            },
            ["till@1.service"],
        ),
        (
            "app",
            {
                f"{SHOP}/till@.service": "[Service]\nExecStart=/usr/bin/shop\n",
                f"{SHOP}/till.socket": "[Socket]\nListenStream=80\nAccept=yes\n",
                f"{UNITS}/sockets.target.wants/till.socket": link("/usr/lib/systemd/system/till.socket"),
            },
            ["till@0.service"],
        ),
        ("app", {f"{UNITS}/multi-user.target.wants/ssh.service": link("/x")}, []),
        ("base", {"etc/systemd/system/multi-user.target.wants/ssh.service": link("/x")}, ["ssh.service"]),
        (
            "base",
            {"usr/lib/systemd/system/cleanup.service": "[Service]\nExecStart=/usr/bin/true\n"},
            ["cleanup.service"],
        ),
    ],
)
def test_exposure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: str, files: dict[str, t.Any], wrong: list[str]
) -> None:
    prepare("unit-exposure", monkeypatch)
    faults = find(collect(tmp_path, layer, files), "unit-exposure", 4)
    assert [fault.what for fault in faults] == wrong


@pytest.mark.parametrize(
    ("drop_in", "is_found"), [("get-.service.d", True), ("get-very-.service.d", False), ("get-.socket.d", False)]
)
def test_a_drop_in_for_all_units_of_a_prefix_is_one_for_the_bases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drop_in: str, is_found: bool
) -> None:
    monkeypatch.setenv("PATH", "")
    unit = {"usr/lib/systemd/system/get-ready.service": "[Service]\n"}
    facts = collect(tmp_path, "base", unit, app_files={f"{UNITS}/{drop_in}/a.conf": "x"})
    assert [fault.layer for fault in find(facts, "shadowed-files", [])] == ["app"] * is_found


BULK = "# " + "x" * tree_facts.LARGEST_TEXT + "\n"


@pytest.mark.parametrize(
    ("rule", "files"),
    [
        ("extra-root", {"sysext/usr/lib/sysusers.d/a.conf": f"{BULK}u toor 0\n"}),
        ("extra-root", {"sysext/usr/lib/sysusers.d/a.conf": link("/var/lib/shop/a.conf")}),
        (
            "extra-root",
            {
                "sysext/usr/lib/sysusers.d/a.conf": link("../../share/b"),
                "sysext/usr/share/b": link("c"),
                "sysext/usr/share/c": "u toor 0\n",
            },
        ),
        (
            "extra-root",
            {"sysext/usr/local/lib/sysusers.d": link("/usr/share/d"), "sysext/usr/share/d/a.conf": "u toor 0\n"},
        ),
        ("denied-units", {f"{SHOP}/ssh.service": f"{BULK}[Service]\nExecStart=/usr/sbin/sshd\n"}),
        ("denied-units", {"sysext/usr/local/lib/systemd": link("/usr/share/units")}),
        ("denied-units", {f"{UNITS}/shop.service.d": link("/var/lib/shop/drop-ins")}),
        ("unit-exposure", {f"{SHOP}/till.service": link("/usr/share/shop/other.service")}),
    ],
)
def test_what_an_app_hides_is_never_taken_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, files: dict[str, t.Any]
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unknown, match="of its app cannot be read"):
        find(collect(tmp_path, "app", files), rule, VALUES[rule])


def test_a_link_is_not_followed_into_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    outside = tmp_path / "node"
    outside.mkdir()
    (outside / "a.conf").write_text("the node's own")
    files = {"sysext/usr/share/x": link(str(outside)), "sysext/usr/lib/sysusers.d/a.conf": link("../../share/x/a.conf")}
    assert "the node's own" not in json.dumps(collect(tmp_path, "app", files).trees)


def test_without_the_programs_nothing_is_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    facts = collect(tmp_path)
    assert facts.trees is not None
    assert facts.trees["app"]["missing"] == ["systemd-analyze", "nft"]
    for rule in NEEDS:
        with pytest.raises(Unknown):
            find(facts, rule, VALUES[rule])


PORTS = "confext/etc/strata/ports.d"
ALL_PORTS = FILTER.replace("policy drop", "policy accept")


FILTERS: list[tuple[str, dict[str, t.Any], list[str], str]] = [
    ("app", {f"{PORTS}/extra.nft": "add element inet strata tcp_ports { 8443 }\n"}, ["8443/tcp"], "app"),
    ("app", {f"{PORTS}/extra.nft": "add rule inet strata input udp dport 53 accept\n"}, ["53/udp"], "app"),
    ("app", {f"{PORTS}/shop.nft": ""}, ["80/tcp"], "app"),
    ("app", {f"{PORTS}/extra.nft": "accept everything\n"}, ["/usr/lib/strata/firewall.nft"], "app"),
    ("app", {f"{PORTS}/x.nft": "add rule inet strata input accept\n"}, ["/usr/lib/strata/firewall.nft"], "base"),
    (
        "app",
        {f"{PORTS}/x.nft": "add rule inet strata input ip saddr 192.0.2.1 accept\n"},
        ["/usr/lib/strata/firewall.nft"],
        "base",
    ),
    ("config", {"etc/strata/ports.d/x.nft": "add element inet strata tcp_ports { 22 }\n"}, ["22/tcp"], "config"),
    ("base", {"usr/lib/strata/firewall.nft": ALL_PORTS}, ["/usr/lib/strata/firewall.nft"], "base"),
    ("base", {"usr/lib/systemd/system/firewall.service": "[Service]\n"}, ["the packet filter"], "base"),
    (
        "base",
        {"etc/systemd/system/multi-user.target.wants/firewall.service": link("/dev/null")},
        ["the packet filter"],
        "base",
    ),
    ("app", {f"{UNITS}/firewall.service": link("/dev/null")}, ["the packet filter"], "base"),
    (
        "app",
        {f"{SHOP}/shop.service": "[Service]\nExecStartPost=-/usr/sbin/nft flush ruleset\n"},
        ["/usr/lib/systemd/system/shop.service"],
        "app",
    ),
    (
        "app",
        {f"{SHOP}/shop.service": "[Unit]\n [Service]\n ExecStartPost=-/usr/sbin/nft flush ruleset\n"},
        ["/usr/lib/systemd/system/shop.service"],
        "app",
    ),
    (
        "app",
        {f"{UNITS}/firewall.service.d/a.conf": "[Service]\nExecStart=\n"},
        ["/etc/systemd/system/firewall.service.d/a.conf"],
        "app",
    ),
]


@pytest.mark.parametrize("case", FILTERS, ids=lambda case: f"{case[2][0]}-{case[3]}")
def test_packet_filters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: t.Any) -> None:
    layer, files, wrong, owner = case
    prepare("firewall", monkeypatch)
    faults = find(collect(tmp_path, layer, files), "firewall", True)
    assert [fault.what for fault in faults] == wrong
    assert {fault.layer for fault in faults} == {owner}


def hardened(ports: list[dict[str, t.Any]]) -> tuple[Files, Files]:
    """Return what the role lockdown builds into a base, and an app's build into the app."""
    unit = f"/usr/lib/systemd/system/{built.UNIT}"
    enabled = {f"etc/systemd/system/sysinit.target.wants/{built.UNIT}": link(unit)}
    app = {f"confext/{built.ports_file('shop')}": built.render_ports(ports)}
    return {**built.files(), **enabled, "usr/lib/systemd/system/firewall.service": "[Service]\n"}, app


@pytest.mark.parametrize(
    ("ports", "wrong"),
    [([80], []), ([], ["80/tcp"]), ([80, 443], ["443/tcp"]), ([8080], ["8080/tcp", "80/tcp"])],
)
def test_the_packet_filter_that_is_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ports: list[int], wrong: list[str]
) -> None:
    prepare("firewall", monkeypatch)
    base, app = hardened([{"port": port, "protocol": "tcp"} for port in ports])
    faults = find(collect(tmp_path, "base", base, app_files=app), "firewall", True)
    assert [fault.what for fault in faults] == wrong


def test_a_pipe_in_place_of_a_unit_or_a_drop_in_stops_nobody(tmp_path: Path) -> None:
    files: Files = {f"{SHOP}/pipe.service": os.mkfifo, f"{UNITS}/shop.service.d/pipe.conf": os.mkfifo}
    faults = find(collect(tmp_path, "app", files), "device-nodes", True)
    assert [fault.what for fault in faults] == [
        "/etc/systemd/system/shop.service.d/pipe.conf",
        "/usr/lib/systemd/system/pipe.service",
    ]


def test_no_umask_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Moot):
        find(collect(tmp_path), "umask", {})


def test_the_table_has_every_rule() -> None:
    others = {"file-capabilities", "unowned-files", "unit-exposure", "firewall"}
    assert {rule for rule, *_rest in ATTACKS} | others == set(CLEAN)
