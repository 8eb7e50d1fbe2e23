"""Small real trees of base, app and config, and facts of them as a node collects them."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import catalogue, tree_facts
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Facts, Fault

Files = t.Mapping[str, "str | Make"]
Make = t.Callable[[Path], t.Any]
FILTER = """\
table inet strata {
    set tcp_ports {
        type inet_service
    }
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif lo accept
        icmp type { echo-request } accept
        udp sport 67 udp dport 68 accept
        tcp dport @tcp_ports accept
    }
}
include "/etc/strata/ports.d/*.nft"
"""
SANDBOX = "".join(
    f"{line}\n"
    for line in (
        *("NoNewPrivileges=yes", "PrivateTmp=yes", "PrivateDevices=yes", "PrivateNetwork=yes", "PrivateUsers=yes"),
        *("ProtectSystem=strict", "ProtectHome=yes", "ProtectKernelTunables=yes", "ProtectKernelModules=yes"),
        *("ProtectKernelLogs=yes", "ProtectControlGroups=yes", "ProtectClock=yes", "ProtectHostname=yes"),
        *("ProtectProc=invisible", "RestrictAddressFamilies=AF_UNIX", "RestrictNamespaces=yes", "DynamicUser=yes"),
        *("CapabilityBoundingSet=", "SystemCallFilter=@system-service", "SystemCallArchitectures=native"),
    )
)
BASE: Files = {
    "etc/passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534::/:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/shadow": "root:*:1::::::\nnobody:!*:1::::::\n",
    "etc/login.defs": "# what logins get\nUMASK\t027\n",
    "etc/profile": "umask 077 # private\n",
    "etc/systemd/journald.conf": "[Journal]\nStorage=auto\n",
    "etc/systemd/system/debug-shell.service": lambda place: place.symlink_to("/dev/null"),
    "usr/bin/su": "a program",
    "usr/sbin/sshd": "another",
    "usr/lib/strata/firewall.nft": FILTER,
    "usr/lib/systemd/journald.conf.d/site.conf": "[Journal]\nStorage=persistent\n",
    "usr/lib/systemd/system/cleanup.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/true\n",
    "usr/lib/systemd/system/debug-shell.service": "[Service]\nExecStart=/bin/sh\n",
    "usr/lib/systemd/system/firewall.service": (
        "[Service]\nType=oneshot\nExecStart=/usr/sbin/nft --file /usr/lib/strata/firewall.nft\n"
    ),
    "usr/lib/systemd/system/multi-user.target": "[Unit]\nWants=cleanup.service\n",
    "usr/lib/systemd/system/ssh.service": "[Service]\nExecStart=/usr/sbin/sshd\n",
    "etc/systemd/system/multi-user.target.wants/firewall.service": lambda place: place.symlink_to(
        "/usr/lib/systemd/system/firewall.service"
    ),
    "usr/lib/sysctl.d/50-site.conf": "net.ipv4.ip_forward = 0\nnet.ipv4.conf.*.rp_filter=1\n",
}
APP: Files = {
    "sysext/usr/lib/extension-release.d/extension-release.shop": "ID=_any\n",
    "confext/etc/extension-release.d/extension-release.shop": "ID=_any\n",
    "sysext/usr/bin/shop": "a shop",
    "sysext/usr/lib/systemd/system/shop.service": f"[Service]\nExecStart=/usr/bin/shop\n{SANDBOX}",
    "sysext/usr/lib/sysusers.d/strata-shop.conf": 'g shop 910\nu shop 910:910 "The shop" / /usr/sbin/nologin\n',
    "confext/etc/systemd/system/multi-user.target.wants/shop.service": lambda place: place.symlink_to(
        "/usr/lib/systemd/system/shop.service"
    ),
    "confext/etc/strata/ports.d/shop.nft": "add element inet strata tcp_ports { 80 }\n",
}
CONFIG: Files = {
    "etc/extension-release.d/extension-release.zz-config": "ID=_any\n",
    "etc/resolv.conf": "nameserver 192.0.2.1\n",
    "etc/shop/key.pem": "-----BEGIN {} KEY-----\n".format("PRIVATE"),
}
MANIFESTS: dict[str, dict[str, t.Any]] = {
    "base": {
        "name": "debian-13",
        "version": "13.20261122.1",
        "abi": "debian-13",
        "os": {"id": "debian", "version_id": "13"},
        "architecture": "amd64",
        "packages": {"nftables": "1.1.3-1", "libc6": "2.41-12"},
        "built": "2026-11-01T10:00:00Z",
        "age": 21,
        "commit": "b" * 64,
        "signers": [{"fingerprint": "A" * 40, "key": "A" * 40, "name": "site"}],
    },
    "app": {
        "name": "shop",
        "version": "1.0-1",
        "vendor": "Example",
        "abi": "debian-13",
        "architecture": "amd64",
        "packages": {"shop": "1.0"},
        "ports": [{"port": 80, "protocol": "tcp"}],
        "volumes": [{"name": "var", "path": "/var", "size": 2**30}],
        "commit": "a" * 64,
        "signers": [
            {"fingerprint": "C" * 40, "key": "D" * 40, "name": "example"},
            {"fingerprint": "A" * 40, "key": "A" * 40, "name": "site"},
        ],
    },
}


def make(folder: Path, files: Files) -> Path:
    """Make the files: a text is written, a function makes what it likes at the place."""
    for name, content in files.items():
        place = folder / name
        if not place.parent.is_dir():
            place.parent.mkdir(parents=True, mode=0o755)
        if callable(content):
            content(place)
        else:
            place.unlink(missing_ok=True)
            place.write_text(content)
            place.chmod(0o640 if place.name == "shadow" else 0o644)
    return folder


def with_mode(mode: int, text: str = "x") -> Make:
    """Return what makes a file of this mode."""

    def write(place: Path) -> None:
        place.unlink(missing_ok=True)
        place.write_text(text)
        place.chmod(mode)

    return write


def link(target: str) -> Make:
    """Return what makes a link."""

    def write(place: Path) -> None:
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    return write


def collect(tmp_path: Path, layer: str = "", files: Files | None = None, *, app_files: Files | None = None) -> Facts:
    """Return the facts of the three trees, one of them with some more files, or the app and one."""
    more = {"app": app_files or {}, layer: files or {}}
    base = make(tmp_path / "base", {**BASE, **more.get("base", {})})
    app = make(tmp_path / "app", {**APP, **more.get("app", {})})
    config = make(tmp_path / "config", {**CONFIG, **more.get("config", {})})
    trees = {"base": tree_facts.collect("base", base)}
    tree_facts.try_firewall([], trees["base"])
    trees["app"] = tree_facts.collect("app", app, base)
    tree_facts.try_firewall([trees["base"]], trees["app"])
    trees["config"] = tree_facts.collect("config", config, base)
    tree_facts.try_firewall([trees["base"], trees["app"]], trees["config"])
    return Facts("shop1", manifests=MANIFESTS, trees=trees, wanted={"published": [], "volumes": {}})


def find(facts: Facts, rule: str, value: t.Any) -> list[Fault]:
    """Return what a rule says of the facts."""
    return list(catalogue.RULES[rule].check(facts, value))
