# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OSTree repository: the depot's archive or a node's store."""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import pathlib
import re
import shutil
import tempfile
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import command, manifests
from ansible_collections.strata.fleet.plugins.module_utils.errors import (
    CommandError,
    ContentError,
    DiskFull,
    StrataError,
    Unreachable,
)

COMMIT = re.compile(r"[0-9a-f]{64}")
PROBE_TIMEOUT = 15.0
# A command line carries each value; the kernel takes no single argument of more than 128 KiB.
LONGEST_VALUE = 120 * 1024
DELTA_INDEX = "deltas.json"
# The largest room that ostree itself would leave free is 3 % of the disk, too much of a large one.
ROOM_LEFT_FREE = "100MB"


def is_commit(text: str) -> bool:
    return COMMIT.fullmatch(text) is not None


def answers(url: str) -> bool:
    """Whether a repository can be reached at this address now."""
    if url.startswith("file://"):
        return pathlib.Path(url.removeprefix("file://"), "config").is_file()
    try:
        _open(f"{url.rstrip('/')}/config").close()
    except Exception:  # noqa: BLE001  whatever it is (name, route, TLS, status), nothing can be pulled
        return False
    return True


def read_index(url: str) -> dict[str, int]:
    """Return the sizes in bytes of a depot's static deltas, named FROM-TO or -TO; {} where it does not list them."""
    try:
        with _open(f"{url.rstrip('/')}/{DELTA_INDEX}") as answer:
            return t.cast("dict[str, int]", json.loads(answer.read()))
    except Exception:  # noqa: BLE001  an older depot has none, and it only tells sizes
        return {}


def _open(url: str) -> t.Any:
    # Not above: the program that backs appliances up by itself reads stores too, on nodes that have no Ansible.
    from ansible.module_utils.urls import open_url  # noqa: PLC0415

    return open_url(url, timeout=PROBE_TIMEOUT)


def free_bytes(path: str) -> int:
    state = os.statvfs(path)
    return state.f_bavail * state.f_frsize


def kind_of_pull_failure(text: str) -> str:
    """Return "full", "signature", "absent" or "other": the only place that reads ostree's words.

    ostree ends with 1 whatever happened, so there is nothing else to go by.
    """
    absent = (
        "No such (branch|metadata object)",
        "Refspec .* not found",
        "Couldn't find file object",
        "No such file or directory",
        "HTTP 404",
    )
    kinds = {
        "full": r"No space left on device|min-free-space-",
        "signature": r"GPG (signatures?|verification)|Can't check signature|BAD signature|no signatures found",
        "absent": "|".join(absent),
    }
    return next((kind for kind, words in kinds.items() if re.search(words, text, re.IGNORECASE)), "other")


