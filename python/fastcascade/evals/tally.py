"""The decisions of one strategy on cases that its rules had not seen, and what they come to."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fastcascade.evals.bootstrap import resampled
from fastcascade.evals.outcomes import Floats, Outcomes
from fastcascade.evals.strategies import CHEAP, DEAR, Rule, Sight
from fastcascade.evals.sweep import NEVER, Scale, paid, taken

__all__ = ["Fold", "Interval", "Latency", "Row", "Tally", "interval"]

Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy of the comparison, on the same cases and folds; savings and ratios are of always-dear's."""

    strategy: str
    saving: float
    saving_interval: Interval
    quality_ratio: float
    quality_interval: Interval
    escalation_rate: float
    area: float | None = None


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds a case: on average, and under which half and 19 of 20 cases lie; beside always-dear's."""

    mean: float
    p50: float
    p95: float
    dear_mean: float
    dear_p50: float
    dear_p95: float


class Fold:
    """The cases of one fold, as rules that were learned on the others see them."""

    def __init__(self, outcomes: Outcomes, sight: Sight, places: NDArray[np.intp]) -> None:
        """Take them out."""
        self.outcomes, self.sight, self.places = outcomes.take(places), sight.take(places), places
        self._scales: dict[bool, Scale] = {}

    def area(self, score: Floats, *, router: bool) -> float:
        """Where the curve of a score lies between a random mix and an oracle."""
        if router not in self._scales:
            self._scales[router] = Scale(self.outcomes, router=router)
        return self._scales[router].area(score)


class Tally:
    """What one strategy's rules decided, summed over folds; the cases may be dealt several times."""

    def __init__(self, outcomes: Outcomes) -> None:
        """Begin with nothing."""
        n = len(outcomes)
        self._outcomes = outcomes
        self._times = np.zeros(n)
        self._escalated = np.zeros(n)
        self._quality = np.zeros(n)
        self._cost = np.zeros(n)
        self._areas: list[float] = []
        self._order = np.zeros(2)
        self._reached: list[Floats] = []
        self.accepted = np.zeros(n, dtype=bool)
        """Of each case, what was decided when it was dealt first."""

    def add(self, rule: Rule, fold: Fold, same: Fold | None = None) -> None:
        """Let a rule decide the cases of a fold; on the `same` cases it is held against the rules of other folds."""
        unseen, places = fold.outcomes, fold.places
        score = rule.score(fold.sight)
        accepted = score >= rule.threshold
        if not self._times[places].any():
            self.accepted[places] = accepted
        self._times[places] += 1
        self._escalated[places] += ~accepted
        self._quality[places] += np.where(accepted, unseen.cheap, unseen.dear)
        # Always-dear does not ask the cheap model at all.
        dear = rule.threshold == NEVER
        self._cost[places] += unseen.dear_cost if dear else paid(unseen, accepted, router=rule.router)
        if same is not None:
            self._reached.append(_reached(rule, same))
        if rule.name not in (DEAR, CHEAP):
            self._areas.append(fold.area(score, router=rule.router))
            self._order += _ordered(score, unseen)

    @property
    def area(self) -> float | None:
        """The mean over folds; None where no rule had a score."""
        return float(np.mean(self._areas)) if self._areas else None

    def informed(self) -> float:
        """How many standard deviations better than by chance the scores put those first that lose nothing.

        Chance is that the scores were dealt to the cases at random. Dealing the cases anew adds no new ones.
        """
        gained, variance = self._order
        return float(gained / math.sqrt(variance * self._times.mean())) if variance > 0 else 0.0

    def columns(self) -> Floats:
        """Of each case what it cost and would have cost, how good it was and would have been, and what went on."""
        weight = self._outcomes.weight / self._times
        full = self._outcomes.weight
        parts = (self._cost * weight, self._outcomes.dear_cost * full, self._quality * weight)
        return np.column_stack([*parts, self._outcomes.dear * full, self._escalated * weight, full])

    def row(self, name: str, confidence: float, rng: np.random.Generator) -> Row:
        """The figures, with intervals."""
        columns = self.columns()
        saving, quality = _figures(columns.sum(axis=0)[None, :])
        savings, qualities = _figures(resampled(columns, rng))
        # By a generator of its own, so that nothing else is drawn otherwise.
        apart = rng.spawn(1)[0].standard_normal((len(savings), 2)) * self.unsettled()
        return Row(
            name,
            float(saving[0].round(12)) + 0.0,
            interval(self._possible(savings, savings + apart[:, 0]), confidence),
            float(quality[0]),
            interval(qualities + apart[:, 1], confidence),
            float(columns[:, 4].sum() / columns[:, 5].sum()),
            self.area,
        )

    def _possible(self, seen: Floats, moved: Floats) -> Floats:
        """No rule saves more than always-cheap; one of which no saving is expected is always-dear, and loses none."""
        spent = self._outcomes.weight @ np.column_stack([self._outcomes.cheap_cost, self._outcomes.dear_cost])
        most = 1.0 - spent[0] / spent[1] if spent[1] > 0 else 0.0
        least = min((float(each[0]) for each in self._reached), default=0.0)
        return np.clip(moved, np.minimum(seen, min(least, 0.0)), np.maximum(seen, most))

    def unsettled(self) -> Floats:
        """By how much saving and quality ratio would differ had the rule been learned from other cases (jackknife).

        It is what the rules of the folds, each learned without some of the cases, differ by on the same cases.
        """
        if len(self._reached) < 2:
            return np.zeros(2)
        folds = len(self._reached) / self._times.mean()
        return np.asarray(np.std(self._reached, axis=0) * math.sqrt(folds - 1))

    def kept(self, share: float) -> tuple[float, float, float]:
        """The mean of what is kept above this share, its spread from case to case, and the cases' effective number.

        The spread is such that, over the root of that number, it is the error of the mean, however weights are spread.
        """
        weight = self._outcomes.weight / self._outcomes.weight.sum()
        above = self._quality / self._times - share * self._outcomes.dear
        mean, squares = float(weight @ above), weight**2
        return mean, math.sqrt(float(squares @ (above - mean) ** 2 / squares.sum())), 1.0 / float(squares.sum())

    def slices(self) -> dict[str, float]:
        """The escalation rate of each slice."""
        names, place = np.unique(self._outcomes.slice.astype(str), return_inverse=True)
        columns = self.columns()
        whole = np.bincount(place, columns[:, 5])
        rate = np.bincount(place, columns[:, 4]) / np.where(whole > 0, whole, 1.0)
        return {str(name): float(each) for name, each in zip(names, rate, strict=True)}

    def latency(self, *, router: bool, dear: bool) -> Latency | None:
        """How long the cases took as they were decided first; None where the table has no times."""
        outcomes = self._outcomes
        mine = outcomes.dear_seconds if dear else taken(outcomes, self.accepted, router=router)
        if mine is None or outcomes.dear_seconds is None:
            return None
        return Latency(*_times(mine, outcomes.weight), *_times(outcomes.dear_seconds, outcomes.weight))


