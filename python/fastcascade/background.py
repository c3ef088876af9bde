"""Event loops for code that has none.

There is one, in a thread of its own, and all plain code shares it. What runs on it may be plain code again, and
call `run_sync` itself: it would wait for the loop that it holds up. So such calls go to a second loop, those of
what runs there to a third. Each loop waits for later ones alone, which is why none can wait for itself.
"""

import asyncio
import contextvars
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeVar

__all__ = ["everywhere", "result", "there"]

T = TypeVar("T")
DEEPEST: Final = 8
_WITHIN: contextvars.ContextVar[int] = contextvars.ContextVar("fastcascade_within", default=0)
_THREAD: Final = threading.local()


class Background:
    """An event loop in a thread of its own, made when first needed, and anew after a fork."""

    def __init__(self, level: int) -> None:
        """Start nothing yet. Its work has this many loops waiting for it."""
        self.level = level
        self._kept: list[asyncio.AbstractEventLoop] = []
        self.renew()

    def renew(self) -> None:
        """Begin anew in a process that was forked: it has the loop without its thread, and maybe the lock held."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether there is a loop that runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop, if it runs."""
        return self._loop if self.alive else None

    def result(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for what the coroutine returns. An interrupt cancels it."""
        loop = self._running()
        context = contextvars.copy_context()
        context.run(_WITHIN.set, self.level + 1)
        future: Future[T] = Future()
        task: list[asyncio.Task[T]] = []

        def begin() -> None:
            task.append(loop.create_task(work, context=context))
            task[0].add_done_callback(lambda done: _hand_over(done, future))

        try:
            loop.call_soon_threadsafe(begin)
            return future.result()
        except BaseException:
            if not future.done():
                loop.call_soon_threadsafe(lambda: [each.cancel() for each in task])
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or not self.alive:
                self._loop = asyncio.new_event_loop()
                # Kept for good: a loop that a fork left behind shares its selector with the parent's, and closing
                # it would close that.
                self._kept.append(self._loop)
                self._thread = threading.Thread(
                    target=_run, args=(self._loop, self.level), name="fastcascade", daemon=True
                )
                self._thread.start()
            return self._loop


LEVELS: Final = tuple(Background(level) for level in range(DEEPEST))


def result(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop behind plain code, and wait for what it returns. An interrupt cancels it."""
    level = _level()
    if level >= DEEPEST:
        work.close()
        msg = f"run_sync was called from within itself, {DEEPEST} deep; use `await cascade.run(...)` inside a backend"
        raise RecursionError(msg)
    return LEVELS[level].result(work)


def there() -> asyncio.AbstractEventLoop | None:
    """The loop that `result` would run on now, where there is one already."""
    level = _level()
    return LEVELS[level].loop if level < DEEPEST else None


def everywhere(make: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run this on each loop that there is; the first error is raised when all are done.

    From within what such a loop runs, only on the loops that do not wait for the caller.
    """
    errors: list[Exception] = []
    for each in LEVELS[_level() :]:
        if each.alive:
            try:
                each.result(make())
            except Exception as error:  # noqa: BLE001 - one that fails must not keep the others from theirs
                errors.append(error)
    if errors:
        raise errors[0]


def _level() -> int:
    """How many loops wait for the caller. A thread of ours knows its own, should the context have been left out."""
    return max(_WITHIN.get(), getattr(_THREAD, "level", 0))


def _run(loop: asyncio.AbstractEventLoop, level: int) -> None:
    """Run a loop for ever. `sys.exit` in a task of it, or `loop.stop()`, is no reason for others to wait for ever."""
    _THREAD.level = level + 1
    while not loop.is_closed():
        # asyncio hands such an exception to the task's waiter, who raises it, and then raises it here as well.
        with suppress(SystemExit, KeyboardInterrupt):
            loop.run_forever()


def _hand_over(done: "asyncio.Task[T]", future: "Future[T]") -> None:
    if done.cancelled():
        future.cancel()
    elif (error := done.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())


def _renew() -> None:
    for each in LEVELS:
        each.renew()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_renew)
