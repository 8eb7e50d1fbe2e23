from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import tempfile
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import manifests
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo


@dataclasses.dataclass
class Signer:
    home: str
    key: str
    public: str


def make_signer(name: str) -> t.Iterator[Signer]:
    # pytest's own temporary folders are too deep for the agent's socket.
    with tempfile.TemporaryDirectory(prefix="sg-", dir="/tmp") as home:
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet"]
        subprocess.run([*gpg, "--passphrase", "", "--quick-gen-key", f"{name}@test", "ed25519", "sign"], check=True)
        public = subprocess.run([*gpg, "--armor", "--export"], check=True, capture_output=True, text=True).stdout
        yield Signer(home, f"{name}@test", public)
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


@pytest.fixture(scope="session")
def site() -> t.Iterator[Signer]:
    yield from make_signer("site")


@pytest.fixture(scope="session")
def stranger() -> t.Iterator[Signer]:
    yield from make_signer("stranger")


@pytest.fixture
def depot(tmp_path: pathlib.Path) -> Repo:
    repo = Repo(str(tmp_path / "depot"))
    repo.create("archive")
    return repo


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Repo:
    repo = Repo(str(tmp_path / "store"))
    repo.create("bare")
    return repo


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    root = tmp_path / "tree"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/tool").write_text("tool 1\n")
    (root / "usr/bin/other").write_text("other\n")
    return root


@pytest.fixture
def publish(depot: Repo, tree: pathlib.Path) -> t.Callable[..., str]:
    def _publish(signer: Signer, *refs: str, **manifest: t.Any) -> str:
        text = manifests.encode({"format": 1, "kind": "app", "name": "tool", **manifest})
        return depot.commit_tree(
            str(tree), refs=refs, metadata={manifests.MANIFEST_KEY: text}, gpg_key=signer.key, gpg_home=signer.home
        )

    return _publish
