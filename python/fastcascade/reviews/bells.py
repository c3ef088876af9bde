"""Who waits for news of something by its name, and how they are woken: in this process, in whichever thread."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

from fastcascade.signals import Signal

__all__ = ["Bells", "rung"]


class Bells:
    """Signals by name. One is hung up before looking, so that no news falls in between."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._lock = Lock()
        self._hung: dict[str, set[Signal]] = {}

    @contextmanager
    def hung(self, name: str) -> Iterator[Signal]:
        """A signal that is given when there is news of this name."""
        signal = Signal()
        with self._lock:
            self._hung.setdefault(name, set()).add(signal)
        try:
            yield signal
        finally:
            with self._lock:
                others = self._hung.get(name, set())
                others.discard(signal)
                if not others:
                    self._hung.pop(name, None)

    def ring(self, name: str) -> None:
        """Wake whoever waits for news of this name."""
        with self._lock:
            signals = self._hung.pop(name, set())
        for signal in signals:
            signal.give()

    def __len__(self) -> int:
        """How many names are waited for."""
        return len(self._hung)


async def rung(signal: Signal, seconds: float) -> None:
    """Wait until a signal is given, in whichever thread, or for so many seconds."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has been closed: nobody waits
            loop.call_soon_threadsafe(event.set)

    signal.watch(wake)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
    finally:
        signal.forget(wake)