class Repo:
    """The repository at ``path``; every method is one or few calls of the ``ostree`` program."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._root = pathlib.Path(path)

    def _ostree(self, *argv: str) -> str:
        return command.run(["ostree", f"--repo={self.path}", *argv])

    def _config(self) -> configparser.RawConfigParser:
        config = configparser.RawConfigParser(delimiters=("=",), strict=False)
        config.read(self._root / "config", encoding="utf-8")
        return config

    def exists(self) -> bool:
        return (self._root / "config").is_file()

    def mode(self) -> str:
        """Return "archive" or "bare", or "" where there is no repository yet."""
        mode = self._config().get("core", "mode", fallback="")
        return "archive" if mode.startswith("archive") else mode

    def create(self, mode: str) -> bool:
        """Make the repository where there is none; return whether it was made now."""
        if self.exists():
            if self.mode() != mode:
                raise ContentError(
                    f"{self.path} is a repository of mode {self.mode()!r}, not {mode!r}: choose another path",
                    path=self.path,
                )
            return False
        self._root.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._ostree("init", f"--mode={mode}")
        self._ostree("config", "set", "core.min-free-space-size", ROOM_LEFT_FREE)
        return True

    # Remotes: one for each signer, so that each key vouches only for what its owner publishes.

    def remotes(self) -> dict[str, dict[str, str]]:
        config = self._config()
        names = [section for section in config.sections() if section.startswith('remote "')]
        return {name[len('remote "') : -1]: dict(config.items(name)) for name in names}

    def remote_is(self, name: str, url: str, key_text: str) -> bool:
        """Whether the remote is set up with exactly this address and key."""
        remote = self.remotes().get(name, {})
        keyring = self._root / f"{name}.trustedkeys.gpg"
        return (remote.get("url"), remote.get("strata-key")) == (url, key_digest(key_text)) and keyring.exists()

    def add_remote(self, name: str, url: str, key_file: str | None = None, key_text: str | None = None) -> bool:
        """Set the remote up, replacing one with another address or key; return whether anything changed."""
        if key_text is None:
            if key_file is None:
                raise ContentError(
                    f"No public key was given for the signer {name!r}: every signer needs one", remote=name
                )
            key_text = pathlib.Path(key_file).read_text(encoding="ascii")
        if self.remote_is(name, url, key_text):
            return False
        self.delete_remote(name)
        with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".asc") as key:
            key.write(key_text)
            key.flush()
            settings = ("gpg-verify=true", "gpg-verify-summary=false", f"strata-key={key_digest(key_text)}")
            try:
                self._ostree(
                    "remote", "add", *(f"--set={each}" for each in settings), f"--gpg-import={key.name}", name, url
                )
            except CommandError as error:
                self.delete_remote(name)
                raise ContentError(
                    f"The public key of the signer {name!r} is not usable: {error.message}", remote=name
                ) from error
        return True

    def remote_refs(self, name: str) -> list[str]:
        """Return what the remote publishes, by its summary."""
        url = self.remotes().get(name, {}).get("url", "")
        try:
            found = self._ostree("remote", "refs", name).split()
        except CommandError as error:
            kind = ContentError if answers(url) else Unreachable
            raise kind(f"What {url!r} publishes could not be read: {error.message}", remote=name, url=url) from error
        return [ref.removeprefix(f"{name}:") for ref in found]

    def keyrings(self) -> dict[str, pathlib.Path]:
        """Return the file with the keys of each remote."""
        found = {name: self._root / f"{name}.trustedkeys.gpg" for name in self.remotes()}
        return {name: file for name, file in found.items() if file.is_file()}

    def commit_file(self, commit: str) -> pathlib.Path:
        """Return the file that holds the commit itself, which is what a signature is of."""
        return self._root / "objects" / commit[:2] / f"{commit[2:]}.commit"

    def signatures(self, commit: str) -> str:
        """Return the signatures of a commit as ostree prints them, '' where it has none."""
        try:
            return self._ostree("show", "--print-detached-metadata-key=ostree.gpgsigs", commit)
        except CommandError:
            if self.has_commit(commit):
                return ""
            raise

    def delete_remote(self, name: str) -> None:
        self._ostree("remote", "delete", "--if-exists", name)

    def pull(self, remote: str, ref_or_commit: str, *, metadata_only: bool = False, deltas: bool = True) -> str:
        """Fetch a version, verified by its signature and every object by its checksum; return the commit.

        ``deltas``: by a static delta where the remote has one. Continues where an earlier, cut pull ended. Raises
        Unreachable, DiskFull or ContentError.
        """
        url = self.remotes().get(remote, {}).get("url", "")
        facts = {"remote": remote, "ref": ref_or_commit, "url": url}
        if not answers(url):
            raise Unreachable(f"The depot {url!r} did not answer when {ref_or_commit} was to be fetched", **facts)
        options = ["--untrusted", *(["--commit-metadata-only"] if metadata_only else [])]
        options += [] if deltas else ["--disable-static-deltas"]
        try:
            self._ostree("pull", *options, remote, ref_or_commit)
        except CommandError as error:
            raise self._pull_error(error, facts) from error
        return ref_or_commit if is_commit(ref_or_commit) else self._rev_parse(f"{remote}:{ref_or_commit}")

    def _pull_error(self, error: CommandError, facts: dict[str, str]) -> StrataError:
        said = str(error.facts.get("stderr", error.message))
        what = f"{facts['ref']} of {facts['url']}"
        kind = kind_of_pull_failure(said)
        if kind == "full":
            left = free_bytes(self.path) // 2**20
            return DiskFull(f"No room to fetch {what} into {self.path} ({left} MiB are free): {said}", **facts)
        if not answers(facts["url"]):
            return Unreachable(
                f"The depot went away while {what} was fetched (run again, it will go on): {said}", **facts
            )
        reasons = {
            "signature": f"{what} is not signed by the key of {facts['remote']!r}: do not use it, ask who publishes it",
            "absent": f"{what} is not there, or not all of it: check the name and what the depot has published",
        }
        reason = reasons.get(kind, f"{what} could not be fetched or is not what its checksum says")
        return ContentError(f"{reason} ({said})", **facts)

    # What is there

    def _rev_parse(self, refspec: str) -> str:
        return self._ostree("rev-parse", refspec).strip()

    def rev(self, ref: str) -> str | None:
        """Return the commit that the ref names, ``None`` where there is no such ref."""
        try:
            return self._rev_parse(ref)
        except CommandError:
            if self.exists():
                return None
            raise

    def refs(self) -> dict[str, str]:
        """Return every ref with its commit; those of a remote are named ``remote:ref``."""
        return {name: commit for name in self._ostree("refs").split() if (commit := self._read_ref(name))}

    def _read_ref(self, name: str) -> str:
        remote, found, ref = name.rpartition(":")
        place = self._root / "refs" / (f"remotes/{remote}" if found else "heads") / ref
        try:
            return place.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return self.rev(name) or ""

    def has_commit(self, commit: str) -> bool:
        return self.commit_file(commit).exists()

    def has_content(self, commit: str) -> bool:
        """Whether the version is fully there: not only its metadata, nor a part of a cut pull."""
        partial = self._root / "state" / f"{commit}.commitpartial"
        return self.has_commit(commit) and not partial.exists()

    def parent(self, commit: str) -> str | None:
        try:
            return self._rev_parse(f"{commit}^")
        except CommandError:
            return None

    def metadata(self, commit: str, key: str) -> str | None:
        """Return a text that was added to the commit, ``None`` where there is none."""
        if not self.has_commit(commit):
            raise ContentError(f"{self.path} has no commit {commit}: pull it first", commit=commit)
        try:
            said = self._ostree("show", f"--print-metadata-key={key}", commit)
        except CommandError:
            return None
        return said.strip().strip("'")

    def manifest(self, commit: str, kind: str | None = None, name: str | None = None) -> dict[str, t.Any]:
        """Return what the version says of itself; refuses one that is not of the ``kind`` and ``name`` asked for."""
        text = self.metadata(commit, manifests.MANIFEST_KEY)
        if text is None:
            raise ContentError(f"The commit {commit} has no manifest: it was not made by Strata", commit=commit)
        return manifests.check(manifests.decode(text), commit=commit, kind=kind, name=name)

    def content_checksum(self, commit: str) -> str:
        """Return the checksum of the tree: equal for two commits of the same content."""
        fields = self._ostree("ls", "--dironly", "--checksum", commit, "/").split()
        return "-".join(field for field in fields if is_commit(field))

    # Changes

    def checkout(self, commit: str, target: str) -> bool:
        """Have the tree at ``target``, hard-linked where the repository can; return whether it was made now.

        A target that exists is whole: it is made beside its place and renamed into it.
        """
        place = pathlib.Path(target)
        if place.is_dir():
            return False
        unfinished = place.with_name(f".{place.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            options = ["--require-hardlinks"] if self.mode() == "bare" else []
            self._ostree("checkout", *options, commit, str(unfinished))
        except CommandError as error:
            said = str(error.facts.get("stderr", error.message))
            kind = DiskFull if kind_of_pull_failure(said) == "full" else ContentError
            raise kind(f"{commit} could not be checked out to {target}: {said}", commit=commit, path=target) from error
        unfinished.rename(place)
        return True

    def write_tree(self, path: str) -> str:
        """Store the tree at ``path`` in a commit that nothing names and nobody signed: to compare it, or to sign it."""
        return self._ostree("commit", "--orphan", "--no-bindings", "--parent=none", f"--tree=dir={path}").strip()

    def commit_tree(
        self,
        path: str,
        *,
        refs: t.Iterable[str],
        metadata: t.Mapping[str, str],
        gpg_key: str,
        gpg_home: str,
        parent: str | None = None,
    ) -> str:
        """Sign and store the tree at ``path`` (or in that commit), point the refs at it, return the commit."""
        for key, value in metadata.items():
            if len(value) > LONGEST_VALUE:
                raise ContentError(
                    f"The {key} of {path} is {len(value)} bytes long; {LONGEST_VALUE} is the most", key=key
                )
        texts = [f"--add-metadata-string={key}={value}" for key, value in metadata.items()]
        signature = [f"--gpg-sign={gpg_key}", f"--gpg-homedir={gpg_home}"]
        tree = f"--tree=ref={path}" if is_commit(path) else f"--tree=dir={path}"
        origin = f"--parent={parent or 'none'}"
        commit = self._ostree("commit", "--orphan", "--no-bindings", origin, *texts, *signature, tree).strip()
        for ref in refs:
            self.set_ref(ref, commit)
        return commit

    def add_signature(self, commit: str, gpg_key: str, gpg_home: str) -> None:
        """Sign a commit that somebody else has signed; what is there stays. Each call adds one, so ask before."""
        self._ostree("gpg-sign", f"--gpg-homedir={gpg_home}", commit, gpg_key)

    def set_ref(self, ref: str, commit: str) -> None:
        self._ostree("refs", "--force", f"--create={ref}", commit)

    def delete_ref(self, ref: str) -> None:
        if self.rev(ref) is not None:
            self._ostree("refs", "--delete", ref)

    def prune(self) -> None:
        """Forget everything that no ref names; what a ref's commit was made from does not count."""
        self._ostree("prune", "--refs-only", "--depth=0")

    def fsck(self, commits: t.Iterable[str] = ()) -> None:
        """Read every object again and compare it with its checksum; ContentError where one is not right.

        ``commits`` must be there as a whole.
        """
        for commit in commits:
            if not self.has_content(commit):
                raise ContentError(f"{commit} is not, or not wholly, in {self.path}: pull it again", commit=commit)
        try:
            self._ostree("fsck", "--quiet")
        except CommandError as error:
            raise ContentError(f"The content of {self.path} is damaged: {error.facts.get('stderr')}") from error

    def update_summary(self, gpg_key: str, gpg_home: str) -> None:
        self._ostree("summary", "--update", f"--gpg-sign={gpg_key}", f"--gpg-homedir={gpg_home}")

    def make_delta(self, to: str, origin: str | None = None) -> None:
        """Make the static delta to a commit from another, or from nothing; does nothing where there is one."""
        source = f"--from={origin}" if origin else "--empty"
        self._ostree("static-delta", "generate", "--if-not-exists", source, f"--to={to}")

    def deltas(self) -> list[str]:
        """Return the static deltas as ``from-to`` or, from nothing, ``to``."""
        return [
            line.strip() for line in self._ostree("static-delta", "list").splitlines() if COMMIT.match(line.strip())
        ]


def key_digest(key_text: str) -> str:
    return hashlib.sha256(key_text.strip().encode()).hexdigest()
