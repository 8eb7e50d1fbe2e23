# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP and JSON over a unix socket. Knows the Incus response envelope, and nothing of what is in it."""

from __future__ import annotations

import http
import http.client
import json
import os
import socket
import typing as t
import urllib.parse
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import errors

KINDS: t.Mapping[int, type[errors.EngineError]] = {404: errors.Absent, 409: errors.Conflict, 412: errors.Changed}


class Response(t.NamedTuple):
    """``metadata`` of a synchronous answer, or the operation of an asynchronous one; ``etag`` is '' where none came."""

    metadata: t.Any
    operation: str
    etag: str


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket.

    Not Ansible's own, which installs an opener for the whole process at each request: with several threads, one's
    request goes out by another's opener.
    """

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect, as the first request asks for it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Transport:
    """The way to the engine's unix socket. Safe to use from several threads: each call opens its own connection."""

    def __init__(self, socket_path: str, timeout: float = 60) -> None:
        self._socket = socket_path
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
        if envelope.get("type") == "error":  # that an operation failed is answered with status 200
            code, said = envelope["error_code"], envelope["error"]
            kind = KINDS.get(code, errors.EngineError)
            raise kind(f"The engine refused {method} {path} ({code}): {said}", status=code, said=said)
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
        target = urllib.parse.quote(path) + (f"?{urllib.parse.urlencode(query)}" if query else "")
        sent = dict(headers or {})
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        if etag:
            sent["If-Match"] = etag
        for attempt in (1, 2):
            try:
                return self._send(method, target, data, sent, timeout)
            except (OSError, http.client.HTTPException) as error:
                if method != "GET" or attempt == 2:  # noqa: PLR2004
                    raise self._unreachable(method, path, error) from error
        raise AssertionError

    def _send(
        self, method: str, target: str, data: bytes | None, headers: dict[str, str], timeout: float | None
    ) -> tuple[bytes, str]:
        connection = UnixConnection(self._socket, timeout or self._timeout)
        try:
            connection.request(method, target, data, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise _refused(method, target, answer.status, content)
        return content, answer.headers.get("ETag", "")

    def _unreachable(self, method: str, path: str, error: Exception) -> errors.Unreachable:
        if not Path(self._socket).exists():
            hint = "there is no such socket: install and start Incus (role strata.fleet.engine does)"
        elif not os.access(self._socket, os.W_OK):
            hint = "this user may not write to the socket: run as root (become: true)"
        else:
            hint = "the socket is there but nobody answers: start the engine (role strata.fleet.engine does)"
        return errors.Unreachable(
            f"The engine did not answer {method} {path} at {self._socket} ({error}); {hint}.", socket=self._socket
        )


def _refused(method: str, target: str, status: int, content: bytes) -> errors.EngineError:
    try:
        said = str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        said = content.decode(errors="replace")
    kind = KINDS.get(status, errors.EngineError)
    return kind(f"The engine refused {method} {target} ({status}): {said}", status=status, said=said)
