"""All thresholds of a score at once: what each would cost and keep, and the choice of one.

A case is accepted when its score is at least the threshold. Cases of one score go together. The first cut of a sweep
accepts nothing (always dear), the last accepts everything (always cheap).

The choice for "keep >= r of the dear model's quality" is made with a margin. Of each case the shortfall is
`accepted x (dear - cheap) - (1 - r) x dear`, which must be below 0 on average; the upper bound is mean + z x error.
Its variance is at least what it must be where the shortfall is 0 (as in a score test), so that few or no losses
among few cases do not pass for certainty. Where cases weigh differently each counts in it by its weight squared: a few
heavy ones that may be lost make a mean less sure than many light ones. The bound is for one threshold; a claim that
also pays for having looked at all of them is the business of the guarantee.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastcascade.errors import ConfigError
from fastcascade.evals.outcomes import Floats, Outcomes

__all__ = ["Scale", "Sweep", "area", "paid", "sweep", "taken"]

NEVER: Final = math.inf
"""The threshold that accepts nothing."""


def paid(outcomes: Outcomes, accepted: NDArray[np.bool_] | Floats, *, router: bool = False) -> Floats:
    """What each case costs. A router decides before the cheap model is asked, and pays one of the two."""
    if router:
        return np.asarray(np.where(accepted, outcomes.cheap_cost, outcomes.dear_cost), dtype=float)
    return np.asarray(outcomes.cheap_cost + np.where(accepted, 0.0, outcomes.dear_cost), dtype=float)


def taken(outcomes: Outcomes, accepted: NDArray[np.bool_] | Floats, *, router: bool = False) -> Floats | None:
    """The seconds that each case takes; None where the table has none. A router asks one of the two, not both."""
    if outcomes.cheap_seconds is None or outcomes.dear_seconds is None:
        return None
    if router:
        return np.asarray(np.where(accepted, outcomes.cheap_seconds, outcomes.dear_seconds), dtype=float)
    return np.asarray(outcomes.cheap_seconds + np.where(accepted, 0.0, outcomes.dear_seconds), dtype=float)


@dataclass(frozen=True, eq=False, slots=True)
class Sweep:
    """One entry to a cut, from accepting nothing to accepting everything.

    Args:
        thresholds: accept from this score on; infinite for the first.
        escalated: share of the cases (by weight) that go on.
        accepted_quality: how right the cheap model is on the accepted; NaN where there are none.
        quality: how right the whole is.
        cost: mean dollars a case.
        seconds: mean seconds a case, one after the other; None where the table has none.
        dear_quality, dear_cost: of always asking the dear model alone.
        effective: how many cases of one weight those are worth.
    """

    thresholds: Floats
    escalated: Floats
    accepted_quality: Floats
    quality: Floats
    cost: Floats
    seconds: Floats | None
    dear_quality: float
    dear_cost: float
    effective: float
    _lost: Floats = field(repr=False)
    _heavy: Floats = field(repr=False)
    """How much more than others accepted cases move the mean, at least 1: by the squares of weights over weights."""
    _moments: tuple[Floats, Floats, Floats, float, float] = field(repr=False)
    """By the squares of the weights, scaled to add up to 1: lost, its square, it by dear, dear, and its square."""

    @property
    def saving(self) -> Floats:
        """The share of always-dear's cost that is saved; below 0 where it costs more."""
        return 1.0 - self.cost / self.dear_cost if self.dear_cost > 0 else np.zeros_like(self.cost)

    @property
    def ratio(self) -> Floats:
        """The quality as a share of always-dear's."""
        return self.quality / self.dear_quality if self.dear_quality > 0 else np.ones_like(self.quality)

    def shortfall(self, keep: float, confidence: float) -> Floats:
        """The upper bound of the mean shortfall at each cut; a cut is good where it is 0 or below."""
        lost, squares, mixed, dear, dear_squares = self._moments
        allowed = 1.0 - keep
        mean = self._lost - allowed * self.dear_quality
        cases = squares - 2 * allowed * mixed + allowed**2 * dear_squares
        around = cases + mean * (mean - 2 * (lost - allowed * dear))
        variance = np.maximum(around, self._heavy * _least(allowed * self.dear_quality))
        z = NormalDist().inv_cdf(confidence)
        return mean + z * np.sqrt(variance / self.effective)

    def keep(self, r: float, confidence: float = 0.95) -> int:
        """The cheapest cut that keeps r of always-dear's quality with this confidence; 0 where there is none."""
        good = self.shortfall(r, confidence) <= 0
        good[0] = True
        return _cheapest(np.where(good, self.cost, math.inf), self.dear_cost)

    def within(self, budget: float) -> int:
        """The cut of best quality that costs at most this many dollars a case; the cheapest where none does."""
        # Where nothing is accepted the cheap model need not be asked.
        cost = np.append(self.dear_cost, self.cost[1:])
        fits = cost <= budget * (1 + 1e-12)
        if not fits.any():
            return int(np.argmin(cost))
        return int(np.lexsort((cost, np.where(fits, -self.quality, math.inf)))[0])

    def worth(self) -> int:
        """The cut of most quality x (1 - cost / always-dear's cost); that of always-dear is 0."""
        return int(np.argmax(np.append(0.0, (self.quality * self.saving)[1:])))


