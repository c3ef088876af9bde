"""The parts of every learned rule: P(cheap right), P(dear right), and the dear cost that is to be expected."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastcascade.evals.features import Columns, Frame
from fastcascade.evals.logistic import Matrix, fit, pick_penalty
from fastcascade.evals.outcomes import Floats, Outcomes

__all__ = ["Models", "Parts", "out_of_fold"]

RIDGE: Final = 10.0
PRICE_LEAST: Final = 0.1
"""An expected dear cost is held above this share of the mean: a guess near 0 would rule the order."""


@dataclass(frozen=True, eq=False, slots=True)
class Parts:
    """Of each case P(cheap right), P(dear right), and the expected dear cost, where the mean is 1."""

    cheap: Floats
    dear: Floats
    price: Floats

    def score(self, kind: str) -> Floats:
        """The score by one kind of rule: "learned", "gain" or "value"; more is surer."""
        if kind == "learned":
            return self.cheap
        gain = self.cheap - self.dear
        return gain if kind == "gain" else gain / self.price

    def mixed(self, other: "Parts") -> "Parts":
        """The mean of two."""
        return Parts((self.cheap + other.cheap) / 2, (self.dear + other.dear) / 2, (self.price + other.price) / 2)


class Models:
    """The three models, fitted.

    Args:
        train: what is seen of the training cases.
        outcomes: what they came to.
        fold: the inner folds by which penalties are picked.
        penalties: leaves that out, and takes these.
    """

    def __init__(
        self,
        train: Columns,
        outcomes: Outcomes,
        fold: NDArray[np.intp],
        *,
        wide: bool,
        penalties: tuple[float, float] | None = None,
    ) -> None:
        """Fit."""
        self.wide = wide
        self._frame = Frame(train, wide=wide)
        matrix = self._frame.matrix(train)
        weight = outcomes.weight / outcomes.weight.mean()
        if penalties is None:
            cheap = pick_penalty(matrix, outcomes.cheap, weight, fold)
            # Of words the penalty hardly depends on the target, and finding it is most of the time.
            dense = isinstance(matrix, np.ndarray)
            penalties = cheap, pick_penalty(matrix, outcomes.dear, weight, fold) if dense else cheap
        self.penalties = penalties
        self._cheap = fit(matrix, outcomes.cheap, weight, penalties[0])
        self._dear = fit(matrix, outcomes.dear, weight, penalties[1])
        self._price = _price(matrix, outcomes.dear_cost, weight)

    def parts(self, given: Columns) -> Parts:
        """The parts of some cases."""
        matrix = self._frame.matrix(given)
        price = np.ones(len(given.numbers))
        if self._price is not None and isinstance(matrix, np.ndarray):
            price = np.maximum(self._price[0] + matrix @ self._price[1:], PRICE_LEAST)
        return Parts(self._cheap.chance(matrix), self._dear.chance(matrix), price)


def out_of_fold(models: Models, train: Columns, outcomes: Outcomes, fold: NDArray[np.intp]) -> Parts:
    """The parts of the training cases, each by models that were fitted without its fold."""
    n = len(outcomes)
    found = Parts(np.empty(n), np.empty(n), np.empty(n))
    for each in range(int(fold.max()) + 1):
        inside, outside = np.flatnonzero(fold != each), np.flatnonzero(fold == each)
        some = Models(
            train.take(inside), outcomes.take(inside), fold[inside], wide=models.wide, penalties=models.penalties
        )
        parts = some.parts(train.take(outside))
        found.cheap[outside], found.dear[outside], found.price[outside] = parts.cheap, parts.dear, parts.price
    return found


def _price(matrix: Matrix, cost: Floats, weight: Floats) -> Floats | None:
    """Ridge regression of the dear cost on dense columns; none for words, or where it costs nothing."""
    mean = float(np.average(cost, weights=weight))
    if not isinstance(matrix, np.ndarray) or mean <= 0:
        return None
    whole = np.column_stack([np.ones(len(matrix)), matrix])
    ridge = np.full(whole.shape[1], RIDGE)
    ridge[0] = 1e-9
    found = np.linalg.solve((whole.T * weight) @ whole + np.diag(ridge), whole.T @ (weight * cost / mean))
    return np.asarray(found, dtype=np.float64)
