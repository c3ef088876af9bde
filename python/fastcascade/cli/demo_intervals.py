"""How sure a figure is: an exact interval for a share, a bootstrap for a saving. All at 95 %."""

import random
from collections.abc import Callable, Sequence
from math import comb, isnan, nan
from typing import Final, TypeAlias

__all__ = ["FEWEST", "Interval", "Pair", "exact", "saving", "saving_interval"]

Interval: TypeAlias = tuple[float, float]
Pair: TypeAlias = tuple[float, float]
"""What a request cost, and what the large model alone costs for it."""

ERROR: Final = 0.05
RESAMPLES: Final = 2_000
FEWEST: Final = 10
"""Requests below which a bootstrap is too narrow to be shown."""


def exact(count: int, n: int) -> Interval:
    """The interval of Clopper and Pearson for `count` of `n`, which never holds too little."""
    if n == 0:
        return 0.0, 1.0
    low = 0.0 if count == 0 else _root(lambda p: ERROR / 2 - (1.0 - _at_most(count - 1, n, p)))
    high = 1.0 if count == n else _root(lambda p: _at_most(count, n, p) - ERROR / 2)
    return low, high


def _at_most(count: int, n: int, p: float) -> float:
    return sum(comb(n, k) * p**k * (1.0 - p) ** (n - k) for k in range(count + 1))


def _root(falling: Callable[[float], float]) -> float:
    """Where a function that falls from above zero to below it crosses."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2


def saving(pairs: Sequence[Pair]) -> float | None:
    """The share of the large model's cost that was not spent; None where there is nothing to compare with."""
    share = _saving(pairs)
    return None if isnan(share) else share


def saving_interval(pairs: Sequence[Pair], seed: int = 1) -> Interval | None:
    """The same over requests drawn again and again from these; None where there are too few to draw from."""
    if len(pairs) < FEWEST or saving(pairs) is None:
        return None
    rng = random.Random(seed)
    drawn = (_saving(rng.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    found = sorted(share for share in drawn if not isnan(share))
    edge = int(len(found) * ERROR / 2)
    return found[edge], found[-1 - edge]


def _saving(pairs: Sequence[Pair]) -> float:
    whole = sum(large for _, large in pairs)
    return 1.0 - sum(spent for spent, _ in pairs) / whole if whole > 0 else nan
