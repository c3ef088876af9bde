"""One stream on its way to a client: pieces of an answer in, bytes out.

A task of its own reads the answer, so that silence can be told from the end, and whoever sends the bytes may come and
go; it waits where the client reads slowly. Closing, or a client that goes away, cancels what is asked upstream.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import suppress
from types import coroutine
from typing import Any, Final, Self

from fastcascade.answers import Answer
from fastcascade.asking import is_cancelled
from fastcascade.drive import Driver
from fastcascade.messages import Delta, Request
from fastcascade.patience import stop
from fastcascade.watched import Watched
from fastcascade.wire.endpoint_refusal import Refusal, hopeless, refusal_of
from fastcascade.wire.format import Encoder

__all__ = ["LATE", "Declined", "Late", "Streamed"]

ROOM: Final = 65_536
"""Bytes that may wait for a client before its answer is read no further."""

Send = Callable[[bytes], Awaitable[object]]
Told = Callable[[Answer | None, int, str], object]
"""Who is told how it ended: the answer as far as it got, the status, and what went wrong."""


SOON: Final = 0.001
"""Seconds that timers are late or early by."""
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
        self._watched, self._encoder, self._told, self._request = watched, encoder, told, request
        self._heartbeat = heartbeat
        self._loop = asyncio.get_running_loop()
        self._answer: Answer | None = None
        self._send: Send | None = None  # where bytes go at once, once somebody takes them
        self._last = 0.0  # when it did so
        self._trouble: Exception | None = None  # with that
        self._refused: Exception | None = None  # why there is nothing to send
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
            answer = await self._begun
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
        error, self._refused = self._refused, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # it has this frame in its traceback: a circle that waits for the collector
        return answer

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
        return self._taken()

    async def pump(self, send: Send) -> None:
        """Send all of it, each piece in the very task that reads it: one change of tasks less for each."""
        while self._due:
            await send(self._taken())
        self._send, self._last = send, self._loop.time()
        while not self._over:
            if not await self._woken():
                await send(self._encoder.ping())
        error, self._trouble = self._trouble, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # as in `begin`
        while self._due:
            await send(self._taken())

    async def aclose(self) -> None:
        """Stop, and cancel what is asked upstream."""
        if self._task is not None and not self._task.done():
            await stop((self._task,))
        self._task = None  # it has the error that it was cancelled with, and that has this
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
        self._timer = self._loop.call_later(self._heartbeat, self._ring)
        try:
            await news
        except asyncio.CancelledError:
            if self._task is not None:
                self._task.cancel()  # the client has gone, and whoever served it may not come back to close this
            raise
        finally:
            self._timer.cancel()
            self._news = None
        return bool(self._due) or self._over

    def _ring(self) -> None:
        """Wake who waits, if it was silent for so long."""
        left = self._last + self._heartbeat - self._loop.time()
        if left > SOON:
            self._timer = self._loop.call_later(left, self._ring)
        else:
            self._last = self._loop.time()
            _wake(self._news)

    def _taken(self) -> bytes:
        due = self._due[0] if len(self._due) == 1 else b"".join(self._due)
        self._due.clear()
        self._waiting = 0
        _wake(self._room)
        return due

    # The task.

    async def _run(self) -> None:
        try:
            flow = self._watched.flows(self._request, self._loop.time(), streaming=True)
            self._answer = answer = await Driver(clock=self._loop.time).told(flow, self._take)
            if answer.incomplete:
                await self._said_all(self._broken(answer))
                self._tell(answer, 200, "incomplete")
            else:
                await self._finish(answer)
        except asyncio.CancelledError:
            self._give_up()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told in the words of its format
            await self._failed(error)
        finally:
            self._ended()

    def _take(self, deltas: Sequence[Delta]) -> Awaitable[object] | None:
        """Pieces of the answer."""
        said = self._said
        said.extend(deltas)
        if not self._watched.live:
            return None  # the answer is whole, and how it came is known in a moment
        if len(said) > len(deltas) and self._begun.done():
            return self._say(b"".join(map(self._encoder.delta, deltas)))
        wait = self._say(self._encoder.start() + b"".join(map(self._encoder.delta, said)))
        self._begin(None)
        return wait

    async def _finish(self, answer: Answer) -> None:
        """What comes after the last piece."""
        encoder = self._encoder
        if self._begun.done():
            await self._said_all(encoder.end(answer))
        else:
            if (refusal := hopeless(answer)) is not None:
                raise Declined(refusal, answer)
            self._say(encoder.start() + b"".join(map(encoder.delta, self._said)) + encoder.end(answer))
            self._begin(answer)
        self._tell(answer, 200, "")

    async def _failed(self, error: Exception) -> None:
        if not self._begun.done():
            self._refused = error  # told by whoever waits for it, who has the status
            self._begin(None)
            self._told = _nobody
            return
        refusal = refusal_of(error, self._request.id)
        with suppress(Exception):
            await self._said_all(self._encoder.broken(refusal.message))
        self._tell(self._so_far("it failed"), 200, refusal.failure)

    def _broken(self, answer: Answer) -> bytes:
        """That it broke off, and no word of a provider's on it."""
        error = answer.attempts[-1].error if answer.attempts else None
        return self._encoder.broken(f"the stream broke off ({error.kind if error else 'cut'})")

    def _say(self, data: bytes) -> Awaitable[object] | None:
        """Send it, or have it ready; what is given is to be waited for before there is more."""
        if self._send is not None:
            return self._sent(self._send, data) if data else None
        if data:
            self._due.append(data)
            self._waiting += len(data)
            _wake(self._news)
        if self._waiting <= ROOM:
            return None
        self._room = room = self._loop.create_future()
        return room

    async def _said_all(self, data: bytes) -> None:
        if (wait := self._say(data)) is not None:
            await wait

    def _sent(self, send: Send, data: bytes) -> Awaitable[object] | None:
        """Send it. Most servers have it at once, though they say it by something to be waited for."""
        try:
            way = send(data).__await__()
            first = next(way)
        except StopIteration:
            self._last = self._loop.time()
            return None
        except Exception as error:  # noqa: BLE001 - the client has gone, which is told where it is served
            raise self._troubled(error) from None
        return self._going_on(first, way)

    @coroutine  # one that is never waited for, since its stream was given up, is no mistake
    def _going_on(self, first: object, way: Iterator[object]) -> Generator[Any, Any, None]:
        """Wait for something that was begun, and has come as far as where it waits for the first time."""
        try:
            yield first
            yield from way
        except Exception as error:  # noqa: BLE001 - as above
            raise self._troubled(error) from None
        self._last = self._loop.time()

    def _troubled(self, error: Exception) -> asyncio.CancelledError:
        """What ends the reading. The task is cancelled, lest this be taken for a fault of the tier's."""
        self._trouble = error.with_traceback(None)  # which has whoever keeps this
        if self._task is not None:
            self._task.cancel()
        return asyncio.CancelledError()

    def _begin(self, answer: Answer | None) -> None:
        if not self._begun.done():
            self._begun.set_result(answer)

    def _ended(self) -> None:
        self._over = True
        self._send = None  # some servers end a stream when nobody holds it any more
        _wake(self._news)
        _wake(self._room)

    def _give_up(self) -> None:
        """The client has gone, before it was told all."""
        if self._told is not _nobody:
            self._tell(self._so_far("the client went away"), 499, "cancelled")
        if not self._begun.done():
            self._begun.cancel()

    def _so_far(self, why: str) -> Answer | None:
        return self._answer or self._watched.given_up(self._said, self._loop.time(), why)

    def _tell(self, answer: Answer | None, status: int, failure: str) -> None:
        told, self._told = self._told, _nobody
        told(answer, status, failure)


def _nobody(_answer: Answer | None, _status: int, _failure: str, /) -> None:
    """Whoever was to be told has been."""


def _wake(waiter: "asyncio.Future[None] | None") -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
