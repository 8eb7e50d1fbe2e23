"""Builds a real base and apps into a depot of its own: needs root, the package archive and two minutes."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import pathlib
import signal
import subprocess
import sys
import tarfile
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import bases
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result
from ansible_collections.strata.fleet.plugins.modules import app
from ansible_collections.strata.fleet.plugins.plugin_utils import descriptions
from ansible_collections.strata.fleet.tests.integration.content.conftest import build_base, without_deltas
from ansible_collections.strata.fleet.tests.integration.tools import wait_until

Data = dict[str, t.Any]
UNIT = "[Service]\nExecStart=/opt/tool/bin/tool\n\n[Install]\nWantedBy=multi-user.target\n"
TOOL: Data = {
    "name": "tool",
    "version": "1.0",
    "vendor": "acme",
    "base": "debian-13",
    "abi": "any",
    "accounts": [{"name": "tool", "uid": 930}],
    "services": ["tool.service"],
    "health": {"type": "tcp", "port": 80},
    "config": {
        "options": {"level": {"type": "int", "description": "How much", "default": 3}},
        "templates": [{"source": "templates/tool.conf.j2", "path": "/etc/tool.conf", "group": "tool", "mode": "0640"}],
    },
}


@pytest.fixture(scope="module", autouse=True)
def _no_deltas() -> t.Iterator[None]:
    """Leave out what takes most of the time and is tested by itself."""
    with without_deltas():
        yield


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """An app whose program comes in an archive."""
    root = tmp_path / "tool"
    for name, text in (
        ("program/tool-1.0/bin/tool", "#!/bin/sh\nexec sleep infinity\n"),
        ("files/etc/systemd/system/tool.service", UNIT),
        ("files/var/lib/tool/seed", "seed\n"),
        ("templates/tool.conf.j2", "level={{ level }}\n"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "program/tool-1.0/bin/tool").chmod(0o755)
    (root / "archives").mkdir()
    with tarfile.open(root / "archives/tool.tar.gz", "w:gz") as archive:
        archive.add(root / "program/tool-1.0", arcname="tool-1.0")
    return root


def with_archive(folder: pathlib.Path, **changes: t.Any) -> Data:
    digest = hashlib.sha256((folder / "archives/tool.tar.gz").read_bytes()).hexdigest()
    archive = {"source": "archives/tool.tar.gz", "sha256": digest, "target": "/opt/tool", "strip": 1}
    return {**copy.deepcopy(TOOL), "archives": [archive], **changes}


def parameters(place: str, folder: pathlib.Path, description: Data) -> Data:
    packed = folder.parent / "app.tar"
    descriptions.check(description, "app", "app.yml")
    descriptions.pack(folder, packed)
    given = {"folder": str(folder), "depot": place, "channel": "stable", "base": None, "base_channel": "stable"}
    return {**given, "sources": [], "lockdown": {}, "description": description, "tree": str(packed)}


def build_app(place: str, folder: pathlib.Path, description: Data, check_mode: bool = False) -> Result:
    return app.work(parameters(place, folder, description), check_mode)


def working_in(root: pathlib.Path) -> list[str]:
    """Return the command lines of processes that name a folder. Others come and go meanwhile."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().decode(errors="replace"))
    return [each for each in found if str(root) in each]


def test_a_base_is_built_once(place: str, debian: Result) -> None:
    version = debian.facts["version"]
    assert debian.changed
    assert (version["name"], version["abi"]) == ("debian-13", "debian-13")
    assert build_base(place, check_mode=True).steps == []
    again = build_base(place)
    assert (again.changed, again.steps, again.facts["version"]) == (False, [], version)


def test_the_same_content_is_not_published_again(place: str, debian: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "RECIPE", 0)
    again = build_base(place)
    assert again.steps[0].startswith("build ")
    assert (again.changed, again.facts["version"]) == (False, debian.facts["version"])
    assert build_base(place).steps == []


def test_what_a_base_has_and_has_not(place: str, debian: Result, tmp_path: pathlib.Path) -> None:
    repo = Repo(f"{place}/repo")
    repo.checkout(debian.facts["version"]["commit"], str(tmp_path / "tree"))
    tree = tmp_path / "tree"
    assert sorted(path.name for path in tree.iterdir()) == ["etc", "usr"]
    assert (tree / "usr/sbin/init").read_text().startswith("#!/bin/sh\n# Stage 0")
    assert (tree / "usr/lib/sysimage/dpkg/status").is_file()
    absent = ("etc/apt", "etc/hostname", "usr/bin/apt", "usr/bin/python3", "usr/sbin/sshd", "usr/bin/perl5")
    assert [name for name in absent if (tree / name).exists()] == []
    assert str((tree / "etc/machine-id").readlink()) == "../run/machine-id"
    own = subprocess.run(
        ["grep", "-rlI", "://.*/debian trixie", tree / "etc"], check=False, capture_output=True, text=True
    )
    assert own.stdout == ""


