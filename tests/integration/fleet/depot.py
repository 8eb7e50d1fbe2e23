"""A depot for tests: a real base, small apps made on the spot, and a web server that can misbehave."""

from __future__ import annotations

import contextlib
import functools
import http.server
import shutil
import subprocess
import tempfile
import threading
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import depots, manifests
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.tests.integration.fleet import site_app

Hook = t.Callable[[str], None]


class Cut(Exception):
    """Raised in a hook of the server: the connection ends without an answer."""


class Signer(t.NamedTuple):
    """Who signs: a GPG home, the key in it, and its public half, a file."""

    home: str
    key: str
    public: Path


@contextlib.contextmanager
def signer(name: str) -> t.Iterator[Signer]:
    """Give a new key for a while."""
    # pytest's own temporary folders are too deep for the agent's socket.
    with tempfile.TemporaryDirectory(prefix="sg-", dir="/tmp") as home:
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet"]
        subprocess.run([*gpg, "--passphrase", "", "--quick-gen-key", f"{name}@test", "ed25519", "sign"], check=True)
        public = Path(home, f"{name}.asc")
        subprocess.run([*gpg, "--armor", "--output", str(public), "--export"], check=True)
        try:
            yield Signer(home, f"{name}@test", public)
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


class Depot:
    """An archive repository in ``folder`` that ``site`` signs, with the base of another depot, signed by its maker."""

    def __init__(self, folder: Path, site: Signer, source: Path) -> None:
        self.folder = folder
        self.site = site
        self.maker_key = source / "site.asc"
        self.repo = Repo(str(folder / "repo"))
        self.repo.create("archive")
        self.base = Repo(str(source / "repo")).rev("base/debian-13/stable") or ""
        subprocess.run(["ostree", f"--repo={self.repo.path}", "pull-local", f"{source}/repo", self.base], check=True)
        for channel in ("stable", self.base_manifest()["version"]):
            self.repo.set_ref(f"base/debian-13/{channel}", self.base)

    def base_manifest(self) -> dict[str, t.Any]:
        """Return what the base says of itself."""
        return self.repo.manifest(self.base)

    def trust(self) -> list[dict[str, t.Any]]:
        """Return depot_trust: the maker vouches for its base, the site for everything else."""
        return [
            {"name": "maker", "key_file": str(self.maker_key), "refs": ["base/debian-13"]},
            {"name": "site", "key_file": str(self.site.public), "refs": ["base/*", "app/*"]},
        ]

    def publish_app(
        self,
        name: str,
        version: str = "1-1",
        *,
        by: Signer | None = None,
        ballast: int = 0,
        server: str = site_app.SERVER,
        plant: t.Callable[[Path], None] = lambda _tree: None,
        **changes: t.Any,
    ) -> str:
        """Publish the test app as app/<name>/<version> and as its stable channel, and return the commit.

        ``ballast`` is how many files of 32 KiB of its own the app carries, ``server`` its program; ``plant`` does what
        it likes to the tree, and ``changes`` are keys of the manifest.
        """
        tree = self.folder / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        site_app.write_tree(tree, name, version, ballast, server)
        plant(tree)
        manifest = site_app.manifest(name, version, tree) | changes
        refs = [f"app/{name}/{version}", f"app/{name}/stable"]
        return self._commit(str(tree), refs, manifest, by or self.site)

    def publish_base(self, name: str, *, by: Signer | None = None, **changes: t.Any) -> str:
        """Publish the real base's tree once more as another base."""
        manifest = {**self.base_manifest(), "name": name, **changes}
        return self._commit(self.base, [f"base/{name}/stable"], manifest, by or self.site)

    def publish_next_base(self, name: str, version: str, files: t.Mapping[str, str], **changes: t.Any) -> str:
        """Publish the real base's tree with other files in it, as the next version of a base of the site's."""
        overlay = self.folder / "overlay"
        shutil.rmtree(overlay, ignore_errors=True)
        for path, text in files.items():
            file = overlay / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        trees = [f"--tree=ref={self.base}", f"--tree=dir={overlay}", "--owner-uid=0", "--owner-gid=0"]
        argv = ["commit", "--orphan", "--no-bindings", "--parent=none", *trees]
        made = subprocess.run(["ostree", f"--repo={self.repo.path}", *argv], check=True, capture_output=True, text=True)
        manifest = {**self.base_manifest(), "name": name, "version": version, **changes}
        return self._commit(made.stdout.strip(), [f"base/{name}/{version}", f"base/{name}/stable"], manifest, self.site)

    def offer_delta(self, commit: str, origin: str) -> None:
        """Make a static delta, and list it where nodes look."""
        self.repo.make_delta(commit, origin=origin)
        depots.Depot(str(self.folder)).write_delta_index()
        self.repo.update_summary(self.site.key, self.site.home)

    def withdraw_deltas(self) -> None:
        """Be a depot without a summary and an index again, to which tests add what they like."""
        for name in ("summary", "summary.sig", "deltas.json"):
            Path(self.repo.path, name).unlink(missing_ok=True)

    def publish_unsigned(self, name: str, commit: str) -> None:
        """Publish the tree of a commit as another app, signed by nobody."""
        text = manifests.encode({**self.repo.manifest(commit), "name": name})
        argv = ["commit", "--orphan", "--no-bindings", "--parent=none", f"--tree=ref={commit}"]
        argv.append(f"--add-metadata-string={manifests.MANIFEST_KEY}={text}")
        made = subprocess.run(["ostree", f"--repo={self.repo.path}", *argv], check=True, capture_output=True, text=True)
        self.repo.set_ref(f"app/{name}/stable", made.stdout.strip())

    def content_object(self, commit: str, path: str) -> Path:
        """Return where the depot keeps one file of a commit."""
        listed = self.repo._ostree("ls", "--checksum", commit, path)
        checksum = listed.split()[4]
        return Path(self.repo.path, "objects", checksum[:2], f"{checksum[2:]}.filez")

    def _commit(self, tree: str, refs: list[str], manifest: dict[str, t.Any], by: Signer) -> str:
        metadata = {manifests.MANIFEST_KEY: manifests.encode(manifest)}
        return self.repo.commit_tree(tree, refs=refs, metadata=metadata, gpg_key=by.key, gpg_home=by.home)


