# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of restic: one repository, seen through the program. Works with 0.14 (Debian 12) and 0.18 (Debian 13).

From restic 0.17 on its exit codes tell what is wrong; before, they all are 1.
Source of the codes and of what is printed: the restic documentation, "Scripting".
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import shutil
import time
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import command
from ansible_collections.strata.fleet.plugins.module_utils.errors import (
    BadInput,
    CommandError,
    CommandTimeout,
    ContentError,
    RepositoryAbsent,
    RepositoryError,
    RepositoryLocked,
    StrataError,
    WrongPassword,
)
from ansible_collections.strata.fleet.plugins.module_utils.repositories import (
    Repository,
    environment_of,
    in_memory,
    ssh_options,
    without_secrets,
)

CACHE = Path("/var/cache/strata/restic")
TAG, INCOMPLETE = "strata", "strata-incomplete"  # one or the other
KEEP_WORDS = ("last", "hourly", "daily", "weekly", "monthly", "yearly", "within")
FIRST_WITH_CODES = (0, 17)
INCOMPLETE_CODE = 3  # of backup: a snapshot was made, but something could not be read
CODES: t.Mapping[int, type[StrataError]] = {10: RepositoryAbsent, 11: RepositoryLocked, 12: WrongPassword}
TO_ANSWER = 30  # seconds; restic itself tries again for up to 15 minutes
LOCK_PATIENCE = 300
SAID = 400  # characters of restic's last words, where it repeats them
HINTS: t.Mapping[type[StrataError], str] = {
    RepositoryAbsent: "there is no repository yet: a backup makes it, if its url in backup_repositories is right",
    RepositoryLocked: "another backup, prune or check works on it: wait until that is done and run again",
    WrongPassword: "the password in backup_repositories opens no key of it: it is not the one that the repository was "
    "made with",
}

Data = dict[str, t.Any]


