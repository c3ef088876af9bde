"""How sure a saving is: a bootstrap, at 95 %."""

import random
from collections.abc import Sequence
from math import isnan, nan
from typing import Final, TypeAlias

from fastcascade.evals.live_bounds import Interval

__all__ = ["FEWEST", "Pair", "saving", "saving_interval"]

Pair: TypeAlias = tuple[float, float]
"""What a request cost, and what the large model alone costs for it."""

ERROR: Final = 0.05
RESAMPLES: Final = 2_000
FEWEST: Final = 10
"""Requests below which a bootstrap is too narrow to be shown."""


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
