"""A repository of backups on another node, over SFTP, and what restores and drills leave."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.tests.integration.fleet.fleet import STORE, Fleet, has_changed, inside
from ansible_collections.strata.fleet.tests.integration.tools import Node, Ran, address_of

PASSWORD = "tell-nobody"
FOLDER = "/srv/it-backups"
COUNTER = "/var/lib/site/starts"
FORGET = f"""
rm -rf /var/cache/strata/restic /var/lib/strata/restored {STORE}/backups/repositories
rm -f {STORE}/backups/it-*
"""


class Vault:
    """The node that keeps the backups, and how the others reach it."""

    def __init__(self, node: Node, key: str, known_hosts: str) -> None:
        self.node = node
        self.url = f"sftp:root@{address_of(node.name)}:{FOLDER}"
        self.key = key
        self.known_hosts = known_hosts

    def repository(self, **changes: str) -> dict[str, str]:
        """Return the repository as backup_repositories has it."""
        own = {"url": self.url, "password": PASSWORD, "ssh_key": self.key, "known_hosts": self.known_hosts}
        return {**own, **changes}

    def restic(self, *words: str) -> str:
        """Return what restic itself says of the repository, with nothing of Strata in between."""
        command = f"RESTIC_PASSWORD={PASSWORD} restic --no-cache --repo {FOLDER} --json {' '.join(words)}"
        return self.node.run(command).stdout

    def ids(self, name: str) -> list[str]:
        """Return the ids of an appliance's backups, the oldest first."""
        found = json.loads(self.restic("snapshots", f"--host={name}"))
        return [each["id"] for each in sorted(found, key=lambda each: str(each["time"]))]

    def packs(self) -> set[str]:
        """Return the files that hold what was backed up."""
        return set(self.node.run(f"find {FOLDER}/data -type f").stdout.split())

    def damage(self, packs: t.Iterable[str]) -> None:
        """Flip bytes in the middle of these files."""
        for pack in packs:
            middle = f"$(($(stat -c %s {pack}) / 2))"
            self.node.run(f"chmod u+w {pack}; printf 'damaged!' | dd of={pack} bs=1 seek={middle} conv=notrunc")


@contextlib.contextmanager
def kept_on(node: Node, users: t.Iterable[Node]) -> t.Iterator[Vault]:
    """Give an empty repository's place on a node, which the users reach with a key of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "it-backup", "-f", str(path)], check=True)
        public = path.with_suffix(".pub").read_text().strip()
        scan = ["ssh-keyscan", "-t", "ed25519", address_of(node.name)]
        hosts = subprocess.run(scan, check=True, capture_output=True, text=True).stdout
        clean(node, users)
        # The role installs it on nodes that are backed up; this one only looks into the repository.
        node.run("command -v restic || { apt-get update -q && apt-get install -qy --no-install-recommends restic; }")
        node.run(f"echo '{public}' >> /root/.ssh/authorized_keys")
        try:
            yield Vault(node, path.read_text(), hosts)
        finally:
            clean(node, users)


def clean(node: Node, users: t.Iterable[Node]) -> None:
    """Remove what a test left."""
    node.run(f"rm -rf {FOLDER}; sed -i /it-backup$/d /root/.ssh/authorized_keys")
    for each in users:
        each.run(FORGET)


def back_up(fleet: Fleet, vault: Vault, name: str) -> str:
    """Back an appliance up; return restic's id."""
    ran = fleet.play("backup", "-e", f"backup={name}")
    assert ran.returncode == 0, ran.output
    return vault.ids(name)[-1]


def restore(fleet: Fleet, name: str, *words: str, changed: bool | None = None) -> Ran:
    """Restore; the test fails where that fails, or shows a password."""
    ran = fleet.play("restore", *arguments(name, *words))
    assert ran.returncode == 0, ran.output
    assert PASSWORD not in ran.output
    assert changed in (None, has_changed(ran)), ran.output
    return ran


def refuse(fleet: Fleet, *sentences: str, words: t.Sequence[str]) -> None:
    """Restore; the test fails unless that fails with all these words."""
    ran = fleet.play("restore", *words)
    said = " ".join(ran.output.split())
    assert ran.returncode != 0, ran.output
    for sentence in sentences:
        assert sentence in said, ran.output
    assert "Traceback" not in said, ran.output
    assert PASSWORD not in said, ran.output


def arguments(name: str, *words: str) -> list[str]:
    """Return the arguments of playbooks/restore.yml: words such as over=web1, without restore_."""
    return [part for word in (f"restore={name}", *(f"restore_{word}" for word in words)) for part in ("-e", word)]


def volumes(node: Node, name: str) -> list[str]:
    """Return the names of an appliance's volumes."""
    paths = node.query("/1.0/storage-pools/strata/volumes/custom?project=strata")
    names = [str(path).rpartition("/")[2].partition("?")[0] for path in paths]
    return sorted(each for each in names if each.startswith(f"{name}."))


def count(node: Node, name: str) -> int:
    """Return how often the appliance's app was started on this state."""
    return int(inside(node, name, f"cat {COUNTER}"))


def remembered(node: Node, name: str) -> dict[str, t.Any]:
    """Return what the node remembers of an appliance's backups."""
    return t.cast("dict[str, t.Any]", json.loads(node.run(f"cat {STORE}/backups/{name}.json").stdout))
