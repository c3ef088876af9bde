"""A load at a rate that does not wait for answers: what is due is sent when it is due, or counts as late.

wrk sends the next request when the last is answered, so a server that stalls is asked less, and the stall hardly shows
in its percentiles. Here a request's time runs from when it was due, whether there was a connection free for it or not.
Requests come due in batches of a millisecond, which is how fine the event loop's clock is.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
REGION: Final = re.compile(rb"\r\nx-region: *(\w+)", re.IGNORECASE)
TICK: Final = 0.001
clock: Final = time.monotonic  # an event loop's own may be a millisecond behind
PATIENCE: Final = 10.0  # seconds that what is under way has at the end


class Outcome(NamedTuple):
    """What became of a request: when it was due and over, its status (0: the connection broke), and who answered."""

    due: float
    over: float
    status: int
    region: str
    name: str  # of one that is followed by itself
    body: int


@dataclass
class Steady:
    """`rate` requests a second over at most `most` connections; without a rate, each connection is never idle.

    `make` gives the next request's bytes and its name, empty for most.
    """

    port: int
    make: Callable[[], tuple[bytes, str]]
    rate: float | None
    most: int = 512
    done: list[Outcome] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)  # how much later than it should the generator itself came to send
    _idle: list["_Link"] = field(default_factory=list)
    _links: set["_Link"] = field(default_factory=set)
    _waiting: deque[float] = field(default_factory=deque)
    _open: int = 0
    _closing: bool = False

    async def run(self, seconds: float) -> None:
        """Ask for so long, and wait for what is under way then."""
        began, sent = clock(), 0
        if self.rate is None:
            for _ in range(self.most):
                self._due(began)
            await asyncio.sleep(seconds)
        while self.rate is not None and (now := clock()) - began < seconds:
            due = int((now - began) * self.rate) + 1
            last = began + sent / self.rate
            self.lags.append(max(0.0, now - last - TICK))
            for _ in range(due - sent):
                self._due(began + sent / self.rate)
                sent += 1
            await asyncio.sleep(TICK)
        await self._ended(clock())

    async def _ended(self, now: float) -> None:
        self._closing = True
        while clock() - now < PATIENCE and (self._waiting or any(each.due is not None for each in self._links)):  # noqa: ASYNC110 - once a run
            await asyncio.sleep(0.01)
        for each in tuple(self._links):
            if each.due is not None:
                self.over(each, 0, b"", 0, close=True)
            each.end()
        while self._waiting:
            self.done.append(Outcome(self._waiting.popleft(), clock(), 0, "", "", 0))

    def _due(self, due: float) -> None:
        if self._idle:
            self._idle.pop().send(due)
            return
        self._waiting.append(due)
        if self._open < self.most:
            self._open += 1
            asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: _Link(self), "127.0.0.1", self.port)
        except OSError:
            self._open -= 1
            if self._waiting:
                due = self._waiting.popleft()
                self.done.append(Outcome(due, clock(), 0, "", "", 0))

    def ready(self, link: "_Link") -> None:
        """A connection is free."""
        self._links.add(link)
        if self._waiting:
            link.send(self._waiting.popleft())
        elif self.rate is None and not self._closing:
            link.send(clock())
        else:
            self._idle.append(link)

    def over(self, link: "_Link", status: int, head: bytes, body: int, *, close: bool = False) -> None:
        """An answer is whole, or will not be."""
        region = REGION.search(head) if head else None
        assert link.due is not None
        where = region[1].decode() if region else ""
        self.done.append(Outcome(link.due, clock(), status, where, link.name, body))
        link.due = None
        if not close:
            self.ready(link)

    def lost(self, link: "_Link") -> None:
        """A connection has ended."""
        self._links.discard(link)
        if link in self._idle:
            self._idle.remove(link)
        self._open -= 1
        if link.due is not None:
            self.over(link, 0, b"", 0, close=True)
        if self._closing:
            return
        if self.rate is None:
            self._due(clock())
        elif self._waiting:
            self._open += 1
            link.loop.create_task(self._connect())


class _Link(asyncio.Protocol):
    def __init__(self, steady: Steady) -> None:
        self.steady = steady
        self.loop = asyncio.get_running_loop()
        self.due: float | None = None
        self.name = ""
        self._transport: Any = None
        self._got = b""
        self._need = 0
        self._ends = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.steady.ready(self)

    def send(self, due: float) -> None:
        self.due = due
        data, self.name = self.steady.make()
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        got = self._got = self._got + data if self._got else data
        if len(got) < self._need or self.due is None:
            return
        end = got.find(b"\r\n\r\n")
        if end < 0:
            return
        found = LENGTH.search(got, 0, end + 2)
        length = int(found[1]) if found else 0
        self._need = end + 4 + length
        if len(got) < self._need:
            return
        self._got, self._need = b"", 0
        close = b"\r\nconnection: close" in got[:end].lower() if got[9:10] != b"2" else False
        self.steady.over(self, int(got[9:12]), got[: end + 2], length, close=close)
        if close:
            self.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self.steady.lost(self)

    def end(self) -> None:
        if self._transport is not None:
            self._transport.close()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop, where it is there: a load should take little beside what is measured."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()


def percentile(values: Sequence[float], part: float) -> float:
    """Of values in order; 0 of none."""
    return values[min(len(values) - 1, int(part * len(values)))] if values else 0.0


def refused() -> int:
    """Connections on this machine that were refused since it started, as the kernel counts them."""
    try:
        rows = [row.split() for row in Path("/proc/net/snmp").read_text(encoding="ascii").splitlines()]
        names, values = (row for row in rows if row[0] == "Tcp:")
        return int(values[names.index("AttemptFails")])
    except (OSError, ValueError):
        return 0
