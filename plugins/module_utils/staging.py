# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""stage: decide which layers the appliances of a node run, and have them in its store."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, ContentError, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition
from ansible_collections.strata.fleet.plugins.module_utils.sizes import format_size
from ansible_collections.strata.fleet.plugins.module_utils.store import Found, Store, Wish, check_fit


class Request(t.NamedTuple):
    """What one appliance asks for."""

    appliance: str
    base: Wish
    app: Wish


@dataclasses.dataclass
class Staging:
    """What was decided: layers by appliance and kind, and which of them have to be fetched (by commit)."""

    chosen: dict[str, dict[str, Found]]
    missing: dict[str, tuple[str, Found]]
    is_new: bool

    def layers(self) -> dict[str, dict[str, t.Any]]:
        """Return name, version and commit of each appliance's base and app."""
        return {
            name: {kind: found.layer._asdict() for kind, found in layers.items()}
            for name, layers in self.chosen.items()
        }

    def manifests(self) -> dict[str, dict[str, t.Any]]:
        """Return the manifests by commit, without their package lists, which are long and not needed to deploy."""
        found = [found for layers in self.chosen.values() for found in layers.values()]
        return {one.layer.commit: {**one.manifest, "packages": {}} for one in found}

    def steps(self) -> list[str]:
        """Return a sentence for each version to fetch."""
        return [
            f"fetch {kind} {found.layer.name} {found.layer.version} ({format_size(found.manifest['size'])})"
            for kind, found in self.missing.values()
        ]


def decide(store: Store, requests: t.Sequence[Request], running: t.Mapping[str, Composition]) -> Staging:
    """Choose a version for every wish, without changing anything.

    An appliance keeps what it runs (``running``, by appliance) unless it asks for another name or version: only a patch
    moves it along its channel. The depot is asked only for what is not in the store.
    Raises BadInput or ContentError naming every appliance that cannot be served, Unreachable, or DiskFull.
    """
    chosen: dict[str, dict[str, Found]] = {}
    problems: list[str] = []
    kept = {
        (request.appliance, wish.kind): current
        for request in requests
        for wish in (request.base, request.app)
        if (current := _current(store, running.get(request.appliance), wish))
    }
    to_ask = {
        wish
        for request in requests
        for wish in (request.base, request.app)
        if (request.appliance, wish.kind) not in kept and not store.held(wish)
    }
    answers = _ask(store, to_ask, requests) if to_ask else {}
    for request in requests:
        layers = {
            wish.kind: kept.get((request.appliance, wish.kind))
            or answers.get(wish)
            or t.cast("Found", store.held(wish))
            for wish in (request.base, request.app)
        }
        fault = check_fit(layers["base"].manifest, layers["app"].manifest)
        if fault:
            problems.append(f"Appliance {request.appliance}: {fault}.")
        chosen[request.appliance] = layers
    if problems:
        raise BadInput("\n".join(problems))
    missing = find_missing(store, chosen)
    return Staging(chosen, missing, is_new=len(kept) < 2 * len(requests))


def decide_each(
    store: Store, requests: t.Sequence[Request], running: t.Mapping[str, Composition]
) -> tuple[Staging, dict[str, str]]:
    """Return what ``decide`` does for those that can be served, and why the others cannot, by appliance."""
    faults: dict[str, str] = {}
    try:
        return decide(store, requests, running), faults
    except (BadInput, ContentError):
        for request in requests:
            try:
                decide(store, [request], running)
            except (BadInput, ContentError) as error:
                faults[request.appliance] = error.message
    return decide(store, [request for request in requests if request.appliance not in faults], running), faults


def find_missing(store: Store, chosen: t.Mapping[str, t.Mapping[str, Found]]) -> dict[str, tuple[str, Found]]:
    """Return what is not in the store, by commit. Raises DiskFull where there is no room for it."""
    missing = {
        found.layer.commit: (kind, found)
        for layers in chosen.values()
        for kind, found in layers.items()
        if not store.holds(found.layer.commit)
    }
    store.check_room(found for _kind, found in missing.values())
    return missing


def stage(store: Store, staging: Staging) -> None:
    """Fetch what is missing, and read everything again before something new is mapped."""
    for kind, found in staging.missing.values():
        store.fetch(found, kind)
    if staging.is_new:
        store.verify({found.layer.commit for layers in staging.chosen.values() for found in layers.values()})


def _current(store: Store, running: Composition | None, wish: Wish) -> Found | None:
    """Return what the appliance runs, if it is what it asks for."""
    if running is None:
        return None
    layer = running.base if wish.kind == "base" else running.app
    is_other = wish.version not in ("", layer.version) or wish.commit not in ("", layer.commit)
    if layer.name != wish.name or is_other or not store.holds(layer.commit):
        return None
    return store.read(wish.kind, wish.name, layer.commit)


def _ask(store: Store, wishes: t.Iterable[Wish], requests: t.Sequence[Request]) -> dict[Wish, Found]:
    with store.catalogue() as catalogue:
        answers: dict[Wish, Found] = {}
        problems: list[str] = []
        for wish in sorted(wishes):
            try:
                answers[wish] = store.look_up(catalogue, wish)
            except (ContentError, BadInput) as error:
                problems.append(f"{who(wish, requests)}: {error.message}.")
            except StrataError as error:
                error.message = f"{who(wish, requests)}: {error.message}."
                raise
    if problems:
        raise ContentError("\n".join(problems))
    return answers


def who(wish: Wish, requests: t.Iterable[Request]) -> str:
    """Return the appliances that have this wish, as the beginning of a sentence."""
    names = [request.appliance for request in requests if wish in (request.base, request.app)]
    return f"Appliance {names[0]}" if len(names) == 1 else f"Appliances {', '.join(names)}"
