"""An event loop for code that has none."""

import asyncio
import contextvars
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["background"]

T = TypeVar("T")


class Background:
    """An event loop in a thread of its own, for plain code. Made when first needed, and anew after a fork."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0

    def result(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for what the coroutine returns. An interrupt cancels it."""
        loop = self._running()
        context = contextvars.copy_context()
        future: Future[T] = Future()
        task: list[asyncio.Task[T]] = []

        def begin() -> None:
            task.append(loop.create_task(work, context=context))
            task[0].add_done_callback(lambda done: _hand_over(done, future))

        loop.call_soon_threadsafe(begin)
        try:
            return future.result()
        except BaseException:
            if not future.done():
                loop.call_soon_threadsafe(lambda: [each.cancel() for each in task])
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._process != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._process = os.getpid()
                threading.Thread(target=self._loop.run_forever, name="fastcascade", daemon=True).start()
            return self._loop


def _hand_over(done: "asyncio.Task[T]", future: "Future[T]") -> None:
    if done.cancelled():
        future.cancel()
    elif (error := done.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(done.result())


background = Background()
