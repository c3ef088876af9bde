"""One curve for all and how far each slice lies from it: fitted, applied to many cases, and measured out of fold."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fastcascade.errors import ConfigError
from fastcascade.evals.curves import fit_isotonic, fit_platt, folded, shifts, through
from fastcascade.evals.outcomes import Floats, Texts
from fastcascade.gates.calibration import EDGE, Origin, Slices

__all__ = ["Sliced", "fit_slices", "sliced", "through_slices"]


def fit_slices(
    score: Floats,
    right: Floats,
    slices: Texts,
    weight: Floats | None = None,
    *,
    method: Literal["isotonic", "platt"] = "isotonic",
    by: str = "task",
    origin: Origin | None = None,
) -> Slices:
    """The curve for all, and for each slice its shift, near 0 where its cases are few; a case without a slice has none.

    Args:
        score: from 0 to 1, more is surer.
        right: how right each was.
        slices: what each is filed under; `by` is the field of a request that says so in production.
        weight: how much each counts.
        method: the kind of curve.
        by: task, route, customer or feature.
        origin: where it comes from.
    """
    if len(slices) != len(score):
        raise ConfigError(f"slices has {len(slices)} cases, and score has {len(score)}")
    whole = (fit_isotonic if method == "isotonic" else fit_platt)(score, right, weight)
    found = shifts(through(whole, score), right, slices, weight)
    kept = {name: shift for name, shift in found.items() if name and shift}
    return Slices(whole, kept, by, origin or Origin())


def through_slices(curves: Slices, score: Floats, slices: Texts) -> Floats:
    """The probabilities of many scores at once; what is in no slice that is known has the curve for all."""
    chance = through(curves.whole, score)
    names, place = np.unique(slices.astype(str), return_inverse=True)
    shift = np.array([curves.shifts.get(str(name), 0.0) for name in names])[place]
    held = np.clip(chance, EDGE, 1 - EDGE)
    with np.errstate(over="ignore"):
        moved = 1.0 / (1.0 + (1.0 - held) / held * np.exp(-shift))
    return np.where(shift == 0.0, chance, moved)


@dataclass(frozen=True, eq=False, slots=True)
class Sliced:
    """What cases were given by curves fitted to other folds: by the curve of their slice, and by the one for all."""

    by_slice: Floats
    by_whole: Floats

    def gain(self, right: Floats, weight: Floats | None = None) -> tuple[float, float, float]:
        """By how much the squared error falls thanks to slices, with its 95 % interval (paired, normal)."""
        weights = np.ones(len(right)) if weight is None else weight
        fell = (self.by_whole - right) ** 2 - (self.by_slice - right) ** 2
        mean = float(np.average(fell, weights=weights))
        half = 1.959964 * float(np.sqrt((weights**2 * (fell - mean) ** 2).sum())) / float(weights.sum())
        return mean, mean - half, mean + half


def sliced(
    score: Floats,
    right: Floats,
    slices: Texts,
    weight: Floats | None = None,
    *,
    method: Literal["isotonic", "platt"] = "isotonic",
    seed: int = 0,
) -> Sliced:
    """Cross-fitted: what each case is given by curves that have not seen it."""
    weights = np.ones(len(score)) if weight is None else weight
    whole = np.empty(len(score))

    def fit(
        train: np.ndarray[tuple[int], np.dtype[np.intp]], test: np.ndarray[tuple[int], np.dtype[np.intp]]
    ) -> Floats:
        curves = fit_slices(score[train], right[train], slices[train], weights[train], method=method)
        whole[test] = through(curves.whole, score[test])
        return through_slices(curves, score[test], slices[test])

    return Sliced(folded(len(score), fit, np.random.default_rng(seed)), whole)
