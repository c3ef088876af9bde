"""The lowest threshold that keeps the promise, from labels that came in; or "not yet", and how many more it may take.

    found = suggest([(score, right), ...], promise=0.95)
    found.threshold, found.low                  0.71, 0.952: shown with confidence 1 - delta

Candidates are set by the scores alone: every so many labels. From a few of them on, the test goes down, one candidate
after the other, until one fails (fixed-sequence testing; delta is shared by the beginnings). So the promise of the
lowest that was passed is wrong with probability delta at most, however many were tried. That is for one look at one
set of labels: whoever asks again after each label until he likes the answer has no such guarantee.

Labels of accepted answers say nothing of scores below the threshold that accepted them: then only a higher one, or
the same, can be suggested. What escalated has both replies already, and grading these costs no call: with labels of
both (`ShadowLog.pairs` of a `Shadow(escalated=...)`), each counting 1/propensity times, the threshold may come down
too. Nothing is ever suggested below the lowest score that has a label: `Suggestion.covered`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import ceil, isfinite, log
from typing import Final

from fastcascade.errors import ConfigError
from fastcascade.evals.live_bounds import at_least, betting, exact, more_needed, won

__all__ = ["Suggestion", "suggest"]

STARTS: Final = 3
CANDIDATES: Final = 48


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A threshold, or None for "not yet". Quality and its bounds are those of the labels at or above it.

    Args:
        threshold: accept where the score is this or more.
        quality: the mean of those labels; of all labels where there is no threshold.
        low: at a threshold, what quality is at least, with confidence 1 - delta for all that was tried.
        high: the upper end of the two-sided interval at 1 - delta.
        n: labels at or above it; all labels where there is no threshold.
        accepted: the share of all labels, by their propensities, that is at or above it.
        more: labels that are expected to be needed besides, where there is no threshold; None where more of the same
            would not do.
        why: in words.
        covered: the lowest score of any label; of what lies below, nothing is known.
    """

    threshold: float | None
    quality: float | None
    low: float
    high: float
    n: int
    accepted: float
    more: int | None
    why: str
    covered: float | None = None


@dataclass(slots=True)
class _Label:
    score: float
    right: float
    propensity: float


def suggest(
    labels: Iterable[tuple[float, float] | tuple[float, float, float]], promise: float, *, delta: float = 0.05
) -> Suggestion:
    """The lowest threshold whose accepted quality is `promise` or more, shown with confidence 1 - delta.

    Args:
        labels: (score, right) or (score, right, propensity); right is 1, 0 or between.
        promise: the mean that accepted answers must have.
        delta: how likely the suggestion may be wrong.
    """
    if not 0 < promise < 1 or not 0 < delta < 1:
        raise ConfigError(f"a promise and a delta lie above 0 and below 1, not {promise!r} and {delta!r}")
    held = _Held(sorted((_read(number, *each) for number, each in enumerate(labels)), key=lambda each: -each.score))
    level = delta / STARTS
    least = ceil(log(level) / log(promise))
    ends = _candidates(held.labels, least)
    found = 0
    for start in range(min(STARTS, len(ends))):
        for n in ends[start * len(ends) // STARTS :]:
            if not held.kept(n, promise, level):
                break
            found = max(found, n)
    if not found:
        return _not_yet(held, promise, delta, ends, least)
    threshold, quality = held.labels[found - 1].score, held.mean(found)
    why = f"{found} labels at or above {threshold:.4g} are right in {quality:.1%}, and shown to be in {promise:.1%}"
    share, covered = held.mass[found] / held.mass[-1], held.labels[-1].score
    if found == len(held.labels):
        why += "; below it there are no labels"
    return Suggestion(threshold, quality, *held.bounds(found, level, delta), found, share, None, why, covered)


class _Held:
    """Labels from the highest score down, and the sums over those from the top."""

    def __init__(self, labels: Sequence[_Label]) -> None:
        self.labels = labels
        self.mass = [0.0, *accumulate(1 / each.propensity for each in labels)]
        self.right = [0.0, *accumulate(each.right / each.propensity for each in labels)]
        self.whole = [0, *accumulate(each.right == 1 for each in labels)]
        self.floor = min((each.propensity for each in labels), default=1.0)
        # Right or wrong, and drawn with one propensity: then the exact bounds hold.
        alike = all(each.propensity == self.floor for each in labels)
        self.plain = alike and all(each.right in (0, 1) for each in labels)

    def mean(self, n: int) -> float:
        """Of the first n."""
        return self.right[n] / self.mass[n]

    def kept(self, n: int, promise: float, level: float) -> bool:
        """Whether the first n show the promise at this level."""
        if self.plain:
            return at_least(self.whole[n], n, promise) <= level
        # One bet on more than the promise is enough: the whole interval takes a hundred times as long.
        groups = [(*each, many) for each, many in Counter(self._weighed(n)).items()]
        return won(groups, promise) > log(1 / level)

    def bounds(self, n: int, level: float, delta: float) -> tuple[float, float]:
        """The lower bound at the level of the tests, the upper one at that of an interval."""
        if self.plain:
            return exact(self.whole[n], n, 1 - 2 * level)[0], exact(self.whole[n], n, 1 - delta)[1]
        return self._bet(n, level)[0], self._bet(n, delta / 2)[1]

    def _bet(self, n: int, level: float) -> tuple[float, float]:
        return betting(self._weighed(n), 1 - 2 * level)

    def _weighed(self, n: int) -> list[tuple[float, float]]:
        return [(each.right, self.floor / each.propensity) for each in self.labels[:n]]


def _read(number: int, score: float, right: float, propensity: float = 1.0) -> _Label:
    if not (isfinite(score) and 0 <= right <= 1 and 0 < propensity <= 1):
        msg = f"label {number} needs a finite score, right from 0 to 1 and a propensity above 0, up to 1: "
        raise ConfigError(f"{msg}it has {score!r}, {right!r} and {propensity!r}")
    return _Label(float(score), float(right), float(propensity))


def _candidates(held: Sequence[_Label], least: int) -> list[int]:
    """How many labels each candidate takes from the top, ties taken whole; fewer than `least` could show nothing."""
    ends = [number for number, (this, other) in enumerate(pairwise(held), 1) if this.score > other.score]
    ends = [number for number in (*ends, len(held)) if number >= least]
    apart = max(1, len(held) // CANDIDATES)
    taken: list[int] = []
    for end in ends:
        if not taken or end - taken[-1] >= apart or end == ends[-1]:
            taken.append(end)
    return taken


def _not_yet(held: _Held, promise: float, delta: float, ends: Sequence[int], least: int) -> Suggestion:
    n = len(held.labels)
    if not n:
        return Suggestion(None, None, 0.0, 1.0, 0, 0.0, least, "not yet: there are no labels")
    if ends:
        best, at = max((held.mean(end), end) for end in ends)
        needed = more_needed(best, promise, delta / STARTS)
        more = None if needed is None else max(1, ceil((needed - at) * n / at))
        hope = "more of the same would not show it" if more is None else f"about {more} labels more may show it"
    else:
        more = max(1, least - n)
        hope = f"it takes {more} more at least"
    why = f"not yet: {n} labels do not show {promise:.1%} at any threshold; {hope}"
    covered = held.labels[-1].score
    return Suggestion(None, held.mean(n), *held.bounds(n, delta / STARTS, delta), n, 1.0, more, why, covered)
