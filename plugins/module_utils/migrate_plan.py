# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""plan, for a migration: what each of the two nodes does, phase by phase. Pure.

Each phase can be planned again after a run that was cut off: what is done already is no step.
"""

from __future__ import annotations

import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import instance, migration, steps
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import quarantine
from ansible_collections.strata.fleet.plugins.module_utils.migration import (
    ARRIVED,
    GIVEN_UP,
    IN,
    KEPT,
    OUT,
    TAKEN,
    Mark,
)
from ansible_collections.strata.fleet.plugins.module_utils.model import Appliance, Place, Step

STATE = "state-"
COPIES = "dir"  # there a snapshot is a full copy, for which nobody waits while the appliance is away

Body = t.Mapping[str, t.Any]
Args = t.Mapping[str, t.Any]


class Side(t.NamedTuple):
    """One appliance on one node: its instance as the engine has it, and the snapshots of its volumes by their names.

    ``node`` is the name of the other node, ``others`` are this node's other instances. ``runs`` says whether the
    inventory wants it to run: one that a run which was cut off had stopped is not left so. ``underway`` is what of
    another kind has not ended here, such as a patch, '' for nothing.
    """

    name: str
    node: str
    body: Body | None
    snapshots: t.Mapping[str, t.Sequence[str]]
    others: t.Sequence[Body] = ()
    driver: str = "btrfs"
    runs: bool = True
    underway: str = ""

    @property
    def mark(self) -> Mark | None:
        """What the instance says of a migration."""
        return migration.read(self.body["config"]) if self.body else None

    @property
    def role(self) -> str:
        """Which part it has in one, '' for none."""
        return self.mark.role if self.mark else ""

    @property
    def is_running(self) -> bool:
        """Whether the instance runs: one that is held, or on its way up or down, does."""
        return bool(self.body and self.body["status"] != "Stopped")


def volumes_of(body: Body) -> list[str]:
    """Return the engine's names of the state volumes of an instance, those that its mark keeps too."""
    mark = migration.read(body["config"])
    devices = {**(mark.devices if mark else {}), **body["devices"]}
    return [keys["source"] for name, keys in sorted(devices.items()) if name.startswith(STATE)]


# -- the node that it leaves -------------------------------------------------------------------------------------------


def plan_round(side: Side, number: int) -> list[Step]:
    """Return what makes a difference that the other node can fetch while the appliance runs."""
    _expect(side, "", OUT)
    if side.role == OUT or not number or side.driver == COPIES:
        return [_offer(side)]
    snapshot = f"{migration.SNAPSHOT_PREFIX}{number}"
    # Of an earlier migration, here: what it has is not what will arrive now.
    old = [_delete_snapshot(side.name, name, ARRIVED) for name, own in side.snapshots.items() if ARRIVED in own]
    kept = [name for name, own in side.snapshots.items() if snapshot not in own]
    return [*old, *(_snapshot(side.name, volume, snapshot) for volume in kept), _offer(side)]


def plan_hand_over(side: Side, now: str, expected: t.Mapping[str, str]) -> list[Step]:
    """Return what stops the appliance and makes its instance unable to start, before the last difference is fetched.

    ``expected`` are the commits of ``base`` and ``app`` for which the other node was made ready.
    """
    _expect(side, "", OUT)
    _refuse_cut(side)
    composition = instance.composition_of(t.cast("Body", side.body)["config"])
    runs = {"base": composition.base.commit, "app": composition.app.commit} if composition else {}
    if side.underway or runs != expected:
        why = side.underway or "it runs other versions than those that the other node was made ready for"
        raise BadInput(
            f"Appliance {side.name} was changed meanwhile: {why}. It was not stopped. When nobody changes it any more, "
            f"run playbooks/migrate.yml -e migrate={side.name} again."
        )
    offer = [Step(side.name, "list_volumes", f"list the state of {side.name}", {"volumes": _own(side)}), _offer(side)]
    if side.role == OUT:
        return [*([_halt(side.name)] if side.is_running else []), *offer]
    body = t.cast("Body", side.body)
    layers = {name: dict(keys) for name, keys in body["devices"].items() if instance.is_layer(name)}
    back = {migration.AUTOSTART: body["config"].get(migration.AUTOSTART, "true")}
    mark = Mark(OUT, side.node, now, layers, back, side.runs)
    sentence = f"hand {side.name} over to {side.node}: from here on it cannot start here"
    hand_over = _set(side.name, sentence, mark, {migration.AUTOSTART: "false"}, dict.fromkeys(layers))
    return [*([steps.stop(side.name)] if side.is_running else []), hand_over, *offer]


