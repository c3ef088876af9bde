"""Intervals, and p-values that hold for any number of cases.

A p-value here is of "the mean is `bound` or more": where it is `delta` or less, the mean is below the bound, and to say
so is wrong at most a share `delta` of the time. None of them depends on the order of the cases, and none leans on a
normal approximation; Wilson's interval does, and is for show.

    what the cases are                      which                       why
    0 or 1                                  `binomial_p`                exact
    two graders' 0 or 1 on the same cases   `margin_p`, `ratio_p`       exact for the worst case of what is not known
    anything within known ends, weighted    `betting_p`                 as sharp as their spread allows
    likewise, from sums alone               `hoeffding_bentkus_p`       coarser

Betting is Waudby-Smith and Ramdas (2024), averaged over bets that are fixed before the cases are seen: the average of
fair games is fair, and a product does not know the order of its factors. Hoeffding-Bentkus is after Bates and others
(2021). The nuisance is bounded first and paid for, after Berger and Boos (1994).
"""

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, betaincinv, gammaln, ndtri, xlog1py, xlogy

from fastcascade.errors import ConfigError
from fastcascade.evals.outcomes import Floats

__all__ = [
    "bets",
    "betting_p",
    "binomial_p",
    "exact_high",
    "exact_interval",
    "exact_low",
    "hoeffding_bentkus_p",
    "hoeffding_p",
    "margin_p",
    "ratio_p",
    "ratio_score",
    "wilson_interval",
]

SPREADS: Final = (1.0, 0.25, 0.06, 0.015, 0.004)
"""What the variance of a loss may be, of a range of 1: a bet for each. More of them cost more than they find."""
TRIED: Final = ((10, 40), (100, 12), (math.inf, 5))
"""At how many places the share of wins is tried, where fewer than so many are seen: large counts leave it flat."""
BETWEEN: Final = 1.02
"""What may lie between those places: 600 random cases, tried at 200 places, had 0.8 % more at most."""
REACH: Final = 6.0
"""Standard deviations of a count that are summed, and as many cases besides as that squared."""
NOTHING: Final = 1e-13
"""A count less likely than this is left out of a sum."""
NEWTON: Final = 2
"""Each step doubles the digits, and less than a whole number is asked for."""
IMPOSSIBLE: Final = -1e5
"""The logarithm of what cannot be, where it is to be a number."""
BEYOND: Final = 1e-8
"""More than what lies beyond weighs: it is paid for."""


def exact_low(right: ArrayLike, n: ArrayLike, miss: float) -> Floats:
    """The lower end for a share (Clopper-Pearson): above the truth at most `miss` of the time."""
    right, n = np.asarray(right, float), np.asarray(n, float)
    found = betaincinv(np.maximum(right, 1.0), np.maximum(n - right + 1, 1.0), miss)
    return np.asarray(np.where(right > 0, found, 0.0))


def exact_high(right: ArrayLike, n: ArrayLike, miss: float) -> Floats:
    """The upper end for a share (Clopper-Pearson): below the truth at most `miss` of the time."""
    return np.asarray(1.0 - exact_low(np.asarray(n, float) - np.asarray(right, float), n, miss))


