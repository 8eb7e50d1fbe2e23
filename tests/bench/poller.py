"""A client that asks every 10 ms: `python poller.py SECONDS-FILE URL...`; on SIGTERM it writes what it saw as JSON.

For each address the times (in seconds, of one clock) at which an answer of 200 arrived. Attempts do not wait for each
other, so that one that hangs while an appliance is away hides nothing.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
import urllib.parse
from pathlib import Path

PERIOD = 0.01
PATIENCE = 0.5  # how long one attempt may take


async def attempt(host: str, port: int, seen: list[float]) -> None:
    """Ask once; note when the answer arrived."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return
    if b" 200 " in line:
        seen.append(time.monotonic())


async def poll(url: str, seen: list[float], ended: asyncio.Event) -> None:
    """Ask again and again."""
    place = urllib.parse.urlsplit(url)
    running = set()
    following = time.monotonic()
    while not ended.is_set():
        task = asyncio.create_task(attempt(str(place.hostname), place.port or 80, seen))
        running.add(task)
        task.add_done_callback(running.discard)
        following += PERIOD
        await asyncio.sleep(max(0, following - time.monotonic()))


async def main(path: str, urls: list[str]) -> None:
    """Poll all addresses until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    seen: dict[str, list[float]] = {url: [] for url in urls}
    await asyncio.gather(*(poll(url, times, ended) for url, times in seen.items()))
    Path(path).write_text(json.dumps(seen))  # noqa: ASYNC240  nothing else runs any more


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
