"""How sure a saving is, from sums of products alone: so that a million decisions take no longer than a hundred.

The ratio of two sums has the interval of the mean of what is left over, `cost - ratio * baseline`. What single requests
cost is skewed (few escalate, and cost much), and the plain interval would tell of too large a saving: the skew is taken
out as in P. Hall, On the removal of skewness by transformation, Journal of the Royal Statistical Society B 54 (1992).
In simulation, where every seventh request escalates, it covers the truth in 91 % of 30 requests and 93 % of 100, where
a bootstrap covers it in 87 and 88 %. Where one request in a hundred makes up half of the cost it takes 500 of them for
93 %; where costs differ a hundredfold and more it is 77 % of 500 requests and 86 % of 2,500, and the bootstrap's 85 %
of 500 is better. From 20,000 on all are within a point.
"""

from collections.abc import Sequence
from math import copysign, sqrt
from typing import Final

from fastcascade.evals.live_bounds import Interval
from fastcascade.evals.savings import FEWEST

__all__ = ["saved_between"]

NORMAL: Final = 1.959963984540054
"""The 97.5th percentile of the normal distribution."""
NOTHING: Final = 1e-12
"""What is left over where all costs are in one proportion: it is what rounding leaves."""
STRAIGHT: Final = 1e-9


def saved_between(n: int, spent: float, baseline: float, moments: Sequence[float]) -> Interval | None:
    """Where the saved share lies, at 95 %.

    `moments` are the sums of xx, xy, yy, xxx, xxy, xyy and yyy, where x is what a request cost and y its baseline.
    """
    if n < FEWEST or baseline <= 0:
        return None
    ratio = spent / baseline
    xx, xy, yy, xxx, xxy, xyy, yyy = moments
    square = (xx - 2 * ratio * xy + ratio**2 * yy) / n
    if square <= NOTHING * (xx + ratio**2 * yy) / n:
        return 1 - ratio, 1 - ratio
    cube = (xxx - 3 * ratio * xxy + 3 * ratio**2 * xyy - ratio**3 * yyy) / n
    root, deviation = sqrt(n), sqrt(square * n / (n - 1))
    skew = max(-root, min(root, cube / deviation**3))
    step, student = deviation / root / (baseline / n), _student(n - 1)
    return 1 - ratio + step * _straightened(-student, skew, root), 1 - ratio + step * _straightened(student, skew, root)


def _straightened(end: float, skew: float, root: float) -> float:
    """The end of an interval where the skew is undone."""
    if abs(skew) < STRAIGHT:
        return end
    inner = 1 + skew / root * (end - skew / (6 * root))
    return 3 * root / skew * (copysign(abs(inner) ** (1 / 3), inner) - 1)


def _student(degrees: int) -> float:
    """The 97.5th percentile of Student's distribution, from nine degrees on (Abramowitz & Stegun 26.7.5)."""
    z = NORMAL
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3
