"""From a raw score to the probability of being right: curves, and how far off a score is before and after.

ECE is the mean gap between what a score says and what came true, over bins of equal numbers of cases; it is biased
upwards by about the root of bins / n, so compare figures of one n only. Brier is the mean square of the gap. Neither
says whether a score puts the cases in the right order, which no curve here changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date as calendar_date
from typing import Final

import numpy as np
from scipy.optimize import isotonic_regression

from fastcascade.errors import ConfigError
from fastcascade.evals.bootstrap import resampled
from fastcascade.evals.logistic import fit, fold_of
from fastcascade.evals.outcomes import Floats, Outcomes, Texts
from fastcascade.gates.calibration import Isotonic, Origin, Platt

__all__ = [
    "Calibrated",
    "brier",
    "calibrated",
    "ece",
    "fit_isotonic",
    "fit_platt",
    "origin",
    "per_slice",
    "stretched",
    "through",
]

BINS: Final = 10
POINTS: Final = 200
"""An artefact has at most so many points; between two the curve is straight."""
FOLDS: Final = 5


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


def calibrated(score: Floats, right: Floats, weight: Floats | None = None, *, seed: int = 0) -> Calibrated:
    """Measure a score. One that goes beyond 0 to 1 says no probability; its range is stretched over 0 to 1."""
    _checked(score, right)
    rng = np.random.default_rng(seed)
    weights = np.ones(len(score)) if weight is None else weight
    low, high = float(score.min()), float(score.max())
    score = before = stretched(score, low, high)
    after = np.empty(len(score))
    fold = fold_of(len(score), min(FOLDS, len(score)), rng)
    for each in range(int(fold.max()) + 1):
        train = fold != each if fold.max() > 0 else fold == each
        after[fold == each] = through(fit_isotonic(score[train], right[train], weights[train]), score[fold == each])
    return Calibrated(
        len(score),
        ece(before, right, weight=weights),
        ece(after, right, weight=weights),
        _spread(before, right, weights, rng),
        _spread(after, right, weights, rng),
        brier(before, right, weights),
        brier(after, right, weights),
    )


def per_slice(score: Floats, right: Floats, slices: Texts, weight: Floats | None = None) -> Mapping[str, Platt]:
    """A curve to each slice: the global one, moved by as much as the slice's own cases bear out.

    How far slices truly differ is estimated from all of them (empirical Bayes, method of moments); a slice of few
    cases stays near the global curve, and where slices differ no more than by chance all stay there.
    """
    weights = np.ones(len(score)) if weight is None else weight
    whole = fit_platt(score, right, weights)
    chance = through(whole, score)
    names, place = np.unique(slices.astype(str), return_inverse=True)
    known = np.maximum(np.bincount(place, weights * chance * (1 - chance)), 1e-9)
    moved = np.bincount(place, weights * (right - chance)) / known
    # The noise of each estimate is 1 / known; what they scatter beyond it is how much slices differ.
    differ = max(float(np.average(moved**2, weights=known)) - len(names) / float(known.sum()), 0.0)
    shift = moved * differ / (differ + 1.0 / known)
    return {str(name): Platt(whole.a, whole.b + float(shift[at])) for at, name in enumerate(names)}


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


def _checked(score: Floats, right: Floats) -> None:
    if len(score) == 0 or len(score) != len(right):
        raise ConfigError(f"scores and outcomes must be as many, and one at least: {len(score)} and {len(right)}")
    if not (np.isfinite(score).all() and np.isfinite(right).all()):
        raise ConfigError("scores and outcomes must be finite: leave out the cases that lack one")
