# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building an app: what installing it over the exact base changes, as a sysext and a confext."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pathlib
import shutil
import time
import typing as t

from ansible.module_utils.urls import open_url
from ansible_collections.strata.fleet.plugins.module_utils import (
    accounts,
    apt,
    bases,
    changelogs,
    command,
    firewall,
    hardened_app,
    layers,
    refusals,
    sandbox,
    sbom,
)
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot, Draft, Tell, folder_bytes
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError, Unreachable
from ansible_collections.strata.fleet.plugins.module_utils.sizes import parse_size

Description = t.Mapping[str, t.Any]
# Raised when the code below makes another tree from the same description.
RECIPE = 2
# What installing a package needs besides the base's usr and etc.
ROOT_FOLDERS = (
    *("dev", "proc", "run", "sys", "tmp", "root", "home", "mnt", "srv", "usr/sbin", "etc"),
    *(
        f"var/{name}"
        for name in ("cache/apt/archives/partial", "lib/apt", "lib/misc", "lib/systemd", "log", "spool", "tmp")
    ),
    *(f"var/{name}" for name in ("cache/debconf", "cache/ldconfig", "lib/pam", "local", "mail", "opt", "backups")),
)
# Everything in a mount namespace of its own: a kill at any line leaves no mount and no process behind.
INSTALL = r"""
set -eu
root=$1 lower=$2 upper=$3 scratch=$4 debs=$5 definitions=$6
shift 6
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$scratch" "$root"
for folder in dev run tmp; do mount -t tmpfs tmpfs "$root/$folder"; done
mount -t proc proc "$root/proc"
for node in null zero full random urandom; do : > "$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"; done
[ ! -s "$definitions" ] || systemd-sysusers --root="$root" "$definitions"
if [ $# -gt 0 ]; then
    mount --bind "$debs" "$root/var/cache/apt/archives"
    "$@"
    umount "$root/var/cache/apt/archives"
fi
"""
ENABLE = r"""
set -eu
root=$1 lower=$2 upper=$3 scratch=$4
shift 4
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$scratch" "$root"
systemctl --root="$root" --quiet enable "$@"
"""
# In a network of its own, which it sees and changes nothing of.
CHECK_FIREWALL = r"""
set -eu
root=$1 lower=$2 upper=$3 scratch=$4 ruleset=$5
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$scratch" "$root"
exec unshare --net -- chroot "$root" /usr/sbin/nft --check --file "$ruleset"
"""


@dataclasses.dataclass(frozen=True)
class Base:
    """The exact base that an app is built over, checked out on the depot host."""

    commit: str
    manifest: dict[str, t.Any]
    tree: pathlib.Path

    @property
    def status(self) -> pathlib.Path:
        return self.tree / "usr/lib/sysimage/dpkg/status"

    def description(self) -> dict[str, t.Any]:
        """Return how the base was described: the suites from which its packages came."""
        kept = json.loads((self.tree / "usr/lib/strata/base.json").read_text(encoding="utf-8"))
        return {"name": self.manifest["name"], **kept}


def find_base(depot: Depot, description: Description, channel: str) -> Base:
    name = description["base"]
    commit = depot.channel("base", name, channel)
    if commit is None:
        raise BadInput(
            f"The app {description['name']!r} needs base/{name}/{channel}, which {depot.path} does not have:"
            " build the base first, or name another",
            key="base",
        )
    tree = depot.work / "bases" / commit
    depot.repo.checkout(commit, str(tree))
    for other in tree.parent.iterdir():
        if other.name not in depot.repo.refs().values():
            bases.remove(other)
    return Base(commit, depot.repo.manifest(commit, kind="base", name=name), tree)


def resolve(archive: apt.Archive, description: Description, base: Base) -> list[apt.Deb]:
    """Return what apt would install over the base; an app without packages asks nobody."""
    wanted = description.get("packages", [])
    if not wanted:
        return []
    archive.prepare()
    return archive.resolve(wanted, base.status)


