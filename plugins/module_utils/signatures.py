# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who signed a commit: every good signature by a key that is trusted here, not only the one that let it in."""

from __future__ import annotations

import re
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import command
from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo

# ostree prints an array of arrays of bytes: [[byte 0x88, 0x75, ...], [0x88, ...]].
SIGNATURE = re.compile(r"\[([^\[\]]+)\]")
BYTE = re.compile(r"0x([0-9a-f]{2})")
# Fields of gpg's VALIDSIG line (doc/DETAILS): the key that signed, and the primary key to which it belongs.
SIGNING, PRIMARY = 2, -1
Signer = dict[str, str]


def parse(printed: str) -> list[bytes]:
    """Return the signatures that ostree prints of a commit's detached metadata."""
    found = (bytes(int(byte, 16) for byte in BYTE.findall(each)) for each in SIGNATURE.findall(printed))
    return [each for each in found if each]


def read_status(status: str, name: str) -> list[Signer]:
    """Return who made a good signature, by gpg's status lines; one by an expired or revoked key is not good."""
    found: list[Signer] = []
    is_good = False
    for line in status.splitlines():
        words = line.split()[1:]
        if not words:
            continue
        if words[0] == "NEWSIG":
            is_good = False
        elif words[0] == "GOODSIG":
            is_good = True
        elif words[0] == "VALIDSIG" and is_good:
            found.append({"fingerprint": words[PRIMARY], "key": words[SIGNING - 1], "name": name})
    return found


def verify(signatures: t.Sequence[bytes], data: Path, keyrings: t.Mapping[str, Path]) -> list[Signer]:
    """Return the good signatures of the file ``data`` by the keys of each keyring, under the keyring's name.

    ``fingerprint`` is that of the whole key, ``key`` that of the part of it that signs.
    """
    found: list[Signer] = []
    with tempfile.TemporaryDirectory(prefix="strata-") as home:
        # One file each: gpg stops at the first signature whose key it does not know.
        for number, signature in enumerate(signatures):
            file = Path(home, f"{number}.sig")
            file.write_bytes(signature)
            for name, keyring in sorted(keyrings.items()):
                argv = ["gpg", "--homedir", home, "--batch", "--no-autostart", "--no-default-keyring"]
                argv += ["--keyring", str(keyring), "--trust-model", "always", "--status-fd", "1"]
                try:
                    status = command.run([*argv, "--verify", str(file), str(data)])
                except CommandError as error:
                    if "returncode" not in error.facts:
                        raise  # no gpg: that is not the same as no signature
                    continue
                found += [each for each in read_status(status, name) if each not in found]
    return found


def signers_of(repo: Repo, commit: str, names: t.Collection[str] | None = None) -> list[Signer]:
    """Return who signed a commit, of the signers whose keys the repository has, or of those of them in ``names``.

    Raises CommandError where gpg is not there to tell.
    """
    printed = repo.signatures(commit)
    known = repo.keyrings()
    return verify(
        parse(printed),
        repo.commit_file(commit),
        {name: known[name] for name in known if names is None or name in names},
    )
