"""What runs beside requests: stale answers fetched anew, and requests for one thing that wait for the first of them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastcascade.dropin_fallback import log
from fastcascade.dropin_heard import apart

__all__ = ["Flights", "Refreshes"]

PATIENCE: Final = 30.0
"""Seconds that a request waits for another's answer before it asks for itself."""


class Refreshes:
    """Fetches going on in the background of an event loop."""

    def __init__(self) -> None:
        """None so far."""
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself holds tasks by weak references alone

    def begin(self, fetch: Callable[[], Coroutine[Any, Any, None]], release: Callable[[], object]) -> None:
        """Fetch in the background, and let go of the lead however that ends."""

        async def fetched() -> None:
            apart()  # the request that found it stale has been answered from the cache
            try:
                await fetch()
            except Exception:  # noqa: BLE001 - an app may raise anything, and nobody waits for this
                log.exception("a stale answer could not be fetched anew")
            finally:
                release()

        try:
            asyncio.get_running_loop()
        except RuntimeError:  # a server on another kind of loop: stale answers last until they are too old
            release()
            return
        task = asyncio.create_task(fetched())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _nobody_waits() -> None:
    """The end of a flight that nobody has joined."""


class Flights:
    """Who fetches what, in this event loop: those who ask for the same wait."""

    def __init__(self) -> None:
        """Nobody yet."""
        self._flights: dict[Any, asyncio.Future[None]] = {}

    async def joined(self, key: Any) -> bool:
        """Wait for whoever fetches this, and say whether somebody did."""
        flight = self._flights.get(key)
        if flight is None or flight.get_loop() is not asyncio.get_running_loop():
            return False
        await asyncio.wait((flight,), timeout=PATIENCE)
        return True

    def lead(self, key: Any) -> Callable[[], None]:
        """Fetch this for all; comes to what is to be called when it is there, or will not be."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a server on another kind of loop: there each asks for itself
            return _nobody_waits
        flight: asyncio.Future[None] = loop.create_future()
        if key not in self._flights:
            self._flights[key] = flight

        def landed() -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]
            if not flight.done():
                flight.set_result(None)

        return landed
