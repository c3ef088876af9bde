"""Connections to the instances of a pool: any method, bodies of any length both ways, one request at a time.

The link beneath (backends/direct_link.py) reads heads and bodies; here a request is written piece by piece, no faster
than it is taken, while its answer may come already.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from fastcascade.backends.direct_link import LONGEST_HEAD, Link
from fastcascade.backends.direct_links import Links, Origin
from fastcascade.backends.direct_parse import Head, LinkError, head_of
from fastcascade.gateway.proxy_settings import Timeouts

__all__ = ["ProxyLink", "ProxyLinks"]

ROOM: Final = 1 << 18
"""Bytes of a request that may wait for an instance to take them."""


class ProxyLink(Link):
    """A connection to an instance."""

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float, left: Callable[[Any], object]) -> None:
        """Begin before it is connected."""
        super().__init__(loop, patience, left)
        self._full: asyncio.Future[None] | None = None
        self.used = False  # for any request
        self.reused = False  # for one before this one
        self.heard = False  # something of an answer has come

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        super().connection_made(transport)
        if self._transport is not None:
            self._transport.set_write_buffer_limits(ROOM)

    def pause_writing(self) -> None:
        """It takes no more for now."""
        self._full = self._loop.create_future()

    def resume_writing(self) -> None:
        """It takes more."""
        full, self._full = self._full, None
        if full is not None and not full.done():
            full.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Note that it speaks."""
        self.heard = True
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended; who waits to write is not kept."""
        self.resume_writing()
        super().connection_lost(exc)

    def begin(self, data: bytes, patience: float) -> None:
        """Send the beginning of a request. Raises `LinkError` where the connection has ended: then nothing has left."""
        if self._transport is None or self._transport.is_closing():
            raise LinkError("connection", "the connection has ended")
        self.busy, self.done, self._in_chunk, self._began, self.heard = True, False, False, False, False
        self._patience = patience
        self.reused, self.used = self.used, True
        self._transport.write(data)

    async def write(self, data: bytes) -> None:
        """Send more of it, and wait while too much is on its way. Raises `LinkError` where the connection has ended."""
        if self._transport is None or self._transport.is_closing():
            raise LinkError("connection", "the connection has ended")
        self._transport.write(data)
        self._until = self._loop.time() + self._patience  # an upload that goes on is no silence
        if self._full is not None:
            await self._full

    async def head(self, method: str) -> Head:
        """The head of the answer; interim ones are passed over. Raises `LinkError`."""
        method = "HEAD" if method == "HEAD" else "POST"  # all others frame alike
        while True:
            if not self._rest:
                await self._more()
            raw, found, rest = self._rest.partition(b"\r\n\r\n")  # the way of most: all of it in one piece
            if found and len(raw) <= LONGEST_HEAD and b"\n\n" not in raw:
                self._rest = rest
            else:
                raw = await self._until_blank()
            head = head_of(raw, method=method)
            if head.status == 101:
                raise LinkError("garbled", "the server wants to speak something else than HTTP", began=True)
            if head.status >= 200:
                break
        self._body, self._began = head.body, True
        self._due = head.body.length or 0
        self.done = head.body.length == 0
        return head

    def whole(self) -> bool:
        """Whether the answer has come to its end."""
        return self.done

    def wait_at_most(self, patience: float) -> None:
        """How long each read may take from now on."""
        self._patience = patience

    def at_hand(self) -> bytes:
        """What has come of the body, without waiting. Raises `LinkError`."""
        if self.done or not self._rest:
            return b""
        return self._chunks() if self._body.chunked else self._plain()

    @property
    def length(self) -> int | None:
        """How long the body is; None where that is not known before its end."""
        return self._body.length


class ProxyLinks(Links):
    """The connections of one event loop to one instance.

    Args:
        origin: where to.
        times: how long things may take.
        most: connections at once.
        keep: seconds that one is kept without use.
    """

    def __init__(self, origin: Origin, times: Timeouts, most: int, keep: float) -> None:
        """Begin with none."""
        super().__init__(origin, times.idle, most)
        self._times, self._keep = times, keep

    async def take(self) -> ProxyLink:
        """One that is kept, or a new one. Raises `LinkError`."""
        return self._kept() or await self._made()  # type: ignore[return-value] # `_connect` makes no others

    async def fresh(self) -> ProxyLink:
        """A new one, whatever is kept. Raises `LinkError`."""
        for each in tuple(self._idle):
            each.abort()
        self._idle.clear()
        return await self._made()  # type: ignore[return-value] # as above

    async def beside(self) -> ProxyLink:
        """A new one for a check, which waits for no place. Raises `LinkError`."""
        return await self._connect()  # type: ignore[return-value] # as above

    def _kept(self) -> Link | None:
        while self._idle:
            link = self._idle.pop()
            if link.open and self._loop.time() - link.since < self._keep:
                return link
            link.abort()
        return None

    async def _connect(self) -> Link:
        within = self._times.connect
        origin = self._origin
        try:
            async with asyncio.timeout(within):
                _, link = await self._loop.create_connection(
                    lambda: ProxyLink(self._loop, self._times.head, self._lost),
                    origin.host,
                    origin.port,
                    ssl=origin.tls,
                )
        except TimeoutError:
            raise LinkError("timeout", f"no connection within {within:g} s") from None
        except (OSError, ValueError) as error:
            raise LinkError("connection", type(error).__name__) from None
        self._all.add(link)
        return link
