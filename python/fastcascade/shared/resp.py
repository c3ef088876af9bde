"""One connection to a server, in RESP3: what is asked in one turn of the loop goes out in one write.

Rules that must hold:

1. Replies come in the order of the commands. A reply nobody waits for, or one that cannot be read, ends the connection.
2. A reply is a value, also where it is an error (`Trouble`): an exception that waits in a future is in its own
   traceback once it is raised, and such circles wait for the collector.
3. What the server pushes is told after the replies that came before it have reached whoever waits for them, and before
   those that came after: an invalidation never overtakes the reply that it belongs to.
4. One timer serves all commands. It counts what was asked at each of its ticks, so that a command costs nothing more.
"""

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from fastcascade.errors import ConfigError
from fastcascade.shared.codes import LATE, LOST, UNSENT, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    from hiredis import HiredisError, PushNotification, Reader, pack_command
except ModuleNotFoundError:
    raise ConfigError("what several processes share needs hiredis: pip install 'fastcascade[redis]'") from None

__all__ = ["Nobody", "Owner", "Wire", "pack"]

TICKS: Final = 4
"""Ticks in the time of a command; one ends late by up to a tick."""
IDLE: Final = 1.0
"""Seconds without traffic before the server is asked whether it is there."""
PATIENCE: Final = 1.0
"""Seconds beyond the time of a command that a server may say nothing before the connection is given up."""
MORE: Final = object()
_pack: Final = cast("Callable[[tuple[str | bytes | int | float, ...]], bytes]", pack_command)
PING: Final = _pack(("PING",))


class Owner(Protocol):
    """Who hears of a connection."""

    def pushed(self, pieces: list[list[Any]], /) -> None:
        """The server has said something of its own accord."""

    def silent(self) -> None:
        """The server has said nothing for the time of a command, though one waits."""

    def speaks(self) -> None:
        """It has said something after all."""

    def ended(self, /) -> None:
        """The connection is over."""


class Nobody:
    """Who hears of a connection that answers one question, which has a time of its own."""

    def pushed(self, pieces: list[list[Any]], /) -> None:
        """Nothing is."""

    def silent(self) -> None:
        """Whoever asked sees to it."""

    def speaks(self) -> None:
        """Likewise."""

    def ended(self) -> None:
        """Likewise."""


class Wire(asyncio.Protocol):
    """One connection. `ask` is its whole use."""

    def __init__(self, owner: Owner, timeout: float) -> None:
        """Belong to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._make = self._loop.create_future
        self._owner = owner
        self._pending: deque[asyncio.Future[Any]] = deque()
        self._out: list[bytes] = []
        self._reader = Reader(replyError=Trouble, notEnoughData=MORE)
        self._transport: asyncio.Transport | None = None
        self._over = False
        self._step = timeout / TICKS
        self._marks: deque[tuple[int, int]] = deque()
        self._answered = 0
        self._fed = 0
        self._heard = 0
        self._silent = 0
        self._idle = True
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, packed: bytes) -> "asyncio.Future[Any]":
        """Send a command; the reply, or a `Trouble`, comes in order."""
        future = self._make()
        if self._over:
            future.set_result(UNSENT)
            return future
        out = self._out
        if not out:
            self._loop.call_soon(self._flush)
        out.append(packed)
        self._pending.append(future)
        return future

    def send(self, packed: bytes) -> None:
        """Send what has no reply but what is pushed."""
        if self._transport is not None and not self._over:
            self._flush()
            self._transport.write(packed)

    def abort(self) -> None:
        """Drop it; those who wait are told."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        if self._over:
            self._transport.abort()
            return
        self._timer = self._loop.call_later(IDLE, self._tick)

    def data_received(self, data: bytes) -> None:
        """Hand replies to those who wait, in order, and what was pushed to the owner."""
        self._fed += 1
        pending, gets = self._pending, self._reader.gets
        pushes: list[list[Any]] = []
        try:
            self._reader.feed(data)
            while (reply := gets()) is not MORE:
                if reply.__class__ is PushNotification:
                    pushes.append(reply)
                    continue
                if pushes:
                    self._loop.call_soon(self._owner.pushed, pushes)
                    pushes = []
                self._answered += 1
                future = pending.popleft()
                if not future.done():
                    future.set_result(reply)
        except (HiredisError, TypeError, IndexError):
            self.abort()  # what comes next cannot be told to belong to anything
        if pushes:
            self._loop.call_soon(self._owner.pushed, pushes)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why is the owner's to find out
        """End."""
        self._end()

    def _flush(self) -> None:
        out = self._out
        if self._over or not out or self._transport is None:
            return
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        out.clear()
        if self._idle:
            self._idle = False
            self._again(self._step)

    def _again(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        """See who has waited too long, and whether the server is there at all."""
        pending = self._pending
        if not pending:
            self._marks.clear()
            self._speaks()
            if self._idle and self._fed == self._heard:
                self.ask(PING)
                self._flush()
            else:
                self._idle = True
                self._heard = self._fed
                self._again(IDLE)
            return
        marks = self._marks
        marks.append((self._answered + len(pending), self._fed))
        if len(marks) > TICKS:
            asked, fed = marks.popleft()
            late = asked - self._answered
            if late > 0:
                for future in islice(pending, late):
                    if not future.done():
                        future.set_result(LATE)
            if late > 0 and fed == self._fed:
                if not self._silent:
                    self._owner.silent()
                self._silent += 1
                if (self._silent - 1) * self._step >= PATIENCE:
                    self.abort()
                    return
            else:
                self._speaks()
        self._again(self._step)

    def _speaks(self) -> None:
        if self._silent:
            self._silent = 0
            self._owner.speaks()

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        sent = len(self._pending) - len(self._out)
        for place, future in enumerate(self._pending):
            if not future.done():
                future.set_result(LOST if place < sent else UNSENT)
        self._pending.clear()
        self._out.clear()
        self._owner.ended()


def pack(command: tuple[str | bytes | int | float, ...]) -> bytes:
    """A command as the wire wants it. A text may hold half of a surrogate pair, which a model may have written."""
    try:
        return _pack(command)
    except UnicodeEncodeError:
        words = (each.encode("utf-8", "surrogatepass") if isinstance(each, str) else each for each in command)
        return _pack(tuple(words))
