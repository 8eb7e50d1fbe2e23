# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""stage, for a patch: how far each appliance moves along its channels, and what holds it back."""

from __future__ import annotations

import dataclasses
import types
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import changes
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition, Layer
from ansible_collections.strata.fleet.plugins.module_utils.staging import Request, Staging, find_missing, who
from ansible_collections.strata.fleet.plugins.module_utils.store import Found, Store, Wish, check_fit

ABI, PIN, BAD, CONTENT, STATE, ROLLBACK = "abi", "pin", "bad", "content", "state", "rollback"
QUARANTINE = "quarantine"

Bad = t.Mapping[str, t.Any]


class Holds(t.NamedTuple):
    """What is not to be: combinations that failed, and any move of appliances that a rollback is taking back.

    Nor of those in quarantine, which come with the reason.
    """

    bad: t.Sequence[Bad] = ()
    going_back: t.Collection[str] = ()
    quarantined: t.Mapping[str, str] = types.MappingProxyType({})


class Blocked(t.NamedTuple):
    """Why an appliance does not move to a version; ``cause`` is one of those above, ``vendor`` who can help."""

    kind: str
    name: str
    version: str
    vendor: str
    cause: str
    reason: str


@dataclasses.dataclass
class Moves:
    """What was decided. ``blocked`` appliances stay what they are; ``held`` ones move, but not to all that is new."""

    staging: Staging
    blocked: dict[str, Blocked]
    held: dict[str, Blocked]
    changes: dict[str, t.Any]


class Offers:
    """What the depot names now, asked for once; a version that cannot be trusted is kept as the reason."""

    def __init__(self, store: Store, requests: t.Sequence[Request]) -> None:
        self._store = store
        self._answers: dict[Wish, Found | str] = {}
        wishes = {
            wish for request in requests for own in (request.base, request.app) for wish in (own, channel_of(own))
        }
        self._answers.update({wish: found for wish in wishes if (found := store.held(wish))})
        to_ask = sorted(wishes - self._answers.keys())
        if not to_ask:
            return
        with store.catalogue() as catalogue:
            for wish in to_ask:
                self._answers[wish] = self._ask(catalogue, wish, requests)

    def _ask(self, catalogue: t.Any, wish: Wish, requests: t.Sequence[Request]) -> Found | str:
        try:
            return self._store.look_up(catalogue, wish)
        except (ContentError, BadInput) as error:
            return error.message
        except StrataError as error:
            error.message = f"{who(wish, requests)}: {error.message}."
            raise

    def of(self, wish: Wish) -> Found | str:
        """Return the version, or why there is none."""
        return self._answers[wish]


def channel_of(wish: Wish) -> Wish:
    """Return the same wish without a version."""
    return wish._replace(version="")


def decide_moves(
    store: Store, requests: t.Sequence[Request], running: t.Mapping[str, Composition], holds: Holds
) -> Moves:
    """Choose how far each appliance moves, without changing anything.

    An appliance that cannot take the new base and the new app takes one of them, or stays what it is (``running``).
    Raises Unreachable, DiskFull, or BadInput where the store has lost what an appliance runs.
    """
    requests = [request for request in requests if request.appliance in running]
    offers = Offers(store, requests)
    chosen: dict[str, dict[str, Found]] = {}
    blocked: dict[str, Blocked] = {}
    held: dict[str, Blocked] = {}
    obstacle: Blocked | None
    for request in requests:
        current = _read_current(store, request, running[request.appliance])
        if request.appliance in holds.quarantined:
            reason = holds.quarantined[request.appliance]
            chosen[request.appliance], obstacle = current, _blocked("app", current["app"], QUARANTINE, reason)
        elif request.appliance in holds.going_back:
            reason = "a rollback of it was cut off: that is finished first"
            chosen[request.appliance], obstacle = current, _blocked("app", current["app"], ROLLBACK, reason)
        else:
            chosen[request.appliance], obstacle = _choose(request, current, offers, holds.bad)
        if obstacle:
            is_still = _commits(chosen[request.appliance]) == _commits(current)
            (blocked if is_still else held)[request.appliance] = obstacle
    is_new = any(_commits(layers) != running[name].commits for name, layers in chosen.items())
    staging = Staging(chosen, find_missing(store, chosen), is_new)
    return Moves(staging, blocked, held, _find_changes(store, chosen, running))