class Snapshot(t.NamedTuple):
    """A backup in a repository; ``time`` is when it was made, ISO 8601 in UTC."""

    id: str
    time: str
    host: str
    tags: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether everything could be read when it was made."""
        return INCOMPLETE not in self.tags


class Summary(t.NamedTuple):
    """What a backup did: bytes ``added`` to the repository, bytes and files ``processed``, and seconds."""

    id: str
    added: int
    processed: int
    files: int
    seconds: float
    is_complete: bool


@contextlib.contextmanager
def opened(repository: Repository, cache: Path = CACHE, patience: float = LOCK_PATIENCE) -> t.Iterator[Restic]:
    """Give the client for a while. ``patience``: for how many seconds a repository may be locked."""
    if not shutil.which("restic"):
        raise CommandError("restic is not installed on this node: the role strata.fleet.backup installs it")
    with contextlib.ExitStack() as files:
        key, hosts = (
            files.enter_context(in_memory(text)) if text else ""
            for text in (repository.ssh_key, repository.known_hosts)
        )
        yield Restic(repository, ssh_options(repository.url, key, hosts), cache, patience)


class Restic:
    """restic, on one repository. Made by ``opened``."""

    def __init__(self, repository: Repository, options: t.Sequence[str], cache: Path, patience: float) -> None:
        self.repository = repository
        self._options = [*options, f"--cache-dir={cache}"]
        self._patience = patience
        self._version: tuple[int, ...] = ()

    def version(self) -> tuple[int, ...]:
        """Return the program's version. Raises CommandError where it is not installed."""
        if not self._version:
            # Before 0.17 there is no JSON of it.
            word = command.run(["restic", "version"]).split()[1]
            self._version = tuple(int(part) for part in word.partition("-")[0].split("."))
        return self._version

    def find_id(self) -> str:
        """Return the repository's own id, '' where there is none. Raises WrongPassword, or RepositoryError."""
        try:
            return str(json.loads(self._ask("cat", "config", "--no-lock", timeout=TO_ANSWER))["id"])
        except RepositoryAbsent:
            return ""

    def init(self) -> None:
        """Make the repository. restic refuses where one is."""
        self._call("init", timeout=TO_ANSWER)

    def prepare(self, expected: t.Collection[str] = ()) -> str:
        """Have a repository, and return its id. It is the only one ``expected``; else none is made in its place.

        What is gone may be a disk that is not mounted.
        """
        try:
            known = self.find_id()
        except RepositoryError as error:
            if expected or isinstance(error, WrongPassword) or self.version() >= FIRST_WITH_CODES:
                raise
            return self._prepare_blindly(error)
        if expected and set(expected) != {known}:
            found = f"is another one now ({known[:8]})" if known else "is gone"
            raise RepositoryAbsent(
                f"Repository {self.repository.name} ({self.repository.url}) {found}, but this node has backups in "
                f"{', '.join(each[:8] for each in sorted(expected))}: see that its disk is mounted and its url right. "
                "To begin a new repository, give it another name in backup_repositories",
                repository=self.repository.name,
            )
        if not known:
            self.init()
        return known or self.find_id()

    def _prepare_blindly(self, found: RepositoryError) -> str:
        """Try to make one where restic does not tell whether there is one: it never replaces one."""
        try:
            self.init()
        except RepositoryError:
            raise found from None
        return self.find_id()

    def backup(self, folder: str, names: t.Sequence[str], host: str, wrap: t.Sequence[str] = ()) -> Summary:
        """Back up what is called ``names`` in ``folder``, which is all that the snapshot knows of their paths.

        ``wrap`` are words before restic's, of a program that shows it another ``folder``.
        """
        argv = ["backup", f"--host={host}", f"--tag={TAG}", *names]
        done = self._patiently(*argv, wrap=wrap, cwd=None if wrap else folder)
        body = next(line for line in _messages(done.stdout) if line.get("message_type") == "summary")
        is_complete = done.returncode != INCOMPLETE_CODE
        if not is_complete:
            # Without the tag of the others it counts for none of the policy's words, and displaces no whole one.
            self._patiently("tag", f"--remove={TAG}", f"--add={INCOMPLETE}", str(body["snapshot_id"]))
        return Summary(
            self.snapshots(host)[-1].id,  # in full, which 0.14 does not tell; and a tag makes it another
            int(body.get("data_added_packed", body["data_added"])),
            int(body["total_bytes_processed"]),
            int(body["total_files_processed"]),
            float(body["total_duration"]),
            is_complete,
        )

    def snapshots(self, host: str = "", snapshot: str = "") -> list[Snapshot]:
        """Return the backups of Strata's that are there, the oldest first: all, of a host, or with this id.

        Some may be incomplete.
        """
        chosen = [f"--host={host}"] if host else []
        chosen += [snapshot] if snapshot else [f"--tag={TAG}", f"--tag={INCOMPLETE}"]
        bodies = json.loads(self._ask("snapshots", "--no-lock", *chosen)) or []
        found = [
            Snapshot(body["id"], _in_utc(body["time"]), body["hostname"], tuple(body.get("tags") or ()))
            for body in bodies
        ]
        return sorted(found, key=lambda each: each.time)

    def ls(self, snapshot: str, path: str = "/") -> list[Data]:
        """Return what restic says of everything below a path of a snapshot: path, type, mode, uid, gid, size, mtime."""
        lines = _messages(self._ask("ls", "--no-lock", "--recursive", snapshot, path))
        return [line for line in lines if line.get("struct_type") == "node" or line.get("message_type") == "node"]

    def dump(self, snapshot: str, path: str) -> str:
        """Return the text of a file in a snapshot."""
        return self._ask("dump", "--no-lock", snapshot, path)

    def restore(self, snapshot: str, path: str, target: Path) -> None:
        """Have in the folder ``target`` what stood at ``path``: a folder's children and its own mode, or one file.

        What a former call that was cut off left is removed first; what else is in ``target`` stays.
        Raises BadInput where the snapshot has no such path.
        """
        aside = target / ".strata-restore"
        shutil.rmtree(aside, ignore_errors=True)
        try:
            self._patiently("restore", snapshot, f"--include={_literally(path)}", f"--target={aside}")
            source = aside / path.strip("/")
            if not os.path.lexists(source):
                raise BadInput(
                    f"Snapshot {snapshot[:8]} in repository {self.repository.name} has nothing at {path}", path=path
                )
            if source.is_symlink() or not source.is_dir():
                source.replace(target / source.name)
                return
            for child in source.iterdir():
                child.replace(target / child.name)
            _dress(target, source)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def forget(self, host: str, keep: t.Mapping[str, t.Any]) -> int:
        """Let go of a host's backups but for those that ``keep`` (by restic's words) names; return how many went.

        Those that are incomplete go once a whole one is newer.
        """
        words = [f"--keep-{word}={value}" for word, value in sorted(keep.items())]
        done = self._patiently("forget", f"--host={host}", f"--tag={TAG}", "--group-by=host", *words)
        groups = next((body for body in _messages(done.stdout) if isinstance(body, list)), [])
        return sum(len(group.get("remove") or ()) for group in groups) + self._forget_incomplete(host)

    def _forget_incomplete(self, host: str) -> int:
        there = self.snapshots(host)
        newest = max((each.time for each in there if each.is_complete), default="")
        outdated = [each.id for each in there if not each.is_complete and each.time < newest]
        if outdated:
            self._patiently("forget", *outdated)
        return len(outdated)

    def prune(self) -> None:
        """Free the room of what no backup needs any more."""
        self._patiently("prune")

    def check(self, read_data: str = "") -> None:
        """Check the repository; ``read_data`` is how much of its content is read, such as 5% or 1/7.

        Raises ContentError for damage.
        """
        try:
            self._patiently("check", *([f"--read-data-subset={read_data}"] if read_data else []))
        except RepositoryLocked:
            raise
        except RepositoryError as error:
            raise ContentError(
                f"The check of repository {self.repository.name} failed: {error.facts.get('said')}. Older backups may "
                "be whole: restore one of them for a look before anything is repaired",
                repository=self.repository.name,
            ) from error

    def unlock(self) -> None:
        """Remove locks of the dead: of this machine by their process, of others by half an hour of silence."""
        self._call("unlock", timeout=TO_ANSWER)

    def _patiently(self, *argv: str, wrap: t.Sequence[str] = (), cwd: str | None = None) -> command.Done:
        """Return what restic printed, once the repository is not locked; RepositoryLocked where it stays so."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._call(*argv, wrap=wrap, cwd=cwd)
            except RepositoryError as error:
                if not isinstance(error, RepositoryLocked) and not self._is_in_the_way(argv[0]):
                    raise
                if time.monotonic() >= deadline:
                    raise self._refused(RepositoryLocked, argv, error.facts.get("said", "")) from error
            self.unlock()
            time.sleep(2)

    def _is_in_the_way(self, verb: str) -> bool:
        """Whether a lock explains a failure, where restic's exit code does not tell."""
        if self.version() >= FIRST_WITH_CODES:
            return False
        try:
            names = self._ask("list", "locks", "--no-lock", timeout=TO_ANSWER).split()
            locks = [json.loads(self._ask("cat", "lock", name, "--no-lock", timeout=TO_ANSWER)) for name in names]
        except (StrataError, ValueError):
            return False
        needs_all = verb in ("forget", "prune", "check", "tag")
        return any(needs_all or lock.get("exclusive") for lock in locks)

    def _ask(self, *argv: str, timeout: float | None = None) -> str:
        return self._call(*argv, timeout=timeout).stdout

    def _call(
        self, *argv: str, wrap: t.Sequence[str] = (), cwd: str | None = None, timeout: float | None = None
    ) -> command.Done:
        words = [*wrap, "restic", "--json", *self._options, *argv]
        try:
            done = command.call(words, env=environment_of(self.repository), cwd=cwd, timeout=timeout)
        except CommandTimeout as error:
            last = (_say(error.facts["stderr"]) or "nothing")[-SAID:]
            raise self._refused(
                RepositoryError, argv, f"no answer within {timeout:.0f} s; last said: {last}"
            ) from error
        if done.returncode and not (done.returncode == INCOMPLETE_CODE and argv[0] == "backup"):
            raise self._refused(CODES.get(done.returncode, RepositoryError), argv, _say(done.stderr))
        return done

    def _refused(self, kind: type[StrataError], argv: t.Sequence[str], said: str) -> StrataError:
        said = without_secrets(said, self.repository)
        place = f"{self.repository.name} ({self.repository.url})"
        hint = HINTS.get(kind, "see that it can be reached and written from this node, then run again")
        return kind(
            f"restic could not {argv[0]} in repository {place}: {said or 'it gave no reason'}; {hint}.",
            repository=self.repository.name,
            said=said,
        )


