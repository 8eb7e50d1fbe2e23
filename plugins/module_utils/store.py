# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's store: the layers that its appliances need, fetched from the depot, verified, checked out.

<store>/repo                 OSTree repository; ref held/<kind>/<name>/<version> for each version that is here
<store>/layers/<commit>/     hard-linked checkout, what the engine maps
<store>/config/<appliance>/  config layers, see config_layer.py
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import platform
import shutil
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import changes, config_layer, signatures, trees
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, Conflict, ContentError, DiskFull
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition, Layer
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo, free_bytes, read_index
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
ANY_ABI = "_any"
ROOM = 200 * 2**20  # left free on the disk, for the repository's own files and everybody else's
POLL = 0.5  # seconds between two looks at whether another run has ended

Manifest = dict[str, t.Any]


class Signer(t.NamedTuple):
    """Who may sign what: ``refs`` are patterns such as base/* or app/nginx; ``key`` is an armored public key."""

    name: str
    key: str
    refs: t.Sequence[str]


class Wish(t.NamedTuple):
    """A layer that an appliance asks for, by version or by channel; ``commit`` is which it must be ('': any)."""

    kind: str
    name: str
    version: str
    channel: str
    commit: str = ""

    @property
    def ref(self) -> str:
        """The depot's name for it."""
        return f"{self.kind}/{self.name}/{self.version or self.channel}"


class Found(t.NamedTuple):
    """A layer that was decided on. ``history`` is what ``changes.read`` returns, None where it was not read yet."""

    layer: Layer
    manifest: Manifest
    signer: str
    history: t.Sequence[t.Mapping[str, t.Any]] | None = None


class Transfer(t.NamedTuple):
    """How a version comes here: its ``bytes`` on the wire (None: not known before), and whether by a static delta."""

    bytes: int | None
    by_delta: bool