class Server:
    """The depot's web server. ``hook`` is called with the path before each answer; it may wait, or raise Cut."""

    def __init__(self, folder: str, address: str) -> None:
        self.folder = folder
        self.address = address
        self.port = 0
        self.requests: list[str] = []
        self.hook: Hook = no_hook
        self._running: http.server.ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """The depot's address."""
        return f"http://{self.address}:{self.port}"

    def start(self) -> None:
        """Serve, on the same port as before."""
        handler = functools.partial(Handler, self, directory=self.folder)
        self._running = http.server.ThreadingHTTPServer((self.address, self.port), handler)
        self.port = self._running.server_port
        threading.Thread(target=self._running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Answer nobody any more. Requests that are being answered end without an answer."""
        self.hook = cut
        if self._running:
            self._running.shutdown()
            self._running.server_close()
            self._running = None

    def reset(self) -> None:
        """Serve as a server should, and forget who asked for what."""
        if self._running is None:
            self.start()
        self.hook = no_hook
        self.requests.clear()

    def bytes_of_deltas(self) -> int:
        """Return how much was fetched of static deltas, over all requests."""
        paths = [path.partition("?")[0] for path in self.requests if path.startswith("/deltas/")]
        return sum(Path(self.folder, path.lstrip("/")).stat().st_size for path in paths)

    def fetched(self) -> list[str]:
        """Return the requests for content (and not for what the depot has)."""
        return [path for path in self.requests if path.endswith(".filez")]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Answers one connection."""

    def __init__(self, server: Server, *args: t.Any, **kwargs: t.Any) -> None:
        self.depot = server
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        self.depot.requests.append(self.path)
        with contextlib.suppress(Cut, ConnectionError):
            self.depot.hook(self.path)
            super().do_GET()

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - the parent's name for it
        pass


def no_hook(_path: str) -> None:
    """Let every answer through."""


def cut(_path: str) -> None:
    """Answer nothing."""
    raise Cut