def exact_interval(right: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Both ends for a share, each missed at most half of the time that is left."""
    miss = (1 - confidence) / 2
    return exact_low(right, n, miss), exact_high(right, n, miss)


def wilson_interval(right: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson's interval for a share: right on average, not for each truth, so show it and promise nothing on it."""
    right, n = np.asarray(right, float), np.asarray(n, float)
    z = float(ndtri(0.5 + confidence / 2))
    safe = np.maximum(n, 1.0)
    share = right / safe
    middle = (share + z * z / (2 * safe)) / (1 + z * z / safe)
    half = z * np.sqrt(np.maximum(share * (1 - share), 0.0) / safe + z * z / (4 * safe * safe)) / (1 + z * z / safe)
    some = n > 0
    low, high = np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
    return np.asarray(np.where(some, low, 0.0)), np.asarray(np.where(some, high, 1.0))


def binomial_p(wrong: ArrayLike, n: ArrayLike, bound: ArrayLike) -> Floats:
    """The p-value of "a case is wrong with probability `bound` or more", having seen `wrong` of `n`. Exact."""
    return np.asarray(bdtr(np.asarray(wrong, float), np.asarray(n, int), np.asarray(bound, float)), np.float64)


def hoeffding_p(mean: ArrayLike, n: ArrayLike, bound: float) -> Floats:
    """Hoeffding's p-value, in his sharper form, for losses from 0 to 1: it takes their spread to be the widest."""
    low, many = np.asarray(np.minimum(np.asarray(mean, float), bound)), np.asarray(n, float)
    if not 0 < bound < 1:
        return np.ones(np.broadcast(low, many).shape)
    apart = xlogy(low, low / bound) + xlog1py(1 - low, -low) - xlog1py(1 - low, -bound)
    return np.asarray(np.exp(-many * apart))


def hoeffding_bentkus_p(mean: ArrayLike, n: ArrayLike, bound: float) -> Floats:
    """The lesser of Hoeffding's p-value and Bentkus's: for losses from 0 to 1 of which only the mean is at hand."""
    mean, n = np.asarray(mean, float), np.asarray(n, float)
    # Rounding in the product must not make one count more of a whole one.
    total = np.ceil(n * mean - 1e-9)
    return np.minimum(hoeffding_p(mean, n, bound), np.minimum(math.e * bdtr(total, n.astype(int), bound), 1.0))


def bets(n: float, delta: float, most: float, width: float = 1.0) -> Floats:
    """What is staked on each case: the best for each spread there may be, and never more than can be paid.

    Args:
        n: how many cases there are.
        delta: the error that is to be allowed.
        most: the stake at which the worst case takes all.
        width: from the least loss to the greatest.
    """
    stakes = np.sqrt(2 * math.log(1 / delta) / (max(n, 1.0) * np.array(SPREADS))) / width
    return np.minimum(stakes, 0.98 * most)


def betting_p(values: Floats, bound: float, *, ends: tuple[float, float] = (0.0, 1.0), delta: float = 0.05) -> float:
    """The p-value of "the mean is `bound` or more", for values within `ends`.

    It holds for independent cases, also where they are not alike and `bound` is of their average. Repeated peeking is
    not allowed for: the stakes are chosen for this number of cases. `delta` only tunes them.

    Weighted cases: give weight times loss, divided by the greatest weight there can be, and ends to match.
    """
    low, high = ends
    if not low <= bound <= high or not len(values):
        raise ConfigError(f"betting needs cases, and a bound from {low} to {high}, not {bound} and {len(values)} cases")
    if values.min() < low or values.max() > high:
        raise ConfigError(
            f"betting was told of values from {low} to {high}: {values.min()} to {values.max()} are given"
        )
    if bound == high:
        return 1.0 if values.max() == high else 0.0
    stakes = bets(len(values), delta, 1 / (high - bound), high - low)
    return fair_p(np.array([float(np.log1p(stake * (bound - values)).sum()) for stake in stakes]))


def fair_p(logs: Floats) -> float:
    """The p-value of what fair games came to, each begun with the same share of the purse: logs of gains."""
    return float(fair_ps(logs[:, None])[0])


def fair_ps(logs: Floats) -> Floats:
    """The same of many claims at once: a row to each game, a column to each claim."""
    top = logs.max(axis=0)
    return np.asarray(np.exp(np.minimum(0.0, math.log(len(logs)) - top - np.log(np.exp(logs - top).sum(axis=0)))))


def margin_p(lost: float, won: float, n: float, margin: float, spare: float) -> float:
    """The p-value of "lost less won is `margin` or more of all cases", where each case is lost, won or neither.

    All results that are as far out as this one, or farther, by the score statistic of Tango (1998) are summed: exact,
    given how often a case is won. That is not known. It is bounded first, at an error of `spare`, which is paid; then
    the worst of what remains is taken, looked for at a dozen places, between which nothing is steep. At a margin of 0
    the cases that are neither say nothing, and the rest is a fair coin: nothing is spared.
    """
    if margin <= 0:
        return float(binomial_p(lost, lost + won, 0.5)) if margin == 0 else 1.0
    seen = float(_score(np.asarray(lost, float), np.asarray(won, float), n, margin))
    if seen > -0.5:
        return 1.0
    most = (1 - margin) / 2
    least, high = (min(float(end), most) for end in (exact_low(won, n, spare / 2), exact_high(won, n, spare / 2)))
    places = next(count for below, count in TRIED if won < below)
    found = float(_as_likely(seen, n, np.linspace(least, high, places), margin).max())
    return min(1.0, spare + BETWEEN * found + BEYOND)


def _score(lost: Floats, won: Floats, n: float, margin: float | Floats) -> Floats:
    """How far lost less won is from `margin`, in standard deviations as likely as can be at that margin."""
    apart, spread, _ = _off(lost, won, n, margin)
    return np.asarray(apart / np.sqrt(spread))


def _off(lost: Floats, won: Floats, n: float, margin: float | Floats) -> tuple[Floats, Floats, Floats]:
    """How far lost less won is from `margin`, the variance at that margin, and how that grows with the losses."""
    half = lost * (1 + margin) + won * (1 - margin) - 2 * n * margin
    root = np.sqrt(half * half + 8 * n * won * margin * (1 - margin))
    win = (half + root) / (4 * n)
    grows = 2 * n * (1 + margin) * win / np.maximum(root, 1e-300)
    return lost - won - n * margin, n * (2 * win + margin * (1 - margin)), grows


def _as_far_out(wins: Floats, seen: float, n: float, margin: float) -> Floats:
    """For each number of wins, the most losses that are as far out as what was seen; -1 where none are."""
    # The score rises with the losses up to there.
    low, high = np.full(len(wins), -1.0), np.floor(wins + n * margin) + 1
    # Newton's way to the real number; then the whole ones beside it are tried, ties and all.
    guess = np.maximum(wins + n * margin + seen * np.sqrt(n * margin * (1 - margin) + 2 * wins), 0.0)
    for _ in range(NEWTON):
        apart, spread, grows = _off(guess, wins, n, margin)
        deviation = np.sqrt(spread)
        guess = np.clip(guess - (apart - seen * deviation) / (1 - seen * grows / (2 * deviation)), 0.0, high)
    for beside in (np.floor(guess + 1e-6), np.floor(guess + 1e-6) + 1):
        out = _score(beside, wins, n, margin) <= seen + 1e-9
        low, high = np.where(out, np.maximum(low, beside), low), np.where(out, high, np.minimum(high, beside))
    # Halving finds what is left.
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        out = (middle < 0) | (_score(np.maximum(middle, 0.0), wins, n, margin) <= seen + 1e-9)
        low, high = np.where(out, np.maximum(low, middle), low), np.where(out, high, middle)
    return low


def _as_likely(seen: float, n: float, win: Floats, margin: float) -> Floats:
    """How likely a result is as far out as `seen`, for each probability of a win."""
    reach = [REACH * math.sqrt(n * share * (1 - share)) + REACH * REACH for share in (win[0], win[-1])]
    first, last = max(0.0, math.floor(n * win[0] - reach[0])), min(n, math.ceil(n * win[-1] + reach[1]))
    wins = np.arange(first, last + 1)
    weight = _chances(wins, np.full(len(wins), n), win)
    some = np.flatnonzero(weight.max(axis=0) > NOTHING)
    wins, weight = wins[some], weight[:, some]
    losses = _as_far_out(wins, seen, n, margin)
    # Where even the most losses there may be are next to impossible, the sum need not be made.
    if (less := bdtr(max(float(losses.max()), 0.0), int(n), np.minimum(win + margin, 1.0))).max() < BEYOND:
        return np.asarray(less)
    return np.asarray((weight * _few(losses, n - wins, (win + margin) / (1 - win))).sum(axis=1))


def _few(losses: Floats, left: Floats, chance: Floats) -> Floats:
    """How likely so few losses are among those left, at each chance of one; with a row to each chance.

    From one count of wins to the next there is one case less, and some losses more are allowed. Each adds one term of a
    binomial distribution, so that its sum function is called once to a row; nothing is subtracted, nothing is lost.
    """
    chance = np.minimum(chance, 1.0)
    losses = np.maximum.accumulate(losses)
    more = np.diff(losses).astype(int)
    first = bdtr(np.clip(losses[0], 0.0, left[0]), int(left[0]), chance) if losses[0] >= 0 else np.zeros_like(chance)
    # For each step: one case less at the old count of losses, then each count up to the new one.
    ends = np.cumsum(more + 1)
    cases = np.repeat(left[:-1] - 1, more + 1)
    counts = np.arange(len(cases)) - np.repeat(ends - more - 1, more + 1) + np.repeat(losses[:-1], more + 1)
    within = (counts >= 0) & (counts <= cases)
    terms = _chances(np.where(within, counts, 0.0), cases, chance) * within
    terms[:, ends - more - 1] *= chance[:, None]
    grown = np.cumsum(np.hstack([first[:, None], terms]), axis=1)
    return np.asarray(np.minimum(grown[:, np.append(0, ends)], 1.0))


def _chances(counts: Floats, cases: Floats, chance: Floats) -> Floats:
    """How likely each count is among so many cases: a row to each chance of one, for many counts at a time."""
    log = gammaln(cases + 1) - gammaln(counts + 1) - gammaln(cases - counts + 1)
    with np.errstate(divide="ignore"):
        # A chance of 0 or 1 must not make no count of what cannot be into what is not a number.
        yes, no = np.maximum(np.log(chance), IMPOSSIBLE), np.maximum(np.log1p(-chance), IMPOSSIBLE)
    return np.asarray(np.exp(log + yes[:, None] * counts + no[:, None] * (cases - counts)))


def ratio_p(lost: float, won: float, right: float, n: float, keep: float, spare: float) -> float:
    """The p-value of "the quality is below `keep` of the dear model's", where all grades are 0 or 1.

    Args:
        lost: cases that the dear model has right and the cascade wrong.
        won: cases that the cascade has right and the dear model wrong.
        right: cases that the dear model has right.
        n: all cases.
        keep: the share of the dear model's quality that is promised.
        spare: the error paid for bounding what is not known: most for `right`, which the margin leans on.
    """
    if keep == 1:
        return margin_p(lost, won, n, 0.0, 0.0)
    margin = (1 - keep) * float(exact_low(right, n, spare * 0.8))
    return min(1.0, spare * 0.8 + margin_p(lost, won, n, margin, spare * 0.2)) if margin else 1.0


def ratio_score(lost: float, won: float, right: float, n: float, keep: float) -> float:
    """How many standard deviations the quality is short of `keep`, below 0 where it is above: for planning."""
    if keep < 1 and right > 0:
        return float(ratio_scores(lost, won, right, n, np.array([keep]))[0])
    return (lost - won) / math.sqrt(lost + won) if lost + won else 0.0


def ratio_scores(lost: float, won: float, right: float, n: float, keeps: Floats) -> Floats:
    """The same of many shares below 1 at once, where the dear model has any case right."""
    return _score(np.asarray(lost, float), np.asarray(won, float), n, (1 - keeps) * right / n)