def _messages(said: str) -> list[t.Any]:
    """Return the lines that are JSON: some of restic's verbs print words between them."""
    found = []
    for line in said.splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def _say(stderr: str) -> str:
    """Return the reason that restic gives: in an object from 0.17 on, before in lines of text."""
    spoken = [
        body.get("message") or (body.get("error") or {}).get("message")
        for body in _messages(stderr)
        if isinstance(body, dict)
    ]
    return " ".join(" ".join(str(each) for each in spoken if each).split() or stderr.split())


def _in_utc(word: str) -> str:
    """Return a time of restic's (nanoseconds, any zone) in UTC with milliseconds."""
    parsed = dt.datetime.fromisoformat(word)
    return parsed.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _literally(path: str) -> str:
    """Return the pattern that matches this path alone."""
    return re.sub(r"([*?\[\\])", r"\\\1", path)


def _dress(target: Path, source: Path) -> None:
    """Give a folder the owner, mode, attributes and times of another."""
    state = source.stat()
    for name in os.listxattr(source):
        os.setxattr(target, name, os.getxattr(source, name))
    os.chown(target, state.st_uid, state.st_gid)
    target.chmod(state.st_mode & 0o7777)
    os.utime(target, ns=(state.st_atime_ns, state.st_mtime_ns))
