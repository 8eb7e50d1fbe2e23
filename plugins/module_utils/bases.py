# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building a base: an operating system's ``/usr`` and ``/etc``, and nothing of any machine."""

from __future__ import annotations

import functools
import hashlib
import json
import pathlib
import shutil
import time
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import (
    apt,
    changelogs,
    command,
    firewall,
    hardened_tree,
    hardening,
    refusals,
    sbom,
)
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot, Draft, Tell, folder_bytes
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput

# Raised when the code below makes another tree from the same description.
RECIPE = 2
# OSTree keeps no times; this one ends up as the day of the last password change in /etc/shadow.
BUILD_TIME = "1767225600"
PACKAGES = (
    "ca-certificates",
    "dbus-broker",
    "netbase",
    "systemd",
    "systemd-resolved",
    "systemd-sysv",
    "tzdata",
)
SERVICES = ("systemd-networkd.service", "systemd-resolved.service")
# Merging is stage 0's work; /etc is read-only; nobody logs in; the engine's host has the devices and the clock.
# Waiting for the network would be most of a boot's time, and what listens on every address need not wait.
MASKED = (
    "console-getty.service",
    "container-getty@.service",
    "dpkg-db-backup.service",
    "dpkg-db-backup.timer",
    "fstrim.timer",
    "getty@.service",
    "ldconfig.service",
    "proc-sys-fs-binfmt_misc.automount",
    "serial-getty@.service",
    "systemd-binfmt.service",
    "systemd-confext.service",
    "systemd-firstboot.service",
    "systemd-journal-catalog-update.service",
    "systemd-logind.service",
    "systemd-machine-id-commit.service",
    "systemd-modules-load.service",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
    "systemd-sysext.service",
    "systemd-sysext.socket",
    "systemd-sysusers.service",
    "systemd-update-done.service",
)
# mmdebstrap's own way to have /usr merged from the start, for releases whose packages do not do that (Debian 12).
MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
OWN_FILES = {
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    # A later file with a lower number, such as the config layer's, takes precedence.
    "usr/lib/systemd/network/90-strata-dhcp.network": (
        "[Match]\nType=ether\n\n[Network]\nDHCP=ipv4\n\n[DHCPv4]\nUseHostname=no\n"
    ),
    # Names are looked up through the D-Bus and the file in /run; nothing listens.
    "usr/lib/systemd/resolved.conf.d/50-strata.conf": "[Resolve]\nDNSStubListener=no\nLLMNR=no\nMulticastDNS=no\n",
    "usr/lib/tmpfiles.d/strata-base.conf": "L /var/lib/dpkg - - - - ../../usr/lib/sysimage/dpkg\n",
}
LINKS = {
    "etc/machine-id": "../run/machine-id",
    "etc/resolv.conf": "../run/systemd/resolve/resolv.conf",
}
# What building leaves behind in /etc; none of it belongs to an operating system that every appliance shares.
LEFT_BEHIND = (
    "etc/.pwd.lock",
    "etc/apt",
    "etc/fstab",
    "etc/group-",
    "etc/gshadow-",
    "etc/hostname",
    "etc/passwd-",
    "etc/rc?.d",
    "etc/rcS.d",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "usr/lib/sysimage/dpkg/*-old",
    "usr/lib/sysimage/dpkg/lock*",
    "usr/lib/sysimage/dpkg/triggers/Lock",
    "usr/share/doc/*/README*",
)


def all_packages(description: t.Mapping[str, t.Any]) -> list[str]:
    return sorted({*PACKAGES, *description.get("packages", []), *hardening.packages(rules_of(description))})


