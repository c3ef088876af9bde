"""A reply of `Direct`'s as it comes: pulled piece by piece, or poured on in the very turn in which its bytes came.

Pulling (`async for`) takes a future and several coroutines for each piece. `relay` takes none of them: bytes go from
the socket through the wire's reader to whoever takes the pieces, in one call. It is for streams of which nothing is to
be decided any more.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from fastcascade.backends.direct_links import Exchange
from fastcascade.backends.direct_parse import LinkError
from fastcascade.errors import BackendError
from fastcascade.messages import Delta, Reply, Request

if TYPE_CHECKING:
    from fastcascade.backends.direct import Direct
    from fastcascade.backends.direct_wire import Flow

__all__ = ["Stream"]

Take: TypeAlias = Callable[[Sequence[Delta]], Awaitable[object] | None]

AFTERTHOUGHT: Final = 0.1
"""Seconds to wait for the end of a body that has said all, since a connection read to its end can be used again."""


class Stream:
    """Pieces, and at last the whole. It must be read to its end or closed.

    Args:
        direct: who is asked.
        request: what. It is sent when the first piece is asked for.
    """

    def __init__(self, direct: "Direct", request: Request) -> None:
        """Ask nothing yet."""
        self._direct, self._request = direct, request
        self._loop: asyncio.AbstractEventLoop | None = None
        self._exchange: Exchange | None = None
        self._flow: Flow | None = None
        self._ready: deque[Delta] = deque()
        self._reply: Reply | None = None
        self._failure: BackendError | None = None  # met behind pieces that are to be given first
        self._over = False
        self._request_id = ""

    def __aiter__(self) -> Self:
        """Iterate over its pieces."""
        return self

    async def __anext__(self) -> Delta | Reply:
        """The next piece; the whole reply as the last."""
        while not self._ready:
            if self._over:
                return self._last()
            await self._more()
        return self._ready.popleft()

    async def relay(self, take: Take) -> Reply:
        """Give all pieces that are still to come, those together that come together, and then the whole.

        What `take` gives is waited for before there are more.
        """
        while True:
            if self._ready:
                ready = tuple(self._ready)
                self._ready.clear()
                if (wait := take(ready)) is not None:
                    await wait
            if self._over:
                return self._last()
            if self._exchange is None or self._flow is None or self._exchange.zipped:
                await self._more()
            elif (wait := await self._poured(self._exchange, self._flow, take)) is not None:
                await wait

    async def aclose(self) -> None:
        """Close the connection, unless the whole reply has come."""
        self._over = True
        self._ready.clear()
        self._end()

    def __del__(self) -> None:
        """A connection that somebody forgot is closed."""
        if self._exchange is not None and self._loop is not None:
            with suppress(RuntimeError):  # a loop that is closed has no connections
                self._loop.call_soon_threadsafe(self._exchange.close)

    # Reading.

    async def _more(self) -> None:
        """Read on, up to one more piece at least, or the end."""
        try:
            if self._exchange is None or self._flow is None:
                await self._begin()
            else:
                await self._read(self._exchange, self._flow)
        except (LinkError, BackendError) as error:
            self._fail(error)
        except BaseException:
            await self.aclose()
            raise

    async def _begin(self) -> None:
        direct = self._direct
        self._loop = asyncio.get_running_loop()
        said = direct.wire.asks(self._request, stream=True)
        self._exchange = exchange = await direct.sent(said)
        self._request_id = direct.wire.request_id(exchange)
        if 200 <= exchange.status < 300:
            self._flow = direct.wire.flow(exchange, self._request_id, said.not_sent)
        else:
            self._reply = direct.wire.refused(exchange, await exchange.whole(), self._request_id)
            self._finish()

    async def _read(self, exchange: Exchange, flow: "Flow") -> None:
        data = await exchange.read()
        if data:
            self._ready.extend(self._fed(flow, data))
        if self._failure is None and (flow.done or not data):
            await self._whole(exchange, flow)

    def _fed(self, flow: "Flow", data: bytes) -> "list[Delta]":
        """The pieces within these bytes; an error behind some is kept until these are given."""
        found: list[Delta] = []
        try:
            for delta in flow.feed(data):
                found.append(delta)  # noqa: PERF402 - what came before an error is kept
        except BackendError as error:
            self._fail(error)
        return found

    async def _poured(self, exchange: Exchange, flow: "Flow", take: Take) -> Awaitable[object] | None:
        """Have the pieces taken as they come, up to the end, or to one that is to be waited for."""
        waits: list[Awaitable[object]] = []

        def sink(data: bytes) -> bool:
            """Whether to go on."""
            found = self._fed(flow, data)
            if found and (wait := take(found)) is not None:
                waits.append(wait)
            return not waits and not flow.done and self._failure is None

        try:
            ended = await exchange.pour(sink)
            if self._failure is None and (flow.done or ended):
                await self._whole(exchange, flow)
        except (LinkError, BackendError) as error:
            self._fail(error)
        except BaseException:
            await self.aclose()
            raise
        return waits[0] if waits else None

    async def _whole(self, exchange: Exchange, flow: "Flow") -> None:
        """Come to the end of it."""
        if flow.done:
            await _drain(exchange)
        self._ready.extend(flow.end())
        self._reply = flow.reply()
        self._finish()

    # Ends.

    def _finish(self) -> None:
        self._over = True
        self._end()

    def _end(self) -> None:
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None

    def _fail(self, error: LinkError | BackendError) -> None:
        self._failure = self._direct.failure(error, self._request_id, stream=True)
        self._finish()

    def _last(self) -> Reply:
        """What the stream ends with, once."""
        failure, self._failure = self._failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # which has this frame in its traceback: a circle that waits for the collector
        reply, self._reply = self._reply, None
        if reply is None:
            raise StopAsyncIteration
        return reply


async def _drain(exchange: Exchange) -> None:
    """Read on to the end of the body, which is all but there."""
    try:
        async with asyncio.timeout(AFTERTHOUGHT):
            while await exchange.read():
                pass
    except (LinkError, TimeoutError):
        return  # the reply is whole, whatever becomes of its connection
