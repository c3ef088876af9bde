"""From a raw score to the probability of being right: curves, and how far off a score is before and after.

ECE is the mean gap between what a score says and what came true, over bins of equal numbers of cases; it is biased
upwards by about the root of bins / n, so compare figures of one n only. Brier is the mean square of the gap. Neither
says whether a score puts the cases in the right order, which no curve here changes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date as calendar_date
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from fastcascade.errors import ConfigError
from fastcascade.evals.bootstrap import resampled
from fastcascade.evals.logistic import fit, fold_of
from fastcascade.evals.outcomes import Floats, Outcomes, Texts
from fastcascade.gates.calibration import EDGE, Isotonic, Origin, Platt

__all__ = [
    "Bin",
    "Calibrated",
    "brier",
    "calibrated",
    "ece",
    "fit_isotonic",
    "fit_platt",
    "folded",
    "origin",
    "reliability",
    "shifts",
    "stretched",
    "through",
]

BINS: Final = 10
POINTS: Final = 200
"""An artefact has at most so many points; between two the curve is straight."""
FOLDS: Final = 5
STEPS: Final = 20
SMALL: Final = 1e-6
Z: Final = 1.959964
Places: TypeAlias = NDArray[np.intp]


def origin(outcomes: Outcomes, day: calendar_date | None = None) -> Origin:
    """Where an artefact comes from; the date is left out unless given, so that the same data give the same file."""
    return Origin(len(outcomes), "" if day is None else day.isoformat(), outcomes.fingerprint())


def stretched(score: Floats, low: float, high: float) -> Floats:
    """A score on the scale that curves want, 0 to 1: left alone where `low` to `high` lies there already."""
    if low >= 0 and high <= 1:
        return np.clip(score, 0.0, 1.0)
    return np.clip((score - low) / ((high - low) or 1.0), 0.0, 1.0)


def fit_isotonic(score: Floats, right: Floats, weight: Floats | None = None, origin: Origin | None = None) -> Isotonic:
    """The curve of least square error that never falls, flat over each pooled block; scores are from 0 to 1."""
    _checked(score, right)
    xs, place = np.unique(score, return_inverse=True)
    weights = np.ones(len(score)) if weight is None else weight
    mass = np.bincount(place, weights)
    kept = mass > 0
    means = np.bincount(place, weights * right)[kept] / mass[kept]
    fitted = isotonic_regression(means, weights=mass[kept])
    xs, ys = xs[kept], np.clip(fitted.x, 0.0, 1.0)
    # The ends of each block hold all there is to know of it.
    starts = np.append(True, ys[1:] != ys[:-1])
    ends = np.append(ys[1:] != ys[:-1], True)
    corners = np.flatnonzero(starts | ends)
    if len(corners) > POINTS:
        corners = corners[np.unique(np.linspace(0, len(corners) - 1, POINTS).round().astype(int))]
    points = zip(xs[corners].tolist(), np.maximum.accumulate(ys[corners]).tolist(), strict=True)
    return Isotonic(tuple(points), origin=origin or Origin())


def fit_platt(score: Floats, right: Floats, weight: Floats | None = None, origin: Origin | None = None) -> Platt:
    """The logistic curve of least log loss; level where it would fall. A small penalty keeps it finite."""
    _checked(score, right)
    weights = np.ones(len(score)) if weight is None else weight
    middle, spread = float(score.mean()), float(score.std()) or 1.0
    found = fit(((score - middle) / spread)[:, None], right, weights, 1e-3)
    steep = float(found.coefficients[0]) / spread
    if steep < 0:
        level = fit(np.zeros((len(score), 0)), right, weights, 0.0)
        return Platt(0.0, level.intercept, origin or Origin())
    return Platt(steep, found.intercept - steep * middle, origin or Origin())


def through(curve: Isotonic | Platt, score: Floats) -> Floats:
    """The probabilities of many scores at once."""
    if isinstance(curve, Platt):
        line = np.clip(curve.a * score + curve.b, -700.0, 700.0)
        return np.asarray(1.0 / (1.0 + np.exp(-line)), dtype=float)
    xs, ys = np.array(curve.points).T
    if curve.interpolation == "step":
        return np.asarray(ys[np.maximum(np.searchsorted(xs, score, side="right") - 1, 0)], dtype=float)
    return np.asarray(np.interp(score, xs, ys), dtype=np.float64)


def ece(chance: Floats, right: Floats, bins: int = BINS, weight: Floats | None = None) -> float:
    """The expected calibration error over bins of equal numbers of cases."""
    _checked(chance, right)
    weights = np.ones(len(chance)) if weight is None else weight
    where = _bins(chance, bins)
    gap = np.bincount(where, weights * (chance - right), minlength=bins)
    return float(np.abs(gap).sum() / weights.sum())


def brier(chance: Floats, right: Floats, weight: Floats | None = None) -> float:
    """The mean squared gap between what was said and what came true."""
    _checked(chance, right)
    return float(np.average((chance - right) ** 2, weights=weight))


@dataclass(frozen=True, slots=True)
class Calibrated:
    """How far off a score is, before and after a curve fitted on other folds, with 95 % intervals, on n cases."""

    n: int
    ece_before: float
    ece_after: float
    ece_before_interval: tuple[float, float]
    ece_after_interval: tuple[float, float]
    brier_before: float
    brier_after: float
    brier_before_interval: tuple[float, float]
    brier_after_interval: tuple[float, float]


def calibrated(
    score: Floats, right: Floats, weight: Floats | None = None, *, seed: int = 0, after: Floats | None = None
) -> Calibrated:
    """Measure a score. One that goes beyond 0 to 1 says no probability; its range is stretched over 0 to 1.

    `after` is what the cases were given out of fold; without it an isotonic curve is fitted to the other folds.
    """
    _checked(score, right)
    rng = np.random.default_rng(seed)
    weights = np.ones(len(score)) if weight is None else weight
    before = stretched(score, float(score.min()), float(score.max()))
    if after is None:
        after = folded(
            len(before),
            lambda train, test: through(fit_isotonic(before[train], right[train], weights[train]), before[test]),
            rng,
        )
    return Calibrated(
        len(score),
        ece(before, right, weight=weights),
        ece(after, right, weight=weights),
        _spread(before, right, weights, rng),
        _spread(after, right, weights, rng),
        brier(before, right, weights),
        brier(after, right, weights),
        _around((before - right) ** 2, weights),
        _around((after - right) ** 2, weights),
    )


def folded(n: int, fit: Callable[[Places, Places], Floats], rng: np.random.Generator) -> Floats:
    """What each case is given by a fit that has not seen it: `fit` has the places of the others, and of its own."""
    found = np.empty(n)
    fold = fold_of(n, min(FOLDS, n), rng)
    for each in range(int(fold.max()) + 1):
        test = np.flatnonzero(fold == each)
        found[test] = fit(np.flatnonzero(fold != each) if fold.max() > 0 else test, test)
    return found


@dataclass(frozen=True, slots=True)
class Bin:
    """One point of a reliability diagram: what was said on the mean, what came true with its 95 % interval, of n."""

    said: float
    right: float
    low: float
    high: float
    n: int


def reliability(chance: Floats, right: Floats, weight: Floats | None = None, bins: int = BINS) -> list[Bin]:
    """The reliability diagram: bins of equal numbers of cases, as the ECE has them; none where there are no cases.

    The interval is Wilson's on as many cases of one weight as the bin is worth; of grades between 0 and 1, which
    scatter less than right and wrong do, it is wider than it need be.
    """
    _checked(chance, right)
    weights = np.ones(len(chance)) if weight is None else weight
    where = _bins(chance, bins)
    mass, square = np.bincount(where, weights, bins), np.bincount(where, weights**2, bins)
    n = np.bincount(where, minlength=bins)
    kept = mass > 0
    mass, worth = mass[kept], (mass[kept] ** 2 / square[kept])
    said = np.bincount(where, weights * chance, bins)[kept] / mass
    true = np.bincount(where, weights * right, bins)[kept] / mass
    middle = (true + Z**2 / (2 * worth)) / (1 + Z**2 / worth)
    half = Z / (1 + Z**2 / worth) * np.sqrt(true * (1 - true) / worth + (Z / (2 * worth)) ** 2)
    # What came true is inside, rounding or not.
    columns = said, true, np.clip(middle - half, 0.0, true), np.clip(middle + half, true, 1.0)
    rows = zip(*(column.tolist() for column in columns), n[kept].tolist(), strict=True)
    return [Bin(*row) for row in rows]


def shifts(chance: Floats, right: Floats, slices: Texts, weight: Floats | None = None) -> Mapping[str, float]:
    """How far each slice lies from what was said of it, in log-odds, by as much as its own cases bear out.

    How far slices truly differ is estimated from all of them (empirical Bayes, method of moments); a slice of few
    cases stays near 0, and where slices differ no more than by chance all stay there.
    """
    weights = np.ones(len(chance)) if weight is None else weight
    weights = weights * (weights.sum() / (weights**2).sum())  # as many cases as they are worth
    names, place = np.unique(slices.astype(str), return_inverse=True)
    known = np.maximum(np.bincount(place, weights * chance * (1 - chance)), 1e-9)
    moved = np.bincount(place, weights * (right - chance)) / known
    # The noise of each estimate is 1 / known; what they scatter beyond it is how much slices differ.
    differ = max(float(np.average(moved**2, weights=known)) - len(names) / float(known.sum()), 0.0)
    shift = np.zeros(len(names))
    if differ > 0:
        held = np.clip(chance, EDGE, 1 - EDGE)
        line = np.log(held / (1 - held))
        for _ in range(STEPS):
            here = 1.0 / (1.0 + np.exp(-line - shift[place]))
            slope = np.bincount(place, weights * (right - here)) - shift / differ
            step = slope / (np.bincount(place, weights * here * (1 - here)) + 1 / differ)
            shift += np.clip(step, -1.0, 1.0)
            if np.abs(step).max() < SMALL:
                break
    return {str(name): float(shift[at]) for at, name in enumerate(names)}


def _bins(chance: Floats, bins: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """The bin of each case; equal scores stay together."""
    _, place, counts = np.unique(chance, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    return np.asarray(np.minimum(middle * bins / len(chance), bins - 1).astype(np.intp)[place])


def _spread(chance: Floats, right: Floats, weight: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """The bootstrap interval of the ECE, by the gaps of its bins."""
    where = _bins(chance, BINS)
    apart = np.zeros((len(chance), BINS + 1))
    apart[np.arange(len(chance)), where] = weight * (chance - right)
    apart[:, -1] = weight
    sums = resampled(apart, rng)
    found = np.abs(sums[:, :-1]).sum(axis=1) / np.maximum(sums[:, -1], 1e-300)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _around(gap: Floats, weight: Floats) -> tuple[float, float]:
    """The interval of a weighted mean, of cases that are independent (normal; the weights are taken as given)."""
    mean = float(np.average(gap, weights=weight))
    half = Z * float(np.sqrt((weight**2 * (gap - mean) ** 2).sum())) / float(weight.sum())
    return max(0.0, mean - half), min(1.0, mean + half)


def _checked(score: Floats, right: Floats) -> None:
    if len(score) == 0 or len(score) != len(right):
        raise ConfigError(f"scores and outcomes must be as many, and one at least: {len(score)} and {len(right)}")
    if not (np.isfinite(score).all() and np.isfinite(right).all()):
        raise ConfigError("scores and outcomes must be finite: leave out the cases that lack one")