def rules_of(description: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the values of the rules that the base is built by; the controller put them in place of the name."""
    return t.cast("dict[str, t.Any]", description.get("lockdown", {}).get("rules", {}))


def archive(depot: Depot, description: t.Mapping[str, t.Any], given: t.Sequence[apt.Source]) -> apt.Archive:
    """Return the package archive for this description: the one ``given``, else the build machine's own."""
    suite = description["suite"]
    pins = {each["suite"]: each["packages"] for each in description.get("backports", [])}
    sources = given or apt.for_suite(
        apt.read_sources(pathlib.Path("/etc/apt")),
        own=read_os_release(pathlib.Path("/")).get("VERSION_CODENAME", ""),
        suite=suite,
        components=description.get("components", ["main"]),
        extra=sorted(pins),
    )
    return apt.Archive(depot.work / "apt" / description["name"], sources, pins)


def read_os_release(root: pathlib.Path) -> dict[str, str]:
    lines = (root / "usr/lib/os-release").read_text(encoding="utf-8").splitlines()
    return {key: value.strip('"') for key, _equals, value in (line.partition("=") for line in lines) if value}


def inputs_digest(*parts: t.Any) -> str:
    """Return the identity of what is built: the digest of all that it is made from."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def digest_of(description: t.Mapping[str, t.Any], init: str, debs: t.Sequence[apt.Deb]) -> str:
    own = (
        RECIPE,
        hardening.RECIPE,
        firewall.files(),
        PACKAGES,
        SERVICES,
        MASKED,
        MERGED_USR,
        OWN_FILES,
        LINKS,
        LEFT_BEHIND,
        apt.LEFT_OUT,
    )
    return inputs_digest(own, description, init, [(deb.file, deb.digest) for deb in debs])


def bootstrap(packages: apt.Archive, description: t.Mapping[str, t.Any], root: pathlib.Path) -> None:
    """Have mmdebstrap install the packages into ``root``; its mounts vanish with it, even if it is killed."""
    hook = root.parent / "setup-hook"
    hook.write_text(f'#!/bin/sh\ncp {packages.preferences_file} "$1/etc/apt/preferences"\n', encoding="utf-8")
    hook.chmod(0o755)
    settings = packages.config_file.with_name("bootstrap.conf")
    settings.write_text('Acquire::Languages "none";\n' + apt.network_settings(), encoding="utf-8")
    argv = [
        *command_of_its_own(),
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=essential", "--format=directory"),
        f"--include={','.join(all_packages(description))}",
        f"--aptopt={settings}",
        *(f"--dpkgopt={option.removeprefix('--')}" for option in apt.LEFT_OUT),
        f"--setup-hook={hook}",
        *([f"--hook-dir={MERGED_USR}"] if "usr-is-merged" in all_packages(description) else []),
        *(description["suite"], str(root), str(packages.sources_file)),
    ]
    command.run(argv, env={"SOURCE_DATE_EPOCH": BUILD_TIME})


def command_of_its_own() -> tuple[str, ...]:
    """Return how a program is called so that it ends with this one and leaves no mount behind."""
    return ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def finish(root: pathlib.Path, description: t.Mapping[str, t.Any], init: str) -> None:
    """Turn an installed system into a base."""
    (root / "usr/lib/sysimage").mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg").rename(root / "usr/lib/sysimage/dpkg")
    command.run(["systemd-sysusers", f"--root={root}"], env={"SOURCE_DATE_EPOCH": BUILD_TIME})
    for pattern in LEFT_BEHIND:
        for left in sorted(root.glob(pattern)):
            remove(left)
    for place, text in OWN_FILES.items():
        write(root / place, text)
    for place, target in links(description).items():
        remove(root / place)
        (root / place).symlink_to(target)
    write(root / "etc/locale.conf", f"LANG={description.get('locale', 'C.UTF-8')}\n")
    write(root / "etc/timezone", f"{description.get('timezone', 'Etc/UTC')}\n")
    remove(root / "usr/sbin/init")
    write(root / "usr/sbin/init", init, 0o755)
    for each in description.get("files", []):
        write(root / each["path"].lstrip("/"), each["content"], int(each.get("mode", "0644"), 8))
    wanted = [*SERVICES, *description.get("services", []), *hardening.services(rules_of(description))]
    for place, text in hardening.files(rules_of(description)).items():
        write(root / place, text)
    command.run(["systemctl", f"--root={root}", "--quiet", "enable", *wanted])
    for unit in (*MASKED, *description.get("masked", [])):
        remove(root / "etc/systemd/system" / unit)
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    kept = {"suite": description["suite"], "components": description.get("components", ["main"])}
    write(root / "usr/lib/strata/base.json", json.dumps({**kept, "backports": description.get("backports", [])}) + "\n")
    hardened_tree.apply(root, rules_of(description))


def links(description: t.Mapping[str, t.Any]) -> dict[str, str]:
    return {**LINKS, "etc/localtime": f"../usr/share/zoneinfo/{description.get('timezone', 'Etc/UTC')}"}


def write(file: pathlib.Path, text: str, mode: int = 0o644) -> None:
    if not file.parent.is_dir():
        write_folders(file.parent)
    remove(file)
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)


def write_folders(folder: pathlib.Path) -> None:
    """Make the folder and those above it, whatever the caller's umask is."""
    for each in [*reversed(folder.parents), folder]:
        if not each.exists():
            each.mkdir()
            each.chmod(0o755)


def remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check(root: pathlib.Path, description: t.Mapping[str, t.Any]) -> None:
    """Refuse what must not be in a base."""
    if not (root / f"usr/share/zoneinfo/{description.get('timezone', 'Etc/UTC')}").exists():
        raise BadInput(f"{description['name']}: there is no timezone {description['timezone']!r}", key="timezone")
    found = [problem for top in ("usr", "etc") for problem in refusals.find_problems(root, top)]
    refusals.refuse(description["name"], found)
    hardened_tree.refuse(root, description["name"], description.get("lockdown", {}))


def build(
    depot: Depot, description: t.Mapping[str, t.Any], *, init: str, packages: apt.Archive, channel: str, inputs: str
) -> None:
    """Build and publish what differs from the versions in use."""
    scratch = depot.work / "build" / f"base-{description['name']}"
    remove(scratch)
    write_folders(scratch)
    try:
        root = scratch / "root"
        bootstrap(packages, description, root)
        finish(root, description, init)
        check(root, description)
        tree = scratch / "tree"
        tree.mkdir(mode=0o755)
        for top in ("usr", "etc"):
            (root / top).rename(tree / top)
        found = sbom.read_packages(tree / "usr/lib/sysimage/dpkg/status")
        tell = functools.partial(changelogs.describe, packages, found, scratch / "changelogs")
        depot.publish(draft(tree, description, found, channel=channel, inputs=inputs, tell=tell))
    finally:
        remove(scratch)


def draft(
    tree: pathlib.Path,
    description: t.Mapping[str, t.Any],
    found: t.Sequence[sbom.Package],
    *,
    channel: str,
    inputs: str,
    tell: Tell,
) -> Draft:
    release = read_os_release(tree)
    versions = {package.name: package.version for package in found}
    manifest = {
        "format": 1,
        "kind": "base",
        "name": description["name"],
        "abi": f"{release['ID']}-{release['VERSION_ID']}",
        "os": {"id": release["ID"], "version_id": release["VERSION_ID"]},
        "architecture": next(package.architecture for package in found if package.name == "libc6"),
        "systemd": versions["systemd"],
        "packages": versions,
        "lockdown": description.get("lockdown", {}).get("name", ""),
        "size": folder_bytes(str(tree)),
        "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    prefix = f"{release['VERSION_ID']}.{time.strftime('%Y%m%d', time.gmtime())}."
    return Draft("base", description["name"], channel, str(tree), prefix, manifest, found, [], inputs, tell)
