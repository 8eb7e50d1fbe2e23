"""Run the parts of `make test` two at a time, and say what became of each. What a part says stays together."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
LOGS = CHECKOUT / "build" / "parts"
# One part waits for machines most of the time, or computes on one core.
AT_ONCE = 2


class Part(t.NamedTuple):
    """Targets of the Makefile, and the parts that must have passed before."""

    targets: str
    needs: tuple[str, ...] = ()


# The earlier ones first, as far as they can: what takes longest must not begin last.
PARTS = (
    Part("lab content"),
    Part("test-fleet", ("lab content",)),
    Part("lint"),
    Part("test-unit"),
    Part("sanity"),
    Part("test-molecule", ("lab content",)),
    Part("test-state", ("lab content",)),
    Part("test-content", ("lab content",)),
)


class Running(t.NamedTuple):
    """A part that was started, and when."""

    part: Part
    process: subprocess.Popen[bytes]
    began: float


def run(parts: t.Sequence[Part], make: t.Sequence[str]) -> dict[str, str]:
    """Run all parts that can be; return '' for those that passed, or why not, by their targets."""
    strange = {need for part in parts for need in part.needs} - {part.targets for part in parts}
    if strange:
        raise ValueError(f"no part is called {', '.join(sorted(strange))}")
    waiting, running = list(parts), list[Running]()
    ended: dict[str, str] = {}
    try:
        while waiting or running:
            for part in [part for part in waiting if any(ended.get(need) for need in part.needs)]:
                waiting.remove(part)
                ended[part.targets] = f"not run: it needs {' and '.join(part.needs)}"
            ready = [part for part in waiting if all(ended.get(need) == "" for need in part.needs)]
            for part in ready[: AT_ONCE - len(running)]:
                waiting.remove(part)
                running.append(start(part, make))
            for each in [each for each in running if each.process.poll() is not None]:
                ended[each.part.targets] = finish(each)
                running.remove(each)
            time.sleep(0.1)
    finally:
        # Whoever ends this wants to know how far it came.
        for each in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.process.pid, signal.SIGKILL)
            finish(each)
    return ended


def start(part: Part, make: t.Sequence[str]) -> Running:
    """Start a part in a process group of its own; what it says goes into a file."""
    say(f"--- {part.targets}: begins")
    with log_of(part).open("wb") as log:
        process = subprocess.Popen(
            [*make, *part.targets.split()],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "MAKEFLAGS": ""},  # whatever this run is told to pass over, its parts are not
        )
    return Running(part, process, time.monotonic())


def finish(each: Running) -> str:
    """Show all that a part said; return '' or how it failed."""
    code = each.process.wait()
    said = log_of(each.part).read_text(errors="replace").rstrip("\n")
    say(f"=== {each.part.targets}")
    say(said)
    how = f"failed with {code}" if code else "passed"
    say(f"=== {each.part.targets}: {how} after {time.monotonic() - each.began:.0f} s")
    return how if code else ""


def log_of(part: Part) -> Path:
    """Return where a part's output is while it runs, and afterwards."""
    return LOGS / f"{part.targets.replace(' ', '-')}.log"


def say(line: str) -> None:
    """Print at once: somebody is watching."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run all parts."""
    LOGS.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    # The lab is left as it is once it is there: an integration test may be restarting its machines.
    ended = run(PARTS, ["make", "--no-print-directory", "LAB="])
    failed = {targets: why for targets, why in ended.items() if why}
    for targets, why in failed.items():
        say(f"{targets}: {why}")
    say(f"parts: {len(ended) - len(failed)} passed, {len(failed)} failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
