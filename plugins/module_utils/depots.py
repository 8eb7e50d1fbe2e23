# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The depot: where versions are signed, published, mirrored and, when nothing names them any more, dropped."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import fnmatch
import json
import os
import pathlib
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import command, manifests
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result
from ansible_collections.strata.fleet.plugins.module_utils.versions import is_version, version_order

# From how many earlier versions a node can come by a static delta.
DELTA_STEPS = 2


@dataclasses.dataclass(frozen=True)
class Draft:
    """A tree that is ready to be published, and what is said of it."""

    kind: str
    name: str
    channel: str
    tree: str
    version_prefix: str
    manifest: dict[str, t.Any]
    sbom: dict[str, t.Any]
    inputs: str


@dataclasses.dataclass(frozen=True)
class Mirror:
    """A vendor's depot: its public key, and patterns of the refs to take over."""

    name: str
    url: str
    key: str
    refs: tuple[str, ...]


class Depot:
    """The folder on the depot host: ``repo`` is what nodes read, ``gnupg`` signs, ``work`` is for builds."""

    def __init__(self, path: str) -> None:
        # Without links and "..": systemctl --root compares paths as they are written.
        self.path = pathlib.Path(path).resolve()
        self.repo = Repo(str(self.path / "repo"))
        self.gpg_home = self.path / "gnupg"
        self.work = self.path / "work"
        self.public_key_file = self.path / "site.asc"

    def gpg(self, *argv: str) -> str:
        return command.run(["gpg", "--homedir", str(self.gpg_home), "--batch", "--quiet", *argv])

    def require(self) -> None:
        if not (self.repo.exists() and self.public_key_file.is_file()):
            raise BadInput(
                f"{self.path} is not a depot yet: run the depot role on this host first", path=str(self.path)
            )

    def make_folders(self) -> None:
        self.repo.create("archive")
        for folder, mode in ((self.gpg_home, 0o700), (self.work, 0o700)):
            folder.mkdir(mode=mode, parents=True, exist_ok=True)
            folder.chmod(mode)

    def fingerprint(self) -> str | None:
        """Return the fingerprint of the key that signs, ``None`` where the depot has none yet."""
        return fingerprint_of(self.public_key_file) if self.public_key_file.is_file() else None

    def make_key(self, signer: str) -> None:
        """Make a signing key without a passphrase; the folder is root's alone."""
        self.gpg("--passphrase", "", "--quick-generate-key", signer, "ed25519", "sign", "never")
        self._export_key(fingerprint_in(self.gpg("--with-colons", "--list-secret-keys")))

    def take_key(self, file: str) -> None:
        """Sign with the private key in this file."""
        self.gpg("--import", file)
        self._export_key(fingerprint_of(pathlib.Path(file)))

    def _export_key(self, fingerprint: str) -> None:
        unfinished = self.public_key_file.with_suffix(".unfinished")
        unfinished.write_text(self.gpg("--armor", "--export", fingerprint), encoding="ascii")
        unfinished.rename(self.public_key_file)

    def stop_agent(self) -> None:
        command.run(["gpgconf", "--homedir", str(self.gpg_home), "--kill", "all"])

    def summary_is_current(self) -> bool:
        summary = self.path / "repo" / "summary"
        heads = self.path / "repo" / "refs" / "heads"
        changes = [heads, *heads.rglob("*")]
        return summary.exists() and summary.stat().st_mtime_ns >= max(each.stat().st_mtime_ns for each in changes)

    def update_summary(self) -> None:
        self.repo.update_summary(self.fingerprint() or "", str(self.gpg_home))
        self.stop_agent()

    # Publishing

    def channel(self, kind: str, name: str, channel: str) -> str | None:
        """Return the commit that the channel names now."""
        return self.repo.rev(f"{kind}/{name}/{channel}")

    def published_from(self, kind: str, name: str, channel: str) -> str | None:
        """Return the digest of what the channel's present version was last built from."""
        commit = self.channel(kind, name, channel)
        if commit is None:
            return None
        note = self._note(kind, name, channel)
        noted = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
        return noted["inputs"] if noted.get("commit") == commit else self.repo.metadata(commit, manifests.INPUTS_KEY)

    def _note(self, kind: str, name: str, channel: str) -> pathlib.Path:
        return self.work / f"{kind}-{name}-{channel}.json"

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        """Let one program at a time change the depot; the lock goes with the program that has it."""
        with (self.work / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def publish(self, draft: Draft) -> tuple[str, bool]:
        """Return the commit that the channel names afterwards, and whether it is a new one.

        The same content as the present version's is not published again.
        """
        present = self.channel(draft.kind, draft.name, draft.channel)
        content = self.repo.write_tree(draft.tree)
        if present and self.repo.content_checksum(present) == self.repo.content_checksum(content):
            # Other inputs, the same content: remembered, or the next run would build once more to find that out.
            note = json.dumps({"commit": present, "inputs": draft.inputs})
            self._note(draft.kind, draft.name, draft.channel).write_text(note, encoding="utf-8")
            return present, False
        version = f"{draft.version_prefix}{self._next_number(draft)}"
        metadata = {
            manifests.MANIFEST_KEY: manifests.encode({**draft.manifest, "version": version}),
            manifests.SBOM_KEY: manifests.encode(draft.sbom),
            manifests.INPUTS_KEY: draft.inputs,
        }
        commit = self.repo.commit_tree(
            content,
            refs=(),
            metadata=metadata,
            gpg_key=self.fingerprint() or "",
            gpg_home=str(self.gpg_home),
            parent=present,
        )
        self.make_deltas(commit)
        # Refs last: a kill before this line leaves an unnamed commit, never half a version.
        self.repo.set_ref(f"{draft.kind}/{draft.name}/{version}", commit)
        self.repo.set_ref(f"{draft.kind}/{draft.name}/{draft.channel}", commit)
        self.update_summary()
        return commit, True

    def _next_number(self, draft: Draft) -> int:
        start = f"{draft.kind}/{draft.name}/{draft.version_prefix}"
        taken = [ref.removeprefix(start) for ref in self.repo.refs() if ref.startswith(start)]
        return max((int(number) for number in taken if number.isdigit()), default=0) + 1

    def make_deltas(self, commit: str) -> None:
        """Have the static deltas that nodes will ask for: the first fetch, and from the last versions."""
        self.repo.make_delta(commit)
        earlier = self.repo.parent(commit)
        for _step in range(DELTA_STEPS):
            if earlier is None or not self.repo.has_content(earlier):
                return
            self.repo.make_delta(commit, origin=earlier)
            earlier = self.repo.parent(earlier)

    def describe(self, commit: str, kind: str, name: str) -> dict[str, t.Any]:
        """Return what a module reports of a version."""
        manifest = self.repo.manifest(commit, kind=kind, name=name)
        wanted = ("kind", "name", "version", "abi", "architecture", "size", "built")
        return {"commit": commit, "packages": len(manifest["packages"]), **{key: manifest[key] for key in wanted}}

    def state(self) -> dict[str, t.Any]:
        """Return what a module reports of the depot."""
        refs = self.repo.refs() if self.repo.exists() else {}
        return {
            "path": str(self.path),
            "repository": self.repo.path,
            "public_key_file": str(self.public_key_file),
            "public_key": self.public_key_file.read_text(encoding="ascii") if self.public_key_file.is_file() else "",
            "fingerprint": self.fingerprint() or "",
            "refs": {ref: commit for ref, commit in sorted(refs.items()) if ":" not in ref},
            "mirrors": {name: remote["url"] for name, remote in sorted(self.repo.remotes().items())},
        }

    # Mirroring

    def look(self, mirror: Mirror) -> dict[str, str]:
        """Return what a vendor publishes of what is wanted; signatures and manifests are checked, no content comes."""
        aside = Repo(str(self.work / "mirrors" / mirror.name))
        aside.create("bare")
        aside.add_remote(mirror.name, mirror.url, key_text=mirror.key)
        found = {}
        for ref in sorted(each for each in aside.remote_refs(mirror.name) if matches(each, mirror.refs)):
            commit = aside.pull(mirror.name, ref, metadata_only=True)
            kind, name, _word = ref.split("/")
            aside.manifest(commit, kind=kind, name=name)
            found[ref] = commit
        return found

    def fetch(self, mirror: Mirror, ref: str, commit: str) -> None:
        self.repo.add_remote(mirror.name, mirror.url, key_text=mirror.key)
        if self.repo.pull(mirror.name, ref) != commit:
            raise ContentError(f"{mirror.name!r} published another {ref} in this moment: run again", ref=ref)
        self.make_deltas(commit)
        self.repo.set_ref(ref, commit)

    def drop(self, ref: str) -> None:
        for own in [each for each in self.repo.refs() if each.rpartition(":")[2] == ref]:
            self.repo.delete_ref(own)


def plan_mirror(mirror: Mirror, published: t.Mapping[str, str], present: t.Mapping[str, str]) -> dict[str, str]:
    """Return the refs of the vendor's to set here. Nothing of another owner is replaced, and no version changes."""
    for ref in (each for each in published if each in present):
        if f"{mirror.name}:{ref}" not in present:
            raise ContentError(
                f"The depot of {mirror.name!r} publishes {ref}, but that is this site's own or another vendor's here:"
                " give one of them another name, or narrow the refs that are mirrored",
                ref=ref,
            )
        if is_version(ref.rsplit("/", 1)[-1]) and present[ref] != published[ref]:
            raise ContentError(f"{mirror.name!r} changed {ref}, and versions never change: ask the vendor why", ref=ref)
    return {ref: commit for ref, commit in published.items() if present.get(ref) != commit}


def matches(ref: str, patterns: t.Sequence[str]) -> bool:
    return ref.count("/") == 2 and any(fnmatch.fnmatchcase(ref, pattern) for pattern in patterns)  # noqa: PLR2004


def plan_prune(refs: t.Mapping[str, str], keep: int) -> list[str]:
    """Return the version refs to drop: all but the newest ``keep`` of each name and those that a channel names."""
    wanted = {commit for ref, commit in refs.items() if ":" not in ref and not is_version(ref.rsplit("/", 1)[-1])}
    families: dict[str, list[str]] = {}
    for ref in refs:
        family, _slash, word = ref.rpartition("/")
        if ":" not in ref and is_version(word):
            families.setdefault(family, []).append(word)
    old = [
        f"{family}/{word}"
        for family, words in sorted(families.items())
        for word in sorted(words, key=version_order)[: max(len(words) - keep, 0)]
    ]
    return [ref for ref in old if refs[ref] not in wanted]


def fingerprint_of(file: pathlib.Path) -> str:
    """Return the fingerprint of the first key in a file of public or private keys."""
    return fingerprint_in(command.run(["gpg", "--batch", "--quiet", "--with-colons", "--show-keys", str(file)]))


def fingerprint_in(listing: str) -> str:
    """Read gpg's ``--with-colons`` listing (its doc/DETAILS)."""
    found = [line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:")]
    if not found:
        raise BadInput("There is no key in what was given as the signing key: it must be a GPG key, armored or binary")
    return found[0]


def folder_bytes(path: str) -> int:
    """Return how much the files below take, each counted once."""
    seen = {}
    for folder, _folders, files in os.walk(path):
        for name in files:
            state = os.lstat(pathlib.Path(folder, name))
            seen[state.st_ino] = state.st_size
    return sum(seen.values())


def not_yet(kind: str, name: str) -> Result:
    """Return what check mode reports of a build where the depot itself is yet to be made."""
    return Result(changed=True, steps=[f"build {kind}/{name} for the depot that is yet to be made"])


def report(
    depot: Depot, place: tuple[str, str, str], before: str | None, steps: list[str], *, check_mode: bool
) -> Result:
    """Return the result of a build: ``steps`` tell what was tried, the channel what came of it."""
    kind, name, channel = place
    if not (check_mode or depot.summary_is_current()):
        depot.update_summary()
    commits = (before, depot.channel(*place))
    old, new = (depot.describe(commit, kind, name) if commit else None for commit in commits)
    changed = bool(steps) if check_mode else old != new
    if steps and changed:
        word = new["version"] if new and not check_mode else "what that gives"
        steps = [*steps, f"publish {kind}/{name} {word} as {channel}"]
    elif steps:
        steps = [*steps, "publish nothing: the content is that of the present version"]
    facts = {"version": new} if new else {}
    after = {**(old or {}), "version": "what building gives"} if check_mode and steps else new
    return Result(changed, steps, old or {}, after or {}, facts)
