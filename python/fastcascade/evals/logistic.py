"""Penalized logistic regression: Newton's method on dense columns, L-BFGS on sparse ones.

Targets may be fractions and cases may have weights. The penalty is on the squares of the coefficients, not on the
intercept; columns are expected with mean 0 and spread 1 (dense), or rows of length 1 (sparse).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit, xlogy

from fastcascade.evals.outcomes import Floats

__all__ = ["PENALTIES", "Logistic", "Matrix", "fit", "fold_of", "pick_penalty"]

Matrix: TypeAlias = Floats | csr_array

PENALTIES: Final = (1.0, 10.0, 100.0)
"""What is tried for dense columns; beyond these the loss hardly changes on standardized columns."""
SPARSE: Final = (0.5, 2.0, 8.0)
STEPS: Final = 25
HALVINGS: Final = 20
FAR: Final = 30.0
MANY: Final = 4_000
"""From so many cases on one fold tells penalties apart well enough."""


@dataclass(frozen=True, eq=False, slots=True)
class Logistic:
    """A fitted model: P(right) = expit(intercept + x . coefficients)."""

    intercept: float
    coefficients: Floats

    def chance(self, matrix: Matrix) -> Floats:
        """The probability of each row."""
        return expit(_linear(matrix, self.coefficients, self.intercept))


def fold_of(n: int, folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """The fold of each case, sizes equal but for one, at random."""
    return rng.permutation(np.arange(n) % folds)


def fit(matrix: Matrix, right: Floats, weight: Floats, penalty: float, start: Logistic | None = None) -> Logistic:
    """Fit to targets from 0 to 1. The intercept is that of the mean where there are no columns."""
    share = float(np.clip(np.average(right, weights=weight), 1e-6, 1 - 1e-6))
    width = cast("tuple[int, int]", matrix.shape)[1]
    begin = np.append(np.zeros(width), np.log(share / (1 - share)))
    if start is not None and len(start.coefficients) == width:
        begin = np.append(start.coefficients, start.intercept)
    if isinstance(matrix, np.ndarray):
        found = _newton(matrix, right, weight, penalty, begin)
    else:
        found = _lbfgs(matrix, right, weight, penalty, begin)
    return Logistic(float(found[-1]), found[:-1])


def pick_penalty(
    matrix: Matrix, right: Floats, weight: Floats, fold: NDArray[np.intp], grid: Sequence[float] = ()
) -> float:
    """The penalty of the grid with the least log loss on the folds left out; of equals the largest."""
    tried = sorted(grid or (PENALTIES if isinstance(matrix, np.ndarray) else SPARSE), reverse=True)
    used = range(int(fold.max()) + 1) if len(right) < MANY else (0,)
    loss = np.zeros(len(tried))
    for each in used:
        train, test = np.flatnonzero(fold != each), np.flatnonzero(fold == each)
        inside, outside, model = matrix[train], matrix[test], None
        for place, penalty in enumerate(tried):
            model = fit(inside, right[train], weight[train], penalty, model)
            loss[place] += _log_loss(model.chance(outside), right[test], weight[test])
    return tried[int(np.argmin(loss))]


def _log_loss(chance: Floats, right: Floats, weight: Floats) -> float:
    safe = np.clip(chance, 1e-9, 1 - 1e-9)
    return -float((weight * (xlogy(right, safe) + xlogy(1 - right, 1 - safe))).sum())


def _linear(matrix: Matrix, coefficients: Floats, intercept: float) -> Floats:
    return cast("Floats", matrix @ coefficients) + intercept


def _value(line: Floats, right: Floats, weight: Floats, slope: Floats, penalty: float) -> float:
    """The penalized loss at these linear scores."""
    return float((weight * (np.logaddexp(0.0, line) - right * line)).sum() + 0.5 * penalty * (slope @ slope))


def _newton(matrix: Floats, right: Floats, weight: Floats, penalty: float, begin: Floats) -> Floats:
    whole = np.column_stack([matrix, np.ones(len(matrix))])
    ridge = np.full(whole.shape[1], penalty)
    ridge[-1] = 1e-6
    at = begin
    line = whole @ at
    value = _value(line, right, weight, at[:-1], penalty)
    for _ in range(STEPS):
        chance = expit(np.clip(line, -FAR, FAR))
        slope = whole.T @ (weight * (chance - right)) + ridge * at
        curve = whole.T @ (whole * (weight * chance * (1 - chance))[:, None])
        curve[np.diag_indices_from(curve)] += ridge
        step = np.linalg.solve(curve, slope)
        size = 1.0
        for _ in range(HALVINGS):
            near = at - size * step
            line = whole @ near
            reached = _value(line, right, weight, near[:-1], penalty)
            if reached <= value:
                break
            size /= 2
        else:
            return at
        at, gained, value = near, value - reached, reached
        if gained <= 1e-8 * (abs(value) + 1.0):
            break
    return at


def _lbfgs(matrix: csr_array, right: Floats, weight: Floats, penalty: float, begin: Floats) -> Floats:
    turned = cast("Any", matrix.T.tocsr())

    def loss(at: Floats) -> tuple[float, Floats]:
        line = _linear(matrix, at[:-1], float(at[-1]))
        error = weight * (expit(line) - right)
        slope = np.append(turned @ error + penalty * at[:-1], error.sum())
        return _value(line, right, weight, at[:-1], penalty), slope

    found = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": 40, "ftol": 1e-5})
    return cast("Floats", found.x)
