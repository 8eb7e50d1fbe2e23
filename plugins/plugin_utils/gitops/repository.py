# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch of a Git repository: what its head is, who signed it, and its files."""

from __future__ import annotations

import base64
import shlex
import shutil
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils.command import Done, call, run
from ansible_collections.strata.fleet.plugins.module_utils.errors import (
    BadInput,
    CommandError,
    CommandTimeout,
    ContentError,
    Unreachable,
)

FETCH_TIMEOUT = 120
# Where the mirror keeps what was fetched. It is ours alone: no branch, so nothing else moves it.
SEEN = "refs/strata/seen"
HEAD = "HEAD"  # what a folder is at, as pipelines leave it
TRAILER = "Strata-Limit"
SHORT = 12  # digits of a commit that are shown
# Nothing but what is said here: no configuration of the machine or of a person, no questions, no hooks.
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
}
CONFIG = {"core.hooksPath": "/dev/null", "fetch.fsckObjects": "true", "gc.auto": "0", "init.defaultBranch": "main"}


class Commit(t.NamedTuple):
    """What a commit says of itself. ``at``: its committer's time, ISO 8601."""

    id: str
    at: str
    author: str
    subject: str


class Access(t.NamedTuple):
    """How the repository's server is reached: keys are files, '' for none."""

    url: str
    known_hosts: str = ""
    key: str = ""
    token: str = ""


class Trust(t.NamedTuple):
    """Whose signatures count: OpenSSH's file of allowed signers, and armored OpenPGP keys."""

    allowed_signers: Path | None
    gpg_keys: tuple[Path, ...]


