# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking for what on a node is not as it was declared: content, keys, devices, roots and mounts. Changes nothing."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import config_layer, content, drift, mounts
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError
from ansible_collections.strata.fleet.plugins.module_utils.findings import CONFIG, LAYER, ROOT, STORE, Finding, cut
from ansible_collections.strata.fleet.plugins.module_utils.instance import CONFIG_LAYER, composition_of
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition
from ansible_collections.strata.fleet.plugins.module_utils.ostree import Repo
from ansible_collections.strata.fleet.plugins.module_utils.store import referenced

ACCOUNTS_LAYER = "00-accounts"  # stage 0 makes it where a layer defines accounts
ACCOUNTS = (
    "sysext/usr/lib/sysusers.d/*.conf",
    "confext/etc/sysusers.d/*.conf",
)
# A folder that is mapped can be renamed, but not removed; what stays in layers/ would be collected.
ASIDE = "mv {store}/layers/{commit} {store}/{commit}.damaged"
FETCH = "find out who did it, then deploy, which fetches it"
ANEW = (
    "find out who did it, then remove the appliance, which keeps its state (playbooks/remove.yml), and deploy it again"
)

UNREADABLE = "Error"  # the engine's status for an instance of which it gives the name only

Body = t.Mapping[str, t.Any]


class Node(t.NamedTuple):
    """Where to look. ``folder`` is the engine's own, where its pools are; ``pid`` is its process, which sees them."""

    engine: Engine
    folder: Path
    pid: int
    store: Path
    pool: str


class Version(t.NamedTuple):
    """A version in the store, who uses it, and what it consists of."""

    commit: str
    name: str
    users: str
    entries: t.Mapping[str, content.Entry]


class Report(t.NamedTuple):
    """``findings``, sentences of what could not be looked at, and the names of the instances that were."""

    findings: list[Finding]
    unchecked: list[str]
    appliances: list[str]


def server_pid(engine: Engine) -> int:
    """Return the engine's process."""
    return int(engine.server()["environment"]["server_pid"])


def verify(node: Node, *, read_content: bool, bodies: t.Sequence[Body] | None = None) -> Report:
    """Look at everything. Without ``read_content`` the versions in the store are not read again.

    ``bodies`` are the instances with their state; without them the engine is asked.
    """
    found = node.engine.instances(with_state=True) if bodies is None else bodies
    bodies = sorted(found, key=lambda body: str(body["name"]))
    repo = Repo(str(node.store / "repo"))
    volumes = _read_volumes(repo, bodies)
    findings = _store_findings(node, repo, bodies) if read_content and repo.exists() else []
    unchecked = []
    key = config_layer.read_key(node.store)
    for body in bodies:
        if body["status"] == UNREADABLE:
            unchecked.append(f"{body['name']}: the engine cannot read it just now (it may be going away)")
            continue
        composition = composition_of(body["config"])
        declared = volumes.get(composition.app.commit) if composition else None
        findings += drift.find_drift(body, str(node.store), node.pool, declared)
        if composition:
            findings += _config_findings(node.store, body["name"], composition, key)
            findings += _mount_findings(node, body, composition)
            root = _root_folder(node, body["name"])
            findings += _root_findings(root, body)
            if not root.is_dir():
                unchecked.append(f"{body['name']}: its root cannot be read while it is stopped ({root})")
    return Report(findings, unchecked, [body["name"] for body in bodies])


def _read_volumes(repo: Repo, bodies: t.Iterable[Body]) -> dict[str, dict[str, str]]:
    """Return the paths by name of the state volumes that apps declare, by the commits that the store has."""
    compositions = (composition_of(body["config"] or {}) for body in bodies)
    commits = {composition.app.commit for composition in compositions if composition}
    known = [commit for commit in commits if repo.exists() and repo.has_commit(commit)]
    return {commit: {each["name"]: each["path"] for each in repo.manifest(commit)["volumes"]} for commit in known}


def _store_findings(node: Node, repo: Repo, bodies: t.Sequence[Body]) -> list[Finding]:
    held = {commit: ref.removeprefix("held/") for ref, commit in repo.refs().items() if ref.startswith("held/")}
    users = _find_users(bodies)
    findings = [
        Finding("", LAYER, commit, f"{names} should run this version, but the store does not have it", FETCH)
        for commit, names in users.items()
        if commit not in held
    ]
    audit = content.audit(node.store / "repo")
    explained: set[str] = set()
    for commit, name in sorted(held.items(), key=lambda each: each[1]):
        try:
            entries = content.list_entries(node.store / "repo", commit)
        except CommandError as error:
            findings.append(Finding("", STORE, name, f"it cannot be read ({error.message})", _mend(node, commit)))
            continue
        explained |= {entry.checksum for entry in entries.values()}
        version = Version(commit, name, users.get(commit, "no appliance"), entries)
        findings += cut(_layer_findings(node, version, audit.damaged))
    if audit.said and not audit.damaged & explained:
        sentence = f"something in it is damaged ({' '.join(audit.said.split())})"
        findings.append(Finding("", STORE, f"{node.store}/repo", sentence, _mend(node, "")))
    return findings