def plan_give_back(side: Side, check: Args, *, restart: bool = False) -> list[Step]:
    """Return what has the appliance run where it was; ``check`` is how it is seen to be healthy.

    ``restart`` is for one that may be on its way down: it was told to stop, and had not in time.
    """
    if side.body and not side.role:
        starts = side.runs and not side.underway and not quarantine.read(side.body["config"])
        halt = [_halt(side.name)] if restart and side.is_running else []
        start, wait = _start(side.name, check)
        run = [*halt, *([start] if halt or not side.is_running else []), wait]
        return [*(run if starts else []), *_forget_rounds(side)]
    if side.role != OUT:
        return []
    mark = t.cast("Mark", side.mark)
    # Whoever cut it off says whether it is to run.
    is_cut = bool(quarantine.read(t.cast("Body", side.body)["config"]))
    give = _set(side.name, f"give {side.name} back what it runs on", None, {} if is_cut else mark.config, mark.devices)
    return [give, *(_start(side.name, check) if mark.was_running and not is_cut else []), *_forget_rounds(side)]


def plan_finish(side: Side, *, keep: bool, digests: t.Mapping[str, str]) -> list[Step]:
    """Return what removes the appliance, or with ``keep`` keeps it stopped, now that it serves elsewhere.

    ``digests`` are those of the content that arrived there, by volume. Only state that is the same is removed.
    """
    if side.body is None:
        return []
    _expect(side, OUT, KEPT)
    compare = Step(
        side.name, "compare_volumes", f"compare the state of {side.name} with what arrived", {"digests": digests}
    )
    remember = Step(side.name, "remember_move", f"note that {side.name} is on {side.node} now", {"to": side.node})
    if keep or side.role == KEPT:
        if side.role == KEPT:
            return []
        mark = t.cast("Mark", side.mark)
        kept = _set(side.name, f"keep {side.name} here, stopped", Mark(**{**vars(mark), "role": KEPT}), {}, {})
        return [compare, remember, kept, *_forget_rounds(side)]
    volumes = [_delete_volume(side.name, volume) for volume in side.snapshots]
    gone = Step(side.name, "delete_instance", f"remove {side.name}, which {side.node} has now", {})
    return [compare, remember, *volumes, gone]


# -- the node that it goes to ------------------------------------------------------------------------------------------


def plan_prepare(side: Side, item: Appliance, place: Place, arrival: Args) -> list[Step]:
    """Return what has an instance ready that lacks only its layers and its state.

    ``arrival``: ``volumes`` by the engine's names, ``hardware`` (MACs by card), ``previous`` (a key's value, '' for
    none), ``when`` (UTC).
    Raises BadInput where it cannot come here. One that was taken over already needs nothing.
    """
    if side.role in (TAKEN, GIVEN_UP):
        return []
    problems = find_problems(side, item, arrival)
    if problems:
        raise BadInput("\n".join(problems))
    devices = instance.instance_devices(item, place.store, place.pool)
    layers = {name: keys for name, keys in devices.items() if instance.is_layer(name)}
    wanted = instance.instance_config(item)
    back = {migration.AUTOSTART: wanted[migration.AUTOSTART]}
    mark = Mark(IN, side.node, arrival["when"], layers, back, side.runs)
    keys = {**wanted, migration.AUTOSTART: "false", migration.KEY: mark.encode()}
    keys |= {f"volatile.{card}.hwaddr": mac for card, mac in arrival["hardware"].items() if card in devices}
    keys |= {instance.PREVIOUS: arrival["previous"]} if arrival["previous"] else {}
    others = {name: keys for name, keys in devices.items() if name not in layers}
    write = steps.write_config(item)
    if side.body is None:
        sentence = f"create {item.name}, which cannot start yet"
        return [write, Step(item.name, "create_instance", sentence, {"config": keys, "devices": others})]
    known = t.cast("Mark", side.mark)
    keys[migration.KEY] = Mark(**{**vars(mark), "when": known.when}).encode()
    config, cards = side.body["config"], side.body["devices"]
    changed = {key: value for key, value in keys.items() if config.get(key) != value}
    gone = {name: None for name in cards if name not in others}
    differs = {name: keys for name, keys in others.items() if cards.get(name) != keys}
    if not changed and not gone and not differs:
        return []
    args = {"config": changed, "devices": {**gone, **differs}, "pending": None}
    return [write, Step(item.name, "update_instance", f"change {item.name}, which cannot start yet", args)]


