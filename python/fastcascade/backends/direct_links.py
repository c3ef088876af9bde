"""Connections to one origin, kept and counted: a request takes one, and gives it back or closes it."""

import asyncio
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final
from urllib.parse import urlsplit

from fastcascade.backends.direct_link import Link
from fastcascade.backends.direct_parse import Head, LinkError

__all__ = ["Exchange", "Links", "Origin"]

IDLE: Final = 30.0
"""Seconds after which a connection that was not used is not trusted to be there; most servers keep them longer."""
CONNECT: Final = 5.0
"""Seconds to make a connection in, as the providers' SDKs have it."""
MOST: Final = 1 << 28
"""Bytes of a body that is read whole."""
PLAIN: Final = frozenset({"", "identity"})
ZIPPED: Final = frozenset({"gzip", "x-gzip", "deflate"})


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to: a host, a port, and the certificates to trust, if it is TLS."""

    host: str
    port: int
    tls: SSLContext | None

    @classmethod
    def of(cls, url: str, tls: Callable[[], SSLContext]) -> "Origin":
        """The origin of a URL."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        return cls(parts.hostname or "", parts.port or (443 if secure else 80), tls() if secure else None)


class Exchange:
    """A request that has a response: its head, and the rest as it comes. It must be closed."""

    __slots__ = ("_fields", "_link", "_links", "_unzip", "header", "status")

    def __init__(self, links: "Links", link: Link, head: Head, *, decode: bool) -> None:
        """Keep which connection it is on."""
        self._links, self._link = links, link
        self.status, self._fields = head.status, head.fields
        self.header = head.fields.first
        coding = self.header("content-encoding").lower() if decode else ""
        if coding not in PLAIN and coding not in ZIPPED:
            raise LinkError("garbled", "the response is compressed in a way that was not asked for", began=True)
        self._unzip: Any = zlib.decompressobj(zlib.MAX_WBITS | 32) if coding in ZIPPED else None

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers, names in lower case, in the order they came."""
        return self._fields.all()

    async def read(self) -> bytes:
        """The next piece of the body; nothing at its end. Raises `LinkError`."""
        if self._unzip is None:
            return await self._link.read()
        while piece := await self._link.read():
            try:
                if plain := self._unzip.decompress(piece):
                    return bytes(plain)
            except zlib.error:
                raise LinkError("garbled", "the response is not compressed as it says", began=True) from None
        if not self._unzip.eof:
            raise LinkError("cut", "what was compressed has no end", began=True)
        return b""

    @property
    def zipped(self) -> bool:
        """Whether its bytes are compressed."""
        return self._unzip is not None

    async def pour(self, sink: Callable[[bytes], bool]) -> bool:
        """Give the body, as it is, to a sink as it comes, until that wants no more; whether it has ended."""
        return await self._link.pour(sink)

    async def whole(self) -> bytes:
        """The rest of the body."""
        first = await self.read()
        if not first or (self._link.done and self._unzip is None):
            return first
        pieces, size = [first], len(first)
        while piece := await self.read():
            pieces.append(piece)
            size += len(piece)
            if size > MOST:
                raise LinkError("garbled", "the response is too long", began=True)
        return b"".join(pieces)

    def close(self) -> None:
        """Give the connection back, or close it where the response is not whole."""
        self._links.give_back(self._link)


class Links:
    """The connections of one event loop to one origin.

    Args:
        origin: where to.
        patience: seconds to wait for each read, and in the queue.
        most: connections at once; those who find no place wait in a queue.
    """

    def __init__(self, origin: Origin, patience: float, most: int) -> None:
        """Begin with none."""
        self._loop = asyncio.get_running_loop()
        self._origin, self._patience, self._most = origin, patience, most
        self._idle: list[Link] = []
        self._all: set[Link] = set()
        self._making = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    async def ask(self, data: bytes, method: str = "POST", *, decode: bool = True) -> Exchange:
        """Send a request as bytes; gives its response once the head has come. Raises `LinkError`."""
        link = self._kept() or await self._made()
        try:
            return Exchange(self, link, await link.ask(data, method), decode=decode)
        except BaseException:
            link.busy = False
            link.abort()
            raise

    def give_back(self, link: Link) -> None:
        """Take a connection back, if it is to be used again."""
        if link.release():
            self._idle.append(link)
            self._next()

    async def aclose(self) -> None:
        """Close all, those in use too."""
        for link in tuple(self._all):
            link.abort()
        self._idle.clear()
        for _ in range(100):  # each tells of its end in one of the loop's next turns
            if not self._all:
                break
            await asyncio.sleep(0)

    def _kept(self) -> Link | None:
        while self._idle:
            link = self._idle.pop()
            if link.open and self._loop.time() - link.since < IDLE:
                return link
            link.abort()
        return None

    async def _made(self) -> Link:
        while len(self._all) + self._making >= self._most:
            await self._place()
            if (kept := self._kept()) is not None:
                return kept
        self._making += 1
        try:
            return await self._connect()
        finally:
            self._making -= 1
            self._next()

    async def _connect(self) -> Link:
        origin = self._origin
        within = min(CONNECT, self._patience)
        try:
            async with asyncio.timeout(within):
                _, link = await self._loop.create_connection(
                    lambda: Link(self._loop, self._patience, self._lost),
                    origin.host,
                    origin.port,
                    ssl=origin.tls,
                )
        except TimeoutError:
            raise LinkError("timeout", f"no connection within {within:g} s") from None
        except (OSError, ValueError) as error:  # a name that IDNA cannot hold is a ValueError
            raise LinkError("connection", f"{type(error).__name__}: {error}") from None
        self._all.add(link)
        return link

    async def _place(self) -> None:
        waiter = self._loop.create_future()
        self._queue.append(waiter)
        try:
            async with asyncio.timeout(self._patience):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._next()  # a place was given that is not wanted any more
            if isinstance(error, TimeoutError):
                told = f"all {self._most} connections were in use for {self._patience:g} s"
                raise LinkError("full", told) from None
            raise
        finally:
            if waiter in self._queue:
                self._queue.remove(waiter)

    def _lost(self, link: Link) -> None:
        self._all.discard(link)
        if link in self._idle:
            self._idle.remove(link)
        self._next()

    def _next(self) -> None:
        if not self._idle and len(self._all) + self._making >= self._most:
            return
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
