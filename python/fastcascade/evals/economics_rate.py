"""How sure a measured share is: the exact interval of Clopper and Pearson, for any n, without numpy or scipy."""

from collections.abc import Callable
from math import exp, lgamma, log, log1p
from typing import Final, TypeAlias

__all__ = ["Interval", "rate_interval"]

Interval: TypeAlias = tuple[float, float]

TINY: Final = 1e-300
CLOSE: Final = 1e-14
HALVINGS: Final = 60


def rate_interval(count: int, n: int, confidence: float = 0.95) -> Interval:
    """Where the true share lies, with `confidence` at least, if `count` of `n` cases that were drawn at random have it.

    It holds whatever the true share is, so with few cases it is wider than need be. Of no cases it is 0 to 1.
    """
    if n == 0:
        return 0.0, 1.0
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if count == 0 else _solve(lambda p: _below(p, count, n - count + 1) - tail)
    high = 1.0 if count == n else _solve(lambda p: _below(p, count + 1, n - count) - (1.0 - tail))
    return low, high


def _solve(rising: Callable[[float], float]) -> float:
    """Where a function that rises from below zero to above it crosses."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if rising(middle) < 0.0 else (low, middle)
    return (low + high) / 2.0


def _below(x: float, a: float, b: float) -> float:
    """The chance that a beta variable with `a` and `b` is below `x`."""
    if x <= 0.0 or x >= 1.0:
        return min(1.0, max(0.0, x))
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    # The fraction converges fast on this side of the mean only; the other side is its mirror.
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(1.0 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by the method of Lentz."""
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    value = d
    m = 0
    change = 0.0
    while abs(change - 1.0) > CLOSE and m < 100_000:
        m += 1
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        change = 1.0
        for term in (even, odd):
            d = 1.0 / _away(1.0 + term * d)
            c = _away(1.0 + term / c)
            change *= c * d
        value *= change
    return value


def _away(value: float) -> float:
    """The value, or something tiny instead of zero, by which it is to be divided."""
    return value if abs(value) > TINY else TINY
