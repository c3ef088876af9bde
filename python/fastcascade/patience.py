"""Bounds on time that hold against slow cleaning up too: what is cancelled is cancelled again until it gives way."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final

__all__ = ["GRACE", "Limit", "stop"]

GRACE: Final = 0.25
"""Seconds in which what is cancelled may clean up before it is cancelled again."""

TIMES: Final = 4
"""How often a task is cancelled before it is left behind."""


class Limit:
    """As `asyncio.timeout`, but cleaning up does not outlive it by more than a little.

    A coroutine that catches every cancellation and goes on cannot be stopped by it.
    """

    __slots__ = ("_before", "_handle", "_loop", "_seconds", "_struck", "_task")

    def __init__(self, seconds: float) -> None:
        """Bound what is done in the `with` block."""
        self._seconds = seconds
        self._struck = 0

    def __enter__(self) -> None:
        """Begin."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a limit is for a task")
        self._task: asyncio.Task[Any] = task
        self._before = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(self._seconds, self._strike)

    def _strike(self) -> None:
        self._struck += 1
        self._task.cancel()
        self._handle = self._loop.call_later(GRACE, self._strike)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Say that time was up, unless someone else has cancelled the task too."""
        self._handle.cancel()
        left = self._before
        for _ in range(self._struck):
            left = self._task.uncancel()
        if self._struck and left <= self._before and isinstance(error, asyncio.CancelledError):
            msg = f"no answer within {self._seconds:g} s"
            raise TimeoutError(msg) from error


async def stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait for their end. One that will not end is left behind after a second."""
    waiting = set(tasks)
    for _ in range(TIMES):
        if not waiting:
            return
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=GRACE)
