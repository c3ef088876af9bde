"""Artefacts for the gates `Learned` and `Gain`, fitted to outcomes.

The weights are fitted to all cases. Scores by which a threshold is chosen and errors are measured are cross-fitted:
each case is scored by weights that have not seen its grades. What is settled before, on all cases at once, is which
columns there are and their scale, which no grade enters, and two figures: the penalty, and whether log-odds help.

A table has no word of verdicts beyond doubt: they are scores like others here, while in production one settles it
alone. Gates are to be loaded without a calibration, as the weights are for their raw scores.

Under about 1,000 cases a single signal is often as good as a combination; `against` says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as calendar_date
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from fastcascade.errors import ConfigError
from fastcascade.evals.curves import origin
from fastcascade.evals.fit_columns import Design, design
from fastcascade.evals.logistic import Logistic, fit, fold_of, pick_penalty
from fastcascade.evals.outcomes import Floats, Outcomes
from fastcascade.evals.ranking import Area, area, better

__all__ = ["Against", "Fitted", "against", "fit_gain", "fit_learned"]

FOLDS: Final = 5
LEAST: Final = 20
MANY: Final = 20_000
"""Of so many cases the penalty and the use of log-odds are settled as well as of all."""
HALVED: Final = 100_000
"""From so many cases on, half of them fix a few dozen weights; two folds do."""
NEVER: Final = 1.0


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit: the artefact, and what it would have said of cases it had not seen.

    Args:
        kind: "learned" or "gain".
        outcomes: the cases that weigh anything and of which at least one gate spoke; others are for the dear model.
        spoke: which cases of the table those are.
        gates: the names of the gates that it weighs.
        cheap: of each case P(cheap right), out of fold.
        dear: of each case P(dear right), out of fold; None for "learned".
        final: the gate's score by the weights of the artefact, which have seen the case: to check a gate, no more.
        penalties: what was picked for each model.
    """

    kind: Literal["learned", "gain"]
    outcomes: Outcomes
    spoke: NDArray[np.bool_]
    gates: Sequence[str]
    cheap: Floats
    dear: Floats | None
    final: Floats
    penalties: Sequence[float]
    _artefact: dict[str, Any]

    @property
    def score(self) -> Floats:
        """The gate's score of each case, out of fold."""
        return self.cheap if self.dear is None else _gained(self.cheap, self.dear)

    def artefact(self, threshold: float | None = None) -> dict[str, Any]:
        """What `load` of the gate reads. Without a threshold it accepts next to nothing, as nothing was promised."""
        return self._artefact | {"threshold": NEVER if threshold is None else threshold}


def fit_learned(
    outcomes: Outcomes, signals: Sequence[str] | None = None, *, day: calendar_date | None = None, seed: int = 0
) -> Fitted:
    """P(cheap right) from several gates' raw scores, lengths, tokens, task and answer, for `Learned`.

    Args:
        outcomes: a table, or a recording: the signals that are from 0 to 1 are scores of gates by their names.
        signals: those that are to be weighed; all, if none are named.
        day: the date for the artefact.
        seed: of the folds.
    """
    return _fitted("learned", outcomes, signals, day, seed)


def fit_gain(
    outcomes: Outcomes, signals: Sequence[str] | None = None, *, day: calendar_date | None = None, seed: int = 0
) -> Fitted:
    """P(cheap right) and P(dear right), for `Gain`; see `fit_learned`."""
    return _fitted("gain", outcomes, signals, day, seed)


@dataclass(frozen=True, slots=True)
class Against:
    """A fit beside the best single signal, on the same n cases.

    The area is over pairs of a case in which the dear model would have done better and one in which it would not (for
    "learned": in which the cheap one is wrong, and right). `gap` is the fit's area less the signal's, `low` to `high`
    its 95 % interval. The signal was picked on these very cases, which flatters it a little.
    """

    n: int
    signal: str
    area: float
    signal_area: float
    gap: float
    low: float
    high: float

    @property
    def worth_it(self) -> bool:
        """Whether the fit is clearly better."""
        return self.low > 0


