"""A small signed package archive that offers fixes of real packages, to build with besides Debian's own."""

from __future__ import annotations

import contextlib
import email.utils
import functools
import hashlib
import http.server
import os
import subprocess
import tempfile
import threading
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import apt, bases

SUITE = "fixes"
# What no layer keeps; a file that is changed must be one that it does.
NOT_KEPT = ("doc", "man", "info", "locale", "lintian", "bug")


def debian_sources(suite: str) -> list[apt.Source]:
    """Return Debian's own archive, as this machine knows it."""
    own = bases.read_os_release(Path("/")).get("VERSION_CODENAME", "")
    return apt.for_suite(apt.read_sources(Path("/etc/apt")), own=own, suite=suite, components=["main"], extra=[])


def debian(suite: str = "trixie") -> list[dict[str, t.Any]]:
    """Return the same in the shape of base_sources."""
    keys = ("uris", "suites", "components")
    return [
        {**{key: list(getattr(each, key)) for key in keys}, "signed_by": each.signed_by}
        for each in debian_sources(suite)
    ]


@contextlib.contextmanager
def archive(folder: Path, suite: str = "trixie") -> t.Iterator[Archive]:
    """Give an empty archive in ``folder`` for packages of this suite, with a key of its own."""
    # pytest's own temporary folders are too deep for the agent's socket.
    with tempfile.TemporaryDirectory(prefix="sg-", dir="/tmp") as home:
        gpg = ("gpg", "--homedir", home, "--batch", "--quiet")
        subprocess.run([*gpg, "--passphrase", "", "--quick-gen-key", "fixes@test", "ed25519", "sign"], check=True)
        made = Archive(folder, gpg, suite)
        made.publish()
        try:
            yield made
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


@contextlib.contextmanager
def served(folder: Path, address: str = "127.0.0.1") -> t.Iterator[str]:
    """Serve a folder over HTTP and give its address."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer((address, 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://{address}:{server.server_port}"
        finally:
            server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - the parent's name for it
        pass


class Archive:
    """A folder with packages, and their list signed by a key that is there only for this."""

    def __init__(self, folder: Path, gpg: tuple[str, ...], suite: str) -> None:
        self.folder = folder
        self.key = folder / "key.asc"
        self._gpg = gpg
        self._scratch = folder / "scratch"
        self._pool = folder / "pool"
        for each in (self._scratch, self._pool):
            each.mkdir(mode=0o755, parents=True, exist_ok=True)
        # apt reads as a user of its own.
        folder.chmod(0o755)
        subprocess.run([*gpg, "--yes", "--armor", "--output", str(self.key), "--export"], check=True)
        self._debian = apt.Archive(self._scratch / "apt", debian_sources(suite), {})

    def source(self, url: str = "") -> dict[str, t.Any]:
        """Return this archive in the shape of base_sources, read at ``url`` or, without one, as files."""
        uri = url or f"copy:{self.folder}"
        return {"uris": [uri], "suites": [SUITE], "components": ["main"], "signed_by": str(self.key)}

    def fix(self, package: str, cve: str, *, advisory: str = "DSA-9999-1", path: str = "") -> tuple[str, str]:
        """Offer a fixed version of a real package; return the real version and the fixed one.

        Its changelog names ``cve`` and ``advisory``; of its files, ``path`` (or the largest) has a line more.
        """
        root = self._unpack(package)
        control = root / "DEBIAN/control"
        fields = dict(line.split(": ", 1) for line in control.read_text().splitlines() if ": " in line)
        old = fields["Version"]
        new = f"{old}+fix1"
        control.write_text(control.read_text().replace(f"Version: {old}\n", f"Version: {new}\n"))
        source = fields.get("Source", package).split(" ")[0]
        add_to_changelog(root, package, f"{source} ({new})", f"  * Fix {cve} ({advisory}): a fault made up for a test.")
        file = root / path.lstrip("/") if path else largest(root)
        with file.open("ab") as content:
            content.write(f"\n# {cve} is fixed here.\n".encode())
        built = self._pool / f"{package}_{new.replace(':', '%3a')}_{fields['Architecture']}.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", root, built], check=True, capture_output=True
        )
        self.publish()
        return old, new

    def _unpack(self, package: str) -> Path:
        root = self._scratch / package
        subprocess.run(["rm", "-rf", root], check=True)
        self._debian.prepare()
        debs = self._scratch / "debs"
        debs.mkdir(exist_ok=True)
        found = self._debian.resolve([package])
        version = next(deb.package[1] for deb in found if deb.package[0] == package)
        deb = self._debian.download(package, version, debs)
        subprocess.run(["dpkg-deb", "--raw-extract", deb, root], check=True)
        return root

    def publish(self) -> None:
        """List what is there, and sign the list."""
        architecture = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
        place = f"main/binary-{architecture.stdout.strip()}/Packages"
        top = self.folder / "dists" / SUITE
        (top / place).parent.mkdir(parents=True, exist_ok=True)
        (top / place).write_text("\n".join(self._stanza(deb) for deb in sorted(self._pool.glob("*.deb"))))
        listed = (top / place).read_bytes()
        release = {
            "Origin": "Strata tests",
            "Suite": SUITE,
            "Codename": SUITE,
            "Date": email.utils.formatdate(usegmt=True),
            "Architectures": architecture.stdout.strip(),
            "Components": "main",
            "SHA256": f"\n {hashlib.sha256(listed).hexdigest()} {len(listed)} {place}",
        }
        (top / "Release").write_text("".join(f"{key}: {value}\n" for key, value in release.items()))
        sign = [*self._gpg, "--yes", "--clearsign", "--output", str(top / "InRelease"), str(top / "Release")]
        subprocess.run(sign, check=True)

    def _stanza(self, deb: Path) -> str:
        fields = subprocess.run(["dpkg-deb", "--field", deb], check=True, capture_output=True, text=True).stdout
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        place = deb.relative_to(self.folder)
        return f"{fields.rstrip()}\nFilename: {place}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"


def add_to_changelog(root: Path, package: str, heading: str, line: str) -> None:
    """Write one more entry before the others of a package's changelog, where it is: some link to another package's."""
    folder = root / "usr/share/doc" / package
    if folder.is_symlink():
        folder.unlink()
        folder.mkdir()
    file = next((each for each in (folder / "changelog.Debian.gz", folder / "changelog.gz") if each.is_file()), None)
    file = file or folder / "changelog.Debian.gz"
    entry = f"{heading} {SUITE}; urgency=high\n\n{line}\n\n -- Nobody <nobody@test>  {email.utils.formatdate()}\n\n"
    kept = subprocess.run(["zcat", "-f", file], check=True, capture_output=True).stdout if file.exists() else b""
    packed = subprocess.run(["gzip", "-9n"], input=entry.encode() + kept, check=True, capture_output=True).stdout
    file.unlink(missing_ok=True)
    file.write_bytes(packed)


def largest(root: Path) -> Path:
    """Return the largest file of a package that a layer keeps."""
    found = []
    for top, _folders, files in os.walk(root):
        place = Path(top).relative_to(root)
        if place.parts[:1] in (("usr",), ("etc",)) and not (
            place.parts[1:2] == ("share",) and set(place.parts) & set(NOT_KEPT)
        ):
            found += [Path(top, name) for name in files if not Path(top, name).is_symlink()]
    return max(found, key=lambda file: (file.stat().st_size, str(file)))
