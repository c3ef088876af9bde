"""Thresholds tried one after the other: which, in what order, how cases are summed over them, how many would do."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from scipy.special import ndtri

from fastcascade.errors import ConfigError
from fastcascade.evals.outcomes import Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Grid", "Steps", "Verdict", "check", "more_at", "more_cases"]

Grid: TypeAlias = Sequence[float] | Floats
Verdict: TypeAlias = Literal["holds", "not yet"]

STEPS: Final = 40
"""Thresholds that are tried, where none are given: each accepts this share of the cases more."""
CASES_MOST: Final = 10**8
"""More cases than this are never asked for."""
POWER: Final = 0.8
"""How likely the number of cases asked for shall suffice, if what was seen is the truth."""


class Steps:
    """The thresholds from the one that accepts least on: none that accepts no case, and none twice.

    Args:
        score: how sure one is; what is not a number is never accepted.
        grid: thresholds fixed beforehand; without, those that accept one part in `STEPS` more at each step, ties whole.
    """

    def __init__(self, score: Floats, grid: Grid | None = None) -> None:
        """Sort the cases into the steps."""
        score = np.where(np.isnan(score), -np.inf, score)
        self.thresholds = _given(score, grid) if grid is not None else _ranked(score[score > -np.inf])
        # The first threshold to accept each case: sums over all thresholds then cost one pass, however many there are.
        found = np.searchsorted(self.thresholds[::-1], score, side="right")
        self.first: NDArray[np.intp] = len(self.thresholds) - found

    def __len__(self) -> int:
        """How many thresholds."""
        return len(self.thresholds)

    def add(self, values: Floats) -> Floats:
        """Sums over what each threshold accepts."""
        return np.cumsum(np.bincount(self.first, values, len(self) + 1))[:-1].astype(np.float64)


def _given(score: Floats, grid: Grid) -> Floats:
    given = np.unique(np.asarray(grid, float))[::-1]
    if not np.isfinite(given).all():
        raise ConfigError("a threshold of the grid is not a finite number")
    return np.asarray(given[given <= score.max(initial=-np.inf)])


def _ranked(score: Floats) -> Floats:
    if not len(score):
        return score
    ranks = np.unique(np.ceil(np.arange(1, STEPS + 1) * len(score) / STEPS).astype(int))
    return np.unique(-np.partition(-score, ranks - 1)[ranks - 1])[::-1]


def more_cases(p_value: Callable[[float], float], n: int, delta: float) -> int | None:
    """How many more cases carry a claim, if they look like these; None where no number does."""
    most = CASES_MOST / n
    low, high = 1.0, 2.0
    while p_value(high) > delta:
        low, high = high, high * 2
        if high > most:
            return None
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if p_value(middle) <= delta else (middle, high)
    # That many carry it every other time; a normal approximation says how many do it more often.
    often = (1 + float(ndtri(POWER)) / float(-ndtri(delta))) ** 2
    return max(1, math.ceil(n * (high * often - 1)))


def more_at(score: float, n: int, delta: float) -> int | None:
    """Likewise, from how many standard deviations the cases are off: that grows with the root of their number."""
    if score >= 0:
        return None
    needed = n * ((float(ndtri(POWER)) - float(ndtri(delta))) / score) ** 2
    return max(1, math.ceil(needed - n)) if needed <= CASES_MOST else None


def check(score: Floats, grades: Mapping[str, Floats], delta: float) -> None:
    """Refuse columns that do not fit, and an error rate that is none."""
    if not len(score):
        raise ConfigError("there are no cases")
    if not 0 < delta < 0.5:
        raise ConfigError(f"delta must be above 0 and below 0.5, not {delta!r}")
    for name, column in grades.items():
        if len(column) != len(score):
            raise ConfigError(f"{name} has {len(column)} cases, and score has {len(score)}")
        if not ((column >= 0) & (column <= 1)).all():
            place = int(np.flatnonzero(~((column >= 0) & (column <= 1)))[0])
            raise ConfigError(f"{name} of case {place} must be from 0 to 1, not {column[place]!r}")
