"""Sums over cases drawn anew, for intervals: no loop over cases, and bounded memory."""

from typing import Final

import numpy as np

from fastcascade.evals.outcomes import Floats

__all__ = ["resampled"]

DRAWS: Final = 1_000
BLOCKS: Final = 10_000
AT_ONCE: Final = 100


def resampled(columns: Floats, rng: np.random.Generator, draws: int = DRAWS) -> Floats:
    """The sums of each column over n cases drawn with replacement: one row to a draw.

    Above `BLOCKS` cases those are dealt at random into as many blocks, and blocks are drawn: the spread of a sum of
    independent cases is the same.
    """
    n = len(columns)
    if n > BLOCKS:
        dealt = rng.permutation(np.arange(n) % BLOCKS)
        columns = np.column_stack([np.bincount(dealt, each) for each in columns.T]).astype(np.float64)
        n = BLOCKS
    even = np.full(n, 1.0 / n)
    parts = [rng.multinomial(n, even, size=min(AT_ONCE, draws - at)) @ columns for at in range(0, draws, AT_ONCE)]
    return np.concatenate(parts)
