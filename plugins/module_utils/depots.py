# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The depot: where versions are signed, published, mirrored and, when nothing names them any more, dropped."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import pathlib
import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import command, manifests
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo

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


class Depot:
    """The folder on the depot host: ``repo`` is what nodes read, ``gnupg`` signs, ``work`` is for builds."""

    def __init__(self, path: str) -> None:
        self.path = pathlib.Path(path)
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
        """Return the digest of what the channel's present version was built from."""
        commit = self.channel(kind, name, channel)
        return self.repo.metadata(commit, manifests.INPUTS_KEY) if commit else None

    def publish(self, draft: Draft) -> tuple[str, bool]:
        """Return the commit that the channel names afterwards, and whether it is a new one.

        The same content as the present version's is not published again.
        """
        present = self.channel(draft.kind, draft.name, draft.channel)
        content = self.repo.write_tree(draft.tree)
        if present and self.repo.content_checksum(present) == self.repo.content_checksum(content):
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

    # Mirroring

    def mirror(self, vendor: str, patterns: t.Sequence[str]) -> dict[str, str]:
        """Fetch what a vendor publishes under these names; return the refs that moved."""
        moved = {}
        present = self.repo.refs()
        for ref in sorted(each for each in self.repo.remote_refs(vendor) if matches(each, patterns)):
            if ref in present and f"{vendor}:{ref}" not in present:
                raise ContentError(
                    f"The depot of {vendor!r} publishes {ref}, but {self.path} has one of its own or another vendor's:"
                    " give one of them another name, or narrow the refs that are mirrored",
                    ref=ref,
                )
            commit = self.repo.pull(vendor, ref)
            kind, name, word = ref.split("/", 2)
            self.repo.manifest(commit, kind=kind, name=name)
            if present.get(ref) == commit:
                continue
            if is_version(word) and ref in present:
                raise ContentError(f"{vendor!r} changed {ref}, and versions never change: ask the vendor why", ref=ref)
            self.repo.set_ref(ref, commit)
            moved[ref] = commit
        return moved


def matches(ref: str, patterns: t.Sequence[str]) -> bool:
    return ref.count("/") == 2 and any(fnmatch.fnmatchcase(ref, pattern) for pattern in patterns)  # noqa: PLR2004


def is_version(word: str) -> bool:
    """Versions begin with a digit, channels with a letter."""
    return word[:1].isdigit()


def version_order(version: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", version)]


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
