"""One stream on its way to a client: pieces of an answer in, bytes out.

A task of its own reads the answer, so that silence can be told from the end, and whoever sends the bytes may come and
go; it waits where the client reads slowly. Closing, or a client that goes away, cancels what is asked upstream.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from fastcascade.answer_stream import AnswerStream
from fastcascade.answers import Answer
from fastcascade.asking import is_cancelled
from fastcascade.errors import IncompleteAnswer
from fastcascade.messages import Delta, Request
from fastcascade.patience import stop
from fastcascade.wire.endpoint_refusal import Refusal, hopeless, refusal_of
from fastcascade.wire.endpoint_trace import Watched
from fastcascade.wire.format import Encoder

__all__ = ["LATE", "Declined", "Late", "Streamed"]

ROOM: Final = 65_536
"""Bytes that may wait for a client before its answer is read no further."""

Told = Callable[[Answer | None, int, str], object]
"""Who is told how it ended: the answer as far as it got, the status, and what went wrong."""


LATE: Final = 504
"""What is told where there was nothing to send in time."""


class Late(Exception):
    """There was nothing to send in time. Whoever is told of the end has been."""


class Declined(Exception):
    """There is an answer, and it is not to be given."""

    def __init__(self, refusal: Refusal, answer: Answer) -> None:
        """Keep both."""
        super().__init__(refusal.message)
        self.refusal = refusal
        self.answer = answer


class Streamed:
    """The bytes of one answer as they come. It must be read to its end or closed."""

    def __init__(self, watched: Watched, request: Request, encoder: Encoder, told: Told, *, heartbeat: float) -> None:
        """Start nothing before `begin`."""
        self._watched, self._encoder, self._told = watched, encoder, told
        self._stream = AnswerStream(watched.flows, request)
        self._heartbeat, self._id = heartbeat, request.id
        self._loop = asyncio.get_running_loop()
        self._said: list[Delta] = []
        self._due: list[bytes] = []
        self._waiting = 0  # bytes that are due
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._begun: asyncio.Future[Answer | None] = self._loop.create_future()
        self._over = False
        self._task: asyncio.Task[None] | None = None

    async def begin(self, within: float | None = None) -> Answer | None:
        """Wait until there is something to send; the answer, where it is whole by then. Raises what went wrong."""
        self._task = self._loop.create_task(self._run())
        timer = None if within is None else self._loop.call_later(within, self._begun.cancel)
        try:
            return await self._begun
        except asyncio.CancelledError:
            late = not is_cancelled()
            if late:
                told = self._told
                self._told = lambda answer, _status, _failure: told(answer, LATE, "no answer")
            await self.aclose()
            if late:
                raise Late from None
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def __aiter__(self) -> Self:
        """Iterate over what is to be sent."""
        return self

    async def __anext__(self) -> bytes:
        """What is due by now; a sign of life after a while of silence."""
        while not self._due:
            if self._over:
                raise StopAsyncIteration
            if not await self._woken():
                return self._encoder.ping()
        due = self._due[0] if len(self._due) == 1 else b"".join(self._due)
        self._due.clear()
        self._waiting = 0
        _wake(self._room)
        return due

    async def aclose(self) -> None:
        """Stop, and cancel what is asked upstream."""
        if self._task is not None and not self._task.done():
            await stop((self._task,))
        self._ended()
        self._give_up()

    def drop(self) -> None:
        """Close it, soon, from any thread: for whoever forgot to."""
        task = self._task
        if task is not None and not task.done():
            with suppress(RuntimeError):  # a loop that is closed has nothing under way
                self._loop.call_soon_threadsafe(task.cancel)

    # Reading.

    async def _woken(self) -> bool:
        """Wait for bytes; whether there are any, or the end."""
        self._news = news = self._loop.create_future()
        timer = self._loop.call_later(self._heartbeat, _wake, news)
        try:
            await news
        except asyncio.CancelledError:
            if self._task is not None:
                self._task.cancel()  # the client has gone, and whoever served it may not come back to close this
            raise
        finally:
            timer.cancel()
            self._news = None
        return bool(self._due) or self._over

    # The task.

    async def _run(self) -> None:
        try:
            await self._read()
        except IncompleteAnswer as error:
            self._say(self._broken(error.answer))
            self._tell(error.answer, 200, "incomplete")
        except asyncio.CancelledError:
            self._give_up()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told in the words of its format
            self._failed(error)
        finally:
            await self._stream.aclose()
            self._ended()

    async def _read(self) -> None:
        watched, encoder, said = self._watched, self._encoder, self._said
        async for delta in self._stream:
            said.append(delta)
            if not watched.live:
                continue  # the answer is whole, and how it came is known in a moment
            if len(said) == 1 or not self._begun.done():
                self._say(encoder.start() + b"".join(map(encoder.delta, said)))
                self._begin(None)
            else:
                self._say(encoder.delta(delta))
            if self._waiting > ROOM:
                self._room = self._loop.create_future()
                await self._room
        answer = self._stream.answer
        if answer is None:
            raise RuntimeError("a stream ended without an answer")
        if self._begun.done():
            self._say(encoder.end(answer))
        else:
            if (refusal := hopeless(answer)) is not None:
                raise Declined(refusal, answer)
            self._say(encoder.start() + b"".join(map(encoder.delta, said)) + encoder.end(answer))
            self._begin(answer)
        self._tell(answer, 200, "")

    def _failed(self, error: Exception) -> None:
        if not self._begun.done():
            self._begun.set_exception(error)  # told by whoever waits for it, who has the status
            self._told = _nobody
            return
        refusal = refusal_of(error, self._id)
        with suppress(Exception):
            self._say(self._encoder.broken(refusal.message))
        self._tell(self._so_far("it failed"), 200, refusal.failure)

    def _broken(self, answer: Answer) -> bytes:
        """That it broke off, and no word of a provider's on it."""
        error = answer.attempts[-1].error if answer.attempts else None
        return self._encoder.broken(f"the stream broke off ({error.kind if error else 'cut'})")

    def _say(self, data: bytes) -> None:
        if data:
            self._due.append(data)
            self._waiting += len(data)
            _wake(self._news)

    def _begin(self, answer: Answer | None) -> None:
        if not self._begun.done():
            self._begun.set_result(answer)

    def _ended(self) -> None:
        self._over = True
        _wake(self._news)
        _wake(self._room)

    def _give_up(self) -> None:
        """The client has gone, before it was told all."""
        if self._told is not _nobody:
            self._tell(self._so_far("the client went away"), 499, "cancelled")
        if not self._begun.done():
            self._begun.cancel()

    def _so_far(self, why: str) -> Answer | None:
        return self._stream.answer or self._watched.given_up(self._said, self._loop.time(), why)

    def _tell(self, answer: Answer | None, status: int, failure: str) -> None:
        told, self._told = self._told, _nobody
        told(answer, status, failure)


def _nobody(_answer: Answer | None, _status: int, _failure: str, /) -> None:
    """Whoever was to be told has been."""


def _wake(waiter: "asyncio.Future[None] | None") -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