def find_problems(side: Side, item: Appliance, arrival: Args) -> list[str]:
    """Return a sentence for everything that keeps an appliance from coming to this node."""
    if side.body and side.role != IN:
        mark = side.mark
        said = migration.refusal(item.name, mark) if mark else f"Appliance {item.name} is on this node already."
        return [said]
    cut = quarantine.read(side.body["config"]) if side.body else None
    problems = [quarantine.refusal(item.name, cut)] if cut else []
    left = sorted(set(arrival["volumes"]) & set(side.snapshots)) if not side.body else []
    if left:
        problems.append(
            f"Appliance {item.name}: this node has state of an earlier one of that name ({', '.join(left)}). See that "
            f"nobody needs it, then delete it: playbooks/remove.yml --limit NODE -e remove={item.name} "
            f"-e remove_state={item.name}, with this node's name for NODE."
        )
    for card in item.nics:
        users = [
            body["name"]
            for body in side.others
            for keys in body["devices"].values()
            if card.address and (keys.get("network"), keys.get("ipv4.address")) == (card.network, card.address)
        ]
        problems += [f"Appliance {item.name}: {user} has its address {card.address} on this node." for user in users]
    for port in item.published:
        listen = f"{port.protocol}:{port.address}:{port.listen}"
        users = [
            body["name"]
            for body in side.others
            for keys in body["devices"].values()
            if keys.get("type") == "proxy" and keys.get("listen") == listen
        ]
        problems += [
            f"Appliance {item.name}: {user} has published port {port.listen} of this node already." for user in users
        ]
    return problems


def plan_fetch(side: Side, volumes: t.Mapping[str, Args], *, last: bool) -> list[Step]:
    """Return what fetches the offered volumes, whole where they are not here. ``last`` is once the appliance stopped.

    ``volumes`` are by the engine's names, with ``config`` and, where it is the last time, ``listing``.
    """
    _expect(side, IN)
    planned = []
    if volumes:
        args = {name: {**volume, "refresh": name in side.snapshots} for name, volume in volumes.items()}
        parts = [f"{'what changed in' if args[name]['refresh'] else 'all of'} {name}" for name in sorted(args)]
        sentence = f"fetch {' and '.join(parts)} from {side.node}"
        planned.append(Step(side.name, "pull_volumes", sentence, {"volumes": args}))
    if last:
        listings = {name: volume["listing"] for name, volume in volumes.items()}
        planned.append(
            Step(side.name, "check_listings", f"see that all of {side.name} arrived", {"listings": listings})
        )
    return planned


def plan_take_over(side: Side, volumes: t.Mapping[str, Args]) -> list[Step]:
    """Return what fetches the last difference and makes the instance the one that can start."""
    _refuse_cut(side)
    if side.role == TAKEN:
        return []
    old = [_delete_snapshot(side.name, name, ARRIVED) for name, own in side.snapshots.items() if ARRIVED in own]
    fetch = [*old, *plan_fetch(side, volumes, last=True)]
    mark = t.cast("Mark", side.mark)
    is_cheap = side.driver != COPIES
    kept = [_snapshot(side.name, volume, ARRIVED) for volume in sorted(volumes) if is_cheap]
    taken = Mark(**{**vars(mark), "role": TAKEN})
    sentence = f"take {side.name} over from {side.node}: from here on it can start here alone"
    return [*fetch, *kept, _set(side.name, sentence, taken, mark.config, mark.devices)]


def plan_start(side: Side, check: Args) -> list[Step]:
    """Return what starts it, once it was taken over."""
    mark = side.mark
    return _start(side.name, check) if mark is None or mark.was_running else []


def plan_commit(side: Side, remembered: Args) -> list[Step]:
    """Return what makes it an appliance of this node like any other; ``remembered`` are its marks and its history."""
    if side.role != TAKEN:
        return []
    return [
        Step(side.name, "take_memory", f"remember what was known of {side.name} on {side.node}", remembered),
        _set(side.name, f"have {side.name} stay here", None, {}, {}),
    ]


def plan_tidy(side: Side) -> list[Step]:
    """Return what lets go of the snapshots that the migration made."""
    _expect(side, "")
    return _forget_rounds(side)


