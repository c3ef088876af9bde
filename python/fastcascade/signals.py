"""A signal: given once, by anyone, in any thread; whoever waits for it goes on."""

from collections.abc import Callable
from threading import Lock

__all__ = ["Signal"]


class Signal:
    """What a flow can wait for: `Sleep(None, until=signal)`. Once given it stays given."""

    __slots__ = ("_lock", "_wakes", "given")

    def __init__(self) -> None:
        """Not given yet."""
        self.given = False
        self._wakes: list[Callable[[], object]] = []
        self._lock = Lock()

    def give(self) -> None:
        """Let everybody go on who waits for it."""
        with self._lock:
            self.given = True
            wakes, self._wakes = self._wakes, []
        for wake in wakes:
            wake()

    def watch(self, wake: Callable[[], object]) -> None:
        """Call this when it is given: in the giver's thread, and at once if it has been."""
        with self._lock:
            if not self.given:
                self._wakes.append(wake)
                return
        wake()

    def forget(self, wake: Callable[[], object]) -> None:
        """Do not call this any more."""
        with self._lock:
            if wake in self._wakes:
                self._wakes.remove(wake)

    def __repr__(self) -> str:
        """Show whether it was given."""
        return f"<Signal {'given' if self.given else 'not given'}>"
