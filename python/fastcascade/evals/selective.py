"""A threshold above which answers are wrong at most a stated share of the time, with a stated confidence.

When it holds is as in `guarantee`: independent cases, a score that was not fitted to them, and either a grid fixed
beforehand or a risk that does not fall as the score falls.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from fastcascade.errors import ConfigError
from fastcascade.evals.bounds import binomial_p, exact_high
from fastcascade.evals.outcomes import Floats
from fastcascade.evals.trial import POWER, Grid, Steps, Verdict, check, more_cases

__all__ = ["Selection", "selective"]


@dataclass(frozen=True)
class Selection:
    """The threshold above which answers are wrong at most `alpha` of the time, if there is one.

    `risk` is the share of wrong ones among the `accepted` of these `n` cases, and `risk_high` its upper bound at
    1 - delta, were this threshold the only one tried. The rest is as in `Guarantee`.
    """

    threshold: float | None
    coverage: float
    risk: float
    risk_high: float
    accepted: int
    n: int
    alpha: float
    delta: float
    verdict: Verdict
    more_cases: int | None


def selective(
    score: Floats,
    wrong: Floats,
    alpha: float,
    delta: float = 0.05,
    *,
    grid: Grid | None = None,
) -> Selection:
    """The most lenient threshold above which at most `alpha` of the answers are wrong, with confidence 1 - delta.

    `wrong` is 0 or 1: the test is the exact binomial one on the cases that are accepted. The trial begins at the first
    threshold that accepts enough to be carried four times in five were the risk there half of `alpha`; that depends on
    how many are accepted and not on which are wrong. Beginning earlier would stop early, on the chance of one mistake.
    """
    check(score, {"wrong": wrong}, delta)
    if not ((wrong == 0) | (wrong == 1)).all():
        raise ConfigError("wrong must be 0 or 1 of each case")
    if not 0 < alpha < 1:
        raise ConfigError(f"alpha must be between 0 and 1, not {alpha!r}")
    steps, n = Steps(score, grid), len(score)
    taken, wrongs = steps.add(np.ones(n)), steps.add(wrong)
    first = _first(taken, alpha, delta)
    stops = np.flatnonzero(binomial_p(wrongs[first:], taken[first:], alpha) > delta)
    last = (first + int(stops[0]) if len(stops) else len(steps)) - 1
    if last < first:
        more = _needed(wrongs[first], taken[first], n, alpha, delta) if len(steps) else None
        return Selection(None, 0.0, 0.0, 0.0, 0, n, alpha, delta, "not yet", more)
    kept, bad = int(taken[last]), float(wrongs[last])
    high = float(exact_high(bad, kept, delta))
    return Selection(float(steps.thresholds[last]), kept / n, bad / kept, high, kept, n, alpha, delta, "holds", 0)


def _needed(bad: float, taken: float, n: int, alpha: float, delta: float) -> int | None:
    """How many more cases, accepted or not, carry the claim where `bad` of the `taken` are wrong."""
    found = more_cases(
        lambda times: float(binomial_p(round(bad * times), round(taken * times), alpha)), int(taken), delta
    )
    return None if found is None else math.ceil(found * n / taken)


def _first(taken: Floats, alpha: float, delta: float) -> int:
    """The place of the first threshold that is worth a trial, by how many it accepts; the last, if none is."""
    for share in (0.5, 0.25, 0.0):
        for place, count in enumerate(int(each) for each in taken):
            # The most that may be wrong; bisection over whole numbers, as the test is monotone.
            low, high = -1, count
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if bdtr(middle, count, alpha) <= delta else (low, middle)
            if low >= 0 and bdtr(low, count, share * alpha) >= POWER:
                return place
    return max(len(taken) - 1, 0)
