"""Counts, percentiles and histograms of nanoseconds."""

from collections import Counter
from collections.abc import Iterable

__all__ = ["EDGES", "Tally", "median"]

# Where the buckets begin: 1-2-5 to the decade, nothing below what timers resolve, one bucket for all from 10 us on.
EDGES = (0, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)


def median(values: Iterable[float]) -> float:
    """The middle value, the mean of the two middle ones; 0.0 of nothing."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


class Tally:
    """How often each timing came: exact percentiles of millions of samples in little memory."""

    def __init__(self, samples: Iterable[int] = ()) -> None:
        """Count some samples."""
        self.counts = Counter(samples)

    def add(self, samples: Iterable[int]) -> None:
        """Count some more."""
        self.counts.update(samples)

    @property
    def n(self) -> int:
        """How many samples there are."""
        return self.counts.total()

    @property
    def mean(self) -> float:
        """The plain mean; 0.0 of nothing."""
        return sum(value * count for value, count in self.counts.items()) / (self.n or 1)

    def percentile(self, percent: float) -> int | None:
        """The smallest sample that at least so many percent do not exceed; None unless one sample lies beyond.

        That is the nearest rank. A p99.9 of 500 samples would be their maximum under a better name.
        """
        permille, n = round(percent * 10), self.n
        if n == 0 or (permille > 500 and n * (1000 - permille) < 1000):
            return None
        rank = max(1, -(-n * permille // 1000))
        for value in sorted(self.counts):
            rank -= self.counts[value]
            if rank <= 0:
                return value
        return None

    @property
    def most(self) -> int:
        """The largest sample; 0 of nothing."""
        return max(self.counts, default=0)

    def less(self, cost: int, per: int = 1) -> "Tally":
        """Every sample with a cost taken off, never below zero, and shared out over `per` things done in it."""
        result = Tally()
        for value, count in self.counts.items():
            result.counts[max(0, value - cost) // per] += count
        return result

    def histogram(self, edges: tuple[int, ...] = EDGES) -> list[int]:
        """How many samples each bucket holds: from its edge up to the next, the last without end."""
        buckets = [0] * len(edges)
        for value, count in self.counts.items():
            buckets[max(0, sum(edge <= value for edge in edges) - 1)] += count
        return buckets
