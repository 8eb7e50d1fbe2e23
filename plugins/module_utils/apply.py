# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apply: the only code that changes appliances. One function an action, one loop over the steps of each appliance."""

from __future__ import annotations

import concurrent.futures
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import (
    backup_marks,
    clock,
    config_layer,
    health,
    history,
    marks,
    moved,
    skeleton,
)
from ansible_collections.strata.fleet.plugins.module_utils.engine import Engine
from ansible_collections.strata.fleet.plugins.module_utils.errors import Changed, EngineError, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import networks
from ansible_collections.strata.fleet.plugins.module_utils.model import Plan, Step

STOP_TIMEOUT = 60
HALT_TIMEOUT = 60
COPY_TIMEOUT = 4 * 3600  # a pool of driver dir copies all of the state, others none
FIRST_SYSTEMD_WITHOUT_RELOAD = 255  # `systemd-confext refresh --no-reload` is known from here on

Args = t.Mapping[str, t.Any]


class Node(t.NamedTuple):
    """What the actions work on."""

    engine: Engine
    store: Path
    pool: str
    key: bytes


Do = t.Callable[[Node, Step], None]


def apply(plan: Plan, node: Node, parallel: int, do: Do | None = None) -> list[str]:
    """Carry the plan out, up to ``parallel`` appliances at once; returns the sentences of the steps that were done.

    ``do`` does one step, where a plan has other actions than these. A failure ends its appliance's steps, no other's.
    Raises StrataError for all that failed, with ``failures`` (by appliance) and ``steps_done`` as facts.
    """
    by_appliance = plan.by_appliance()
    # First: what an appliance needs of the node's networks is there when it starts.
    done = networks.apply(node.engine, Plan(tuple(by_appliance.pop("", ())), {}, {}))
    failed: dict[str, str] = {}
    with concurrent.futures.ThreadPoolExecutor(max_workers=parallel) as pool:
        running = {
            pool.submit(_apply_all, node, steps, done, do or carry_out): name for name, steps in by_appliance.items()
        }
        for future in concurrent.futures.as_completed(running):
            error = future.exception()
            if isinstance(error, StrataError):
                failed[running[future]] = error.message
            elif error:
                raise error
    if failed:
        raise StrataError("\n".join(failed[name] for name in sorted(failed)), failures=failed, steps_done=done)
    return done


def _apply_all(node: Node, steps: t.Sequence[Step], done: list[str], do: Do) -> None:
    for step in steps:
        do(node, step)
        done.append(step.sentence)


def carry_out(node: Node, step: Step) -> None:
    """Do one step. Raises StrataError that names the appliance and the step."""
    try:
        ACTIONS[step.action](node, step.appliance, step.args)
    except StrataError as error:
        if step.appliance not in error.message:
            error.message = f"Appliance {step.appliance}: could not {step.sentence}: {error.message}"
        raise


def create_volume(node: Node, _appliance: str, args: Args) -> None:
    """Make an empty state volume."""
    config = {"size": str(args["size"])} if args["size"] else {}
    body = {"name": args["volume"], "type": "custom", "content_type": "filesystem", "config": config}
    node.engine.create(f"/storage-pools/{node.pool}/volumes/custom", body)


def grow_volume(node: Node, _appliance: str, args: Args) -> None:
    """Make a state volume larger."""
    node.engine.update(_volume_path(node, args), {"config": {"size": str(args["size"])}})


def delete_volume(node: Node, _appliance: str, args: Args) -> None:
    """Delete state; only ever planned when asked for by name."""
    node.engine.delete(_volume_path(node, args))


def snapshot_volume(node: Node, _appliance: str, args: Args) -> None:
    """Keep the state as it is now. One of that name stays as it is: a run that was cut off made it."""
    path = f"{_volume_path(node, args)}/snapshots"
    if node.engine.find(f"{path}/{args['snapshot']}") is None:
        node.engine.create(path, {"name": args["snapshot"]}, COPY_TIMEOUT)


def restore_volume(node: Node, _appliance: str, args: Args) -> None:
    """Bring the state back to a snapshot."""
    node.engine.replace(_volume_path(node, args), {"restore": args["snapshot"]}, "", COPY_TIMEOUT)


def delete_snapshot(node: Node, _appliance: str, args: Args) -> None:
    """Let go of a snapshot."""
    node.engine.delete(f"{_volume_path(node, args)}/snapshots/{args['snapshot']}")


def begin_swap(node: Node, appliance: str, args: Args) -> None:
    """Write down where the appliance comes from and where it goes, for a run that finds it in between."""
    marks.update(node.store, appliance, swap={"started": clock.now(), **args}, healthy=None)


def write_config(node: Node, appliance: str, args: Args) -> None:
    """Write a config layer into the store."""
    config_layer.write(node.store, appliance, args["digest"], args["files"], node.key)


def create_instance(node: Node, appliance: str, args: Args) -> None:
    """Make the instance from the skeleton image."""
    source = {"type": "image", "alias": skeleton.ALIAS}
    body = {"name": appliance, "type": "container", "profiles": [], "source": source, **args}
    node.engine.create("/instances", body)


def update_instance(node: Node, appliance: str, args: Args) -> None:
    """Change keys and devices on what the instance has now; once more where somebody else was faster."""
    marks.update(node.store, appliance, pending=args["pending"], healthy=None)
    change_instance(node.engine, appliance, args)