class Repository:
    """A bare mirror in a folder, of one branch."""

    def __init__(self, folder: Path, access: Access) -> None:
        self.path = folder / "repository.git"
        self._commits = folder / "commits"
        self._gnupg = folder / "gnupg"
        self._access = access

    def fetch(self, branch: str) -> str:
        """Return the branch's head, fetched now.

        Raises Unreachable where the server does not give it. What was fetched before is never lost: a history that was
        rewritten on the server only moves one reference.
        """
        if not (self.path / "HEAD").exists():
            self.path.mkdir(parents=True, exist_ok=True)
            self._git("init", "--quiet", "--bare", "--template=", str(self.path), at=None)
        argv = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *self._open_folder(), self._access.url]
        try:
            name = branch if branch == HEAD else f"refs/heads/{branch}"
            self._git(*argv, f"+{name}:{SEEN}", env=self._reach(), timeout=FETCH_TIMEOUT)
        except CommandTimeout as error:
            raise Unreachable(f"{self.say()} did not answer within {FETCH_TIMEOUT} s") from error
        except CommandError as error:
            said = error.facts.get("stderr") or error.message
            reason = next((line for line in said.splitlines() if line.strip()), "no reason given")
            raise Unreachable(f"Branch {branch} of {self.say()} cannot be fetched: {reason}") from error
        return self._git("rev-parse", "--verify", SEEN).strip()

    def describe(self, commit: str) -> Commit:
        """Return what a commit says of itself."""
        return Commit(*self._git("log", "-1", "--format=%H%n%cI%n%an <%ae>%n%s", commit).splitlines()[:4])

    def has(self, commit: str) -> bool:
        """Whether the mirror has the commit."""
        return self._call("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0

    def is_ancestor(self, earlier: str, later: str) -> bool:
        """Whether ``later`` came of ``earlier``, or is it."""
        return self.has(earlier) and self._call("merge-base", "--is-ancestor", earlier, later).returncode == 0

    def count(self, earlier: str, later: str) -> int:
        """Return how many commits lead from one to the other."""
        return int(self._git("rev-list", "--count", f"{earlier}..{later}"))

    def verify(self, commit: str, trust: Trust) -> str:
        """Return who signed a commit. Raises ContentError where nobody whom we trust did.

        Git itself decides: it ends with 0 for a good signature by a principal of the file, or by a key of the keyring,
        which holds ours alone. Keys that have expired or were revoked are none; ``valid-before`` of a line in the file
        counts for the time that the commit gives.
        """
        self._fill_keyring(trust.gpg_keys)
        signers = str(trust.allowed_signers) if trust.allowed_signers else "/dev/null"
        config = ["-c", f"gpg.ssh.allowedSignersFile={signers}", "-c", "gpg.minTrustLevel=undefined"]
        env = {"GNUPGHOME": str(self._gnupg)}
        done = self._call(*config, "verify-commit", commit, env=env)
        if done.returncode:
            raise ContentError(f"{commit[:SHORT]} {self._say_fault(commit, done.stderr)}")
        signer = self._git(*config, "log", "-1", "--format=%GS", commit, env=env).strip()
        if not signer:
            raise ContentError(f"{commit[:SHORT]} is signed, but Git does not say by whom")
        return signer

    def allowances(self, commit: str) -> list[str]:
        """Return what the commit's message says in trailers Strata-Limit, such as ``remove=5``."""
        lines = self._git("log", "-1", f"--format=%(trailers:key={TRAILER},valueonly)", commit).splitlines()
        return [line.strip() for line in lines if line.strip()]

    def checkout(self, commit: str) -> Path:
        """Return the folder that has the files of a commit, exactly these. Raises BadInput where they cannot be had."""
        folder = self._commits / commit
        if not self.has(commit):
            raise BadInput(f"The repository does not have {commit[:SHORT]} any more, so nobody knows what it says")
        if not self._is_exact(folder, commit):
            shutil.rmtree(folder, ignore_errors=True)
            self._commits.mkdir(exist_ok=True)
            self._git("worktree", "prune")
            self._git("worktree", "add", "--quiet", "--detach", "--force", str(folder), commit)
            if not self._is_exact(folder, commit):
                raise BadInput(f"The files of {commit[:SHORT]} cannot be had as they are: attributes in it change them")
        return folder

    def forget(self, kept: t.Collection[str]) -> None:
        """Remove the files of all commits but these."""
        for folder in self._commits.iterdir() if self._commits.exists() else ():
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)
        self._git("worktree", "prune")

    def _is_exact(self, folder: Path, commit: str) -> bool:
        if not (folder / ".git").exists():
            return False
        head = self._call("rev-parse", "HEAD", at=folder)
        changes = self._call("status", "--porcelain", "--ignored", "--untracked-files=all", at=folder)
        return head.stdout.strip() == commit and changes.returncode == 0 and not changes.stdout

    def _fill_keyring(self, keys: t.Iterable[Path]) -> None:
        """Have a keyring of these keys alone: one that was taken out must not count any more."""
        shutil.rmtree(self._gnupg, ignore_errors=True)
        self._gnupg.mkdir(mode=0o700)
        for key in keys:
            run(["gpg", "--batch", "--quiet", "--homedir", str(self._gnupg), "--import", str(key)])

    def _say_fault(self, commit: str, stderr: str) -> str:
        if "\ngpgsig" not in self._git("cat-file", "commit", commit).partition("\n\n")[0]:
            return "is not signed"
        said = "; ".join(line.strip() for line in stderr.splitlines() if line.strip())
        return f"is not signed by anybody who is allowed to: {said or 'Git gives no reason'}"

    def _reach(self) -> dict[str, str]:
        """Return the environment for a fetch: secrets stand there, not in arguments that everybody sees."""
        options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "StrictHostKeyChecking=yes"]
        options += ["-F", "/dev/null"]
        options += ["-o", f"UserKnownHostsFile={self._access.known_hosts}"] if self._access.known_hosts else []
        options += ["-i", self._access.key, "-o", "IdentitiesOnly=yes"] if self._access.key else []
        env = {"GIT_SSH_COMMAND": shlex.join(["ssh", *options])}
        if self._access.token:
            packed = base64.b64encode(f"strata:{Path(self._access.token).read_text().strip()}".encode()).decode()
            env |= {
                "GIT_CONFIG_COUNT": "1",
                # For this server alone: a redirect elsewhere does not get it.
                "GIT_CONFIG_KEY_0": f"http.{self._access.url}.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {packed}",
            }
        return env

    def _open_folder(self) -> list[str]:
        """Return what it takes to fetch from a folder. Raises Unreachable where that lacks a part of history."""
        folder = Path(self._access.url)
        if not folder.is_absolute():
            return []
        if any((folder / place).exists() for place in (".git/shallow", "shallow")):
            raise Unreachable(
                f"{folder} is a clone without all of history. Have the pipeline fetch it (fetch-depth: 0, GIT_DEPTH: 0)"
            )
        # Pipelines check out as one user and run jobs as another, which Git refuses. The settings name this folder.
        return ["--upload-pack", "git -c safe.directory=* upload-pack"]

    def say(self) -> str:
        """Return the URL without a password that somebody wrote into it."""
        scheme, mark, rest = self._access.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}" if mark else self._access.url

    def _git(self, *argv: str, **options: t.Any) -> str:
        done = self._call(*argv, **options)
        if done.returncode:
            stderr = done.stderr.strip()[-2000:]
            raise CommandError(f"git {' '.join(argv)} ended with {done.returncode}: {stderr}", stderr=stderr)
        return done.stdout

    def _call(
        self,
        *argv: str,
        at: Path | t.Literal["mirror"] | None = "mirror",
        env: t.Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Done:
        place = self.path if at == "mirror" else at
        where = ["-C", str(place)] if place else []
        config = [part for key, value in CONFIG.items() for part in ("-c", f"{key}={value}")]
        return call(["git", *where, *config, *argv], env={**ENVIRONMENT, **(env or {})}, timeout=timeout)
