"""Apps that should never run: what each has in its tree, or says of itself, and the rule that refuses it."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

Plant = t.Callable[[Path], None]
# Format 2 of security.capability(7): effective cap_net_admin, little-endian.
NET_ADMIN = bytes.fromhex("0100000200100000000000000000000000000000")
KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n"
UNIT = "[Service]\nExecStart=/usr/bin/true\n"


class Attack(t.NamedTuple):
    """What is planted in the app's tree, what its manifest says, the rule, and the words by which it is named."""

    rule: str
    named: str
    plant: Plant = lambda _tree: None
    manifest: t.Mapping[str, t.Any] = {}


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file, whatever the umask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def plant_setuid(tree: Path) -> None:
    write(tree / "sysext/usr/bin/become-root", "#!/bin/sh\n", 0o4755)


def plant_capability(tree: Path) -> None:
    write(tree / "sysext/usr/bin/sniff", "#!/bin/sh\n", 0o755)
    os.setxattr(tree / "sysext/usr/bin/sniff", "security.capability", NET_ADMIN)


def plant_key(tree: Path) -> None:
    write(tree / "confext/etc/site/tls.key", KEY)


def plant_hash(tree: Path) -> None:
    write(tree / "confext/etc/shadow", "root:$y$j9T$abcdefgh$0123456789abcdef:20000:0:99999:7:::\n", 0o640)


def plant_root(tree: Path) -> None:
    write(tree / "sysext/usr/lib/sysusers.d/toor.conf", 'u toor 0 "Another root" /root /bin/sh\n')


def plant_writable_unit(tree: Path) -> None:
    write(tree / "sysext/usr/lib/systemd/system/anyone.service", UNIT, 0o666)


def plant_shadow(tree: Path) -> None:
    write(tree / "sysext/usr/bin/mount", "#!/bin/sh\nexec /bin/sh\n", 0o755)


def plant_open_port(tree: Path) -> None:
    write(tree / "confext/etc/strata/ports.d/more.nft", "tcp dport 22 accept\n")


ATTACKS: t.Mapping[str, Attack] = {
    "setuid": Attack("setuid-files", "/usr/bin/become-root", plant_setuid),
    "capability": Attack("file-capabilities", "/usr/bin/sniff", plant_capability),
    "key": Attack("baked-secrets", "/etc/site/tls.key", plant_key),
    "hash": Attack("password-hashes", "root", plant_hash),
    "root": Attack("extra-root", "toor", plant_root),
    "writable": Attack("world-writable", "anyone.service", plant_writable_unit),
    "shadow": Attack("shadowed-files", "/usr/bin/mount", plant_shadow),
    "opens": Attack("firewall", "more.nft", plant_open_port),
    "declares": Attack(
        "allowed-ports",
        "22/tcp",
        manifest={"ports": [{"port": 8080, "protocol": "tcp"}, {"port": 22, "protocol": "tcp"}]},
    ),
    "package": Attack("denied-packages", "telnetd", manifest={"packages": {"telnetd": "0.17-1"}}),
}
