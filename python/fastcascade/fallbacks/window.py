"""Sliding windows: how many of the latest calls failed, and how many were slow. O(1) a call, whatever the window.

    CountWindow  the last n calls
    TimeWindow   the last seconds, in ten buckets: the one under way and the nine before it

A window is told what came of each call, and says whether the calls it holds are now too many bad ones. Whoever owns
it holds a lock meanwhile.
"""

from math import inf, nextafter
from typing import Final, NamedTuple

__all__ = ["BUCKETS", "CountWindow", "Tally", "TimeWindow", "Window"]

BUCKETS: Final = 10
"""Parts of a window of time. It is forgotten a part at a time, so that it holds between 0.9 and 1.0 of its length."""
LONG_AGO: Final = -(1 << 80)

FAILED: Final = 1
SLOW: Final = 2


class Tally(NamedTuple):
    """How many calls there were, how many of them failed, and how many were slow."""

    calls: int = 0
    failed: int = 0
    slow: int = 0


NOTHING: Final = Tally()


class Window:
    """What both kinds share: from how many calls on they are judged, and which shares of bad ones are too many."""

    __slots__ = ("_failure_rate", "_minimum", "_slow_rate")

    def __init__(self, minimum: int, failure_rate: float, slow_rate: float) -> None:
        """Keep the limits."""
        self._minimum = minimum
        self._failure_rate = failure_rate
        self._slow_rate = slow_rate

    def add(self, now: float, failed: bool, slow: bool) -> bool:  # noqa: FBT001 - called for every call there is
        """Take in a call that ended now; whether the calls in the window are too many bad ones."""
        raise NotImplementedError

    def clear(self) -> None:
        """Forget all calls."""
        raise NotImplementedError

    @property
    def tally(self) -> Tally:
        """What the window held after the latest call."""
        raise NotImplementedError

    def _over(self, calls: int, failed: int, slow: int) -> bool:
        # Divided, not multiplied: 7 of 100 is exactly the nearest number to 0.07, and 0.07 * 100 is above 7.
        return calls >= self._minimum and (failed / calls >= self._failure_rate or slow / calls >= self._slow_rate)


class CountWindow(Window):
    """The last `size` calls."""

    __slots__ = ("_calls", "_failed", "_next", "_ring", "_size", "_slow")

    def __init__(self, size: int, minimum: int, failure_rate: float, slow_rate: float) -> None:
        """Begin empty."""
        super().__init__(minimum, failure_rate, slow_rate)
        self._size = size
        self._ring = bytearray(size)
        self._next = self._calls = self._failed = self._slow = 0

    def add(self, now: float, failed: bool, slow: bool) -> bool:  # noqa: ARG002, FBT001 - as the other kind
        """Put it in the place of the oldest."""
        at, ring = self._next, self._ring
        old, new = ring[at], (FAILED if failed else 0) | (SLOW if slow else 0)
        if old != new:
            ring[at] = new
            self._failed += (new & FAILED) - (old & FAILED)
            self._slow += (new >> 1) - (old >> 1)
        at += 1
        self._next = at if at < self._size else 0
        if self._calls < self._size:
            self._calls += 1
        if not self._failed and not self._slow:
            return False
        return self._over(self._calls, self._failed, self._slow)

    def clear(self) -> None:
        """Begin anew."""
        self._ring[:] = bytes(self._size)
        self._next = self._calls = self._failed = self._slow = 0

    @property
    def tally(self) -> Tally:
        """What it holds."""
        return Tally(self._calls, self._failed, self._slow)


class TimeWindow(Window):
    """The last `seconds`.

    All buckets together are counted as well, and what falls out is taken off: only the turn of a bucket costs more
    than a few sums. A call that ended before the latest bucket began, as seen by another thread, counts in that one.
    """

    __slots__ = ("_bucket", "_calls", "_edge", "_failed", "_past", "_slow", "_width")

    def __init__(self, seconds: float, minimum: int, failure_rate: float, slow_rate: float) -> None:
        """Begin empty."""
        super().__init__(minimum, failure_rate, slow_rate)
        self._width = seconds / BUCKETS
        self._bucket = LONG_AGO
        self._edge = -inf  # the end of the bucket under way
        self._calls = self._failed = self._slow = 0
        # What the buckets before hold, by number modulo ten. The one under way has what is left of the sums.
        self._past = [NOTHING] * BUCKETS

    def add(self, now: float, failed: bool, slow: bool) -> bool:  # noqa: FBT001 - as above
        """Count it in the bucket under way."""
        if now >= self._edge:
            self._turn(now)
        self._calls += 1
        if failed:
            self._failed += 1
        if slow:
            self._slow += 1
        if not self._failed and not self._slow:
            return False
        return self._over(self._calls, self._failed, self._slow)

    def _turn(self, now: float) -> None:
        bucket = int(now // self._width)
        # The product may be rounded up: then the last instant of this bucket comes here, and nothing is to be done.
        self._edge = nextafter((bucket + 1) * self._width, -inf)
        if bucket <= self._bucket:
            return
        past = self._past
        calls, failed, slow = map(sum, zip(*past, strict=True))
        past[self._bucket % BUCKETS] = Tally(self._calls - calls, self._failed - failed, self._slow - slow)
        for each in range(max(self._bucket, bucket - BUCKETS) + 1, bucket + 1):
            calls, failed, slow = past[each % BUCKETS]
            past[each % BUCKETS] = NOTHING
            self._calls -= calls
            self._failed -= failed
            self._slow -= slow
        self._bucket = bucket

    def clear(self) -> None:
        """Begin anew."""
        self._calls = self._failed = self._slow = 0
        self._past = [NOTHING] * BUCKETS

    @property
    def tally(self) -> Tally:
        """What it held after the latest call."""
        return Tally(self._calls, self._failed, self._slow)