def against(fitted: Fitted) -> Against:
    """Compare a fit with the best of the single signals."""
    outcomes = fitted.outcomes
    lost = 1 - outcomes.cheap if fitted.dear is None else np.maximum(outcomes.dear - outcomes.cheap, 0.0)
    good, bad = outcomes.weight * (1 - lost), outcomes.weight * lost
    areas: dict[str, Area] = {name: area(outcomes.surer(name), good, bad) for name in outcomes.signals}
    best = max(areas, key=lambda name: areas[name].value)
    mine = area(fitted.score, good, bad)
    return Against(len(outcomes), best, mine.value, areas[best].value, *better(mine, areas[best]))


def _fitted(
    kind: Literal["learned", "gain"],
    outcomes: Outcomes,
    signals: Sequence[str] | None,
    day: calendar_date | None,
    seed: int,
) -> Fitted:
    spoke = outcomes.weight > 0  # what weighs nothing is no case
    outcomes = outcomes.counted()
    made = design(outcomes, signals)
    spoke[spoke] = made.spoke
    spoken = outcomes if made.spoke.all() else outcomes.take(made.spoke)
    if len(spoken) < LEAST:
        raise ConfigError(f"the gates speak of {len(spoken)} cases, and a fit needs {LEAST} at least")
    rng = np.random.default_rng(seed)
    fold = fold_of(len(spoken), FOLDS if len(spoken) < HALVED else 2, rng)
    weight = spoken.weight / spoken.weight.mean()
    targets = (spoken.cheap,) if kind == "learned" else (spoken.cheap, spoken.dear)
    width, penalties = _settled(made, targets, weight, fold)
    matrix = made.matrix[:, :width]
    models = [fit(matrix, right, weight, penalty) for right, penalty in zip(targets, penalties, strict=True)]
    chances = _out_of_fold(matrix, targets, weight, fold, penalties, models)
    sums = [made.weights(model) for model in models]
    body = sums[0] if kind == "learned" else {"cheap": sums[0], "dear": sums[1]}
    artefact = {"kind": kind, **body, **origin(spoken, day).described()}
    seen = [model.chance(matrix) for model in models]
    final = seen[0] if kind == "learned" else _gained(*seen)
    dear = None if kind == "learned" else chances[1]
    return Fitted(kind, spoken, spoke, made.gates, chances[0], dear, final, penalties, artefact)


def _gained(cheap: Floats, dear: Floats) -> Floats:
    return (1.0 + (cheap - dear)) / 2.0


def _settled(
    made: Design, targets: Sequence[Floats], weight: Floats, fold: NDArray[np.intp]
) -> tuple[int, list[float]]:
    """How many columns to take, those of log-odds or not, and the penalties: by the folds, of some where many are.

    Log-odds are taken where they lower the loss by more than its standard error: fewer weights err less elsewhere.
    """
    some = np.arange(0, len(weight), max(1, len(weight) // MANY))  # spread over the table, which may be sorted
    part, weights, folds = made.matrix[some], weight[some], fold[some]
    rights = [right[some] for right in targets]

    def tried(width: int) -> tuple[Floats, list[float]]:
        matrix = part[:, :width]
        penalties = [pick_penalty(matrix, right, weights, folds) for right in rights]
        chances = _out_of_fold(matrix, rights, weights, folds, penalties)
        return np.sum([_loss(*each) for each in zip(chances, rights, strict=True)], axis=0) * weights, penalties

    loss, penalties = tried(made.plain)
    if made.plain == part.shape[1]:
        return made.plain, penalties
    other, others = tried(part.shape[1])
    fell = loss - other
    return (part.shape[1], others) if fell.sum() > np.sqrt((fell**2).sum()) else (made.plain, penalties)


def _out_of_fold(
    matrix: Floats,
    targets: Sequence[Floats],
    weight: Floats,
    fold: NDArray[np.intp],
    penalties: Sequence[float],
    starts: Sequence[Logistic] = (),
) -> list[Floats]:
    """The chances of each case by weights that have not seen it; a good start saves steps and changes nothing."""
    found = [np.empty(len(weight)) for _ in targets]
    for each in range(int(fold.max()) + 1):
        train, test = np.flatnonzero(fold != each), np.flatnonzero(fold == each)
        inside, outside = matrix[train], matrix[test]
        for place, right in enumerate(targets):
            start = starts[place] if starts else None
            model = fit(inside, right[train], weight[train], penalties[place], start)
            found[place][test] = model.chance(outside)
    return found


def _loss(chance: Floats, right: Floats) -> Floats:
    held = np.clip(chance, 1e-9, 1 - 1e-9)
    return -(right * np.log(held) + (1 - right) * np.log(1 - held))