def plan_give_up(side: Side, reason: str) -> list[Step]:
    """Return what makes it unable to start here, so that it can be given back to where it came from.

    One that was not taken over yet is marked, too: another run, which the controller forgot, may be about to.
    Raises BadInput where it is an appliance of this node: what was begun elsewhere has ended here since.
    """
    if side.body is None or side.role == GIVEN_UP:
        return []
    if side.role not in (IN, TAKEN):
        is_now = f"{side.role} on" if side.role else "an appliance of"
        raise BadInput(
            f"Appliance {side.name} is {is_now} this node, so nothing is given back to {side.node}. Nothing was "
            f"changed: run playbooks/migrate.yml -e migrate={side.name} again, which looks anew."
        )
    mark = t.cast("Mark", side.mark)
    layers = dict.fromkeys(mark.devices)
    is_taken = side.role == TAKEN
    given_up = Mark(**{**vars(mark), "role": GIVEN_UP, "reason": reason, "untouched": not is_taken})
    sentence = f"give {side.name} up: from here on it cannot start here"
    off = {migration.AUTOSTART: "false"}
    return [*([_halt(side.name)] if is_taken else []), _set(side.name, sentence, given_up, off, layers)]


def plan_clean(side: Side, now: str) -> list[Step]:
    """Return what removes what never became an appliance of this node; what it wrote here is kept as another volume."""
    if side.body is None:
        return []
    _expect(side, IN, GIVEN_UP)
    is_untouched = side.role == IN or t.cast("Mark", side.mark).untouched
    planned = []
    for volume, own in side.snapshots.items():
        if is_untouched:
            planned.append(_delete_volume(side.name, volume))
            continue
        planned += [_delete_snapshot(side.name, volume, each) for each in own if migration.is_own_snapshot(each)]
        # Like what a restore moves aside: no removal of the appliance takes it along, it is released by its name.
        args = {"volume": volume, "to": instance.aside_name(volume, now)}
        planned.append(Step(side.name, "rename_volume", f"keep what {side.name} wrote here as {args['to']}", args))
    return [*planned, Step(side.name, "delete_instance", f"remove {side.name}, which stays on {side.node}", {})]


# -- both --------------------------------------------------------------------------------------------------------------


def _expect(side: Side, *roles: str) -> None:
    """Raise BadInput where the instance is not what this phase begins with: somebody or something came in between."""
    if side.body is None or side.role not in roles:
        is_now = (side.role or "an appliance of this node") if side.body else "not there"
        wanted = " or ".join(role or "an appliance of this node" for role in roles)
        raise BadInput(
            f"Appliance {side.name} is {is_now} on this node, and this phase begins with {wanted}. Nothing was "
            f"changed: run playbooks/migrate.yml -e migrate={side.name} again, which looks anew."
        )


def _refuse_cut(side: Side) -> None:
    """Raise BadInput where somebody cut the appliance off: it would be back on a network elsewhere."""
    cut = quarantine.read(side.body["config"]) if side.body else None
    if cut:
        raise BadInput(quarantine.refusal(side.name, cut))


def _own(side: Side) -> list[str]:
    return sorted(side.snapshots)


def _offer(side: Side) -> Step:
    return Step(side.name, "offer_volumes", f"offer the state of {side.name} to {side.node}", {"volumes": _own(side)})


def _set(
    name: str, sentence: str, mark: Mark | None, config: Args, devices: t.Mapping[str, t.Mapping[str, str] | None]
) -> Step:
    keys = {migration.KEY: mark.encode() if mark else None, **config}
    return Step(name, "mark_instance", sentence, {"config": keys, "devices": devices})


def _halt(name: str) -> Step:
    return Step(name, "halt", f"stop {name}, by force if it does not", {})


def _start(name: str, check: Args) -> list[Step]:
    return [
        Step(name, "start", f"start {name}", {}),
        Step(name, "wait_healthy", f"wait until {name} is healthy", check),
    ]


def _snapshot(name: str, volume: str, snapshot: str) -> Step:
    args = {"volume": volume, "snapshot": snapshot}
    return Step(name, "snapshot_volume", f"keep the state in {volume} as snapshot {snapshot}", args)


def _delete_snapshot(name: str, volume: str, snapshot: str) -> Step:
    args = {"volume": volume, "snapshot": snapshot}
    return Step(name, "delete_snapshot", f"let go of snapshot {snapshot} of {volume}", args)


def _delete_volume(name: str, volume: str) -> Step:
    return Step(name, "delete_volume", f"delete state volume {volume}", {"volume": volume})


def _forget_rounds(side: Side) -> list[Step]:
    return [
        _delete_snapshot(side.name, volume, each)
        for volume, own in side.snapshots.items()
        for each in own
        if migration.is_own_snapshot(each)
    ]
