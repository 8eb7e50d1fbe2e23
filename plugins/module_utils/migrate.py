# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apply, for a migration: the steps that only it has. What an action finds out is returned, by the names of facts."""

from __future__ import annotations

import concurrent.futures
import contextlib
import ipaddress
import json
import time
import typing as t
import urllib.parse
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import (
    apply,
    backup_marks,
    history,
    marks,
    moved,
    volume_files,
)
from ansible_collections.strata.fleet.plugins.module_utils.apply import COPY_TIMEOUT, Node
from ansible_collections.strata.fleet.plugins.module_utils.errors import (
    BadInput,
    ContentError,
    EngineError,
    StrataError,
)
from ansible_collections.strata.fleet.plugins.module_utils.migration import ARRIVED
from ansible_collections.strata.fleet.plugins.module_utils.model import Step

ADDRESS = "core.https_address"
DEFAULT_PORT = 8443  # of the engine, where its address names none
LISTENER = "migration-listener.json"
# Seconds to wait for another run on the node, such as a backup. An offer is good for 10 s: nothing comes of it later.
PATIENCE = 8

Args = t.Mapping[str, t.Any]
Facts = dict[str, t.Any]


def carry_out(node: Node, planned: t.Sequence[Step], done: list[str]) -> Facts:
    """Do the steps in order, add the sentence of each that is done to ``done``, and return what they found out.

    Raises StrataError that names the appliance and the step; facts are ``steps_done`` and the action ``failed_at``.
    """
    facts: Facts = {}
    for step in planned:
        try:
            if step.action in ACTIONS:
                found = _carry_out(node, step)
                facts |= {key: {**facts.get(key, {}), **value} for key, value in found.items()}
            else:
                apply.carry_out(node, step)
        except StrataError as error:
            # Whoever has to decide what becomes of it knows by this how far it can have come at most.
            error.facts |= {"steps_done": list(done), "failed_at": step.action}
            raise
        done.append(step.sentence)
    return facts


def _carry_out(node: Node, step: Step) -> Facts:
    try:
        return ACTIONS[step.action](node, step.appliance, step.args) or {}
    except StrataError as error:
        if step.appliance not in error.message:
            error.message = f"Appliance {step.appliance}: could not {step.sentence}: {error.message}"
        raise


# -- the node that it leaves -------------------------------------------------------------------------------------------


def listen(node: Node, address: str) -> str:
    """Have the engine answer other nodes, and return where. What it listens at already stays as it is.

    Raises BadInput where no other node can reach that.
    """
    present = str(node.engine.server()["config"].get(ADDRESS, ""))
    if present:
        return reach(present, address)
    # First: whoever finds the note knows that the engine was not to listen.
    marks.write_durably(node.store / LISTENER, json.dumps({"address": address}))
    node.engine.update("", {"config": {ADDRESS: address}})
    return address


def reach(present: str, address: str) -> str:
    """Return where others reach an engine that listens at ``present``: at the host of ``address``, on its own port.

    What it listens at may be any address (':8443', '[::]:8443'), and the port may be left out.
    """
    host, port = _split(present)
    if host == "localhost" or _is_loopback(host):
        raise BadInput(
            f"The engine listens at {present} (core.https_address), where no other node reaches it. Have it listen at "
            f"{address} as well as there, such as at :{port}, or nowhere, and run again. Nothing was changed."
        )
    own, _port = address.rpartition(":")[::2]
    return f"{own}:{port}"


def _split(listens: str) -> tuple[str, str]:
    """Return host and port of an address as the engine has it."""
    parsed = urllib.parse.urlsplit(f"//{listens if not _is_bare(listens) else f'[{listens}]'}")
    return parsed.hostname or "", str(parsed.port or DEFAULT_PORT)


def _is_bare(listens: str) -> bool:
    return listens.count(":") > 1 and not listens.startswith("[")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def stop_listening(node: Node) -> bool:
    """Undo ``listen``; returns whether there was anything to undo."""
    note = node.store / LISTENER
    address = find_listener(node.store)
    if not address:
        return False
    if node.engine.server()["config"].get(ADDRESS) == address:
        node.engine.update("", {"config": {ADDRESS: ""}})
    note.unlink()
    return True


def find_listener(store: Path) -> str:
    """Return the address that the engine listens at for a migration, '' where it does not."""
    try:
        return str(json.loads((store / LISTENER).read_text())["address"])
    except (OSError, ValueError, KeyError):
        return ""


def mark_instance(node: Node, appliance: str, args: Args) -> None:
    """Change what an instance has to start with, and what it says of that, in one write of the engine."""
    apply.change_instance(node.engine, appliance, args)


def offer_volumes(node: Node, _appliance: str, args: Args) -> Facts:
    """Have the engine wait for somebody who knows the secrets of each volume, once."""
    offers, secrets = {}, {}
    for volume in args["volumes"]:
        operation, secrets[volume] = node.engine.begin(_volume_path(node, volume), {"name": volume, "migration": True})
        config = node.engine.volume(node.pool, volume)["config"]
        offers[volume] = {
            "operation": operation,
            "config": {
                key: value for key, value in config.items() if key == "size" or key.startswith("volatile.idmap")
            },
        }
    return {"offers": offers, "secrets": secrets}


def list_volumes(node: Node, _appliance: str, args: Args) -> Facts:
    """Return a listing of each volume, {} for one that cannot be looked at."""
    return {"listings": {volume: _list(node, volume) for volume in args["volumes"]}}