def interval(found: Floats, confidence: float) -> Interval:
    """Where the middle of what was found lies."""
    # Rounding must not show as a saving of -0.
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2]).round(12) + 0.0
    return float(low), float(high)


def _figures(sums: Floats) -> tuple[Floats, Floats]:
    """Saving and quality ratio; where always-dear costs or achieves nothing there is nothing to save or to lose."""
    dear_cost, dear = sums[:, 1], sums[:, 3]
    saving = np.where(dear_cost > 0, 1.0 - sums[:, 0] / np.where(dear_cost > 0, dear_cost, 1.0), 0.0)
    return saving, np.where(dear > 0, sums[:, 2] / np.where(dear > 0, dear, 1.0), 1.0)


def _reached(rule: Rule, same: Fold) -> Floats:
    """Saving and quality ratio of a rule on some cases."""
    outcomes, accepted = same.outcomes, rule.accepts(same.sight)
    weight = outcomes.weight
    spent = outcomes.dear_cost if rule.threshold == NEVER else paid(outcomes, accepted, router=rule.router)
    quality = np.where(accepted, outcomes.cheap, outcomes.dear)
    parts = [weight @ spent, weight @ outcomes.dear_cost, weight @ quality, weight @ outcomes.dear]
    return np.concatenate(_figures(np.array([parts])))


def _ordered(score: Floats, outcomes: Outcomes) -> Floats:
    """How far the ranks of a score go with what the cheap model does not lose, and the variance of that by chance."""
    n = len(score)
    if n < 2:
        return np.zeros(2)
    rank = rankdata(score) - (n + 1) / 2
    won = outcomes.cheap - outcomes.dear
    # Less the mean by weight: else a score that goes with the weights would seem to know something.
    won = outcomes.weight * (won - np.average(won, weights=outcomes.weight))
    return np.array([rank @ won, (rank @ rank) * (won @ won) / (n - 1)])


def _times(seconds: Floats, weight: Floats) -> tuple[float, float, float]:
    order = np.argsort(seconds, kind="stable")
    grown = np.cumsum(weight[order]) / weight.sum()
    places = np.minimum(np.searchsorted(grown, [0.5, 0.95]), len(seconds) - 1)
    middle, high = seconds[order][places]
    return float(np.average(seconds, weights=weight)), float(middle), float(high)
