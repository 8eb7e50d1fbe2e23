"""SSH keys of the lab, kept through resets, so that a machine made anew is still the same one to a client."""

from __future__ import annotations

import subprocess
import typing as t

from ansible_collections.strata.fleet.tests.lab.definition import CACHE, write_whole

if t.TYPE_CHECKING:
    from ansible_collections.strata.fleet.tests.lab.definition import Machine

KEYS = CACHE / "ssh"
KNOWN_HOSTS = KEYS / "known_hosts"
CLIENT_KEY = KEYS / "id_ed25519"


def make(name: str) -> tuple[str, str]:
    """Return the private and the public key of this name, made where they are missing."""
    path = KEYS / name
    if not path.exists():
        KEYS.mkdir(mode=0o700, parents=True, exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {name}", "-f", path], check=True)
    return path.read_text(), path.with_suffix(".pub").read_text()


def write_known_hosts(machines: t.Iterable[Machine]) -> None:
    """Write the host keys of all machines of the lab."""
    lines = [f"{machine.address} {make(machine.name)[1]}" for machine in machines]
    write_whole(KNOWN_HOSTS, "".join(lines))
