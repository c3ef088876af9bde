"""How the server's clock stands to ours."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from fastcascade.shared.script import Script

if TYPE_CHECKING:
    from fastcascade.shared.shared import Shared

__all__ = ["ServerTime"]

TRIES: Final = 3
OLD: Final = 1.0
"""Seconds after which hardly any news come."""
TIME: Final = Script("return redis.call('TIME')  -- KEYS: where the news are, for the clock of that node")


class ServerTime:
    """The offset between two clocks, right to half of a round trip.

    Args:
        shared: whose clock it is.
        clock: ours.
    """

    def __init__(self, shared: "Shared", clock: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet."""
        self._shared, self._clock = shared, clock
        self.offset: float | None = None
        self._asked = 0.0
        self.doubted: Callable[[], object] = _nothing
        """Called when a piece of news seems old: it is, or one of the clocks was set."""

    async def ask(self) -> None:
        """Ask a few times, and believe the answer that came soonest. `StoreError`."""
        best = (float("inf"), 0.0)
        for _ in range(TRIES):
            sent = self._clock()
            seconds, micros = await self._shared.run(TIME, [self._shared.key("news")])
            took = self._clock() - sent
            best = min(best, (took, int(seconds) + int(micros) / 1e6 - sent - took / 2))
        self.offset, self._asked = best[1], self._clock()

    def age(self, news: str) -> float:
        """How many seconds ago a piece of news was told, at least 0; `news` is its id, which begins with the time."""
        if self.offset is None:
            return 0.0
        age = self._clock() + self.offset - int(news.partition("-")[0]) / 1000
        if age > OLD and self._clock() - self._asked > OLD:
            self.doubted()
        return max(0.0, age)


def _nothing() -> None:
    """Nobody wants to hear it."""
