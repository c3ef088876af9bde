"""The order in which settings of several thresholds are tried, and the trial: see pareto.py."""

import math
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import numpy as np

from fastcascade.evals.bounds import bets, fair_p, ratio_p, ratio_score
from fastcascade.evals.ladder import Ladder
from fastcascade.evals.ladder_figures import ratio
from fastcascade.evals.ladder_grid import Grid, Sums
from fastcascade.evals.outcomes import Floats
from fastcascade.evals.trial import more_at, more_cases

__all__ = ["Trial", "Why", "front"]

Why: TypeAlias = Literal["", "nothing is cheaper", "too few cases", "not as good"]

SPARED: Final = 0.1
"""The share of delta that pays for what is not known besides."""
FRONT_MOST: Final = 100
"""Settings that are tried; of a longer front, as many of them evenly spread."""
LEAST: Final = 1e-12


def front(sums: Sums, keep: float) -> list[int]:
    """Settings that are cheaper than the last tier alone, and of which none other is surer and no dearer; surest first.

    How sure one looks is by how many standard deviations it keeps the quality. Each is charged with one loss more for
    all cases, in proportion to what it accepts: of two in which nothing was seen to be lost, the stricter is surer.
    """
    ladder = sums.ladder
    weight = np.asarray(ladder.weight / ladder.weight.mean(), np.float64)
    last = ladder.right[:, -1]
    losses = weight[:, None] * (keep * last[:, None] - ladder.right)
    below = np.repeat([[1.0] * (ladder.right.shape[1] - 1) + [0.0]], len(ladder), axis=0)
    charge = sums.answered(below) / len(ladder)
    total = sums.answered(losses) + keep * charge
    squares = sums.answered(losses**2) + keep**2 * charge
    spread = np.sqrt(np.maximum(squares - total**2 / (len(ladder) + charge), LEAST))
    alone = float(ladder.weight @ ladder.cost[:, -1])
    # The order of the cases moves the last digits of a sum; what is equal but for these shall count as equal.
    unsure, cost = np.round(total / spread, 9), np.round(sums.paid() / (alone or 1.0), 9)
    order = np.lexsort((np.arange(len(cost)), cost, unsure))
    before = np.minimum.accumulate(np.append(float(alone > 0), cost[order]))[:-1]
    found = order[cost[order] < before]
    spaced = np.unique(np.linspace(0, len(found) - 1, min(FRONT_MOST, len(found))).round().astype(int))
    return [int(each) for each in found[spaced]]


class Trial:
    """The testing half, and what is needed to test each setting."""

    def __init__(self, ladder: Ladder, grid: Grid, keep: float, delta: float) -> None:
        """Count what each setting loses and wins, where grades can be counted."""
        self.ladder, self.grid, self.keep, self.delta = ladder, grid, keep, delta
        right, weight = ladder.right, ladder.weight
        self._sums = Sums(ladder, grid)
        self._last = right[:, -1]
        self._weight = weight / weight.max()
        self._binary = bool(((right == 0) | (right == 1)).all() and (weight == weight[0]).all())
        if self._binary:
            last = self._last[:, None]
            self._lost, self._won = (
                self._sums.answered(each.astype(np.float64)) for each in (last > right, right > last)
            )

    def walk(self, settings: list[int]) -> tuple[list[int], int]:
        """Those that are carried before the first that is not, and how many were tried."""
        # One after the other where they are counted, as most trials end early.
        p_value = (
            (lambda place: self._exact(place, self.keep, 1.0)) if self._binary or not settings else self._betting()
        )
        for count, place in enumerate(settings):
            if p_value(place) > self.delta:
                return settings[:count], count + 1
        return settings, len(settings)

    def low(self, place: int) -> float:
        """The most that this setting could be shown to keep, were it the only one."""
        taken = self.ladder.taken(self.grid.vector(place))
        p_value = self._tester(place)
        low, high = (
            self.keep,
            max(self.keep, min(ratio(float(self._weight @ taken.right), float(self._weight @ self._last)), 1.0)),
        )
        for _ in range(8):
            middle = (low + high) / 2
            low, high = (middle, high) if p_value(middle, 1.0) <= self.delta else (low, middle)
        return low

    def needed(self, settings: list[int], whole: int) -> tuple[int | None, Why]:
        """How many more cases are likely to carry the surest setting, of which the testing half gets its share."""
        if not settings:
            return None, "nothing is cheaper"
        n, place = len(self.ladder), settings[0]
        if self._binary:
            score = ratio_score(self._lost[place], self._won[place], self._last.sum(), n, self.keep)
            # What is paid for the unknown leaves less for the claim.
            more = more_at(score, n, (1 - SPARED) * self.delta)
        else:
            p_value = self._tester(place)
            more = more_cases(lambda times: p_value(self.keep, times), n, self.delta)
        return (None, "not as good") if more is None else (math.ceil(more * whole / n), "too few cases")

    def _exact(self, place: int, keep: float, times: float) -> float:
        counts = np.rint(np.array([self._lost[place], self._won[place], self._last.sum(), len(self.ladder)]) * times)
        lost, won, right, n = (float(each) for each in counts)
        return ratio_p(lost, won, right, n, keep, SPARED * self.delta)

    def _betting(self) -> Callable[[int], float]:
        """The p-values of all settings at once, by what each tier's answers would have won."""
        losses: Floats = self._weight[:, None] * (self.keep * self._last[:, None] - self.ladder.right)
        stakes = self._stakes(len(losses), self.keep)
        logs = np.array([self._sums.answered(np.log1p(-stake * losses)) for stake in stakes])
        return lambda place: fair_p(logs[:, place])

    def _tester(self, place: int) -> Callable[[float, float], float]:
        """The p-value of one setting, for any share to keep, and as many times the cases as one says."""
        if self._binary:
            return lambda keep, times: self._exact(place, keep, times)
        right = self.ladder.taken(self.grid.vector(place)).right

        def bet(keep: float, times: float) -> float:
            loss = self._weight * (keep * self._last - right)
            stakes = self._stakes(len(loss) * times, keep)
            return fair_p(times * np.array([np.log1p(-stake * loss).sum() for stake in stakes]))

        return bet

    def _stakes(self, n: float, keep: float) -> Floats:
        return bets(n, self.delta, 1 / keep, 1 + keep)
