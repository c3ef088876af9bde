"""Bounds on a mean in plain Python, for what runs inside a server: exact for yes and no, by betting for the rest.

    exact(970, 1000)                       (0.957..., 0.979...): Clopper-Pearson, for any n
    betting([(1.0, 1.0), ...])             for scores from 0 to 1 that count with different weights

Both hold for a fixed number of labels, not at each look: for that there are the alarms.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from math import exp, lgamma, log, log1p
from typing import Final, TypeAlias

__all__ = ["BETS", "Interval", "at_least", "betting", "exact", "mixed", "more_needed", "won"]

Interval: TypeAlias = tuple[float, float]

BETS: Final = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8)
"""Parts of what may be staked at most, all tried at once. Against a fall from q to q' the best one is 1 - q'/q."""
TINY: Final = 1e-300
HALVINGS: Final = 50
MOST: Final = 1 << 30
"""Labels beyond which nobody is told how many are needed."""


def exact(right: int, n: int, confidence: float = 0.95) -> Interval:
    """The interval of Clopper and Pearson for a share, `right` out of n; (0, 1) where n is 0."""
    if not 0 <= right <= n:
        raise ValueError(f"{right} of {n} is no share")
    tail = (1 - confidence) / 2
    low = _bisected(lambda p: at_least(right, n, p) < tail) if right else 0.0
    high = _bisected(lambda p: 1 - at_least(right + 1, n, p) > tail) if right < n else 1.0
    return low, high


def at_least(right: int, n: int, p: float) -> float:
    """How likely it is that of n tries `right` or more come out well, each with probability p."""
    if right <= 0:
        return 1.0
    if right > n:
        return 0.0
    return _beta(float(right), float(n - right + 1), p)


@lru_cache(maxsize=256)
def more_needed(quality: float, promise: float, delta: float) -> int | None:
    """Labels after which such a quality, if it stays, shows that the promise is kept; None where it never will."""
    if not quality > promise:
        return None
    n = 1
    while at_least(int(quality * n), n, promise) > delta:
        n *= 2
        if n > MOST:
            return None
    low = n // 2
    while n - low > 1:
        middle = (low + n) // 2
        low, n = (middle, n) if at_least(int(quality * middle), middle, promise) > delta else (low, middle)
    return n


def betting(
    labels: Iterable[tuple[float, float]] | Mapping[tuple[float, float], int], confidence: float = 0.95
) -> Interval:
    """An interval for a mean from (score, weight) pairs, or how many there are of each.

    Scores go from 0 to 1, weights from above 0 to 1: a weight is the lowest propensity that there is over the label's
    own. Someone who bets that the mean lies above m, with fair odds if it is m, multiplies his stake by 20 in one case
    of 20 at most; an m against which bets came to more is no longer believed. The order of the labels does not count.
    """
    groups = Counter(labels)
    if not groups:
        return 0.0, 1.0
    needed = log(2 / (1 - confidence))
    turned = [(1 - score, weight, many) for (score, weight), many in groups.items()]
    low = _bisected(lambda m: won([(*each, many) for each, many in groups.items()], m) > needed)
    high = 1 - _bisected(lambda m: won(turned, m) > needed)
    return low, high


def mixed(logs: Sequence[float]) -> float:
    """The logarithm of the mean of what these are logarithms of."""
    most = max(logs)
    return most + log(sum(exp(each - most) for each in logs) / len(logs))


def won(groups: Sequence[tuple[float, float, int]], mean: float) -> float:
    """The logarithm of what betting on more than this mean has come to, all bets taken together.

    `groups` are of scores, weights, and how many there are of each.
    """
    mean = max(mean, TINY)
    return mixed(
        [sum(many * log1p(bet * weight * (score / mean - 1)) for score, weight, many in groups) for bet in BETS]
    )


def _bisected(too_low: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if too_low(middle) else (low, middle)
    return low


def _beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function: a continued fraction, where it is quick (Lentz's method)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x > (a + 1) / (a + b + 2):
        return 1 - front * _fraction(b, a, 1 - x) / b
    return front * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / _away(1 + step * d)
            c = _away(1 + step / c)
            found *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return found


def _away(value: float) -> float:
    """The value, or what is not quite nought in its place."""
    return value if abs(value) > TINY else TINY
