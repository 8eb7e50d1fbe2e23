"""A folder over HTTP, such as a depot's repository, that counts what it sends."""

from __future__ import annotations

import functools
import http.server
import threading
import typing as t
from pathlib import Path


class DepotServer:
    """Serves a folder on a free port of an address of this machine while the context lasts."""

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        self.sent = 0
        self._lock = threading.Lock()
        handler = functools.partial(Handler, counted=self._count, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer((address, 0), handler)
        self.url = f"http://{address}:{self._server.server_address[1]}"

    def __enter__(self) -> t.Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _count(self, size: int) -> None:
        with self._lock:
            self.sent += size


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; counts bodies, which are nearly all of it."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: t.Any, counted: t.Callable[[int], None], **kwargs: t.Any) -> None:
        self._counted = counted
        super().__init__(*args, **kwargs)

    def copyfile(self, source: t.Any, outputfile: t.Any) -> None:
        """Send a file, counted."""
        while chunk := source.read(1 << 16):
            outputfile.write(chunk)
            self._counted(len(chunk))

    def log_message(self, *_args: t.Any) -> None:
        """Say nothing."""