def _read_current(store: Store, request: Request, running: Composition) -> dict[str, Found]:
    try:
        return {kind: store.read(kind, layer.name, layer.commit) for kind, layer in _layers(running)}
    except ContentError as error:
        raise BadInput(
            f"Appliance {request.appliance}: the store {store.path} has lost what it runs: {error.message}. "
            "Verify this node before patching it",
            appliance=request.appliance,
        ) from error


def _layers(composition: Composition) -> list[tuple[str, Layer]]:
    return [("base", composition.base), ("app", composition.app)]


def _choose(
    request: Request, current: dict[str, Found], offers: Offers, avoid: t.Sequence[Bad]
) -> tuple[dict[str, Found], Blocked | None]:
    """Return the layers, and what held the appliance back if anything did."""
    wishes = {"base": request.base, "app": request.app}
    wanted = dict(current)
    obstacle: Blocked | None = None
    for kind, wish in wishes.items():
        offer = offers.of(wish)
        if isinstance(offer, str):
            obstacle = obstacle or Blocked(kind, wish.name, wish.version or wish.channel, wish.name, CONTENT, offer)
        else:
            wanted[kind] = offer
    for layers in (wanted, {**wanted, "app": current["app"]}, {**wanted, "base": current["base"]}):
        if _commits(layers) == _commits(current):
            continue
        fault = _find_obstacle(layers, current, avoid)
        if fault is None:
            return layers, obstacle
        obstacle = obstacle or fault
    return current, obstacle or _find_pin(wishes, current, offers)


def _find_obstacle(layers: dict[str, Found], current: dict[str, Found], avoid: t.Sequence[Bad]) -> Blocked | None:
    base, app = layers["base"], layers["app"]
    misfit = check_fit(base.manifest, app.manifest)
    if misfit:
        return _blocked("app", app, ABI, misfit)
    old = current["app"].manifest
    if app.manifest.get("state_schema", "") != old.get("state_schema", "") and is_older(app.manifest, old):
        return _blocked(
            "app", app, STATE, "it is older, and keeps its state in another format: roll back with a snapshot"
        )
    for bad in avoid:
        if (bad["base"], bad["app"]) == (base.layer.commit, app.layer.commit):
            kind = "app" if app.layer.commit != current["app"].layer.commit else "base"
            first = str(bad["reason"]).partition("\n")[0]
            reason = f"base {bad['base_version']} with app {bad['app_version']} failed at {bad['at']}: {first}"
            return _blocked(kind, layers[kind], BAD, reason)
    return None


def _find_pin(wishes: t.Mapping[str, Wish], current: dict[str, Found], offers: Offers) -> Blocked | None:
    for kind, wish in wishes.items():
        offer = offers.of(channel_of(wish))
        if wish.version and isinstance(offer, Found) and offer.layer.commit != current[kind].layer.commit:
            variable = f"appliance_{kind}_version"
            reason = f"{variable} is {wish.version}, while {wish.channel} is {offer.layer.version}"
            return _blocked(kind, offer, PIN, reason)
    return None


def _blocked(kind: str, found: Found, cause: str, reason: str) -> Blocked:
    vendor = str(found.manifest.get("vendor") or found.signer or found.layer.name)
    return Blocked(kind, found.layer.name, found.layer.version, vendor, cause, reason)


def _commits(layers: t.Mapping[str, Found]) -> tuple[str, str]:
    return layers["base"].layer.commit, layers["app"].layer.commit


def _find_changes(
    store: Store, chosen: t.Mapping[str, t.Mapping[str, Found]], running: t.Mapping[str, Composition]
) -> dict[str, t.Any]:
    """Return which packages change, and what that mends, for each pair of commits that some appliance goes between."""
    found: dict[str, t.Any] = {}
    for name, layers in chosen.items():
        for kind, old in _layers(running[name]):
            new = layers[kind]
            pair = f"{old.commit}..{new.layer.commit}"
            if old.commit != new.layer.commit and pair not in found:
                before = store.read(kind, old.name, old.commit).manifest
                told = changes.between(store.history_of(new), before, new.manifest)
                found[pair] = {**told, "older": is_older(new.manifest, before)}
    return found


def is_older(new: t.Mapping[str, t.Any], old: t.Mapping[str, t.Any]) -> bool:
    """Whether a version was built before another, by their manifests."""
    return bool(new.get("built", "") < old.get("built", ""))
