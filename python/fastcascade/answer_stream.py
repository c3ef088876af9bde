"""An answer as it comes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from fastcascade.answers import Answer
from fastcascade.drive import Driver, Flows
from fastcascade.errors import IncompleteAnswer
from fastcascade.messages import Delta, Request
from fastcascade.patience import GRACE

if TYPE_CHECKING:
    from fastcascade.spans import Trail

__all__ = ["AnswerStream", "Ended"]

Ended: TypeAlias = Callable[[Answer | None, BaseException | None], object]
"""Told how a stream ended: the answer, if it got so far, and what broke it off."""


class AnswerStream:
    """An answer as it comes: iterate over its pieces, or over `text()`; `answer` is there at the end.

    Leaving early, `aclose()` or the end of `async with`, cancels what is under way. One task reads it; any other
    may close it, and the reader then gets `CancelledError`: what it has is not the whole.
    """

    def __init__(
        self,
        flows: Flows,
        request: Request,
        ended: Ended | None = None,
        trail: "Trail | None" = None,
    ) -> None:
        """Start nothing before the first piece is asked for; `ended` is told how it ended, if it was begun."""
        self.answer: Answer | None = None
        pieces = _streamed(flows, request, trail)
        self._pieces = pieces if ended is None else _told(pieces, ended)
        self._reader: asyncio.Task[Any] | None = None
        self._cancelled = 0
        self._free = asyncio.Event()
        self._closing = asyncio.Lock()

    async def __anext__(self) -> Delta:
        """The next piece."""
        item = await self._pull()
        if isinstance(item, Answer):
            self.answer = item
            if item.incomplete:
                error = item.attempts[-1].error
                msg = f"the stream broke off: {error.message if error else 'it has no end'}"
                raise IncompleteAnswer(msg, item)
            raise StopAsyncIteration
        return item

    async def _pull(self) -> Delta | Answer:
        if self._reader is not None:
            raise RuntimeError("another task reads this stream")
        self._reader = reader = asyncio.current_task()
        try:
            return await anext(self._pieces)
        finally:
            self._reader = None
            if self._cancelled and reader is not None:
                # What was cancelled is the reading, not the task that reads.
                for _ in range(self._cancelled):
                    reader.uncancel()
                self._cancelled = 0
                self._free.set()

    def __aiter__(self) -> Self:
        """Iterate over pieces of text, of thinking, and of tool calls."""
        return self

    async def text(self) -> AsyncIterator[str]:
        """The pieces of its text alone."""
        async for delta in self:
            if delta.kind == "text":
                yield delta.text

    async def aclose(self) -> None:
        """Stop, and cancel what is under way, in another task too."""
        if self._reader is not None and self._reader is asyncio.current_task():
            raise RuntimeError("a stream cannot be closed by what it is waiting for")
        async with self._closing:
            while (reader := self._reader) is not None:
                self._free.clear()
                self._cancelled += 1
                reader.cancel()
                with suppress(TimeoutError):
                    async with asyncio.timeout(GRACE):
                        await self._free.wait()
            await self._pieces.aclose()

    async def __aenter__(self) -> Self:
        """Close it at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Close it."""
        await self.aclose()


async def _streamed(flows: Flows, request: Request, trail: "Trail | None") -> AsyncGenerator[Delta | Answer, None]:
    driver = Driver(clock=asyncio.get_running_loop().time)
    if trail is not None:
        driver.trail = trail
    async with aclosing(driver.stream(flows(request, driver.clock(), streaming=True))) as stream:
        async for item in stream:
            yield item


async def _told(pieces: AsyncGenerator[Delta | Answer, None], ended: Ended) -> AsyncGenerator[Delta | Answer, None]:
    over = False
    try:
        async with aclosing(pieces):
            async for item in pieces:
                if type(item) is Answer:
                    over = True
                    ended(item, None)  # before it is given: nobody asks for more after it
                yield item
    except BaseException as error:
        if not over:
            ended(None, error)
        raise
