"""How long calls took of late, and any percentile of it, in memory that does not grow.

Buckets on a scale of ratios: each ends a tenth above its beginning, so that a percentile is right within 4.8 percent,
from a tenth of a millisecond to two hours. Two windows take turns: what was seen in the last 1,000 calls counts
always, what was seen before the last 2,000 never.
"""

from bisect import bisect_left
from itertools import accumulate
from math import ceil
from threading import Lock
from typing import Final

from fastcascade.errors import ConfigError

__all__ = ["ERROR", "Latencies"]

GROWTH: Final = 1.1
ERROR: Final = (GROWTH - 1) / (GROWTH + 1)
"""How far a percentile may be off, as a share of it."""
SHORTEST: Final = 1e-4
"""Seconds; what is shorter counts as this."""
ENDS: Final = [SHORTEST * GROWTH**power for power in range(193)]
"""Where the buckets end, in seconds; one more has no end, and counts as little more than the last of these."""


class Latencies:
    """The latencies of recent calls. Safe for threads.

    Args:
        window: calls that count in any case; before the last two windows none does.
    """

    __slots__ = ("_acquire", "_all", "_kept", "_left", "_now", "_release", "_window")

    def __init__(self, window: int = 1_000) -> None:
        """Nothing seen yet."""
        if window < 1:
            msg = f"a window of latencies must hold 1 call or more, not {window!r}"
            raise ConfigError(msg)
        lock = Lock()
        self._acquire, self._release = lock.acquire, lock.release
        self._window = self._left = window
        self._all = [0] * (len(ENDS) + 1)  # of both windows
        self._now = [0] * (len(ENDS) + 1)  # of the one that is being filled
        self._kept = 0  # calls in the window before

    @property
    def count(self) -> int:
        """Calls that count at present."""
        return self._kept + self._window - self._left

    def add(self, seconds: float) -> None:
        """Take note of a call that took so long.

        One that was cancelled for a faster one counts with the time until then: were it left out, the percentile, and
        so the hedge that comes after it, would come sooner with each hedge.
        """
        bucket = bisect_left(ENDS, seconds)  # faster than a logarithm, and exact
        self._acquire()
        try:
            self._all[bucket] += 1
            self._now[bucket] += 1
            self._left -= 1
            if not self._left:
                self._turn()
        finally:
            self._release()

    def at(self, percentile: float) -> float | None:
        """The seconds within which so many percent of calls were done; None where nothing was seen."""
        self._acquire()
        try:
            count, seen = self.count, self._all.copy()  # one after the other would not go together
        finally:
            self._release()
        if not count:
            return None
        rank = min(max(ceil(count * percentile / 100), 1), count)
        bucket = bisect_left(list(accumulate(seen)), rank)
        if bucket == 0:
            return SHORTEST
        # The middle that is as far from both ends, in proportion.
        return ENDS[bucket - 1] * (1 + ERROR)

    def _turn(self) -> None:
        """Forget the window before: what counts is the one that is full now."""
        self._all = self._now
        self._now = [0] * (len(ENDS) + 1)
        self._kept = self._left = self._window

    def __repr__(self) -> str:
        """Show the middle of it."""
        return f"<Latencies of {self.count} calls, median {self.at(50)}>"