class Store:
    """The store at ``path``, which the depot at ``url`` feeds. Nothing is written before ``prepare``."""

    def __init__(self, path: str, url: str, signers: t.Sequence[Signer]) -> None:
        self.path = Path(path)
        self.url = url
        self._signers = signers
        self._repo = Repo(f"{path}/repo")
        self._read: dict[str, Found] = {}
        self._deltas: dict[tuple[str, str], int] | None = None

    def prepare(self) -> None:
        """Make the store and its remotes, as far as they are not there."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("layers", "config"):
            (self.path / name).mkdir(exist_ok=True)
        config_layer.make_key(self.path)
        self._repo.create("bare")
        add_remotes(self._repo, self.url, self._signers)

    def layer_path(self, commit: str) -> Path:
        """Return where a version is, or will be, checked out."""
        return self.path / "layers" / commit

    def holds(self, commit: str) -> bool:
        """Whether the version is here, whole."""
        return self.layer_path(commit).is_dir() and self._repo.has_content(commit)

    def held(self, wish: Wish) -> Found | None:
        """Return a version that is here already, asked for by its number."""
        if not wish.version or not self._repo.exists():
            return None
        commit = self._repo.rev(f"held/{wish.ref}")
        if wish.commit not in ("", commit):
            return None
        return self.read(wish.kind, wish.name, commit) if commit and self.holds(commit) else None

    def read(self, kind: str, name: str, commit: str) -> Found:
        """Return what the store knows of a commit that it has."""
        if commit not in self._read:
            manifest = self._repo.manifest(commit, kind=kind, name=name)
            self._read[commit] = Found(Layer(name, manifest["version"], commit), manifest, "")
        return self._read[commit]

    @contextlib.contextmanager
    def catalogue(self) -> t.Iterator[Repo]:
        """Give an empty repository to read the depot's metadata into, so that deciding changes nothing here."""
        with tempfile.TemporaryDirectory(prefix="strata-") as folder:
            repo = Repo(f"{folder}/repo")
            repo.create("bare")
            add_remotes(repo, self.url, self._signers)
            yield repo

    def look_up(self, catalogue: Repo, wish: Wish) -> Found:
        """Return what the depot has for a wish. Raises ContentError, or Unreachable, before any content is fetched."""
        signer = self.signer_of(wish)
        commit = catalogue.pull(signer, wish.ref, metadata_only=True)
        manifest = catalogue.manifest(commit, kind=wish.kind, name=wish.name)
        if wish.version and manifest["version"] != wish.version:
            raise ContentError(
                f"The depot {self.url} offers version {manifest['version']} as {wish.ref}: "
                "its refs are wrong or were tampered with"
            )
        if wish.commit not in ("", commit):
            raise ContentError(
                f"The depot {self.url} has another {wish.ref} ({commit[:12]}) than the one that is asked for "
                f"({wish.commit[:12]}): the version was published anew, or somebody tampered with it"
            )
        return Found(Layer(wish.name, manifest["version"], commit), manifest, signer, changes.read(catalogue, commit))

    def find_new_signatures(self) -> list[Found]:
        """Return the versions in the store that the depot has more signatures of. Raises Unreachable."""
        refs = self._repo.refs() if self._repo.exists() else {}
        held = [(ref.split("/"), commit) for ref, commit in sorted(refs.items()) if ref.startswith("held/")]
        found = []
        with self.catalogue() as catalogue:
            for (_held, kind, name, version), commit in held:
                try:
                    signer = self.signer_of(Wish(kind, name, version, ""))
                    catalogue.pull(signer, commit, metadata_only=True)
                except (BadInput, ContentError):
                    continue  # an old version, which the depot has dropped or nobody may vouch for any more
                here, there = (set(signatures.parse(repo.signatures(commit))) for repo in (self._repo, catalogue))
                if there - here:
                    found.append(self.read(kind, name, commit)._replace(signer=signer))
        return found

    def take_signatures(self, layers: t.Iterable[Found]) -> None:
        """Have the signatures that the depot has of these versions; their content stays as it is."""
        for found in layers:
            self._repo.pull(found.signer, found.layer.commit, metadata_only=True)

    def history_of(self, found: Found) -> t.Sequence[t.Mapping[str, t.Any]]:
        """Return which packages changed in the versions up to this one."""
        return changes.read(self._repo, found.layer.commit) if found.history is None else found.history

    def signer_of(self, wish: Wish) -> str:
        """Return whose key must have signed it. Raises BadInput where nobody may."""
        subject = f"{wish.kind}/{wish.name}"
        for signer in self._signers:
            if any(fnmatch.fnmatchcase(subject, pattern) for pattern in signer.refs):
                return signer.name
        raise BadInput(f"No key may vouch for {subject}: add a signer whose refs match it to depot_trust", ref=wish.ref)

    def check_room(self, layers: t.Iterable[Found]) -> None:
        """Raise DiskFull when what would be fetched does not fit."""
        needed = sum(int(found.manifest["size"]) for found in layers)
        place = next(folder for folder in (self.path, *self.path.parents) if folder.exists())
        free = free_bytes(str(place))
        if needed and needed + ROOM > free:
            raise DiskFull(
                f"The store {self.path} needs {format_size(needed)} for what it fetches, and {format_size(ROOM)} to "
                f"spare, but only {format_size(free)} are free: make room, or put store_path on a larger disk",
                needed=needed,
                free=free,
            )

    def fetch(self, found: Found, kind: str) -> None:
        """Have a version in the store, whole and verified; goes on where an earlier run stopped."""
        layer = found.layer
        if not self._repo.has_content(layer.commit):
            self._repo.pull(found.signer, layer.commit, deltas=self.transfer(kind, layer).by_delta)
        # A signature says who made it; only the manifest says what it is.
        self._repo.manifest(layer.commit, kind=kind, name=layer.name)
        self._repo.set_ref(f"held/{kind}/{layer.name}/{layer.version}", layer.commit)
        self._repo.checkout(layer.commit, str(self.layer_path(layer.commit)))

    def transfer(self, kind: str, layer: Layer) -> Transfer:
        """Return how a version would come here, by the depot's index of its static deltas.

        From nothing, a delta brings everything: where another version is here, file by file is less.
        """
        deltas = self._read_deltas()
        refs = self._repo.refs() if self._repo.exists() else {}
        held = {commit for commit in refs.values() if self._repo.has_content(commit)}
        steps = [size for (origin, to), size in deltas.items() if to == layer.commit and origin in held]
        if steps:
            return Transfer(min(steps), by_delta=True)
        is_known = any(ref.startswith(f"held/{kind}/{layer.name}/") for ref in refs)
        return Transfer(None if is_known else deltas.get(("", layer.commit)), by_delta=not (deltas and is_known))

    def _read_deltas(self) -> dict[tuple[str, str], int]:
        if self._deltas is None:
            listed = read_index(self.url)
            self._deltas = {}
            for name, size in listed.items():
                origin, _dash, to = name.rpartition("-")
                self._deltas[origin, to] = int(size)
        return self._deltas

    def verify(self, commits: t.Collection[str]) -> None:
        """Read the whole store again, and compare these versions with what is mapped of them.

        Raises ContentError where a file is not what its checksum says, or where one was added, replaced or removed.
        """
        self._forget_damaged(commits)
        try:
            self._repo.fsck(commits)
        except ContentError as error:
            error.message += (
                ". Somebody or something changed a file in the store: find out who. Then let go of what is damaged "
                f"(ostree fsck --delete --repo={self._repo.path}), remove the folders in {self.path}/layers that hold "
                "it, and run again: it is fetched anew"
            )
            raise
        for commit in sorted(commits):
            self._compare(commit)

    def _forget_damaged(self, needed: t.Collection[str]) -> None:
        """Drop versions of which damaged parts were deleted: fsck refuses a repository that has one."""
        refs = self._repo.refs().items()
        damaged = [ref for ref, commit in refs if commit not in needed and not self._repo.has_content(commit)]
        for ref in damaged:
            self._repo.delete_ref(ref)
        if damaged:
            self._repo.prune()

    def _compare(self, commit: str) -> None:
        fresh = self.layer_path(f".{commit}.fresh")
        try:
            self._repo.checkout(commit, str(fresh))
            place = trees.find_difference(self.layer_path(commit), fresh)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        if place:
            raise ContentError(
                f"{place} is not as it was signed: somebody or something changed it, find out who. Then remove "
                f"{self.layer_path(commit)} and run again: it is made anew",
                commit=commit,
            )

    def unreferenced(self, commits: t.Collection[str]) -> list[str]:
        """Return the checked-out versions that are not among ``commits``."""
        folder = self.path / "layers"
        return sorted(entry.name for entry in folder.iterdir() if entry.name not in commits) if folder.is_dir() else []

    def collect(self, unreferenced: t.Collection[str]) -> None:
        """Remove these versions and everything that only they needed."""
        for name in unreferenced:
            # Renamed first: what has its proper name in layers/ is whole, always.
            doomed = self.layer_path(f".{name.lstrip('.')}.removed")
            self.layer_path(name).rename(doomed)
            shutil.rmtree(doomed)
        for ref, commit in self._repo.refs().items():
            if not self.layer_path(commit).is_dir():
                self._repo.delete_ref(ref)
        self._repo.prune()


