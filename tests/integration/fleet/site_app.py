"""A small app for tests: a page from its config, a secret that only its account may read, a counter in its state."""

from __future__ import annotations

import random
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import firewall, sandbox

PORT = 8080
WWW_DATA = 33  # the account of that name in every Debian base
MIB = 2**20

SERVER = """\
use strict;
use IO::Socket::INET;

sub slurp { open my $file, '<', shift or die "$!"; local $/; return scalar <$file> }
my $page;
sub load { $page = slurp('/etc/site/page') }
load();
$SIG{HUP} = \\&load;
$SIG{PIPE} = 'IGNORE';
slurp('/etc/site/password') =~ /\\S/ or die "no password";
my $starts = (-e '/var/lib/site/starts' ? slurp('/var/lib/site/starts') : 0) + 1;
open my $state, '>', '/var/lib/site/starts' or die "$!";
print $state $starts;
close $state;
my $socket = IO::Socket::INET->new(LocalPort => 8080, Listen => 64, ReuseAddr => 1) or die "$@";
while (1) {
    my $client = $socket->accept or next;
    while (defined(my $line = <$client>)) { last if $line =~ /^\\r?$/ }
    print $client "HTTP/1.0 200 OK\\r\\n\\r\\n", $page, "starts $starts\\n", slurp('/usr/lib/site/version');
    close $client;
}
"""
# Programs of versions that should not have been published.
SICK = SERVER.replace("200 OK", "500 Oops")
LATE = SERVER.replace("while (1) {", "alarm SECONDS;\nwhile (1) {")  # ends by a signal after that time
# Serves only after a while: whoever wants to break its start has the time to.
SLOW = SERVER.replace("my $socket", "sleep 2;\nmy $socket")
MIGRATES = SERVER.replace(
    "my $socket", "open my $note, '>', '/var/lib/site/migrated'; print $note 'yes'; close $note;\nmy $socket"
)
UNIT = """\
[Unit]
Description=A page for tests
[Service]
User=www-data
StateDirectory=site
ExecStart=/usr/bin/perl /usr/lib/site/serve
ExecReload=/bin/sh -c "! grep broken /etc/site/page && kill -HUP ${MAINPID}"
[Install]
WantedBy=multi-user.target
"""
OPTIONS = {
    "title": {"type": "str", "default": "untitled", "required": False, "secret": False, "description": "First line."},
    "workers": {"type": "int", "default": 1, "required": False, "secret": False, "minimum": 1, "maximum": 8},
    "mode": {"type": "str", "default": "calm", "required": False, "secret": False, "choices": ["calm", "loud"]},
    "password": {"type": "str", "default": "unset", "required": False, "secret": True},
    "motd": {"type": "str", "default": "", "required": False, "secret": False},
}


def template(path: str, content: str, on_change: str, mode: str = "0644", owner: int = 0) -> dict[str, t.Any]:
    """Return one template as a manifest has it."""
    units = ["site.service"] if on_change != "reboot" else []
    return {
        "path": path,
        "mode": mode,
        "uid": owner,
        "gid": owner,
        "content": content,
        "on_change": on_change,
        "units": units,
    }


TEMPLATES = [
    template("/etc/site/page", "title {{ title }}\nworkers {{ workers }} {{ mode }}\n", "reload"),
    template("/etc/site/password", "{{ password }}\n", "restart", "0400", WWW_DATA),
    template("/etc/site/motd", "{{ motd }}\n", "reboot"),
]


def write_tree(root: Path, name: str, version: str, ballast: int, server: str = SERVER) -> None:
    """Write the app's sysext and confext; ``ballast`` files of 32 KiB go along, always the same ones."""
    usr, etc = root / "sysext" / "usr", root / "confext" / "etc"
    release = "ID=debian\nVERSION_ID=13\n"
    _write(usr / "lib/extension-release.d" / f"extension-release.{name}", release)
    _write(etc / "extension-release.d" / f"extension-release.{name}", release)
    _write(usr / "lib/site/serve", server)
    _write(usr / "lib/site/version", f"version {version}\n")
    _write(usr / "lib/systemd/system/site.service", UNIT)
    _write(usr.parent / sandbox.path_of("site.service"), sandbox.render(sandbox.MODERATE))
    _write(etc.parent / firewall.ports_file(name), firewall.render_ports([{"port": PORT}]))
    wants = etc / "systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "site.service").symlink_to("/usr/lib/systemd/system/site.service")
    content = random.Random(f"{name} {version}")  # noqa: S311 - it only has to be incompressible
    for number in range(ballast):
        path = usr / f"share/ballast/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.randbytes(32 * 1024))


def manifest(name: str, version: str, tree: Path) -> dict[str, t.Any]:
    """Return the app's manifest."""
    return {
        "format": 1,
        "kind": "app",
        "name": name,
        "version": version,
        "vendor": "tests",
        "abi": "debian-13",
        "base": {},
        "architecture": "all",
        "packages": {},
        "accounts": [],
        "services": ["site.service"],
        "ports": [{"port": PORT, "protocol": "tcp"}],
        "volumes": [{"name": "var", "path": "/var", "size": 64 * MIB}],
        "config": {"options": OPTIONS, "templates": TEMPLATES},
        "health": {"type": "http", "port": PORT, "path": "/", "status": 200},
        "quiesce": {},
        "needs": {},
        "size": sum(file.stat().st_size for file in tree.rglob("*") if file.is_file()),
        "built": "2026-01-01T00:00:00Z",
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