def compare_volumes(node: Node, appliance: str, args: Args) -> Facts | None:
    """Raise ContentError where content is not what arrived on the other node."""
    for volume, digest in args["digests"].items():
        root = _place(node, volume).find()
        if root and digest and volume_files.read_files(root).digest != digest:
            raise ContentError(
                f"Appliance {appliance}: what the other node got of {volume} is not what is here, though all of its "
                "files look the same. Nothing is removed: compare both, the newest state is on the other node"
            )
    return None


def remember_move(node: Node, appliance: str, args: Args) -> None:
    """Note where it went."""
    moved.remember(node.store, appliance, args["to"])


# -- the node that it goes to ------------------------------------------------------------------------------------------


def pull_volumes(node: Node, _appliance: str, args: Args) -> Facts:
    """Fetch volumes from another node, each with its config, so that its files' owners are understood.

    All at once: the other engine forgets an offer that nobody takes up within 10 s. Raises the first error, once
    nothing of this is under way any more.
    """
    offers = sorted(args["volumes"].items())
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(offers)) as pool:
        begun = {volume: pool.submit(_pull, node, volume, offer) for volume, offer in offers}
    return {"seconds": {volume: each.result() for volume, each in begun.items()}}


def _pull(node: Node, volume: str, offer: Args) -> float:
    """Fetch one volume, and return how many seconds that took."""
    begun = time.monotonic()
    source = {
        "type": "migration",
        "mode": "pull",
        "operation": f"https://{offer['address']}{offer['operation']}",
        "certificate": offer["certificate"],
        "secrets": offer["secrets"],
        "refresh": offer["refresh"],
        "volume_only": False,
    }
    body = {"name": volume, "type": "custom", "content_type": "filesystem", "config": offer["config"], "source": source}
    try:
        node.engine.create(f"/storage-pools/{node.pool}/volumes/custom", body, COPY_TIMEOUT)
    except EngineError as error:
        # Half of a difference is no state: the next run fetches it whole. It cannot have been started here.
        with contextlib.suppress(StrataError):
            node.engine.delete(_volume_path(node, volume))
        left = []
        with contextlib.suppress(StrataError):  # the engine may be going down, and that it refused is what counts
            left = find_left(node, volume)
        if left:
            error.message += (
                f". The engine of this node does not know of what it left in {' and '.join(left)}: half of a copy, "
                "which is in the way of the next. Remove that on this node, on btrfs with 'btrfs subvolume delete'."
            )
        raise
    return round(time.monotonic() - begun, 3)


def find_left(node: Node, volume: str) -> list[str]:
    """Return the folders that the engine has for a volume, and for its snapshots, although it knows of no such volume.

    So it is left by engines that fail after the content came, such as where the disk is full then (Incus 6.0).
    """
    if volume in node.engine.volume_names(node.pool):
        return []
    found = (_place(node, volume).find(), _place(node, volume).find_snapshots())
    return [str(path).removeprefix(volume_files.engine_root()) for path in found if path]


def check_listings(node: Node, appliance: str, args: Args) -> Facts:
    """Raise ContentError where a volume is not as it was listed on the other node."""
    verified = {}
    for volume, there in args["listings"].items():
        here = _list(node, volume)
        if there and here and there != here:
            node.engine.delete(_volume_path(node, volume))
            raise ContentError(
                f"Appliance {appliance}: the copy of {volume} is not what was sent: {here['entries']} files of "
                f"{here['bytes']} bytes, and {there['entries']} of {there['bytes']} were sent. It was deleted; the "
                "next run copies all of it"
            )
        verified[volume] = bool(there and here)
    return {"verified": verified}


def digest_volumes(node: Node, _appliance: str, args: Args) -> Facts:
    """Return a digest of what arrived of each volume, '' for one that cannot be looked at."""
    digests = {}
    for volume in args["volumes"]:
        root = _place(node, volume, ARRIVED).find()
        digests[volume] = volume_files.read_files(root).digest if root else ""
    return {"digests": digests}


def take_memory(node: Node, appliance: str, args: Args) -> None:
    """Remember what the other node knew: versions that failed, what became of earlier ones, backups."""
    if args["bad"]:
        marks.update(node.store, appliance, bad=args["bad"])
    known = history.read(node.store, appliance)
    for record in args["history"]:
        if record not in known:
            history.append(node.store, appliance, record)
    if args["backups"]:
        backup_marks.update(node.store, appliance, **args["backups"])
    moved.forget(node.store, appliance)


def rename_volume(node: Node, _appliance: str, args: Args) -> None:
    """Have a volume under another name."""
    node.engine.create(_volume_path(node, args["volume"]), {"name": args["to"]})


def _list(node: Node, volume: str) -> dict[str, t.Any]:
    root = _place(node, volume).find()
    return volume_files.list_files(root)._asdict() if root else {}


def _place(node: Node, volume: str, snapshot: str = "") -> volume_files.Place:
    return volume_files.Place(node.pool, node.engine.project, volume, snapshot)


def _volume_path(node: Node, volume: str) -> str:
    return f"/storage-pools/{node.pool}/volumes/custom/{volume}"


ACTIONS: t.Mapping[str, t.Callable[[Node, str, Args], Facts | None]] = {
    action.__name__: action
    for action in (
        mark_instance,
        offer_volumes,
        list_volumes,
        compare_volumes,
        remember_move,
        pull_volumes,
        check_listings,
        digest_volumes,
        take_memory,
        rename_volume,
    )
}