def add_remotes(repo: Repo, url: str, signers: t.Iterable[Signer]) -> None:
    """Give the repository one remote a signer: each key vouches only for what its owner may publish."""
    for signer in signers:
        repo.add_remote(signer.name, url, key_text=signer.key)


def check_fit(base: Manifest, app: Manifest) -> str:
    """Return why this app cannot run on this base and this machine, '' when it can."""
    what = f"app {app['name']} {app['version']}"
    if app["abi"] not in (ANY_ABI, base["abi"]):
        return (
            f"{what} was built for {app['abi']}, but base {base['name']} {base['version']} is {base['abi']}; "
            f"choose a base of {app['abi']}, or an app built for {base['abi']}"
        )
    machine = ARCHITECTURES.get(platform.machine(), platform.machine())
    for manifest in (base, app):
        if manifest["architecture"] not in (machine, "all"):
            return (
                f"{manifest['kind']} {manifest['name']} is for {manifest['architecture']}, but this node is {machine}"
            )
    return ""


def referenced(compositions: t.Iterable[Composition]) -> set[str]:
    """Return the commits that these compositions need."""
    return {layer.commit for composition in compositions for layer in (composition.base, composition.app)}


@contextlib.contextmanager
def locked(path: str, patience: float = 0) -> t.Iterator[None]:
    """Hold the node for one run at a time. Raises Conflict where another run has it, for ``patience`` seconds on."""
    folder = Path(path)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with (folder / "lock").open("w") as lock:
        while True:
            try:
                _take(lock.fileno(), fcntl.LOCK_EX, folder)
                break
            except Conflict:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(POLL)
        yield


@contextlib.contextmanager
def unchanged(path: str) -> t.Iterator[None]:
    """Have no run change the node, and change nothing oneself. Raises Conflict while another run has it."""
    folder = Path(path)
    if not (folder / "lock").exists():  # no run has been here yet
        yield
        return
    with (folder / "lock").open("rb") as lock:
        _take(lock.fileno(), fcntl.LOCK_SH, folder)
        yield


def _take(lock: int, kind: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Conflict(
            f"Another run is changing this node's appliances ({folder}/lock is held): "
            "wait until it is done and run again"
        ) from error
