# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An appliance's files as systemd puts them together from base, app and config. Pure."""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.lockdown import accounts_files
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import APP, BASE, CONFIG, Facts, Unknown

Tree = t.Mapping[str, t.Any]
Layers = t.Sequence[tuple[str, Tree]]
CONFIG_FOLDERS = ("/etc", "/run", "/usr/local/lib", "/usr/lib")  # from the strongest to the weakest


class Owned(t.NamedTuple):
    """A user, and the layer that brings it."""

    account: accounts_files.Account
    layer: str


def layers_of(facts: Facts, *, by_text: bool = True) -> list[tuple[str, Tree]]:
    """Return the trees with their kinds, the last on top. Raises Unknown where one was not looked at.

    With ``by_text``, for rules that go by what is in files, also where one of these files cannot be read.
    """
    trees = facts.trees
    if trees is None or BASE not in trees:
        raise Unknown("the files of its base were not looked at")
    for kind in [*(facts.manifests or {}), *trees]:
        if kind not in trees:
            raise Unknown(f"the files of its {kind} were not looked at")
        if not trees[kind].get("entries"):
            raise Unknown(f"the folder of its {kind} has no files: nothing was looked at")
        for path, reason in trees[kind].get("unread", {}).items() if by_text else ():
            raise Unknown(f"{path} of its {kind} cannot be read: it is {reason}")
    upper = [kind for kind in (APP, CONFIG) if kind in trees]
    # Extensions are laid over each other in the order of their names.
    return [(kind, trees[kind]) for kind in (BASE, *sorted(upper, key=lambda kind: str(trees[kind]["name"])))]


def texts_of(layers: Layers) -> dict[str, tuple[str, str]]:
    """Return for each path that was kept the layer that counts and its text."""
    return {path: (kind, text) for kind, tree in layers for path, text in tree["texts"].items()}


def drop_ins(texts: t.Mapping[str, tuple[str, str]], folder: str) -> list[tuple[str, str, str]]:
    """Return path, layer and text of the files of a folder such as sysctl.d, in the order in which systemd reads them.

    By name, whatever their folder; of two files of one name the one in the stronger folder counts.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for top in reversed(CONFIG_FOLDERS):
        for path, (kind, text) in texts.items():
            start, _slash, name = path.rpartition("/")
            if start == f"{top}/{folder}":
                found[name] = (path, kind, text)
    return [found[name] for name in sorted(found)]


def accounts_of(layers: Layers) -> list[Owned]:
    """Return every user that any layer brings, by passwd(5) or by sysusers.d(5). All of them: none can hide another."""
    found = []
    for kind, tree in layers:
        for path, text in sorted(tree["texts"].items()):
            if path == "/etc/passwd":
                found += [Owned(account, kind) for account in accounts_files.read_passwd(text).values()]
            elif "/sysusers.d/" in path and kind != BASE:  # the base's were made when it was built
                found += [Owned(account, kind) for account in accounts_files.read_sysusers(text)[0]]
    known = {owned.account for owned in found}
    more = [account for account in accounts_files.read_sysusers(_as_stage_0(layers))[0] if account not in known]
    return [*found, *(Owned(account, layers[-1][0]) for account in more)]


def _as_stage_0(layers: Layers) -> str:
    """Return the sysusers.d of app and config as stage 0 reads them: as one text, in which a line may span files."""
    texts = [
        (not path.rpartition("/")[2].startswith("strata-"), path.startswith("/usr/"), str(tree["name"]), path, text)
        for kind, tree in layers
        for path, text in tree["texts"].items()
        if kind != BASE and "/sysusers.d/" in path
    ]
    return "".join(text for *_order, text in sorted(texts))


def group_numbers(layers: Layers) -> set[int]:
    """Return the numbers of all groups that any layer brings."""
    found: set[int] = {0}
    for _kind, tree in layers:
        for path, text in tree["texts"].items():
            if path == "/etc/group":
                found |= set(accounts_files.read_groups(text).values())
            elif "/sysusers.d/" in path:
                found |= set(accounts_files.read_sysusers(text)[1].values())
    return found


def sysctls_of(layers: Layers) -> dict[str, tuple[str, str, str]]:
    """Return path, layer and value of each kernel setting that sysctl.d(5) makes; patterns are among the keys."""
    found: dict[str, tuple[str, str, str]] = {}
    for path, kind, text in drop_ins(texts_of(layers), "sysctl.d"):
        for line in text.splitlines():
            key, equals, value = line.strip().removeprefix("-").partition("=")
            if equals and not line.strip().startswith(("#", ";")):
                found[sysctl_name(key.strip())] = (path, kind, " ".join(value.split()))
    return found


def sysctl_name(key: str) -> str:
    """Return a setting's name with dots. By sysctl.d(5) the first separator decides which one it is."""
    first = re.search(r"[./]", key)
    return key.translate(str.maketrans("./", "/.")) if first and first[0] == "/" else key


def settings_of(layers: Layers, main: str, section: str) -> dict[str, tuple[str, str, str]]:
    """Return path, layer and value of each key in a section of a file like systemd/journald.conf and its drop-ins."""
    texts = texts_of(layers)
    heads = [(path, *texts[path]) for top in CONFIG_FOLDERS if (path := f"{top}/{main}") in texts]
    found = {}
    for path, kind, text in [*heads[:1], *drop_ins(texts, f"{main}.d")]:
        inside = ""
        for line in map(str.strip, text.splitlines()):
            if line.startswith("["):
                inside = line.strip().strip("[]")
            key, equals, value = line.partition("=")
            if equals and inside == section and not line.lstrip().startswith(("#", ";")):
                found[key.strip()] = (path, kind, value.strip())
    return found


def umasks_of(layers: Layers) -> list[tuple[str, str, str]]:
    """Return path, layer and value of each umask that logins, shells and services would take."""
    found = []
    for path, (kind, text) in sorted(texts_of(layers).items()):
        is_shell = path in ("/etc/profile", "/etc/bash.bashrc") or path.startswith("/etc/profile.d/")
        for line in text.splitlines():
            words = _words(line)
            for number, word in enumerate(words[:-1]):
                is_own = (number == 0 and word == "UMASK" and path == "/etc/login.defs") or (
                    word == "umask" and is_shell
                )
                if is_own and words[number + 1][:1].isdigit():
                    found.append((path, kind, words[number + 1]))
    return found


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line.replace(";", " ; "), comments=True)
    except ValueError:
        return line.split()
