# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's nouns and operations: the part of the Incus REST API that Strata uses.

Source of the paths, fields and codes: the Incus documentation, "REST API" and its API specification.
"""

from __future__ import annotations

import contextlib
import json
import time
import typing as t
import urllib.parse

from ansible_collections.strata.fleet.plugins.module_utils import errors
from ansible_collections.strata.fleet.plugins.module_utils.transport import Transport

SOCKET = "/var/lib/incus/unix.socket"
SUCCESS = 200
Body = dict[str, t.Any]


class Executed(t.NamedTuple):
    """How a program inside an instance ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


class Engine:
    """An Incus server, seen through one of its projects."""

    def __init__(self, socket: str = SOCKET, project: str = "default", timeout: float = 120) -> None:
        self.project = project
        self.socket = socket
        self._timeout = timeout
        self._transport = Transport(socket)

    # -- any noun ------------------------------------------------------------------------------------------------

    def read(self, path: str, **query: t.Any) -> tuple[t.Any, str]:
        """Return what stands at ``path`` below /1.0, and its ETag. Raises Absent where nothing does."""
        answer = self._transport.call("GET", f"/1.0{path}", query={"project": self.project, **query})
        return answer.metadata, answer.etag

    def find(self, path: str) -> Body | None:
        """Return what stands at ``path``, or None."""
        try:
            return t.cast("Body", self.read(path)[0])
        except errors.Absent:
            return None

    def create(self, path: str, body: Body, timeout: float = 0) -> None:
        """POST, and wait (for ``timeout`` seconds, if that is long) where the engine works on it in the background."""
        self._change("POST", path, body, timeout=timeout)

    def begin(self, path: str, body: Body) -> tuple[str, Body]:
        """POST, and return the operation that the engine works on in the background, and what that says of itself."""
        answer = self._transport.call("POST", f"/1.0{path}", query={"project": self.project}, body=body)
        return answer.operation, dict(answer.metadata["metadata"])

    def update(self, path: str, body: Body, etag: str = "") -> None:
        """PATCH: keys that are not named stay as they are."""
        self._change("PATCH", path, body, etag=etag)

    def replace(self, path: str, body: Body, etag: str, timeout: float = 0) -> None:
        """PUT: ``body`` is all there will be. Raises Changed when it is no longer what was read."""
        self._change("PUT", path, body, etag=etag, timeout=timeout)

    def delete(self, path: str) -> None:
        """DELETE; what is gone already is fine."""
        with contextlib.suppress(errors.Absent):
            self._change("DELETE", path, None)

    # -- the server ----------------------------------------------------------------------------------------------

    def server(self) -> Body:
        """Return GET /1.0: api_extensions, config, environment, auth."""
        return t.cast("Body", self.read("")[0])

    def is_back_within(self, seconds: float) -> bool:
        """Wait for a server that did not answer: it may have been restarted."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self.server()
            except errors.StrataError:
                time.sleep(1)
            else:
                return True
        return False

    def pool_driver(self, pool: str) -> str:
        """Return the driver of a storage pool, such as btrfs."""
        return str(self.read(f"/storage-pools/{pool}")[0]["driver"])

    # -- instances and volumes -----------------------------------------------------------------------------------

    def instances(self, *, with_state: bool = False) -> list[Body]:
        """Return all instances of the project in one query; ``with_state`` adds addresses and memory, at a price."""
        return t.cast("list[Body]", self.read("/instances", recursion=2 if with_state else 1)[0])

    def instances_of_others(self) -> list[Body]:
        """Return the instances of all other projects."""
        answer = self._transport.call("GET", "/1.0/instances", query={"all-projects": "true", "recursion": 1})
        return [body for body in answer.metadata if body["project"] != self.project]

    def volume_names(self, pool: str) -> list[str]:
        """Return the names of the project's custom volumes in ``pool``.

        Everything about them in one query would take 20 ms a volume: the engine works out who uses each.
        """
        paths = self.read(f"/storage-pools/{pool}/volumes/custom")[0]
        return [urllib.parse.unquote(path.rpartition("/")[2].partition("?")[0]) for path in paths]

    def volume(self, pool: str, name: str) -> Body:
        """Return one custom volume."""
        return t.cast("Body", self.read(f"/storage-pools/{pool}/volumes/custom/{name}")[0])

    def snapshot_names(self, pool: str, volume: str) -> list[str]:
        """Return the names of a volume's snapshots, oldest first."""
        bodies = self.read(f"/storage-pools/{pool}/volumes/custom/{volume}/snapshots", recursion=1)[0]
        return [str(body["name"]).rpartition("/")[2] for body in sorted(bodies, key=lambda body: body["created_at"])]

    def set_state(self, instance: str, action: str, timeout: int = 30) -> None:
        """Start, stop or restart. A stop that is not over after ``timeout`` seconds raises; it is not forced."""
        body = {"action": action, "timeout": timeout, "force": False}
        self._change("PUT", f"/instances/{instance}/state", body)

    def kill(self, instance: str) -> None:
        """Stop without asking."""
        self._change("PUT", f"/instances/{instance}/state", {"action": "stop", "timeout": 10, "force": True})

    def execute(self, instance: str, argv: t.Sequence[str], timeout: float = 30) -> Executed:
        """Run a program inside a running instance and return how it ended."""
        body = {"command": list(argv), "wait-for-websocket": False, "record-output": True, "interactive": False}
        answer = self._transport.call(
            "POST", f"/1.0/instances/{instance}/exec", query={"project": self.project}, body=body
        )
        done = self.wait(answer.operation, timeout)["metadata"] or {}
        if "return" not in done:  # the instance stopped under it
            raise errors.EngineError(f"{instance} ended while {argv[0]!r} ran in it")
        texts = {number: self._take_log(path) for number, path in (done.get("output") or {}).items()}
        return Executed(int(done["return"]), texts.get("1", ""), texts.get("2", ""))

    def console_log(self, instance: str) -> str:
        """Return what the instance wrote to its console since its start ('' when there is nothing)."""
        with contextlib.suppress(errors.EngineError):
            return self._transport.raw("GET", f"/1.0/instances/{instance}/console", query={"project": self.project})[
                0
            ].decode(errors="replace")
        return ""

    # -- files and images ----------------------------------------------------------------------------------------

    def write_file(self, instance: str, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of root's into an instance, running or not. Its folder must be there."""
        headers = {"X-Incus-type": "file", "X-Incus-mode": f"{mode:04o}", "X-Incus-uid": "0", "X-Incus-gid": "0"}
        # With urllib's own type (a form) the engine takes the body for parameters, and writes an empty file.
        headers["Content-Type"] = "application/octet-stream"
        query = {"project": self.project, "path": path}
        where = f"/1.0/instances/{instance}/files"
        self._transport.raw("POST", where, query=query, body=text.encode(), headers=headers)

    def upload_image(self, tarball: bytes, properties: t.Mapping[str, str], alias: str) -> str:
        """Import a unified image tarball under ``alias``; returns its fingerprint."""
        answer = self._transport.raw(
            "POST",
            "/1.0/images",
            query={"project": self.project},
            body=tarball,
            headers={
                "Content-Type": "application/octet-stream",
                "X-Incus-properties": "&".join(f"{key}={value}" for key, value in properties.items()),
                "X-Incus-public": "0",
            },
        )
        operation = str(json.loads(answer[0])["operation"])
        fingerprint = str(self.wait(operation, self._timeout)["metadata"]["fingerprint"])
        self.create("/images/aliases", {"name": alias, "target": fingerprint})
        return fingerprint

    # -- operations ----------------------------------------------------------------------------------------------

    def wait(self, operation: str, timeout: float) -> Body:
        """Return the finished operation. Raises EngineError when it failed or takes too long."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(1, int(deadline - time.monotonic()))
            answer = self._transport.call(
                "GET", f"{operation}/wait", query={"timeout": min(left, 30)}, timeout=left + 40
            )
            done = t.cast("Body", answer.metadata)
            if done["status_code"] == SUCCESS:
                return done
            if done.get("err"):
                raise errors.EngineError(
                    f"The engine failed at {done.get('description', 'an operation')!r}: {done['err']}", said=done["err"]
                )
            if time.monotonic() >= deadline:
                raise errors.EngineError(
                    f"The engine is still busy with {done.get('description', 'an operation')!r} after {timeout:.0f} s."
                )

    def _change(self, method: str, path: str, body: Body | None, *, etag: str = "", timeout: float = 0) -> None:
        answer = self._transport.call(
            method, f"/1.0{path}", query={"project": self.project}, body=body, etag=etag, timeout=timeout or None
        )
        if answer.operation:
            self.wait(answer.operation, timeout or self._timeout)

    def _take_log(self, path: str) -> str:
        text = self._transport.raw("GET", path, query={"project": self.project})[0].decode(errors="replace")
        self._transport.call("DELETE", path, query={"project": self.project})
        return text
