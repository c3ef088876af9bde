"""A grid of thresholds for several tiers, and sums over what each of its settings does, for all settings at once.

Each case falls into one cell of the grid: by the first threshold of each tier that accepts it. What a setting comes to
is then a sum over cells, and cumulative sums give those of all settings: one pass over the cases for each tier, however
many settings there are.
"""

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from fastcascade.evals.ladder import Ladder
from fastcascade.evals.outcomes import Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Grid", "Sums"]

STEPS: Final = 40
"""Thresholds to a tier, at most, besides infinity."""
SETTINGS_MOST: Final = 4096
"""Settings in all: with four tiers or more, there are fewer thresholds to each."""


class Grid:
    """For each tier infinity, and thresholds that accept so many parts of the cases, ties whole; a setting is a place.

    Args:
        score: n x (k - 1), of the cases to choose by; NaN is never accepted.
    """

    def __init__(self, score: Floats) -> None:
        """Find the thresholds."""
        gated = score.shape[1]
        steps = STEPS
        while (steps + 1) ** gated > SETTINGS_MOST:
            steps -= 1
        self.thresholds = tuple(np.append(math.inf, _parts(column, steps)) for column in score.T)
        self.shape = tuple(map(len, self.thresholds))

    def __len__(self) -> int:
        """How many settings."""
        return math.prod(self.shape)

    def vector(self, place: int) -> tuple[float, ...]:
        """The thresholds of a setting."""
        found = np.unravel_index(place, self.shape)
        return tuple(float(each[at]) for each, at in zip(self.thresholds, found, strict=True))


def _parts(score: Floats, steps: int) -> Floats:
    spoke = score[~np.isnan(score)]
    if not len(spoke):
        return spoke
    ranks = np.unique(np.ceil(np.arange(1, steps + 1) * len(spoke) / steps).astype(int)) - 1
    return np.unique(-np.partition(-spoke, ranks)[ranks])[::-1]


class Sums:
    """The cases of a ladder, sorted into the cells of a grid."""

    def __init__(self, ladder: Ladder, grid: Grid) -> None:
        """Sort them."""
        self.ladder, self._shape = ladder, grid.shape
        self._cell: NDArray[np.intp] = np.zeros(len(ladder), dtype=np.intp)
        for score, thresholds in zip(ladder.score.T, grid.thresholds, strict=True):
            rising = thresholds[:0:-1]  # without infinity
            accepts = np.searchsorted(rising, np.where(np.isnan(score), -math.inf, score), side="right")
            self._cell = self._cell * len(thresholds) + (len(rising) - accepts)

    def answered(self, values: Floats) -> Floats:
        """For each setting, the sum of each case's value at the tier that answers it; `values` is n x k."""
        total = np.zeros(self._shape)
        for tier in range(values.shape[1]):
            found = self._reaching(values[:, tier], tier)
            if tier < len(self._shape):
                found = _accepted(found, tier).sum(axis=tuple(range(tier + 1, len(self._shape))), keepdims=True)
            total += found
        return total.ravel()

    def paid(self) -> Floats:
        """For each setting, what all tiers that are asked cost; one that accepts nothing is not asked."""
        total = np.zeros(self._shape)
        for tier in range(len(self._shape) + 1):
            found = self._reaching(self.ladder.weight * self.ladder.cost[:, tier], tier)
            if tier < len(self._shape):
                found = found.sum(axis=tuple(range(tier, len(self._shape))), keepdims=True)
                there = np.arange(self._shape[tier]) > 0
                found = found * there.reshape([-1 if axis == tier else 1 for axis in range(len(self._shape))])
            total += found
        return total.ravel()

    def _reaching(self, values: Floats, tier: int) -> Floats:
        """Sums by cell; on the axes of the tiers before, over the cells that their thresholds do not accept."""
        cells = np.bincount(self._cell, values, math.prod(self._shape)).reshape(self._shape).astype(np.float64)
        for axis in range(tier):
            cells = np.flip(np.cumsum(np.flip(cells, axis), axis), axis)
        return cells


def _accepted(cells: Floats, axis: int) -> Floats:
    """From sums by cell to sums over what each threshold accepts; the first, infinity, accepts nothing."""
    sums = np.cumsum(cells, axis)
    return np.concatenate([np.zeros_like(sums.take([0], axis)), np.delete(sums, -1, axis)], axis)