def sweep(outcomes: Outcomes, score: Floats, *, router: bool = False) -> Sweep:
    """Every threshold of a score; higher is surer."""
    if len(score) != len(outcomes):
        raise ConfigError(f"the score has {len(score)} cases, and the outcomes have {len(outcomes)}")
    if not np.isfinite(score).all():
        raise ConfigError("the score must be finite in every case: turn what is unknown into a number first")
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    weight = outcomes.weight / outcomes.weight.sum()
    dear_quality, dear_cost = float(weight @ outcomes.dear), float(weight @ outcomes.dear_cost)
    lost = outcomes.dear - outcomes.cheap
    effective = 1.0 / float((weight**2).sum())
    square = weight if outcomes.weights is None else effective * weight**2

    def grown(column: Floats, by: Floats = weight) -> Floats:
        return np.append(0.0, np.cumsum((by * column)[order])[ends])

    accepted, cheap, away = grown(np.ones(len(score))), grown(outcomes.cheap), grown(lost)
    base = dear_cost if router else dear_cost + float(weight @ outcomes.cheap_cost)
    spared = grown(outcomes.dear_cost - outcomes.cheap_cost if router else outcomes.dear_cost)
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = np.where(accepted > 0, cheap / accepted, math.nan)
    return Sweep(
        np.append(NEVER, ranked[ends]),
        np.clip(1.0 - accepted, 0.0, 1.0),
        kept,
        dear_quality - away,
        base - spared,
        _seconds(outcomes, weight, grown, router=router),
        dear_quality,
        dear_cost,
        effective,
        away,
        np.maximum(grown(np.ones(len(score)), square) / np.where(accepted > 0, accepted, 1.0), 1.0),
        (
            away if outcomes.weights is None else grown(lost, square),
            grown(lost**2, square),
            grown(lost * outcomes.dear, square),
            float(square @ outcomes.dear),
            float(square @ outcomes.dear**2),
        ),
    )


class Scale:
    """Where the quality-cost curve of a score lies between a random mix (0) and an oracle (1), on these cases."""

    def __init__(self, outcomes: Outcomes, *, router: bool = False) -> None:
        """Work out both ends."""
        self._outcomes, self._router = outcomes, router
        per = (outcomes.dear - outcomes.cheap) / np.maximum(outcomes.dear_cost, 1e-300)
        self._flat = _under(sweep(outcomes, np.zeros(len(outcomes)), router=router))
        self._gap = _under(sweep(outcomes, -per, router=router)) - self._flat

    def area(self, score: Floats) -> float:
        """0 as good as a random mix, 1 an oracle; below 0 where the score puts the wrong cases first."""
        if self._gap <= 0:
            return 0.0
        return (_under(sweep(self._outcomes, score, router=self._router)) - self._flat) / self._gap


def area(outcomes: Outcomes, score: Floats, *, router: bool = False) -> float:
    """The same for one score."""
    return Scale(outcomes, router=router).area(score)


def _seconds(outcomes: Outcomes, weight: Floats, grown: Callable[[Floats], Floats], *, router: bool) -> Floats | None:
    """The mean seconds at each cut: first as if nothing were accepted, then less what each that is accepted spares."""
    none, every = (taken(outcomes, np.full(len(outcomes), each), router=router) for each in (False, True))
    return None if none is None or every is None else float(weight @ none) - grown(none - every)


def _under(curve: Sweep) -> float:
    """The area under quality over cost."""
    return float(np.trapezoid(curve.quality[::-1], curve.cost[::-1]))


def _least(allowed: float) -> float:
    """The least variance that a shortfall of mean 0 can have: so many cases must be lost at least."""
    return max(allowed * (1.0 - allowed), 1e-12)


def _cheapest(cost: Floats, dear_cost: float) -> int:
    place = int(np.argmin(cost))
    return place if cost[place] < dear_cost else 0
