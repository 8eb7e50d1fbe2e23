# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every error that Strata raises, under one parent."""

from __future__ import annotations

import typing as t


class StrataError(Exception):
    """Something an operator must know.

    The message says what was tried, on what, and what to do next. ``facts`` are the same things for a program:
    keys such as ``appliance``, ``key``, ``path``, ``steps_done``; they end up in the module's result.
    """

    def __init__(self, message: str, **facts: t.Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts

    def __str__(self) -> str:
        return self.message


class BadInput(StrataError):
    """What was asked for cannot be done as written; nothing was changed."""


class Held(BadInput):
    """Something else that was begun has an appliance in hand, and has to end first; nothing was changed."""


class CommandError(StrataError):
    """A program ended with an error."""


class CommandTimeout(CommandError):
    """A program did not finish in time."""


class ContentError(StrataError):
    """Content is missing, unsigned, wrongly signed, tampered with, or not what it says it is."""


class DiskFull(StrataError):
    """There is not enough room for what is to be done."""


class Unreachable(StrataError):
    """The engine, the depot or the network between did not answer."""


class EngineError(StrataError):
    """The engine answered that it will not or cannot."""


class Absent(EngineError):
    """The engine has no such thing (404)."""


class Conflict(EngineError):
    """The thing exists already or is busy (409)."""


class Changed(EngineError):
    """Somebody else changed the thing since it was read (412)."""


class Unhealthy(StrataError):
    """An appliance runs but does not serve."""


class RepositoryError(StrataError):
    """A backup repository cannot be used as asked."""


class RepositoryAbsent(RepositoryError):
    """There is no backup repository at that place."""


class RepositoryLocked(RepositoryError):
    """Another run holds the backup repository, and it is alive."""


class WrongPassword(RepositoryError):
    """The password opens no key of the backup repository."""
