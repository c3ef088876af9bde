"""An event loop whose time is virtual."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["FakeClock", "run_virtual"]

T = TypeVar("T")


class FakeClock:
    """The time of a virtual event loop: goes on only where the loop would have waited."""

    def __init__(self) -> None:
        """Begin at nought."""
        self.now = 0.0


class _VirtualLoop(asyncio.SelectorEventLoop):
    """Waits for no time at all, and moves the clock by what it would have waited; for threads it really waits."""

    def __init__(self, clock: FakeClock) -> None:
        self._virtual = clock
        self._threads: set[asyncio.Future[Any]] = set()
        selector = selectors.DefaultSelector()
        self._select = selector.select
        selector.select = self._jump  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual.now

    def _jump(self, timeout: float | None = None) -> Any:
        ready = self._select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self._threads:
            return self._select(0.01)  # its end comes from outside
        self._virtual.now += timeout
        return ready

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> "asyncio.Future[Any]":  # type: ignore[override]
        future: asyncio.Future[Any] = super().run_in_executor(executor, func, *args)
        self._threads.add(future)
        future.add_done_callback(self._threads.discard)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        executor = getattr(self, "_default_executor", None)
        if executor is not None:
            executor.shutdown(wait=True)


def run_virtual(main: Coroutine[Any, Any, T], clock: FakeClock | None = None) -> T:
    """Run a coroutine in an event loop whose time is virtual. Not for real sockets: these take real time."""
    clock = clock or FakeClock()
    with asyncio.Runner(loop_factory=lambda: _VirtualLoop(clock)) as runner:
        return runner.run(main)
