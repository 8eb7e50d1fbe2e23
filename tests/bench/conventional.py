"""The other way: a full image of Debian 13 with the same nginx, and instances of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import apt
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.tests.bench import fleet

SUITE = "trixie"
PACKAGES = "systemd,systemd-sysv,dbus,iproute2,ca-certificates,nginx"
METADATA = "architecture: x86_64\ncreation_date: 1\nproperties:\n  description: Debian 13 with nginx\n"
ALIAS = "conventional"
BOOT_TIMEOUT = 60


class Clones(t.NamedTuple):
    """What instances of the image cost, in bytes."""

    disk_first: int
    disk_each: int
    memory_each: int


class Content(t.NamedTuple):
    """What an image has: packages, files by path, and services to enable; compressed as image servers do (xz)."""

    packages: str = PACKAGES
    files: t.Mapping[str, str] = {}
    enabled: t.Sequence[str] = ()
    compression: str = "xz -T0 -3"


def build_image(work: Path, content: Content) -> Path:
    """Return a unified image."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    found = apt.read_sources(Path("/etc/apt"))
    sources = apt.for_suite(found, release["VERSION_CODENAME"], SUITE, ["main"], [])
    (work / "image.sources").write_text(apt.render_sources(sources))
    (work / "metadata.yaml").write_text(METADATA)
    root, image = work / "rootfs", work / "image.tar.xz"
    argv = [
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        f"--include={content.packages}",
        "--format=directory",
    ]
    subprocess.run([*argv, SUITE, root, work / "image.sources"], check=True)
    for path, text in content.files.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_text(text)
    for unit in content.enabled:
        subprocess.run(["systemctl", f"--root={root}", "--quiet", "enable", unit], check=True)
    pack = ["tar", "--create", "--numeric-owner", f"--use-compress-program={content.compression}", f"--file={image}"]
    subprocess.run([*pack, f"--directory={work}", "metadata.yaml", "rootfs"], check=True)
    subprocess.run(["rm", "--recursive", "--force", "--one-file-system", root], check=True)
    return image


@contextlib.contextmanager
def clones(image: Path, count: int) -> t.Iterator[Clones]:
    """Have ``count`` instances of the image running, and what they cost."""
    engine = Engine(project=fleet.NAME, timeout=300)
    empty = pool_used(engine)
    engine.upload_image(image.read_bytes(), {"description": ALIAS}, ALIAS)
    names = [f"clone{number}" for number in range(1, count + 1)]
    try:
        start(engine, names[0])
        first = pool_used(engine)
        for name in names[1:]:
            start(engine, name)
        used = pool_used(engine)
        yield Clones(first - empty, (used - first) // (count - 1), fleet.memory_per_instance(engine))
    finally:
        for name in names:
            if engine.find(f"/instances/{name}"):
                engine.kill(name)
                engine.delete(f"/instances/{name}")


def start(engine: Engine, name: str) -> None:
    """Make and start an instance, and wait until it has booted."""
    source = {"type": "image", "alias": ALIAS}
    devices = {"root": {"type": "disk", "pool": fleet.NAME, "path": "/"}}
    config = {"security.idmap.isolated": "true"}
    body = {"name": name, "type": "container", "profiles": [], "source": source, "devices": devices, "config": config}
    engine.create("/instances", body)
    engine.set_state(name, "start")
    deadline = time.monotonic() + BOOT_TIMEOUT
    while engine.execute(name, ["systemctl", "is-active", "nginx.service"]).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError(name)
        time.sleep(0.2)


def pool_used(engine: Engine) -> int:
    """Return the bytes that the pool takes."""
    os.sync()
    return int(engine.read(f"/storage-pools/{fleet.NAME}/resources")[0]["space"]["used"])
