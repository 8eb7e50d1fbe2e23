# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The depot: where versions are signed, published, mirrored and, when nothing names them any more, dropped."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import changes, command, manifests, sbom, signatures
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError
from ansible_collections.strata.fleet.plugins.module_utils.mirrors import Mirror, matches
from ansible_collections.strata.fleet.plugins.module_utils.ostree import DELTA_INDEX, Repo
from ansible_collections.strata.fleet.plugins.module_utils.versions import is_version, version_order

# From how many earlier versions a node can come by a static delta.
DELTA_STEPS = 2
Tell = t.Callable[[t.Sequence[sbom.Package]], list[dict[str, t.Any]]]


@dataclasses.dataclass(frozen=True)
class Draft:
    """A tree that is ready to be published, and what is said of it.

    ``packages`` are what the bill of materials lists. ``describe_changes`` returns what became of an earlier version's.
    """

    kind: str
    name: str
    channel: str
    tree: str
    version_prefix: str
    manifest: dict[str, t.Any]
    packages: t.Sequence[sbom.Package]
    files: t.Sequence[t.Mapping[str, str]]
    inputs: str
    describe_changes: Tell


class Depot:
    """The folder on the depot host: ``repo`` is what nodes read, ``gnupg`` signs, ``work`` is for builds."""

    def __init__(self, path: str) -> None:
        # Without links and "..": systemctl --root compares paths as they are written.
        self.path = pathlib.Path(path).resolve()
        self.repo = Repo(str(self.path / "repo"))
        self.gpg_home = self.path / "gnupg"
        self.work = self.path / "work"
        self.public_key_file = self.path / "site.asc"
        # Called with each draft before it becomes a version, to refuse it.
        self.gate: t.Callable[[Draft], None] = lambda _draft: None

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
        index = self.path / "repo" / DELTA_INDEX
        return (
            index.exists()
            and summary.exists()
            and summary.stat().st_mtime_ns >= max(each.stat().st_mtime_ns for each in changes)
        )

    def update_summary(self) -> None:
        self.write_delta_index()
        self.repo.update_summary(self.fingerprint() or "", str(self.gpg_home))
        self.stop_agent()

    def write_delta_index(self) -> None:
        """List the bytes of each static delta, as FROM-TO or -TO, in a file that nodes read like the summary."""
        sizes = {
            name if "-" in name else f"-{name}": folder_bytes(str(delta_folder(self.repo.path, name)))
            for name in self.repo.deltas()
        }
        write_whole(pathlib.Path(self.repo.path, DELTA_INDEX), json.dumps(sizes, sort_keys=True))

    def sign(self, text: str) -> str:
        """Return an armored detached signature of the text."""
        argv = ["gpg", "--homedir", str(self.gpg_home), "--batch", "--quiet", "--local-user", self.fingerprint() or ""]
        signature = command.run([*argv, "--armor", "--detach-sign"], stdin=text)
        self.stop_agent()
        return signature

    def signers(self, commit: str) -> list[signatures.Signer]:
        """Return who signed a commit: mirrored vendors by their names, this depot by the name ''."""
        found = signatures.signers_of(self.repo, commit)
        own = {"": self.gpg_home / "pubring.kbx"}
        mine = signatures.verify(signatures.parse(self.repo.signatures(commit)), self.repo.commit_file(commit), own)
        return [*found, *(each for each in mine if each["fingerprint"] == self.fingerprint())]

    def has_signed(self, commit: str) -> bool:
        """Whether this depot's own key has signed it, first or besides a vendor's."""
        return any(not signer["name"] for signer in self.signers(commit))

    def countersign(self, commit: str) -> None:
        """Sign what a vendor has signed; does nothing where this depot has signed it."""
        if not self.has_signed(commit):
            self.repo.add_signature(commit, self.fingerprint() or "", str(self.gpg_home))
            self.stop_agent()

    # Publishing

    def channel(self, kind: str, name: str, channel: str) -> str | None:
        """Return the commit that the channel names now."""
        return self.repo.rev(f"{kind}/{name}/{channel}")

    def words(self, kind: str, name: str) -> dict[str, str]:
        """Return the commits of this layer by channel and version."""
        start = f"{kind}/{name}/"
        return {ref.removeprefix(start): commit for ref, commit in self.repo.refs().items() if ref.startswith(start)}

    def heads(self, kind: str, name: str, first: str) -> dict[str, str]:
        """Return the commits that channels name and that of the newest version, by word, that of ``first`` first."""
        words = self.words(kind, name)
        newest = sorted((word for word in words if is_version(word)), key=version_order)[-1:]
        wanted = [word for word in sorted(words) if not is_version(word)] + newest
        return {word: words[word] for word in sorted(wanted, key=lambda word: word != first)}

    def built_from(self, kind: str, name: str, channel: str, inputs: str) -> str | None:
        """Return the version in use that was built from just this: if possible what ``channel`` names."""
        heads = self.heads(kind, name, channel).items()
        return next((commit for word, commit in heads if self._inputs(kind, name, word, commit) == inputs), None)

    def _inputs(self, kind: str, name: str, channel: str, commit: str) -> str | None:
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

    def publish(self, draft: Draft) -> None:
        """Have the channel name this content.

        Where a version in use is the same already, the channel names that: content is published once.
        """
        self.gate(draft)
        content = self.repo.write_tree(draft.tree)
        heads = self.heads(draft.kind, draft.name, draft.channel)
        for commit in heads.values():
            if self._is_same(commit, content, draft.manifest):
                # Other inputs, the same content: remembered, or the next run would build once more to find that out.
                note = json.dumps({"commit": commit, "inputs": draft.inputs})
                self._note(draft.kind, draft.name, draft.channel).write_text(note, encoding="utf-8")
                self.point(draft.kind, draft.name, draft.channel, commit)
                return
        origin = self.newest(draft.kind, draft.name)
        version = f"{draft.version_prefix}{self._next_number(draft)}"
        document = sbom.cyclonedx(draft.name, draft.packages, draft.files)
        metadata = {
            manifests.MANIFEST_KEY: manifests.encode({**draft.manifest, "version": version}),
            manifests.SBOM_KEY: manifests.encode(document),
            manifests.INPUTS_KEY: draft.inputs,
            changes.CHANGES_KEY: manifests.encode(self._history(draft, version, origin)),
        }
        commit = self.repo.commit_tree(
            content,
            refs=(),
            metadata=metadata,
            gpg_key=self.fingerprint() or "",
            gpg_home=str(self.gpg_home),
            parent=origin,
        )
        self.make_deltas(commit, heads.values())
        # Refs last: a kill before this line leaves an unnamed commit, never half a version.
        self.repo.set_ref(f"{draft.kind}/{draft.name}/{version}", commit)
        self.point(draft.kind, draft.name, draft.channel, commit)

    def point(self, kind: str, name: str, channel: str, commit: str) -> None:
        """Have the channel name this version, with a delta from an older one that it names now."""
        present = self.channel(kind, name, channel)
        if present != commit:
            # Whoever goes back had that version before.
            if present is None or self._built(present) < self._built(commit):
                self.make_deltas(commit, [present] if present else [])
            self.repo.set_ref(f"{kind}/{name}/{channel}", commit)
            self.update_summary()

    def _is_same(self, commit: str, content: str, manifest: t.Mapping[str, t.Any]) -> bool:
        """Whether a version has this content and says the same of itself."""
        if self.repo.content_checksum(commit) != self.repo.content_checksum(content):
            return False
        return comparable(self.repo.manifest(commit)) == comparable(manifest)

    def newest(self, kind: str, name: str) -> str | None:
        """Return the version that was built last of those in use."""
        commits = set(self.heads(kind, name, "").values())
        return max(commits, key=self._built, default=None)

    def _built(self, commit: str) -> str:
        return str(self.repo.manifest(commit)["built"])

    def _history(self, draft: Draft, version: str, origin: str | None) -> t.Sequence[changes.Entry]:
        """Return what is to be told of the packages that changed, in this version and in those before it."""
        if origin is None:
            return []
        entry = {
            "version": version,
            "from": self.repo.manifest(origin)["version"],
            "packages": draft.describe_changes(self.packages(origin)),
        }
        return changes.extend(changes.read(self.repo, origin), entry)

    def packages(self, commit: str) -> list[sbom.Package]:
        """Return the packages of a version."""
        text = self.repo.metadata(commit, manifests.SBOM_KEY)
        return sbom.packages_in(manifests.decode(text)) if text else []

    def between(self, old: str | None, new: str | None) -> dict[str, t.Any]:
        """Return what ``changes.between`` does for two commits; that nothing changed, where one is missing."""
        if old is None or new is None:
            return changes.nothing()
        return changes.between(changes.read(self.repo, new), self.repo.manifest(old), self.repo.manifest(new))

    def _next_number(self, draft: Draft) -> int:
        start = f"{draft.kind}/{draft.name}/{draft.version_prefix}"
        taken = [ref.removeprefix(start) for ref in self.repo.refs() if ref.startswith(start)]
        return max((int(number) for number in taken if number.isdigit()), default=0) + 1

    def make_deltas(self, commit: str, named: t.Iterable[str] = ()) -> None:
        """Have the static deltas nodes ask for: from nothing, from what is named, and from the last versions."""
        origins = [*named]
        earlier = self.repo.parent(commit)
        for _step in range(DELTA_STEPS):
            if earlier is None or not self.repo.has_content(earlier):
                break
            origins.append(earlier)
            earlier = self.repo.parent(earlier)
        self.repo.make_delta(commit)
        for origin in dict.fromkeys(origins):
            if origin != commit:
                self.repo.make_delta(commit, origin=origin)

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
        was_countersigned = self.repo.has_commit(commit) and self.has_signed(commit)
        if self.repo.pull(mirror.name, ref) != commit:
            raise ContentError(f"{mirror.name!r} published another {ref} in this moment: run again", ref=ref)
        if was_countersigned:
            # Pulling brings the signatures that the vendor has, in place of those that were here.
            self.countersign(commit)
        self.make_deltas(commit)
        self.repo.set_ref(ref, commit)

    def drop(self, ref: str) -> None:
        for own in [each for each in self.repo.refs() if each.rpartition(":")[2] == ref]:
            self.repo.delete_ref(own)


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


def delta_folder(repo: str, name: str) -> pathlib.Path:
    """Return where OSTree keeps a static delta: by digests in base64 ("_" for "/"), the first two letters a folder."""
    parts = [base64.b64encode(bytes.fromhex(part)).decode().rstrip("=").replace("/", "_") for part in name.split("-")]
    whole = "-".join(parts)
    return pathlib.Path(repo, "deltas", whole[:2], whole[2:])


def write_whole(file: pathlib.Path, text: str) -> None:
    """Replace a file at once, for whoever reads it meanwhile."""
    unfinished = file.with_name(f".{file.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.rename(file)


def comparable(manifest: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return what a version says of itself, without what differs when the same is built once more."""
    return {key: value for key, value in manifest.items() if value and key not in ("version", "built", "base")}
