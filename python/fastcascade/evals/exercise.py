"""The drill of thirty cases: all through the small lane, the failures on to the large one, beside the large one alone.

A grader decides here what escalates, with the right answer before it, which nothing in production can do. So the
figures are those of a perfect gate, one that tells right replies from wrong ones and costs nothing; what the cascade's
own gates would have done with the same cases stands beside them.

    exercised(drilled, small="haiku", large="opus")     every figure with its n and its interval

Intervals hold if the cases were drawn at random from what is asked in production, each for itself. For rates and
right-or-wrong grades they are exact (Clopper-Pearson); for grades in between, and where cases count differently, by
betting; for dollars a bootstrap over whole cases, from ten cases on; for times by order, without any assumption.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from fastcascade.errors import ConfigError
from fastcascade.evals.exercise_account import Account, Drilled, Exercise, Figure, Own, Tried, Way
from fastcascade.evals.exercise_words import sentences
from fastcascade.evals.live_bounds import Interval, at_least, betting, exact
from fastcascade.evals.savings import ratio, ratio_interval, saving, saving_interval

__all__ = ["PASS", "SLICE_FEWEST", "exercised"]

PASS: Final = 0.75
"""The grade from which a reply has passed. Where grades are 0 and 1 it is of no matter what lies between."""
SLICE_FEWEST: Final = 5
"""Cases below which a slice is not shown by itself."""


def exercised(  # noqa: PLR0913 - each has a default, and is named
    drilled: Iterable[Drilled],
    *,
    small: str,
    large: str,
    passing: float = PASS,
    confidence: float = 0.95,
    seed: int = 1,
    left_out: dict[str, int] | None = None,
    estimated: bool = False,
) -> Exercise:
    """Work out every figure of a drill.

    Args:
        drilled: the cases; those that weigh nothing are passed over.
        small: what the small lane is called.
        large: what the flagship is called.
        passing: the grade from which a reply stays where it is.
        confidence: of every interval.
        seed: of the bootstrap.
        left_out: how many cases are in no figure, by why.
        estimated: whether dollars were reckoned from the length of texts.
    """
    if not 0 < passing <= 1:
        raise ConfigError(f"the grade that passes must be above 0 and at most 1, not {passing!r}")
    kept = [each for each in drilled if each.weight > 0]
    if not kept:
        told = ", ".join(f"{count} {why}" for why, count in (left_out or {}).items() if count)
        raise ConfigError(f"no case is left to drill: {told or 'none was given'}")
    names = sorted({each.slice for each in kept})
    groups = {name: [each for each in kept if each.slice == name] for name in names} if len(names) > 1 else {}
    figures = _Figures(passing, confidence, seed)
    weights = [each.weight for each in kept]
    found = Exercise(
        small,
        large,
        passing,
        confidence,
        figures.account(kept),
        sum(weights) ** 2 / sum(weight**2 for weight in weights),
        {name: figures.account(group) for name, group in groups.items() if len(group) >= SLICE_FEWEST},
        figures.own(kept) if all(each.gated is not None for each in kept) else None,
        {why: count for why, count in (left_out or {}).items() if count},
        estimated,
    )
    return replace(found, said=sentences(found))


@dataclass(frozen=True)
class _Figures:
    """Makes figures, all at one confidence."""

    passing: float
    confidence: float
    seed: int

    def account(self, cases: Sequence[Drilled]) -> Account:
        weights = [each.weight for each in cases]
        small, large = [each.small for each in cases], [each.large for each in cases]
        passed, above = [self._passes(each) for each in small], [self._passes(each) for each in large]
        after = [low if right else _both(low, high) for low, high, right in zip(small, large, passed, strict=True)]
        known = [low.usd is not None and high.usd is not None for low, high in zip(small, large, strict=True)]
        pairs = list(zip(passed, above, strict=True))
        return Account(
            len(cases),
            passed.count(False),
            self._mean([float(not right) for right in passed], weights),
            self._saving(after, large, weights, known),
            self._way("small lane alone", small, weights, known),
            self._way("failures escalated", after, weights, known),
            self._way("flagship everywhere", large, weights, known),
            pairs.count((True, True)),
            pairs.count((True, False)),
            pairs.count((False, True)),
            pairs.count((False, False)),
        )

    def own(self, cases: Sequence[Drilled]) -> Own:
        told = [(each, each.gated) for each in cases if each.gated is not None]
        weights = [each.weight for each in cases]
        tried = [Tried(gated.grade or 0.0, gated.usd, gated.seconds) for _, gated in told]
        known = [gated.usd is not None and None not in (each.small.usd, each.large.usd) for each, gated in told]
        sent = [gated.went == "sent on" for _, gated in told]
        graded = [gated.grade is not None for _, gated in told]
        return Own(
            self._mean([float(each) for each in sent], weights),
            self._saving(tried, [each.large for each in cases], weights, known),
            self._way("its own gates", tried, weights, known, graded),
            sum(sent),
            sum(went and self._passes(each.small) for each, went in zip(cases, sent, strict=True)),
            sum(gated.went == "kept" and not self._passes(each.small) for each, gated in told),
            sum(gated.went == "below" for _, gated in told),
            graded.count(False),
        )

    def _passes(self, tried: Tried) -> bool:
        return tried.grade >= self.passing

    def _way(
        self,
        name: str,
        tried: Sequence[Tried],
        weights: Sequence[float],
        known: Sequence[bool],
        graded: Sequence[bool] | None = None,
    ) -> Way:
        rows = [row for at, row in enumerate(zip(tried, weights, strict=True)) if graded is None or graded[at]]
        quality = self._mean([each.grade for each, _ in rows], [weight for _, weight in rows])
        costs = [(weight * (each.usd or 0.0), weight) for each, weight in _only(tried, weights, known)]
        usd = Figure(ratio(costs), ratio_interval(costs, self.seed, self.confidence), len(costs))
        times = sorted(each.seconds for each in tried if each.seconds is not None)
        return Way(name, quality, usd, self._quantile(times, 0.5), self._quantile(times, 0.95))

    def _saving(
        self, spent: Sequence[Tried], large: Sequence[Tried], weights: Sequence[float], known: Sequence[bool]
    ) -> Figure:
        alone = [high for high, _ in _only(large, weights, known)]
        pairs = [
            (weight * (each.usd or 0.0), weight * (high.usd or 0.0))
            for (each, weight), high in zip(_only(spent, weights, known), alone, strict=True)
        ]
        return Figure(saving(pairs), saving_interval(pairs, self.seed, self.confidence), len(pairs))

    def _mean(self, scores: Sequence[float], weights: Sequence[float]) -> Figure:
        if not scores:
            return Figure(None, None, 0)
        value = sum(score * weight for score, weight in zip(scores, weights, strict=True)) / sum(weights)
        return Figure(value, self._bounds(scores, weights), len(scores))

    def _bounds(self, scores: Sequence[float], weights: Sequence[float]) -> Interval:
        if len(set(weights)) == 1 and set(scores) <= {0.0, 1.0}:
            return exact(round(sum(scores)), len(scores), self.confidence)
        most = max(weights)
        return betting([(score, weight / most) for score, weight in zip(scores, weights, strict=True)], self.confidence)

    def _quantile(self, times: Sequence[float], share: float) -> Figure:
        """The time that `share` of the cases stay within; its ends are times of other cases, open where too few."""
        n, tail = len(times), (1 - self.confidence) / 2
        if not n:
            return Figure(None, None, 0)
        low = max((place for place in range(1, n + 1) if at_least(place, n, share) >= 1 - tail), default=None)
        high = min((place for place in range(1, n + 1) if at_least(place, n, share) <= tail), default=None)
        ends = (None if low is None else times[low - 1], None if high is None else times[high - 1])
        return Figure(times[ceil(share * n - 1e-9) - 1], ends, n)


def _both(small: Tried, large: Tried) -> Tried:
    """An escalated case: graded by the large lane's reply, and both are paid and waited for."""
    usd = None if small.usd is None or large.usd is None else small.usd + large.usd
    seconds = None if small.seconds is None or large.seconds is None else small.seconds + large.seconds
    return Tried(large.grade, usd, seconds)


def _only(tried: Sequence[Tried], weights: Sequence[float], known: Sequence[bool]) -> list[tuple[Tried, float]]:
    return [(each, weight) for each, weight, is_known in zip(tried, weights, known, strict=True) if is_known]
