"""Distance between two parties of one machine: what comes in goes on as it was, so much later, each way.

Run as a process, with what to listen for as JSON (`[[port, seconds of a round trip], ...]`); it prints the ports it
listens at, and ends with its input. A line there, "near" or "far", takes the distance away or puts it back.

Connecting costs no round trip here, which connections that are kept pay once. The event loop rounds its timers up to
whole milliseconds, half of one in the mean, so they are set that much early; `cdn.py` measures what comes of it.
"""

import asyncio
import json
import sys
from collections import deque
from functools import partial
from typing import Any, Final

from cdn_processes import ended, say

Seconds = float
EARLY: Final = 0.0005


class Far:
    """Whether the distances are there."""

    def __init__(self) -> None:
        self.there = True


class Way(asyncio.Protocol):
    """One end of a connection: what it hears, the other says later."""

    def __init__(self, seconds: Seconds, far: Far) -> None:
        """`seconds`: one way."""
        self.seconds, self.far = seconds, far
        self.other: Way | None = None
        self.transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._late: deque[tuple[float, bytes]] = deque()  # b"": the end
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        # What comes later never overtakes what came before, though the distance were taken away between.
        self._due = max(self._due, self._loop.time() + (self.seconds if self.far.there else 0.0))
        self._late.append((self._due, data))
        if self._timer is None and self.other is not None:
            self._deliver()

    def connection_lost(self, exc: Exception | None) -> None:
        self.data_received(b"")

    def meet(self, other: "Way") -> None:
        """The other end is there."""
        self.other = other
        if self._late and self._timer is None:
            self._deliver()

    def _deliver(self) -> None:
        self._timer = None
        now = self._loop.time()
        assert self.other is not None
        there = self.other.transport
        while self._late and self._late[0][0] - EARLY <= now:
            data = self._late.popleft()[1]
            if there is None or there.is_closing():
                continue
            if data:
                there.write(data)
            else:
                there.close()
        if self._late:
            self._timer = self._loop.call_at(self._late[0][0] - EARLY, self._deliver)


class Door(Way):
    """The end that was connected to."""

    def __init__(self, port: int, seconds: Seconds, far: Far) -> None:
        super().__init__(seconds, far)
        self._port = port
        self._meeting: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._meeting = self._loop.create_task(self._meet())

    async def _meet(self) -> None:
        far_end = Way(self.seconds, self.far)
        far_end.meet(self)
        try:
            await self._loop.create_connection(lambda: far_end, "127.0.0.1", self._port)
        except OSError:
            if self.transport is not None:
                self.transport.abort()
            return
        self.meet(far_end)


async def main() -> None:
    loop, far = asyncio.get_running_loop(), Far()
    servers = [
        await loop.create_server(partial(Door, port, round_trip / 2, far), "127.0.0.1", 0)
        for port, round_trip in json.loads(sys.argv[1])
    ]
    say([server.sockets[0].getsockname()[1] for server in servers])

    def told(line: str) -> None:
        far.there = line == "far"
        say(line)

    await ended(told)


if __name__ == "__main__":
    asyncio.run(main())
