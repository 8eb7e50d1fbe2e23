# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a running appliance sees is what the engine and stage 0 mounted there. Pure.

Source of the format: proc_pid_mountinfo(5).
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.findings import MOUNT, Finding

# Memory, and the kernel's own: what is mounted there is gone at the next start, as declared.
FREE = ("/dev", "/proc", "/sys", "/run", "/tmp")  # noqa: S108  an appliance's
RESTART = "find out who did it inside, then restart the appliance (incus restart): the mount is gone then"
OUTDATED = "the root can be written to, and what is written there is lost: its base is from before stage 0 saw to that"
PATCH = "build the base anew, and patch (playbooks/patch.yml)"
ESCAPED = re.compile(r"\\([0-7]{3})")
# systemd's names for what it merges, and whatever stands for one layer in an overlay's list.
MERGERS = {"sysext": "extensions", "confext": "confexts"}


class Mount(t.NamedTuple):
    """A line of mountinfo: folder ``root`` of a file system (``device`` is its major:minor) at ``point``."""

    device: str
    root: str
    point: str
    options: tuple[str, ...]
    kind: str
    source: str
    super_options: tuple[str, ...]

    def is_read_only(self) -> bool:
        """Whether nothing can be written through this mount."""
        return "ro" in self.options


class Mapped(t.NamedTuple):
    """A folder of the node's that the engine mounts in the appliance."""

    source: str
    read_only: bool


class View(t.NamedTuple):
    """What an appliance should see: ``mapped`` by path, and by hierarchy who merges it from which layers.

    ``merged`` is such as {"/usr": ("sysext", {"nginx"})}.
    """

    mapped: t.Mapping[str, Mapped]
    merged: t.Mapping[str, tuple[str, t.AbstractSet[str]]]


def parse(text: str) -> list[Mount]:
    """Return the mounts that a mountinfo lists."""
    mounts = []
    for line in text.splitlines():
        before, after = (part.split() for part in line.split(" - ", 1))
        device, root, point, options = before[2:6]
        kind, source, super_options = after[0], after[1], after[2] if len(after) > 2 else ""  # noqa: PLR2004  its fields
        own, others = (tuple(each.split(",")) for each in (options, super_options))
        mounts.append(Mount(device, _unescape(root), _unescape(point), own, kind, source, others))
    return mounts


def find_faults(appliance: str, mounts: t.Sequence[Mount], node: t.Sequence[Mount], view: View) -> list[Finding]:
    """Return what of an appliance's mounts is not as it should be; ``node`` are the mounts of the node itself."""
    places: dict[str, list[Mount]] = {}
    for mount in mounts:
        places.setdefault(mount.point, []).append(mount)
    state = tuple(path for path, mapped in view.mapped.items() if not mapped.read_only)
    faults = [("/", fault) for fault in _root_faults(places.get("/", []))]
    for path in sorted(places.keys() - {"/"} | view.mapped.keys() | view.merged.keys()):
        if path in view.mapped or path in view.merged or not _is_below(path, (*FREE, *state)):
            faults += [(path, fault) for fault in _faults_at(path, places.get(path, []), node, view)]
    return [
        Finding(appliance, MOUNT, path, sentence, PATCH if sentence == OUTDATED else RESTART)
        for path, sentence in faults
    ]


def _root_faults(mounts: t.Sequence[Mount]) -> t.Iterator[str]:
    overlay = next((mount for mount in mounts if mount.kind == "overlay"), None)
    if overlay is None:
        yield OUTDATED
    elif any(option.startswith("upperdir=") for option in overlay.super_options):
        yield "the root has a folder to write to"
    elif not overlay.is_read_only():
        yield "somebody tried to make the root writable (in vain, by what is mounted there)"
    if len(mounts) > 1:
        yield "something is mounted over the root"


def _faults_at(path: str, mounts: t.Sequence[Mount], node: t.Sequence[Mount], view: View) -> t.Iterator[str]:
    left = list(mounts)
    mapped = view.mapped.get(path)
    if mapped:
        own = next((mount for mount in left if (mount.device, mount.root) == locate(mapped.source, node)), None)
        if own is None:
            yield f"what the engine maps there ({mapped.source}) is not there"
        else:
            left.remove(own)
            if mapped.read_only and not own.is_read_only():
                yield "what is mapped there was made writable"
    if path in view.merged:
        merger, names = view.merged[path]
        overlay = next((mount for mount in left if (mount.kind, mount.source) == ("overlay", merger)), None)
        if overlay is None:
            yield "the layers are not merged there any more"
        else:
            left.remove(overlay)
            yield from _overlay_faults(overlay, merger, names)
    for mount in left:
        yield f"something is mounted there that the engine did not mount ({mount.kind} {mount.source})"


def _overlay_faults(overlay: Mount, merger: str, names: t.AbstractSet[str]) -> t.Iterator[str]:
    pattern = re.compile(rf"/{MERGERS[merger]}/([^/:]+)/")
    found = {name for option in overlay.super_options for name in pattern.findall(option)}
    if found != names:
        yield f"it is merged from {_listed(found)}, and should be from {_listed(names)}"
    if any(option.startswith("upperdir=") for option in overlay.super_options):
        yield "what is merged there can be written to"
    elif not overlay.is_read_only():
        yield "somebody tried to make it writable (in vain, by what is mounted there)"


def locate(path: str, mounts: t.Iterable[Mount]) -> tuple[str, str]:
    """Return the file system that a path of the node is in, and its place there, as a mount of it names them."""
    over = [mount for mount in mounts if _is_below(path, (mount.point,)) or mount.point == path]
    # The longest; of several at one place the last one is on top.
    mount = max(enumerate(over), key=lambda each: (len(each[1].point), each[0]))[1]
    rest = path[len(mount.point.rstrip("/")) :]
    return mount.device, f"{mount.root.rstrip('/')}{rest}".rstrip("/") or "/"


def _is_below(path: str, folders: t.Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def _listed(names: t.Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _unescape(text: str) -> str:
    return ESCAPED.sub(lambda code: chr(int(code[1], 8)), text)