@pytest.mark.usefixtures("debian")
def test_an_app_from_an_archive(place: str, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    description = with_archive(folder)
    assert build_app(place, folder, description, check_mode=True).changed
    first = build_app(place, folder, description)
    assert (first.changed, first.facts["version"]["version"], first.facts["version"]["abi"]) == (True, "1.0-1", "_any")
    assert build_app(place, folder, description).steps == []
    repo = Repo(f"{place}/repo")
    commit = first.facts["version"]["commit"]
    repo.checkout(commit, str(tmp_path / "tree"))
    tree = tmp_path / "tree"
    assert (tree / "sysext/opt/tool/bin/tool").stat().st_mode & 0o777 == 0o755
    assert (tree / "sysext/usr/lib/extension-release.d/extension-release.tool").read_text() == "ID=_any\n"
    assert (tree / "sysext/usr/lib/sysusers.d/strata-tool.conf").read_text().startswith("g tool 930\nu tool 930:930")
    assert (tree / "sysext/usr/lib/tmpfiles.d/strata-tool.conf").read_text() == "C /var/lib/tool - - - - -\n"
    assert (tree / "confext/etc/systemd/system/multi-user.target.wants/tool.service").is_symlink()
    template = repo.manifest(commit, kind="app", name="tool")["config"]["templates"][0]
    assert (template["uid"], template["gid"], template["content"]) == (0, 930, "level={{ level }}\n")


@pytest.mark.usefixtures("debian")
def test_a_change_is_a_new_revision(place: str, folder: pathlib.Path) -> None:
    description = with_archive(folder, name="other", services=[])
    assert build_app(place, folder, description).facts["version"]["version"] == "1.0-1"
    (folder / "files/etc/other.conf").write_text("changed\n")
    assert build_app(place, folder, description).facts["version"]["version"] == "1.0-2"


@pytest.mark.usefixtures("debian")
def test_refusals(place: str, folder: pathlib.Path) -> None:
    with pytest.raises(ContentError, match=r"archives/tool\.tar\.gz has the SHA-256"):
        build_app(
            place,
            folder,
            with_archive(folder, archives=[{"source": "archives/tool.tar.gz", "sha256": "0" * 64, "target": "/opt"}]),
        )
    with pytest.raises(BadInput, match="needs base/debian-99/stable"):
        build_app(place, folder, with_archive(folder, base="debian-99"))
    with pytest.raises(BadInput, match="belongs to 'tool', which neither the base nor the app has"):
        build_app(place, folder, with_archive(folder, accounts=[]))
    (folder / "files/etc/hosts").write_text("127.0.0.1 elsewhere\n")
    with pytest.raises(BadInput, match=r"/etc/hosts: it would take the place of the base's file"):
        build_app(place, folder, with_archive(folder))
    assert Repo(f"{place}/repo").rev("app/tool/1.0-2") is None


@pytest.mark.usefixtures("debian")
def test_an_undeclared_account_of_a_package(place: str, folder: pathlib.Path) -> None:
    with pytest.raises(BadInput, match="/etc/passwd: the packages make the account 'uuidd'"):
        build_app(place, folder, with_archive(folder, name="uuid", packages=["uuid-runtime"]))


@pytest.mark.usefixtures("debian")
def test_a_kill_leaves_nothing(place: str, folder: pathlib.Path) -> None:
    description = with_archive(folder, name="killed", packages=["nginx"], services=[])
    given = parameters(place, folder, description)
    code = f"from ansible_collections.strata.fleet.plugins.modules import app; app.work({given!r}, False)"
    build = subprocess.Popen(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    root = pathlib.Path(place, "work/build/app-killed")
    wait_until((root / "upper/usr/share").exists)
    assert build.poll() is None
    build.send_signal(signal.SIGKILL)
    build.wait()
    wait_until(lambda: str(root) not in pathlib.Path("/proc/self/mounts").read_text())
    wait_until(lambda: not working_in(root))
    assert Repo(f"{place}/repo").rev("app/killed/stable") is None
    assert build_app(place, folder, description).changed
