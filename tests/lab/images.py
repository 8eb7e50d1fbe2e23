"""Node images: Debian from the archive that this machine's own apt sources name, with systemd and sshd."""

from __future__ import annotations

import io
import platform
import subprocess
import tarfile
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from ansible_collections.strata.fleet.tests.lab.definition import Image

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PREPARE = Path(__file__).resolve().parent / "prepare.sh"


def build(image: Image, folder: Path) -> Path:
    """Return the image's unified tarball, built unless ``folder`` has it."""
    target = folder / f"{image.alias}.tar"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    tree, new = folder / f"{image.alias}.tree.tar", target.with_suffix(".new")
    argv = ["mmdebstrap", "--variant=apt", f"--include={','.join(image.packages)}", f"--customize-hook={PREPARE}"]
    options = [
        "--quiet",
        "--aptopt=APT::Install-Recommends false",
        "--aptopt=Acquire::Languages none",
        f"--keyring={KEYRING}",
    ]
    sources = "".join(f"{line}\n" for line in read_sources(image.suite))
    subprocess.run([*argv, *options, image.suite, str(tree), "-"], input=sources, text=True, check=True)
    _unify(tree, new)
    tree.unlink()
    for older in folder.glob(f"{image.name}-*.tar"):
        older.unlink()
    new.rename(target)
    return target


def read_sources(suite: str) -> list[str]:
    """Return apt sources for ``suite``, from the same servers as this machine's."""
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    form = "--format=$(RELEASE) $(COMPONENT) $(REPO_URI)"
    output = subprocess.run(
        ["apt-get", "indextargets", form, "Created-By: Packages"], capture_output=True, text=True, check=True
    ).stdout
    found = {}
    for line in output.splitlines():
        name, component, address = line.split()
        if component == "main":
            found[name] = address
    if release not in found:
        raise SystemExit(f"This machine's apt sources do not name {release}: the lab cannot tell where Debian is.")
    wanted = [(release, suite), (release, f"{suite}-updates"), (f"{release}-security", f"{suite}-security")]
    return [f"deb [signed-by={KEYRING}] {found[own]} {theirs} main" for own, theirs in wanted if own in found]


def _unify(tree: Path, target: Path) -> None:
    # Without properties of its own, an image that is imported with some makes incusd 6.0 panic.
    metadata = f"architecture: {platform.machine()}\ncreation_date: 1\nproperties:\n  os: Debian\n".encode()
    with tarfile.open(tree) as source, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as unified:
        entry = tarfile.TarInfo("metadata.yaml")
        entry.size = len(metadata)
        unified.addfile(entry, io.BytesIO(metadata))
        for member in source:
            if member.isdev():
                continue
            member.name = f"rootfs/{member.name.removeprefix('./')}".rstrip("/.")
            if member.islnk():
                member.linkname = f"rootfs/{member.linkname.removeprefix('./')}"
            # Extended headers would bring the old names back.
            member.pax_headers = {key: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.")}
            unified.addfile(member, source.extractfile(member) if member.isreg() else None)