def digest_of(description: Description, tree_digest: str, base: Base, debs: t.Sequence[apt.Deb]) -> str:
    own = (RECIPE, INSTALL, ENABLE, ROOT_FOLDERS, layers.DROPPED, apt.LEFT_OUT, sandbox.PRESETS)
    return bases.inputs_digest(own, description, tree_digest, base.commit, [(deb.file, deb.digest) for deb in debs])


class Build:
    """One build of an app, in a scratch folder of its own."""

    def __init__(self, depot: Depot, description: Description, base: Base, packed: pathlib.Path) -> None:
        """``packed`` is the app's folder as a tar file."""
        self._depot = depot
        self._description = description
        self._base = base
        self._packed = packed
        self._scratch = depot.work / "build" / f"app-{description['name']}"
        self._upper = self._scratch / "upper"
        self._skeleton = self._scratch / "skeleton"
        self._tree = self._scratch / "tree"
        self._source = self._scratch / "source"

    def run(self, packages: apt.Archive, channel: str, inputs: str) -> None:
        """Build and publish what differs from the versions in use."""
        bases.remove(self._scratch)
        try:
            self._prepare()
            self._install(packages)
            self._add_archives()
            self._add_files()
            self._enable()
            hardened_app.restrict(self._description, self._upper)
            hardened_app.open_ports(self._description, self._upper)
            self._check_firewall()
            self._split()
            found = self.new_packages()
            tell = functools.partial(changelogs.describe, packages, found, self._scratch / "changelogs")
            self._depot.publish(self._draft(found, channel, inputs, tell))
        finally:
            bases.remove(self._scratch)

    def _prepare(self) -> None:
        for name in ("root", "upper", "scratch", "tree", "source"):
            layers.make_folder(self._scratch / name)
        unpack(self._packed, self._source)
        for name in ROOT_FOLDERS:
            layers.make_folder(self._skeleton / name)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self._skeleton / name).symlink_to(f"usr/{name}")
        shutil.copytree(self._base.status.parent, self._skeleton / "var/lib/dpkg", symlinks=True)
        # No package may start its services here.
        bases.write(self._skeleton / "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        # Before the packages, which replace no configuration file that is there and may do what it says.
        self._add_files()

    def _in_overlay(self, script: str, *arguments: str, env: t.Mapping[str, str] | None = None) -> None:
        scratch = self._scratch
        folders = (scratch / "root", f"{self._skeleton}:{self._base.tree}", self._upper, scratch / "scratch")
        argv = (*bases.command_of_its_own(), "sh", "-c", script, "sh", *map(str, folders), *arguments)
        command.run(argv, env=env)

    def _install(self, packages: apt.Archive) -> None:
        definitions = self._scratch / "sysusers.conf"
        definitions.write_text(self._sysusers(), encoding="utf-8")
        root = self._scratch / "root"
        options = {
            "Dir::State::status": f"{root}/var/lib/dpkg/status",
            "Dir::Cache::archives": f"{root}/var/cache/apt/archives/",
            "DPkg::Chroot-Directory": str(root),
        }
        argv = ["apt-get", "--quiet", "--yes", "-o", "DPkg::Options::=--force-confold"]
        argv += [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        argv += [word for option in apt.LEFT_OUT for word in ("-o", f"DPkg::Options::={option}")]
        names = self._description.get("packages", [])
        environment = {**packages.environment(), "SOURCE_DATE_EPOCH": bases.BUILD_TIME, "SYSTEMD_OFFLINE": "1"}
        call = [*argv, "install", *names] if names else []
        self._in_overlay(INSTALL, str(packages.debs), str(definitions), *call, env=environment)

    def _sysusers(self) -> str:
        return accounts.sysusers(self._description.get("accounts", []), self._description.get("groups", []))

    def _add_files(self) -> None:
        if (self._source / "files").is_dir():
            shutil.copytree(self._source / "files", self._upper, symlinks=True, dirs_exist_ok=True)

    def _add_archives(self) -> None:
        for each in self._description.get("archives", []):
            file = fetch(each, self._source, self._scratch)
            target = self._upper / each["target"].lstrip("/")
            layers.make_folder(target)
            unpack(file, target, each.get("strip", 0))

    def _enable(self) -> None:
        # What packages enabled is their taste; app.yml says what runs.
        for link in (self._upper / "etc/systemd/system").glob("*.wants/*"):
            link.unlink()
        if wanted := self._description.get("services", []):
            self._in_overlay(ENABLE, *wanted)

    def _check_firewall(self) -> None:
        """Have the nft of a base that has a firewall look at what the app adds to it."""
        if (self._base.tree / firewall.RULESET).is_file():
            self._in_overlay(CHECK_FIREWALL, f"/{firewall.RULESET}")

    def _split(self) -> None:
        description = self._description
        split = layers.Split(self._upper, (self._base.tree, self._skeleton), self._tree, description.get("exclude", []))
        split.run()
        problems = [*split.problems, *self._account_problems(), *self._content_problems()]
        refusals.refuse(description["name"], problems, description.get("allow", {}))
        self._write_facts(split)

    def _write_facts(self, split: layers.Split) -> None:
        name = self._description["name"]
        release = layers.extension_release(self.abi())
        usr, etc = self._tree / "sysext/usr", self._tree / "confext/etc"
        bases.write(usr / f"lib/extension-release.d/extension-release.{name}", release)
        bases.write(etc / f"extension-release.d/extension-release.{name}", release)
        joined = accounts.new_memberships(self._table("group", self._base.tree), self._table("group", self._upper))
        if definitions := self._sysusers() + "".join(
            line for line in joined.splitlines(True) if line not in self._sysusers()
        ):
            bases.write(usr / f"lib/sysusers.d/strata-{name}.conf", definitions)
        if lines := layers.tmpfiles(split.state, self._tree):
            bases.write(usr / f"lib/tmpfiles.d/strata-{name}.conf", lines)

    def _table(self, kind: str, root: pathlib.Path) -> accounts.Table:
        return accounts.read_table(root / "etc" / kind)

    def _account_problems(self) -> t.Iterator[refusals.Problem]:
        own, groups = self._description.get("accounts", []), self._description.get("groups", [])
        declared = {"passwd": accounts.declared_users(own), "group": accounts.declared_groups(own, groups)}
        for kind, numbers in declared.items():
            yield from accounts.undeclared(
                kind, self._table(kind, self._base.tree), self._table(kind, self._upper), numbers
            )

    def _content_problems(self) -> t.Iterator[refusals.Problem]:
        for layer, top in (("sysext", "usr"), ("sysext", "opt"), ("confext", "etc")):
            yield from refusals.find_problems(self._tree / layer, top, setid=True)

    def abi(self) -> str:
        return "_any" if self._description.get("abi") == "any" else str(self._base.manifest["abi"])

    def new_packages(self) -> list[sbom.Package]:
        status = self._upper / "var/lib/dpkg/status"
        before = {(package.name, package.version) for package in sbom.read_packages(self._base.status)}
        found = sbom.read_packages(status) if status.is_file() else []
        return [package for package in found if (package.name, package.version) not in before]

    def _draft(self, packages: t.Sequence[sbom.Package], channel: str, inputs: str, tell: Tell) -> Draft:
        description = self._description
        numbers = {kind: {**self._numbers(kind)} for kind in ("passwd", "group")}
        manifest = {
            **manifest_of(description, self._source, numbers),
            "abi": self.abi(),
            "base": {
                "name": description["base"],
                "version": self._base.manifest["version"],
                "commit": self._base.commit,
            },
            "architecture": self._base.manifest["architecture"],
            "packages": {package.name: package.version for package in packages},
            "size": folder_bytes(str(self._tree)),
            "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        files = [{"name": pathlib.PurePath(each["source"]).name, **each} for each in description.get("archives", [])]
        prefix = f"{description['version']}-"
        name, tree = description["name"], str(self._tree)
        return Draft("app", name, channel, tree, prefix, manifest, packages, files, inputs, tell)

    def _numbers(self, kind: str) -> dict[str, int]:
        tables = self._table(kind, self._base.tree) | self._table(kind, self._upper)
        return {name: int(fields[accounts.PASSWD_UID]) for name, fields in tables.items()}


def manifest_of(
    description: Description, source: pathlib.Path, numbers: t.Mapping[str, t.Mapping[str, int]]
) -> dict[str, t.Any]:
    """Return the part of the manifest that app.yml says, in numbers and bytes."""
    config = description.get("config", {})
    needs = description.get("needs", {})
    volumes = description.get("volumes", [{"name": "var", "path": "/var", "size": "1GiB"}])
    return {
        "format": 1,
        "kind": "app",
        "name": description["name"],
        "vendor": description["vendor"],
        "accounts": [dict(each) for each in description.get("accounts", [])],
        "services": list(description.get("services", [])),
        "ports": [{"protocol": "tcp", **each} for each in description.get("ports", [])],
        "volumes": [{**each, "size": parse_size(each["size"])} for each in volumes],
        "config": {
            "options": {name: option_of(option) for name, option in config.get("options", {}).items()},
            "templates": [template_of(each, source, numbers) for each in config.get("templates", [])],
        },
        "health": dict(description["health"]),
        "quiesce": {"freeze": [], "thaw": [], **description.get("quiesce", {})},
        "state_schema": description.get("state_schema", ""),
        "needs": {"memory": parse_size(needs.get("memory", "64MiB")), "cpus": needs.get("cpus", 1)},
    }


def option_of(option: Description) -> dict[str, t.Any]:
    return {"required": False, "secret": False, "description": "", **option}


def template_of(
    each: Description, source: pathlib.Path, numbers: t.Mapping[str, t.Mapping[str, int]]
) -> dict[str, t.Any]:
    """Return the template with its text, and its owner as numbers."""
    file = source / each["source"]
    if not file.is_file():
        raise BadInput(f"The template {each['source']!r} is not among the app's files", key="config.templates")
    owner, group = each.get("owner", "root"), each.get("group", "root")
    for kind, name in (("passwd", owner), ("group", group)):
        if name not in numbers[kind]:
            raise BadInput(
                f"The template for {each['path']} belongs to {name!r}, which neither the base nor the app has",
                key="config.templates",
            )
    return {
        "mode": "0644",
        "on_change": "restart",
        "units": [],
        **{key: value for key, value in each.items() if key != "source"},
        "owner": owner,
        "group": group,
        "uid": numbers["passwd"][owner],
        "gid": numbers["group"][group],
        "content": file.read_text(encoding="utf-8"),
    }


def fetch(archive: Description, source: pathlib.Path, scratch: pathlib.Path) -> pathlib.Path:
    """Return the archive's file, after its checksum was found right."""
    place = archive["source"]
    if "://" in place:
        file = scratch / pathlib.PurePath(place).name
        try:
            with open_url(place, timeout=60) as answer, file.open("wb") as target:
                shutil.copyfileobj(answer, target)
        except OSError as error:
            raise Unreachable(f"The archive {place} could not be fetched: {error}") from error
    else:
        file = source / place
        if not file.is_file():
            raise BadInput(f"The archive {place!r} is not among the app's files", key="archives")
    found = file_digest(file)
    if found != archive["sha256"]:
        raise ContentError(
            f"The archive {place} has the SHA-256 {found}, not {archive['sha256']}: it is not used", path=place
        )
    return file


def unpack(file: pathlib.Path, target: pathlib.Path, strip: int = 0) -> None:
    options = ["--no-same-owner", f"--strip-components={strip}"]
    command.run(["tar", "--extract", *options, f"--file={file}", f"--directory={target}"])


def file_digest(file: pathlib.Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
