# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP and JSON over a unix socket. Knows the Incus response envelope, and nothing of what is in it."""

from __future__ import annotations

import json
import os
import ssl
import typing as t
import urllib.error
import urllib.parse
from pathlib import Path

from ansible.module_utils.urls import Request
from ansible_collections.strata.fleet.plugins.module_utils import errors

KINDS: t.Mapping[int, type[errors.EngineError]] = {404: errors.Absent, 409: errors.Conflict, 412: errors.Changed}


class Response(t.NamedTuple):
    """``metadata`` of a synchronous answer, or the operation of an asynchronous one; ``etag`` is '' where none came."""

    metadata: t.Any
    operation: str
    etag: str


class Transport:
    """A connection to the engine's unix socket. Safe to use from several threads: each call opens its own."""

    def __init__(self, socket: str, timeout: float = 60) -> None:
        # Without a shared context each call makes a new one, at 30 ms apiece.
        self._context = ssl.create_default_context()
        self._socket = socket
        self._timeout = timeout

    def call(
        self,
        method: str,
        path: str,
        *,
        query: t.Mapping[str, str | int] | None = None,
        body: t.Any = None,
        etag: str = "",
        timeout: float | None = None,
    ) -> Response:
        """Return the answer to one request.

        Raises Unreachable when nobody answers; Absent, Conflict, Changed or EngineError for what the engine refuses.
        A GET is tried again once after a broken connection; a write never is: its caller reads and plans again.
        """
        raw, etag = self.raw(method, path, query=query, body=body, etag=etag, timeout=timeout)
        envelope = json.loads(raw)
        return Response(envelope.get("metadata"), envelope.get("operation") or "", etag)

    def raw(
        self,
        method: str,
        path: str,
        *,
        query: t.Mapping[str, str | int] | None = None,
        body: t.Any = None,
        headers: t.Mapping[str, str] | None = None,
        etag: str = "",
        timeout: float | None = None,
    ) -> tuple[bytes, str]:
        """Return the bytes of the answer and its ETag. ``body`` is sent as it is when bytes, as JSON otherwise."""
        url = "http://engine" + urllib.parse.quote(path)
        if query:
            url += "?" + urllib.parse.urlencode(query)
        sent = dict(headers or {})
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        if etag:
            sent["If-Match"] = etag
        for attempt in (1, 2):
            try:
                return self._open(method, url, data, sent, timeout)
            except OSError as error:
                if method != "GET" or attempt == 2:  # noqa: PLR2004
                    raise self._unreachable(method, path, error) from error
        raise AssertionError

    def _open(
        self, method: str, url: str, data: bytes | None, headers: dict[str, str], timeout: float | None
    ) -> tuple[bytes, str]:
        try:
            answer = Request(
                unix_socket=self._socket, timeout=timeout or self._timeout, context=self._context, use_proxy=False
            ).open(method, url, data=data, headers=headers)
            with answer:
                return answer.read(), answer.headers.get("ETag", "")
        except urllib.error.HTTPError as error:
            raise _refused(method, url, error) from error

    def _unreachable(self, method: str, path: str, error: OSError) -> errors.Unreachable:
        reason = getattr(error, "reason", error)
        if not Path(self._socket).exists():
            hint = "there is no such socket: install and start Incus (role strata.fleet.engine does)"
        elif not os.access(self._socket, os.W_OK):
            hint = "this user may not write to the socket: run as root (become: true)"
        else:
            hint = "the socket is there but nobody answers: start the engine (role strata.fleet.engine does)"
        return errors.Unreachable(
            f"The engine did not answer {method} {path} at {self._socket} ({reason}); {hint}.", socket=self._socket
        )


def _refused(method: str, url: str, error: urllib.error.HTTPError) -> errors.EngineError:
    try:
        said = str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        said = str(error.reason)
    path = url.removeprefix("http://engine")
    kind = KINDS.get(error.code, errors.EngineError)
    return kind(f"The engine refused {method} {path} ({error.code}): {said}", status=error.code, said=said)