def change_instance(engine: Engine, appliance: str, args: Args) -> None:
    """Change keys and devices (None: removed) in one write; once more where somebody else was faster."""
    try:
        _update_once(engine, appliance, args)
    except Changed:
        _update_once(engine, appliance, args)


def refresh_config(node: Node, appliance: str, args: Args) -> None:
    """Merge the mapped config layer in the running appliance, then tell the units."""
    quietly = ["--no-reload"] if args["systemd"] >= FIRST_SYSTEMD_WITHOUT_RELOAD else []
    _execute(node, appliance, ["systemd-confext", "refresh", *quietly])
    if args["reload_manager"]:
        _execute(node, appliance, ["systemctl", "daemon-reload"])
    for unit, action in args["units"].items():
        _tell(node, appliance, unit, "reload-or-restart" if action == "reload" else "restart")
    marks.update(node.store, appliance, pending=None, healthy=None)


def start(node: Node, appliance: str, _args: Args) -> None:
    """Start the instance, if it does not run."""
    if not _is_running(node, appliance):
        node.engine.set_state(appliance, "start")


def stop(node: Node, appliance: str, _args: Args) -> None:
    """Ask the appliance to shut down and wait until it has."""
    node.engine.set_state(appliance, "stop", STOP_TIMEOUT)


def halt(node: Node, appliance: str, _args: Args) -> None:
    """Have the appliance stopped, whatever state it is in: one that failed may not shut down by itself."""
    if _is_stopped(node, appliance):
        return
    try:
        node.engine.set_state(appliance, "stop", HALT_TIMEOUT)
    except EngineError:
        if not _is_stopped(node, appliance):
            node.engine.kill(appliance)


def delete_instance(node: Node, appliance: str, _args: Args) -> None:
    """Remove the instance; its state volumes stay."""
    node.engine.delete(f"/instances/{appliance}")
    marks.remove(node.store, appliance)
    history.remove(node.store, appliance)
    backup_marks.remove(node.store, appliance)


def forget_restore(node: Node, appliance: str, _args: Args) -> None:
    """Forget a restore that was cut off before the appliance had an instance."""
    marks.remove(node.store, appliance)


def forget_move(node: Node, appliance: str, _args: Args) -> None:
    """Forget to which node an appliance went."""
    moved.forget(node.store, appliance)


def wait_healthy(node: Node, appliance: str, args: Args) -> None:
    """Wait for health, and remember what was found healthy."""
    check = health.Check(args["health"], args["address"], args["services"])
    health.wait_until_healthy(node.engine, appliance, check, args["timeout"])
    # What is healthy is not bad, or not any more, whoever said so.
    bad = [each for each in marks.read(node.store, appliance).get("bad", []) if not is_named_by(args["mark"], each)]
    marks.update(node.store, appliance, pending=None, healthy=args["mark"], bad=bad or None)


def is_named_by(identity: str, bad: Args) -> bool:
    """Whether a combination of base and app is the one of which ``steps.identity`` made this."""
    return identity.startswith(f"{bad['base'][:16]}+{bad['app'][:16]}+")


def settle(node: Node, appliance: str, args: Args) -> None:
    """See it stay healthy for some time."""
    check = health.Check(args["health"], args["address"], args["services"])
    health.stay_healthy(node.engine, appliance, check, args["seconds"])


def _volume_path(node: Node, args: Args) -> str:
    return f"/storage-pools/{node.pool}/volumes/custom/{args['volume']}"


def _is_stopped(node: Node, appliance: str) -> bool:
    """Whether nothing of it runs: one that is held, or on its way up or down, is neither running nor stopped."""
    return bool(node.engine.read(f"/instances/{appliance}")[0]["status"] == "Stopped")


def _is_running(node: Node, appliance: str) -> bool:
    return bool(node.engine.read(f"/instances/{appliance}")[0]["status"] == "Running")


def _update_once(engine: Engine, appliance: str, args: Args) -> None:
    body, etag = engine.read(f"/instances/{appliance}")
    for part in ("config", "devices"):
        kept = {key: value for key, value in body[part].items() if key not in args[part]}
        body[part] = kept | {key: value for key, value in args[part].items() if value is not None}
    engine.replace(f"/instances/{appliance}", body, etag)


def _tell(node: Node, appliance: str, unit: str, action: str) -> None:
    try:
        _execute(node, appliance, ["systemctl", action, unit])
    except EngineError as error:
        error.message += f"\nLast lines of {unit}:\n{health.unit_log(node.engine, appliance, unit)}"
        raise


def _execute(node: Node, appliance: str, argv: t.Sequence[str]) -> None:
    done = node.engine.execute(appliance, argv)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise EngineError(f"{' '.join(argv)!r} ended with {done.returncode}: {said}")


ACTIONS: t.Mapping[str, t.Callable[[Node, str, Args], None]] = {
    action.__name__: action
    for action in (
        create_volume,
        grow_volume,
        delete_volume,
        snapshot_volume,
        restore_volume,
        delete_snapshot,
        begin_swap,
        write_config,
        create_instance,
        update_instance,
        refresh_config,
        start,
        stop,
        halt,
        delete_instance,
        forget_move,
        forget_restore,
        wait_healthy,
        settle,
    )
}
