# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An appliance's files in a scratch folder of their own, put together for an outside judge to look at."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import bases, command, skeleton
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError

# In the trees of apps and of config, what is laid over /usr and /etc.
PARTS = ("sysext", "confext", "zz-config")
OWN_DPKG = "usr/lib/sysimage/dpkg"
MERGED = (
    "The trees were merged in a scratch folder, with the root's empty folders, the link /var/lib/dpkg and the accounts "
    "of sysusers.d, as stage 0 does when an appliance starts; its /var is empty"
)
STANZA = (
    "Package: {name}\nStatus: install ok installed\nPriority: optional\nSection: misc\nMaintainer: none\n"
    "Architecture: {architecture}\nVersion: {version}\nDescription: {why}\n\n"
)


class Tree(t.NamedTuple):
    """What was put together: the folder, its release (ID and VERSION_ID of os-release), and what differs from life."""

    root: pathlib.Path
    release: tuple[str, str]
    bridges: list[str]


@contextlib.contextmanager
def merged(
    trees: t.Sequence[pathlib.Path], packages: t.Mapping[str, str], markers: t.Sequence[str]
) -> t.Iterator[Tree]:
    """Give the trees laid over each other, the first one at the bottom; the folder vanishes afterwards.

    ``packages``: by name, versions of packages that are in no database of the trees. ``markers``: names of packages
    that the database is to have, though they are not there.
    """
    with tempfile.TemporaryDirectory(prefix="strata-", dir="/var/tmp") as folder:
        root = pathlib.Path(folder, "root")
        root.mkdir(mode=0o755)
        for tree in trees:
            for part in parts_of(tree):
                command.run(["cp", "--archive", "--no-target-directory", str(part), str(root)])
        release = read_release(root)
        bridges = [*complete(root), *add_packages(root, packages, markers)]
        yield Tree(root, release, bridges)


def parts_of(tree: pathlib.Path) -> list[pathlib.Path]:
    """Return the folders of a tree that are laid over /."""
    if not tree.is_dir():
        raise BadInput(
            f"{tree} is not a folder: give the checked-out trees of a base, its app and its config", path=str(tree)
        )
    return [tree / name for name in PARTS if (tree / name).is_dir()] or [tree]


def read_release(root: pathlib.Path) -> tuple[str, str]:
    """Return ID and VERSION_ID. Raises ContentError where the tree has none: it would be judged as nothing at all."""
    try:
        release = bases.read_os_release(root)
        return release["ID"], release["VERSION_ID"]
    except (OSError, KeyError) as error:
        raise ContentError(f"This is no operating system: it does not say which one it is ({error})") from error


def complete(root: pathlib.Path) -> list[str]:
    """Add what is in no layer: links and folders of the root, and the accounts that stage 0 makes. Return bridges."""
    for name in skeleton.FOLDERS:
        (root / name).mkdir(mode=0o700 if name == "root" else 0o755, exist_ok=True)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name in skeleton.LINKS:
        if not (root / name).exists() and not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    if not (root / OWN_DPKG).is_dir():
        return []
    (root / "var/lib").mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg").symlink_to(f"../../{OWN_DPKG}")
    command.run(["systemd-sysusers", f"--root={root}"])
    return [MERGED]


def add_packages(root: pathlib.Path, packages: t.Mapping[str, str], markers: t.Sequence[str]) -> list[str]:
    """Add packages to dpkg's database of the scratch folder. Return bridges."""
    status = root / "var/lib/dpkg/status"
    if not status.is_file():
        raise ContentError("The tree has no database of packages: nothing that asks for packages could be judged")
    text = status.read_text(encoding="utf-8")
    there = {line.removeprefix("Package: ") for line in text.splitlines() if line.startswith("Package: ")}
    lines = [line for line in text.splitlines() if line.startswith("Architecture: ") and not line.endswith(" all")]
    architecture = lines[0].removeprefix("Architecture: ") if lines else "all"
    from_app = {name: version for name, version in packages.items() if name not in there}
    missing = {name: "0" for name in markers if name not in there and name not in from_app}
    added = "".join(
        STANZA.format(name=name, version=version, architecture=architecture, why=why)
        for names, why in ((from_app, "Brought by the app"), (missing, "A marker, not installed"))
        for name, version in names.items()
    )
    status.write_text(f"{text.rstrip()}\n\n{added}", encoding="utf-8")
    bridges = []
    if from_app:
        bridges.append(f"{len(from_app)} packages of the app were added to the scratch database, from its manifest")
    if missing:
        bridges.append(
            f"{', '.join(missing)} was added to the scratch database, though it is not installed: rules that apply "
            "only where it is would not have been evaluated"
        )
    return bridges


@contextlib.contextmanager
def checked_out(depot: Depot, refs: t.Sequence[str]) -> t.Iterator[tuple[list[pathlib.Path], dict[str, str]]]:
    """Give the trees of these versions, such as base/debian-13/stable, and the packages that apps bring."""
    packages: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="strata-", dir="/var/tmp") as folder:
        trees = []
        for number, ref in enumerate(refs):
            commit = depot.repo.rev(ref)
            if commit is None:
                raise BadInput(f"The depot {depot.path} has no {ref}", ref=ref)
            trees.append(pathlib.Path(folder, str(number)))
            depot.repo.checkout(commit, str(trees[-1]))
            manifest = depot.repo.manifest(commit)
            packages |= manifest["packages"] if manifest["kind"] == "app" else {}
        yield trees, packages
