"""The sums behind a report: means with their intervals, a curve over all thresholds, bins.

Shares and grades get a Wilson interval: it holds from few cases on, and is wide rather than narrow for grades by
degrees. Costs and ratios get the normal interval of a mean, which wants some dozens of cases; one case has none.
Where cases are weighted, the interval is that of the effective number, `(sum w)^2 / sum w^2`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastcascade.evals.bounds import wilson_interval
from fastcascade.evals.outcomes import Floats, Texts

__all__ = ["Bin", "Curve", "Figure", "Sums", "codes", "curve", "thin"]

POINTS_MOST: Final = 200
NAN: Final = float("nan")


@dataclass(frozen=True)
class Figure:
    """A number, the interval it lies in, and of how many cases it speaks. NaN is: not known from these.

    Args:
        value: the number; NaN where there are no cases.
        low: the lower end of the interval; NaN where one case, or none, tells nothing of the spread.
        high: the upper end.
        n: how many cases were counted.
        unit: `share` (0 to 1), `dollars` (of one case) or `number`.
    """

    value: float
    low: float
    high: float
    n: int
    unit: str = "share"


@dataclass(frozen=True)
class Bin:
    """The cases whose score is in one range: how many, and how often the cheap model was right.

    Args:
        low: where the range begins.
        high: where it ends; that score is in the next range, but for the last.
        mean: the mean score of the cases in it.
        right: how right the cheap model was there, with its interval.
        n_right: how many cases have a grade of a half or more.
        n_wrong: how many have less.
    """

    low: float
    high: float
    mean: float
    right: Figure
    n_right: int
    n_wrong: int


@dataclass(frozen=True)
class Curve:
    """What each threshold would have cost and been worth, the highest threshold first.

    The interval is of each point alone: it does not hold for all points at once.

    Args:
        threshold: cases with this score or more stay with the cheap answer; infinite where none do.
        share: the share of cases that go on.
        cost: dollars of a case.
        cost_low: the lower end of its interval.
        cost_high: the upper end.
        quality: the mean grade.
        quality_low: the lower end of its interval.
        quality_high: the upper end.
        n: of how many cases each point speaks.
    """

    threshold: tuple[float, ...] = ()
    share: tuple[float, ...] = ()
    cost: tuple[float, ...] = ()
    cost_low: tuple[float, ...] = ()
    cost_high: tuple[float, ...] = ()
    quality: tuple[float, ...] = ()
    quality_low: tuple[float, ...] = ()
    quality_high: tuple[float, ...] = ()
    n: int = 0


class Sums:
    """Means of weighted columns with intervals of one level.

    Args:
        weights: how much each case counts.
        level: how often such intervals hold the truth, were the cases drawn again.
    """

    def __init__(self, weights: Floats, level: float) -> None:
        """For these cases."""
        self.weights = weights
        self.level = level
        self.z = NormalDist().inv_cdf(0.5 + level / 2)

    def share(self, values: Floats, among: NDArray[np.bool_] | None = None) -> Figure:
        """The mean of what lies in 0 to 1."""
        weights = self.weights if among is None else self.weights[among]
        values = values if among is None else values[among]
        total = float(weights.sum())
        if not total > 0:
            return Figure(NAN, NAN, NAN, len(values))
        mean = float(np.dot(weights, values)) / total
        low, high = self.wilson(np.array([mean]), total**2 / float(np.dot(weights, weights)))
        return Figure(mean, float(low[0]), float(high[0]), len(values))

    def mean(self, values: Floats, among: NDArray[np.bool_] | None = None, unit: str = "dollars") -> Figure:
        """The mean of anything."""
        weights = self.weights if among is None else self.weights[among]
        values = values if among is None else values[among]
        n, total = len(values), float(weights.sum())
        if not total > 0:
            return Figure(NAN, NAN, NAN, n, unit)
        mean = float(np.dot(weights, values)) / total
        return self._around(mean, weights * (values - mean) / total, unit)

    def ratio(self, top: Floats, bottom: Floats, offset: float = 0.0) -> Figure:
        """`offset` plus the quotient of two sums over the same cases; the interval is linearized."""
        under = float(np.dot(self.weights, bottom))
        if not under > 0:
            return Figure(NAN, NAN, NAN, len(top))
        value = float(np.dot(self.weights, top)) / under
        found = self._around(value, self.weights * (top - value * bottom) / under, "share")
        return Figure(offset + found.value, offset + found.low, offset + found.high, found.n)

    def wilson(self, means: Floats, n: float | Floats) -> tuple[Floats, Floats]:
        """The ends of the intervals of shares."""
        low, high = wilson_interval(means * n, n, self.level)
        # Rounding must not put a mean of 0 or 1 outside its own interval.
        return np.minimum(low, means), np.maximum(high, means)

    def bins(self, scores: Floats, grades: Floats, edges: Floats) -> Iterator[Bin]:
        """The bins that have cases, in order."""
        known = np.isfinite(scores)
        scores, grades, weights = scores[known], grades[known], self.weights[known]
        place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, len(edges) - 2)
        many = len(edges) - 1
        counts, right = np.bincount(place, minlength=many), np.bincount(place[grades >= 0.5], minlength=many)
        total, squares = np.bincount(place, weights, many), np.bincount(place, weights**2, many)
        shown = np.flatnonzero(total > 0)
        means = np.bincount(place, weights * grades, many)[shown] / total[shown]
        scored = np.bincount(place, weights * scores, many)[shown] / total[shown]
        lows, highs = self.wilson(means, total[shown] ** 2 / squares[shown])
        for row, at in enumerate(shown.tolist()):
            yield Bin(
                float(edges[at]),
                float(edges[at + 1]),
                float(scored[row]),
                Figure(float(means[row]), float(lows[row]), float(highs[row]), int(counts[at])),
                int(right[at]),
                int(counts[at] - right[at]),
            )

    def gap(self, scores: Floats, grades: Floats, edges: Floats) -> Figure:
        """The expected calibration error: how far, on the mean, a bin's score is from how right it was.

        It is never below 0, so that few cases make it too large.
        """
        known = np.isfinite(scores)
        part = Sums(self.weights[known], self.level)
        place = np.clip(np.searchsorted(edges, scores[known], side="right") - 1, 0, len(edges) - 2)
        off = grades[known] - scores[known]
        signs = np.where(np.bincount(place, part.weights * off, len(edges) - 1) < 0, -1.0, 1.0)
        found = part.mean(signs[place] * off, unit="number")
        return Figure(found.value, max(found.low, 0.0), found.high, found.n, "number")

    def _around(self, value: float, parts: Floats, unit: str) -> Figure:
        """A figure from what each case adds to its error."""
        n = len(parts)
        if n < 2:
            return Figure(value, NAN, NAN, n, unit)
        half = self.z * float(np.sqrt(np.dot(parts, parts) * n / (n - 1)))
        return Figure(value, value - half, value + half, n, unit)


def codes(names: Texts) -> tuple[list[str], NDArray[np.intp]]:
    """The different names in the order they came, and for each case which one it has."""
    known: dict[str, int] = {}
    found = np.fromiter((known.setdefault(str(each), len(known)) for each in names), np.intp, len(names))
    return list(known), found


def thin(many: int, most: int = POINTS_MOST) -> NDArray[np.intp]:
    """Which of many points to show: all, or this many evenly, with both ends."""
    return np.unique(np.linspace(0, many - 1, min(many, most)).round().astype(np.intp))


def curve(score: Floats, stay: Sequence[Floats], go: Sequence[Floats], sums: Sums) -> Curve:
    """All thresholds at once: `stay` and `go` are grade and cost of the cases kept and sent on.

    A case without a score goes on at any threshold.
    """
    n, weights, total = len(score), sums.weights, float(sums.weights.sum())
    known = np.flatnonzero(~np.isnan(score))
    order = known[np.argsort(-score[known], kind="stable")]
    ordered = score[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) + 1 if len(order) else np.zeros(0, np.intp)
    places = np.concatenate(([0], ends))
    places = places[thin(len(places))]

    def swept(kept: Floats, sent: Floats) -> Floats:
        """The sum at each place: of what is kept up to there, and of what is sent from there on."""
        steps = np.concatenate(([0.0], np.cumsum((kept - sent)[order])))
        return np.asarray(sent.sum() + steps[places])

    gone = swept(np.zeros(n), weights) / total
    quality = np.clip(swept(weights * stay[0], weights * go[0]) / total, 0, 1)
    low, high = sums.wilson(quality, total**2 / float(np.dot(weights, weights)))
    cost = swept(weights * stay[1], weights * go[1]) / total
    first = swept(weights**2 * stay[1], weights**2 * go[1])
    second = swept((weights * stay[1]) ** 2, (weights * go[1]) ** 2)
    spread = np.maximum(second - 2 * cost * first + cost**2 * np.dot(weights, weights), 0) / total**2
    half = sums.z * np.sqrt(spread * n / (n - 1)) if n > 1 else np.full(len(cost), NAN)
    thresholds = np.concatenate(([np.inf], ordered[places[1:] - 1]))
    return Curve(
        threshold=_plain(thresholds),
        share=_plain(np.clip(gone, 0, 1)),
        cost=_plain(cost),
        cost_low=_plain(cost - half),
        cost_high=_plain(cost + half),
        quality=_plain(quality),
        quality_low=_plain(low),
        quality_high=_plain(high),
        n=n,
    )


def _plain(column: Floats) -> tuple[float, ...]:
    """Plain numbers, so that they can be written and compared."""
    return tuple(map(float, column.tolist()))
