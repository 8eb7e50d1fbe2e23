# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of programs, always with argument lists."""

from __future__ import annotations

import os
import subprocess
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import CommandError, CommandTimeout


class Done(t.NamedTuple):
    """How a program ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def run(
    argv: t.Sequence[str],
    *,
    stdin: str | None = None,
    env: t.Mapping[str, str] | None = None,
    cwd: str | None = None,
    timeout: float | None = None,
) -> str:
    """Return what the program wrote to its standard output.

    As ``call``; raises CommandError with ``argv``, ``returncode`` and the end of ``stderr`` when it ends with anything
    but 0.
    """
    done = call(argv, stdin=stdin, env=env, cwd=cwd, timeout=timeout)
    if done.returncode != 0:
        stderr = done.stderr.strip()[-2000:]
        raise CommandError(
            f"{argv[0]} ended with {done.returncode}: {stderr or done.stdout.strip()[-2000:]}",
            argv=list(argv),
            returncode=done.returncode,
            stderr=stderr,
        )
    return done.stdout


def call(
    argv: t.Sequence[str],
    *,
    stdin: str | None = None,
    env: t.Mapping[str, str] | None = None,
    cwd: str | None = None,
    timeout: float | None = None,
) -> Done:
    """Return how the program ended, whatever its code.

    ``env`` is added to this process's environment; messages are asked for in English (``LC_ALL=C.UTF-8``).
    Raises CommandError with ``argv`` when the program is absent, CommandTimeout when it does not finish in ``timeout``
    seconds.
    """
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            env=environment,
            cwd=cwd,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError(
            f"{argv[0]} is not installed (or its working folder {cwd!r} is absent): needed for {' '.join(argv)!r}",
            argv=list(argv),
        ) from error
    except subprocess.TimeoutExpired as error:
        stderr = (error.stderr or b"").decode(errors="replace").strip()[-2000:]
        raise CommandTimeout(
            f"{argv[0]} did not finish within {timeout:.0f} s", argv=list(argv), stderr=stderr
        ) from error
    return Done(done.returncode, done.stdout, done.stderr)
