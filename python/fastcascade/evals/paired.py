"""Whether the mean of paired differences lies above or below a bound: one-sided tests for any number of cases.

Each case gives a difference from -1 to 1: how right one arm was, less how right the other was.

    exact     all differences are -1, 0 or 1, and all cases weigh the same. Given how often the two disagree, wins are
              binomial; the rate of disagreement is not known, and the p-value is the worst over all rates that a
              binomial interval leaves (Berger and Boos 1994; the interval's own risk of `MISS` is added). Rates are
              searched over a grid, finer around the worst. It holds for cases drawn alike and apart from a population.
    betting   anything else: `bounds.betting_p`. It holds for cases that are apart, alike or not, their weights taken
              as given. On the same data it needs more than twice the cases that the exact one does.

Both say the same in whichever order the cases come.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from scipy import optimize, special

from fastcascade.evals.bounds import betting_p, exact_interval
from fastcascade.evals.outcomes import Floats

__all__ = ["Pairs", "exact_p", "holm"]

MISS: Final = 1e-6
"""The risk that the true rate of disagreement is not among those searched."""
TAIL: Final = 1e-12
"""The chance of counts that are left out at either end of the sum."""
RATES: Final = 33
"""A binomial interval with a risk of `MISS` is some ten deviations wide: three rates to a deviation."""
POWER: Final = 0.8416212335729143
"""The normal quantile of 80 %: how surely the cases that are said to be needed will do."""
PURSE: Final = 1.2
"""What it costs, in logarithms, that the purse is shared by bets of which one or two are right."""
FINE: Final = 1e-5


@lru_cache(maxsize=4096)  # small slices come to the same few results
def exact_p(wins: int, losses: int, n: int, bound: float) -> float:
    """The p-value of "the mean is at most the bound", from how many of n cases were won and lost."""
    if wins - losses <= n * bound or bound >= 1.0:
        return 1.0
    if bound <= -1.0:
        return 0.0
    low, high = (float(end) for end in exact_interval(wins + losses, n, 1 - MISS))
    low = max(low, -bound)  # a mean that low needs so many losses
    if high <= low:
        return MISS
    count = np.arange(_quantile(low, n, -1), _quantile(high, n, 1) + 1, dtype=float)
    reach = (wins - losses - n * bound) / float(_deviation(np.array([wins + losses]), n, bound)[0])
    needed = np.ceil((count + n * bound + reach * _deviation(count, n, bound)) / 2 - 1e-9)
    ways = special.gammaln(n + 1) - special.gammaln(count + 1) - special.gammaln(n - count + 1)

    def risk(rate: float) -> float:
        won = min(max((1 + bound / rate) / 2, 0.0), 1.0) if rate > 0 else 0.5
        often = np.exp(ways + special.xlogy(count, rate) + special.xlog1py(n - count, -rate))
        inner = special.betainc(np.clip(needed, 1, None), np.clip(count - needed + 1, 1, None), won)
        return float(often @ np.where(needed <= 0, 1.0, np.where(needed > count, 0.0, inner)))

    return min(1.0, _worst(risk, low, high) + MISS + 2 * TAIL)


def _worst(risk: Callable[[float], float], low: float, high: float) -> float:
    grid = np.linspace(low, high, RATES)
    found = [risk(float(each)) for each in grid]
    step, at = (high - low) / (RATES - 1), float(grid[int(np.argmax(found))])
    around = np.linspace(max(low, at - step), min(high, at + step), 9)
    return max(*found, *(risk(float(each)) for each in around))


def _deviation(count: Floats, n: int, bound: float) -> Floats:
    """The deviation of wins less losses at the bound, from how many cases differed."""
    rate = np.maximum((count + 1) / (n + 2), abs(bound))
    found: Floats = np.sqrt(n * (rate - bound * bound))
    return found


def _quantile(rate: float, n: int, side: int) -> int:
    """A count that is passed on that side less often than `TAIL`; a Bernstein bound, so a little further out."""
    far = math.log(1 / TAIL)
    reach = math.sqrt(2 * n * rate * (1 - rate) * far) + 2 * far / 3
    return int(min(max(math.floor(n * rate + side * (reach + 1)), 0), n))


def holm(values: Floats, delta: float) -> list[bool]:
    """Which of these p-values hold together, with a risk of at most delta that any of them does so wrongly."""
    held = [False] * len(values)
    for rank, place in enumerate(np.argsort(values, kind="stable")):
        if not values[place] <= delta / (len(values) - rank):
            break
        held[int(place)] = True
    return held


@dataclass(frozen=True, eq=False)
class Pairs:
    """Paired differences, and what can be said of their mean."""

    differences: Floats
    weights: Floats | None = None

    def __len__(self) -> int:
        """How many cases."""
        return len(self.differences)

    @cached_property
    def exact(self) -> bool:
        """Whether the exact test is to be had; else it is betting."""
        alike = self.weights is None or bool((self.weights == self.weights[0]).all())
        return alike and bool(np.isin(self.differences, (-1.0, 0.0, 1.0)).all())

    @cached_property
    def ends(self) -> tuple[int, int]:
        """How many cases were won outright, and lost."""
        return int((self.differences == 1).sum()), int((self.differences == -1).sum())

    @cached_property
    def mean(self) -> float:
        """The mean, weighted where there are weights."""
        return float(np.average(self.differences, weights=self.weights))

    def above(self, bound: float) -> float:
        """The p-value of "the mean is at most the bound": small where it lies above."""
        return self._p(bound, 1)

    def below(self, bound: float) -> float:
        """The p-value of "the mean is at least the bound": small where it lies below."""
        return self._p(-bound, -1)

    def low(self, delta: float) -> float:
        """What the mean is above, with confidence 1 - delta."""
        return self._end(delta, 1)

    def high(self, delta: float) -> float:
        """What the mean is below, with confidence 1 - delta."""
        return -self._end(delta, -1)

    def more(self, bound: float, delta: float) -> int | None:
        """How many more cases `above` is expected to need to reach delta, in 4 of 5 trials; None where it never will.

        It takes the mean and the variance for what they are here, and the test's sum for normal.
        """
        gap = self.mean - bound
        if gap <= 0:
            return None
        n, drawn = len(self), math.log(1 / delta)
        spread = float(np.average((self.differences - self.mean) ** 2, weights=self.weights))
        least = max((n * spread + 1) / (n + 2), abs(bound) - bound * bound)
        reach = -float(special.ndtri(delta)) if self.exact else math.sqrt(2 * (drawn + PURSE))
        if self.weights is not None:
            least *= n * float((self.weights**2).sum()) / float(self.weights.sum()) ** 2
        return max(1, math.ceil((reach + POWER) ** 2 * least / gap**2) - n)

    def _p(self, bound: float, side: int) -> float:
        if self.exact:
            wins, losses = self.ends[::side]
            return exact_p(wins, losses, len(self), bound)
        turned = side * self.differences
        gains = turned - bound if self.weights is None else (turned - bound) * (self.weights / self.weights.max())
        return betting_p(-gains, 0.0, ends=(bound - 1.0, bound + 1.0))

    def _end(self, delta: float, side: int) -> float:
        mean = side * self.mean
        if mean <= -1.0 or self._p(-1.0 + FINE, side) > delta:
            return -1.0
        return float(optimize.brentq(lambda bound: self._p(bound, side) - delta, -1.0 + FINE, mean, xtol=FINE))
