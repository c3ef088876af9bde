"""How sure a saving is, or any ratio of sums over cases: a bootstrap in plain Python, whole cases drawn.

Each draw costs a pass over all cases: it is for tens to thousands of them. For more there is bootstrap.py, with numpy.
"""

import random
from collections.abc import Sequence
from math import isnan, nan
from typing import Final, TypeAlias

from fastcascade.evals.live_bounds import Interval

__all__ = ["FEWEST", "Pair", "ratio", "ratio_interval", "saving", "saving_interval"]

Pair: TypeAlias = tuple[float, float]
"""What a request cost, and what the large model alone costs for it."""

RESAMPLES: Final = 2_000
LEAST: Final = 200
"""Draws below which the ends of an interval at 95 % would hang on a handful of them."""
WORK: Final = 600_000
"""Cases that are drawn in all, at most, as long as that leaves `LEAST` draws."""
FEWEST: Final = 10
"""Requests below which a bootstrap is too narrow to be shown."""


def saving(pairs: Sequence[Pair]) -> float | None:
    """The share of the large model's cost that was not spent; None where there is nothing to compare with."""
    share = ratio(pairs)
    return None if share is None else 1.0 - share


def saving_interval(pairs: Sequence[Pair], seed: int = 1, confidence: float = 0.95) -> Interval | None:
    """The same over requests drawn again and again from these; None where there are too few to draw from."""
    found = ratio_interval(pairs, seed, confidence)
    return None if found is None else (1.0 - found[1], 1.0 - found[0])


def ratio(pairs: Sequence[Pair]) -> float | None:
    """The sum of the first over that of the second; None where the second is 0."""
    share = _ratio(pairs)
    return None if isnan(share) else share


def ratio_interval(pairs: Sequence[Pair], seed: int = 1, confidence: float = 0.95) -> Interval | None:
    """Where that ratio lies over draws of as many pairs from these; None where there are too few to draw from."""
    if len(pairs) < FEWEST or ratio(pairs) is None:
        return None
    rng = random.Random(seed)
    draws = max(LEAST, min(RESAMPLES, WORK // len(pairs)))
    drawn = (_ratio(rng.choices(pairs, k=len(pairs))) for _ in range(draws))
    found = sorted(share for share in drawn if not isnan(share))
    edge = int(len(found) * (1 - confidence) / 2 + 1e-9)
    return found[edge], found[-1 - edge]


def _ratio(pairs: Sequence[Pair]) -> float:
    whole = sum(large for _, large in pairs)
    return sum(spent for spent, _ in pairs) / whole if whole > 0 else nan
