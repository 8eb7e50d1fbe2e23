# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long an appliance does not serve, measured from outside of it: from its node, over its network."""

from __future__ import annotations

import threading
import time
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import health
from ansible_collections.strata.fleet.plugins.module_utils.model import Appliance

PERIOD = 0.05  # seconds between two looks, and so the resolution
PATIENCE = 0.25  # seconds for an answer


class Watch:
    """Looks at a port until it is told to stop; ``seconds`` is the longest time in which nobody was served.

    Looks at what the app's own check looks at, by HTTP or TCP; where that is a command, at the app's first TCP port.
    """

    def __init__(self, item: Appliance, address: str) -> None:
        self._address = address
        self._health = item.health
        is_probed = item.health.get("type") in ("http", "tcp")
        self._port = int(item.health["port"]) if is_probed else next(iter(item.ports), 0)
        self._ended = threading.Event()
        self._longest = 0.0
        self._last_served: float | None = None
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def start(self) -> None:
        """Begin to look, unless there is nothing to look at."""
        if self._port and self._address and self._serves():
            self._last_served = time.monotonic()
            self._thread.start()

    def stop(self) -> float | None:
        """End it, and return the seconds of interruption; None where there was nothing to measure."""
        if self._last_served is None:
            return None
        self._ended.set()
        self._thread.join()
        return round(max(self._longest, self._since()), 2)

    def _look_on(self) -> None:
        while not self._ended.is_set():
            if self._serves():
                self._longest = max(self._longest, self._since())
                self._last_served = time.monotonic()
            self._ended.wait(PERIOD)

    def _since(self) -> float:
        since = time.monotonic() - t.cast("float", self._last_served)
        return since if since > 2 * PERIOD + PATIENCE else 0.0

    def _serves(self) -> bool:
        if self._health.get("type") == "http":
            return not health.probe_http(self._address, self._health, PATIENCE, PATIENCE)
        return not health.probe_tcp(self._address, self._port, PATIENCE)
