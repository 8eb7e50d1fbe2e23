# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where backups are kept, and how its secrets reach restic.

They go by the environment and by files in memory: nothing is on a command line or on a disk, and nothing stays behind
where a run is killed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import typing as t
import urllib.parse

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput

SSH = ("-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oConnectTimeout=20", "-oServerAliveInterval=15")
LONG = 6  # characters: what is shorter may be part of any word
STATUS_LINES = "0.1"  # a second: restic prints its progress as JSON, and nobody reads it


class Repository(t.NamedTuple):
    """Where backups are kept: ``url`` as restic has it; the rest is secret, but for ``name`` and ``known_hosts``."""

    name: str
    url: str
    password: str
    environment: t.Mapping[str, str] = {}
    ssh_key: str = ""
    known_hosts: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of the node that uses it."""
        return self.url.startswith("/")


@contextlib.contextmanager
def in_memory(text: str) -> t.Iterator[str]:
    """Give the path of a file that only root reads, for as long as this process lives."""
    file = os.memfd_create("strata")
    try:
        os.fchmod(file, 0o600)
        os.write(file, text.encode() if text.endswith("\n") else f"{text}\n".encode())
        yield f"/proc/{os.getpid()}/fd/{file}"
    finally:
        os.close(file)


def environment_of(repository: Repository) -> dict[str, str]:
    """Return what restic reads its secrets from."""
    if not repository.password:
        raise BadInput(f"Repository {repository.name} has no password: set it in backup_repositories, from a vault")
    own = dict(repository.environment)
    url = repository.url
    user, password = own.pop("RESTIC_REST_USERNAME", ""), own.pop("RESTIC_REST_PASSWORD", "")
    if user and url.startswith("rest:"):  # restic before 0.16 takes them from the address alone
        scheme, _slashes, rest = url.removeprefix("rest:").partition("://")
        url = f"rest:{scheme}://{urllib.parse.quote(user, '')}:{urllib.parse.quote(password, '')}@{rest}"
    return {
        "HOME": "/root",
        **own,
        "RESTIC_PASSWORD": repository.password,
        "RESTIC_REPOSITORY": url,
        "RESTIC_PROGRESS_FPS": STATUS_LINES,
    }


def without_secrets(said: str, repository: Repository) -> str:
    """Return what a program said, without the repository's secrets in it; short ones would take other words along."""
    for secret in (repository.password, *repository.environment.values()):
        if len(secret) >= LONG:
            said = said.replace(secret, "********")
    return said


def ssh_options(url: str, key: str, known_hosts: str) -> list[str]:
    """Return restic's options for a repository over SFTP, [] for another; key and hosts are paths, or '' for root's."""
    if not url.startswith("sftp:"):
        return []
    if url.startswith("sftp://"):
        parsed = urllib.parse.urlsplit(url)
        place = f"{parsed.username}@{parsed.hostname}" if parsed.username else str(parsed.hostname)
        port = [f"-p{parsed.port}"] if parsed.port else []
    else:
        place, port = url.removeprefix("sftp:").partition(":")[0], []
    chosen = [f"-oIdentityFile={key}", "-oIdentitiesOnly=yes"] if key else []
    chosen += [f"-oUserKnownHostsFile={known_hosts}", "-oGlobalKnownHostsFile=/dev/null"] if known_hosts else []
    return ["--option", f"sftp.command={shlex.join(['ssh', *SSH, *chosen, *port, place, '-s', 'sftp'])}"]