def _layer_findings(node: Node, version: Version, damaged: t.Container[str]) -> t.Iterator[Finding]:
    folder = node.store / "layers" / version.commit
    if not folder.is_dir():
        yield Finding("", LAYER, version.name, f"{folder} was removed (used by {version.users})", FETCH)
        return
    for path, what in content.find_layer_faults(node.store / "repo", folder, version.entries, damaged):
        is_damaged = path in version.entries and version.entries[path].checksum in damaged
        remedy = _mend(node, version.commit, is_damaged=is_damaged)
        yield Finding("", LAYER, f"{version.name}:{path}", f"it {what} (used by {version.users})", remedy)


def _mend(node: Node, commit: str, *, is_damaged: bool = True) -> str:
    steps = [ASIDE.format(store=node.store, commit=commit)] if commit else []
    steps += [f"ostree fsck --all --delete --repo={node.store}/repo"] if is_damaged else []
    return f"find out who did it, then run {' and '.join(steps)}, deploy, and restart what uses it"


def _find_users(bodies: t.Iterable[Body]) -> dict[str, str]:
    users: dict[str, list[str]] = {}
    for body in bodies:
        composition = composition_of(body["config"] or {})
        for commit in referenced([composition] if composition else []):
            users.setdefault(commit, []).append(body["name"])
    return {commit: ", ".join(names) for commit, names in users.items()}


def _config_findings(store: Path, name: str, composition: Composition, key: bytes) -> list[Finding]:
    folder = store / "config" / name / composition.config
    return cut(
        Finding(name, CONFIG, str(folder / path), f"it {what}", ANEW)
        for path, what in config_layer.find_faults(store, name, composition.config, key)
    )


def _root_folder(node: Node, name: str) -> Path:
    own = name if node.engine.project == "default" else f"{node.engine.project}_{name}"
    folder = node.folder / "storage-pools" / node.pool / "containers" / own / "rootfs"
    # Where the engine's mounts are its own, only it sees what is in a pool.
    return Path(f"/proc/{node.pid}/root{folder}")


def _root_findings(root: Path, body: Body) -> list[Finding]:
    if not root.is_dir():
        return []
    mapped = [device["path"] for device in body["devices"].values() if device.get("type") == "disk"]
    faults = content.find_root_faults(root, mapped)
    return cut(Finding(body["name"], ROOT, path, f"it {what}", ANEW) for path, what in faults)


def _mount_findings(node: Node, body: Body, composition: Composition) -> list[Finding]:
    pid = (body.get("state") or {}).get("pid", 0)
    try:
        own, outer = (mounts.parse(Path(f"/proc/{each}/mountinfo").read_text()) for each in (pid, node.pid))
    except FileNotFoundError:  # it does not run, or no longer
        return []
    return mounts.find_faults(body["name"], own, outer, _view(node, body, composition))


def _view(node: Node, body: Body, composition: Composition) -> mounts.View:
    disks = [device for device in body["devices"].values() if device.get("type") == "disk" and device["path"] != "/"]
    app = node.store / "layers" / composition.app.commit
    config = node.store / "config" / body["name"] / composition.config / CONFIG_LAYER
    patterns = [app.glob(pattern) for pattern in ACCOUNTS] + [config.glob("etc/sysusers.d/*.conf")]
    accounts = {ACCOUNTS_LAYER} if any(next(found, None) for found in patterns) else set()
    own = {composition.app.name}
    merged: dict[str, tuple[str, t.AbstractSet[str]]] = {
        f"/{folder}": ("sysext", own) for folder in ("usr", "opt") if (app / "sysext" / folder).is_dir()
    }
    merged["/etc"] = ("confext", {CONFIG_LAYER, *accounts, *(own if (app / "confext" / "etc").is_dir() else ())})
    return mounts.View({device["path"]: _mapped(node, device) for device in disks}, merged)


def _mapped(node: Node, device: Body) -> mounts.Mapped:
    source = device["source"]
    if not source.startswith("/"):
        name = f"{node.engine.project}_{source}"
        source = str(node.folder / "storage-pools" / device["pool"] / "custom" / name)
    return mounts.Mapped(os.path.realpath(source), device.get("readonly") == "true")
