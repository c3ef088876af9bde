"""Bounds on time that hold against slow cleaning up too: what is cancelled is cancelled again until it gives way."""

import asyncio
import math
from collections.abc import Collection, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

from fastcascade.errors import BackendError
from fastcascade.signals import Signal

__all__ = ["GRACE", "Bound", "Limit", "asleep", "stop", "waited"]

GRACE: Final = 0.25
"""Seconds in which what is cancelled may clean up before it is cancelled again."""

TIMES: Final = 4
"""How often a task is cancelled before it is left behind."""


class Limit:
    """As `asyncio.timeout`, but cleaning up does not outlive it by more than a little. A signal may end it too.

    A coroutine that catches every cancellation and goes on cannot be stopped by it.
    """

    __slots__ = ("_before", "_handle", "_loop", "_seconds", "_struck", "_task", "_until")

    def __init__(self, seconds: float | None, until: Signal | None = None) -> None:
        """Bound what is done in the `with` block."""
        self._seconds = seconds
        self._until = until
        self._struck = 0
        self._handle: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        """Begin."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a limit is for a task")
        self._task: asyncio.Task[Any] = task
        self._before = task.cancelling()
        self._loop = asyncio.get_running_loop()
        if self._seconds is not None:
            self._handle = self._loop.call_later(self._seconds, self._strike)
        if self._until is not None:
            self._until.watch(self._warn)

    def _warn(self) -> None:
        """The signal was given, in whatever thread."""
        with suppress(RuntimeError):  # a loop that is closed has nothing to stop
            self._loop.call_soon_threadsafe(self._give_up)

    def _give_up(self) -> None:
        if self._until is not None and not self._struck:
            if self._handle is not None:
                self._handle.cancel()
            self._strike()

    def _strike(self) -> None:
        self._struck += 1
        self._task.cancel()
        self._handle = self._loop.call_later(GRACE, self._strike)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Say that time was up, unless someone else has cancelled the task too."""
        if self._handle is not None:
            self._handle.cancel()
        dead = False
        if self._until is not None:
            dead = self._until.given
            self._until.forget(self._warn)
            self._until = None
        left = self._before
        for _ in range(self._struck):
            left = self._task.uncancel()
        del self._task  # it keeps the error it ends with, and that whoever keeps this
        if self._struck and left <= self._before and isinstance(error, asyncio.CancelledError):
            if dead:
                raise BackendError("connection", "given up: it was found dead meanwhile") from error
            msg = f"no answer within {self._seconds:g} s"
            raise TimeoutError(msg) from error


class Bound:
    """As `Limit`, for what one driver does one after the other: one timer for all, which looks again if it rings early.

    A timer is dearer than most of what it bounds. Call it with the seconds, and enter: `with bound(3.0): ...`
    """

    __slots__ = ("_before", "_loop", "_rings", "_seconds", "_struck", "_task", "_timer", "_until")

    def __init__(self) -> None:
        """Bound nothing yet."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._rings = self._until = math.inf  # when the timer rings, and when what is bounded now must be over
        self._struck = 0
        self._task: asyncio.Task[Any] | None = None

    def __call__(self, seconds: float) -> "Bound":
        """Say for how long."""
        self._seconds = seconds
        return self

    def __enter__(self) -> None:
        """Begin."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a limit is for a task")
        self._task = task
        self._before = task.cancelling()
        self._until = until = self._loop.time() + self._seconds
        if until < self._rings:
            self._ring_at(until)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Say that time was up, unless someone else has cancelled the task too."""
        task, self._task = self._task, None  # it keeps the error it ends with, and that whoever keeps this
        self._until = math.inf
        if not self._struck or task is None:
            return
        self.close()
        left = self._before
        for _ in range(self._struck):
            left = task.uncancel()
        self._struck = 0
        if left <= self._before and isinstance(error, asyncio.CancelledError):
            msg = f"no answer within {self._seconds:g} s"
            raise TimeoutError(msg) from error

    def extend(self, seconds: float) -> None:
        """Give what is under way so many seconds from now; as many as it likes with `inf`."""
        self._seconds = seconds
        self._until = until = self._loop.time() + seconds
        if until < self._rings:
            self._ring_at(until)

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._rings = math.inf

    def _ring_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings = when
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer, self._rings = None, math.inf
        now = self._loop.time()
        if now < self._until:
            if self._until < math.inf:
                self._ring_at(self._until)
            return
        if self._task is None:
            return
        self._struck += 1
        self._task.cancel()
        self._ring_at(now + GRACE)  # what cleans up for longer is cancelled again


async def stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait for their end. One that will not end is left behind after a second."""
    waiting = set(tasks)
    for _ in range(TIMES):
        if not waiting:
            return
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=GRACE)


async def asleep(seconds: float | None, until: Signal | None) -> bool:
    """Wait for so many seconds, or until a signal is given; whether it was."""
    if until is None:
        await asyncio.sleep(seconds or 0.0)
        return False
    await waited((), seconds, until)
    return until.given


async def waited(tasks: Collection[asyncio.Task[Any]], seconds: float | None, until: Signal | None) -> None:
    """Wait until one of the tasks is done, or a signal is given, or for so many seconds."""
    if until is None:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return
    loop = asyncio.get_running_loop()
    given: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not given.done():
            given.set_result(None)

    def wake() -> None:
        with suppress(RuntimeError):  # a loop that is closed has nobody waiting
            loop.call_soon_threadsafe(tell)

    until.watch(wake)
    try:
        await asyncio.wait({*tasks, given}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        until.forget(wake)
        given.cancel()
