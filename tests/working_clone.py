"""A clone in which somebody works: files are committed, signed by one of several people, and pushed."""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

# Nothing of the machine's or the person's own settings.
ENVIRONMENT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}


class WorkingClone:
    """An empty repository in ``folder``, pushed to ``url``; ``keys`` gets a new SSH key for each of ``people``.

    ``environment`` is for git, beside this process's own.
    """

    def __init__(self, folder: Path, keys: Path, people: t.Iterable[str], url: str, **environment: str) -> None:
        self.folder = folder
        self.keys = keys
        self._url = url
        self._environment = {**os.environ, **ENVIRONMENT, **environment}
        folder.mkdir()
        keys.mkdir(exist_ok=True)
        for name in people:
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(keys / name)]
            subprocess.run(argv, check=True)
        self.git("init", "--quiet", "--initial-branch=main")
        for key, value in {"user.name": "Ops", "user.email": "ops@example.com", "gpg.format": "ssh"}.items():
            self.git("config", key, value)

    def git(self, *argv: str) -> str:
        """Return what git says here; fail where it does."""
        done = subprocess.run(
            ["git", *argv], cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sign_of(self, name: str) -> str:
        """Return the line by which one of the people is trusted, as OpenSSH's file of allowed signers has it."""
        return f"ops@example.com {(self.keys / f'{name}.pub').read_text()}"

    def commit_all(self, message: str, by: str) -> None:
        """Commit what the folder holds, signed by one of the people ('' for nobody)."""
        self.git("add", "--all")
        sign = [f"--gpg-sign={self.keys / by}.pub"] if by else ["--no-gpg-sign"]
        self.git("commit", "--quiet", "--allow-empty", *sign, "--message", message)

    def push(self, branch: str = "main") -> str:
        """Have a branch be what this is at, whatever it was, and return the commit."""
        self.git("push", "--quiet", "--force", self._url, f"HEAD:{branch}")
        return self.head()

    def head(self) -> str:
        """Return what this is at."""
        return self.git("rev-parse", "HEAD").strip()
