"""One HTTP/1.1 connection, on asyncio's own sockets, one request at a time.

Bodies are pulled: what nobody reads is not read off the socket for long. Whoever gives up a request closes its
connection at once, which is what ends the work, and the bill, of a model that is still writing.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

from fastcascade.backends.direct_parse import Body, Head, LinkError, chunk_size, head_of

__all__ = ["Link"]

LONGEST_HEAD: Final = 1 << 16
LONGEST_LINE: Final = 1 << 12
"""Bytes of a chunk's first line, and of each trailer."""
NOTHING: Final = Body(0, chunked=False, keep=True)
Sink: TypeAlias = Callable[[bytes], bool]
"""Takes bytes of a body, and says whether it wants more."""
ENOUGH: Final = 1 << 18
"""Bytes that may wait for a reader before the socket is left unread."""


class Link(asyncio.Protocol):
    """A connection. `left` is called once, when it has ended.

    Args:
        loop: whose it is.
        patience: seconds to wait for each read.
        left: told when the connection has ended, by whomever.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float, left: Callable[["Link"], object]) -> None:
        """Begin before it is connected."""
        self._loop, self._patience, self._left = loop, patience, left
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Sink | None = None  # who has the body as it comes
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._rest = b""
        self._paused = False
        self._body = NOTHING
        self._began = False  # the response has a head
        self._due = 0  # bytes of the body, or of its chunk, that are still to come
        self._in_chunk = False
        self._end = 0  # where what follows the last chunk ends
        self._stopped = False  # the sink wants no more, or the end has come
        self._error: Exception | asyncio.CancelledError | None = None  # met while it had the bytes
        self.busy = False
        self.lost = False
        self.done = True  # the response is whole
        self.since = 0.0  # when it was last used

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = transport  # type: ignore[assignment] # of a stream protocol it is a Transport

    def data_received(self, data: bytes) -> None:
        """Keep what came for whoever reads; what nobody asked for ends the connection."""
        if not self.busy:
            self.abort()
            return
        self._rest = self._rest + data if self._rest else data
        if self._sink is not None:
            self._pour(self._sink)
        elif self._waiter is not None:
            self._wake()
        elif len(self._rest) > ENOUGH and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended; what had come can still be read."""
        del exc  # however it ended, what matters is what was missing
        self.lost = True
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake()
        self._left(self)

    # What a request does.

    async def ask(self, data: bytes, method: str = "POST") -> Head:
        """Send a request, and wait for the head of its response. Raises `LinkError`."""
        if self._transport is None or self._transport.is_closing():
            raise LinkError("connection", "the connection has ended")
        self.busy, self.done, self._in_chunk, self._began = True, False, False, False
        self._transport.write(data)
        while True:
            raw = await self._until_blank()
            head = head_of(raw, method=method)
            if head.status == 101:
                raise LinkError("garbled", "the server wants to speak something else than HTTP")
            if head.status >= 200:
                break
        self._body, self._began = head.body, True
        self._due = head.body.length or 0
        self.done = head.body.length == 0
        return head

    async def read(self) -> bytes:
        """What there is of the body, or what comes next of it; nothing at its end. Raises `LinkError`."""
        body = self._body
        while not self.done:
            piece = self._chunks() if body.chunked else self._plain()
            if piece:
                return piece
            if self._is_whole():  # by what was just read
                break
            if not await self._more():
                self._cut()
        return b""

    async def pour(self, sink: Sink) -> bool:
        """Give the body to a sink as it comes, until that wants no more; whether it has ended. Raises `LinkError`."""
        while not self.done:
            if self._rest and not self._given(sink):
                return self.done
            if self._is_whole():  # by what was just given
                break
            self._sink = sink
            try:
                more = await self._more()
            finally:
                stopped, self._stopped, self._sink = self._stopped, False, None
                error, self._error = self._error, None  # also of one who has been cancelled: it holds what is over
            if stopped:
                try:
                    if error is not None:
                        raise error
                finally:
                    del error
                return self.done
            if not more and self.lost:
                self._cut()
        return True

    def _pour(self, sink: Sink) -> None:
        """Give what has come, in the turn of the loop that it came in."""
        self._until = self._loop.time() + self._patience
        try:
            wanted = self._given(sink)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is for `pour`, not for the event loop
            self._error, wanted = error, False
        if self.done or not wanted:
            self._stopped = True
            self._sink = None
            self._wake()

    def _given(self, sink: Sink) -> bool:
        """Whether the sink wants more."""
        while not self.done:
            piece = self._chunks() if self._body.chunked else self._plain()
            if not piece:
                return True
            if not sink(piece):
                return False
        return True

    def release(self) -> bool:
        """End a request: whether the connection can be used for another. If not, it is closed."""
        whole = self.done and self._began and self._body.keep and not self._rest
        self.busy = False
        if whole and not self.lost and self._transport is not None and not self._transport.is_closing():
            self.since = self._loop.time()
            return True
        self.abort()
        return False

    def abort(self) -> None:
        """Close it now."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def open(self) -> bool:
        """Whether it can be written to."""
        return not self.lost and self._transport is not None and not self._transport.is_closing()

    def _cut(self) -> None:
        """The connection has ended: so has a body without a length, and any other is cut."""
        if self._body.length is not None or self._body.chunked:
            raise LinkError("cut", "the connection ended before the response did", began=True)
        self.done = True

    def _is_whole(self) -> bool:
        return self.done

    def _plain(self) -> bytes:
        piece, self._rest = self._rest, b""
        if self._body.length is not None:
            if len(piece) > self._due:
                piece, self._rest = piece[: self._due], piece[self._due :]
            self._due -= len(piece)
            self.done = self._due == 0
        return piece

    def _chunks(self) -> bytes:  # noqa: C901 - one state after another, in one pass
        """All whole and broken chunks that have come, without what is around them."""
        data, at, pieces = self._rest, 0, []
        while True:
            if self._in_chunk:
                piece = data[at : at + self._due]
                at += len(piece)
                self._due -= len(piece)
                if piece:
                    pieces.append(piece)
                if self._due or len(data) < at + 2:
                    break
                if data[at : at + 2] != b"\r\n":
                    if pieces:
                        break  # what came before is given first; this is met again
                    raise self._illegal("the end of a chunk")
                at += 2
                self._in_chunk = False
            end = data.find(b"\r\n", at)
            if end < 0 or end - at > LONGEST_LINE:
                if len(data) - at > LONGEST_LINE and not pieces:
                    raise self._illegal("the size of a chunk")
                break
            try:
                self._due = chunk_size(data[at:end])
            except LinkError:
                if pieces:
                    break
                raise
            if not self._due:
                if not self._trailed(data, end):
                    break
                self._rest = self._rest[self._end :]
                self.done = True
                return b"".join(pieces)
            at, self._in_chunk = end + 2, True
        self._rest = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _trailed(self, data: bytes, at: int) -> bool:
        """Whether the end of the last chunk is there, after whatever headers come behind it."""
        if data.startswith(b"\r\n", at + 2):
            self._end = at + 4
            return True
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            if len(data) - at > LONGEST_HEAD:
                raise self._illegal("what follows the last chunk")
            return False
        self._end = end + 4
        return True

    async def _until_blank(self) -> bytes:
        while True:
            for blank in (b"\r\n\r\n", b"\n\n"):
                raw, found, rest = self._rest.partition(blank)
                if found and len(raw) <= LONGEST_HEAD:
                    self._rest = rest
                    return raw
            if len(self._rest) > LONGEST_HEAD:
                raise LinkError("garbled", "the head of the response is too long")
            if not await self._more():
                raise LinkError("connection", "the connection ended before there was a response")

    async def _more(self) -> bool:
        """Wait for more bytes; False where there will be none."""
        if self.lost:
            return False
        had = len(self._rest)
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        self._waiter = self._loop.create_future()
        self._until = self._loop.time() + self._patience
        if self._timer is None:  # one timer for all reads, which looks again when it rings too early
            self._timer = self._loop.call_at(self._until, self._ring)
        try:
            await self._waiter
        finally:
            self._waiter = None
        return len(self._rest) > had

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._ring)
            return
        told = f"there was nothing to read for {self._patience:g} s"
        self._waiter.set_exception(LinkError("timeout", told, began=self._began))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _illegal(self, what: str) -> LinkError:
        return LinkError("garbled", f"{what} of the response is illegal", began=True)
