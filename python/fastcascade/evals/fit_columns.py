"""What a fitted gate weighs, as columns: the same values on recorded cases as `gates.weighing` has in production.

Only what a gate can see is here, each by a rule that looks at one case alone: raw scores and their log-odds, lengths
and tokens, the task, and what was answered. Columns are brought to mean 0 and spread 1 for the fit, and the weights
found are turned back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastcascade.errors import ConfigError
from fastcascade.evals.logistic import Logistic
from fastcascade.evals.outcomes import Floats, Outcomes, Texts
from fastcascade.gates.weighing import ANSWER, CLOSE, TASK

__all__ = ["Column", "Design", "design"]

SIZES: Final[Mapping[str, str]] = {
    "cheap_output_chars": "reply_length",
    "cheap_completion_tokens": "output_tokens",
    "cheap_thinking_tokens": "thinking_tokens",
    "prompt_tokens": "input_tokens",
}
"""What a recording notes of every reply, and the feature that it is."""
FREQUENT: Final = 30
"""A task or an answer has a weight of its own from so many cases on."""
MOST: Final = 50
LONG: Final = 100
FLAT: Final = 1e-9
LEAST: Final = 0.1
"""The spread of a length or of tokens is taken for this at least, in powers of ten: a quarter more or less."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where a column belongs in an artefact: `part` is "weights", "odds", "missing" or "features"."""

    part: str
    name: str


@dataclass(frozen=True, eq=False)
class Design:
    """The columns of the cases of which at least one gate spoke.

    Args:
        columns: what each is.
        matrix: with mean 0 and spread 1; those of log-odds come last.
        gates: the signals that are gates' scores.
        spoke: which cases of the table these are.
        filled: what stood for an abstention, before the mean was taken off: by part and name.
    """

    columns: Sequence[Column]
    matrix: Floats
    gates: Sequence[str]
    spoke: NDArray[np.bool_]
    mean: Floats
    spread: Floats
    filled: Mapping[tuple[str, str], float]

    @property
    def plain(self) -> int:
        """How many columns there are without those of log-odds."""
        return sum(column.part != "odds" for column in self.columns)

    def weights(self, model: Logistic) -> dict[str, Any]:
        """A model of the first of these columns as an artefact has it."""
        slopes = model.coefficients / self.spread[: len(model.coefficients)]
        found: dict[str, Any] = {"intercept": model.intercept - float(slopes @ self.mean[: len(slopes)])}
        found |= {part: {} for part in ("weights", "odds", "features", "missing")}
        for column, slope in zip(self.columns, slopes.tolist(), strict=False):
            found[column.part][column.name] = slope
        for name in found["missing"]:
            found["missing"][name] += sum(
                found[part].get(name, 0.0) * self.filled.get((part, name), 0.0) for part in ("weights", "odds")
            )
        # A gate of which nothing but the log-odds tells is asked all the same.
        found["weights"] = {name: found["weights"].get(name, 0.0) for name in self.gates}
        return found if found["odds"] else {part: each for part, each in found.items() if part != "odds"}


def design(outcomes: Outcomes, signals: Sequence[str] | None = None) -> Design:
    """The columns of a table.

    Args:
        outcomes: the table.
        signals: which; all that a gate can see, if none are named. A gate's score is from 0 to 1.
    """
    gates = _gates(outcomes, signals)
    known = {name: np.isfinite(outcomes.signals[name]) for name in gates}
    spoke = np.logical_or.reduce(list(known.values()))
    found: list[tuple[Column, Floats]] = []
    odds: list[tuple[Column, Floats]] = []
    filled: dict[tuple[str, str], float] = {}
    for name in gates:
        score, there = outcomes.signals[name][spoke], known[name][spoke]
        held = np.clip(score, CLOSE, 1 - CLOSE)
        for part, to, values in (("weights", found, score), ("odds", odds, np.log(held / (1 - held)))):
            filled[part, name] = float(values[there].mean())
            to.append((Column(part, name), values if there.all() else np.where(there, values, filled[part, name])))
        if not there.all():
            found.append((Column("missing", name), (~there).astype(float)))
        if len(np.unique(score[there][:1000])) <= 2 and len(np.unique(score[there])) <= 2:
            odds.pop()  # of two values the log-odds say the same
    found += _features(outcomes, spoke, signals)
    kept: list[tuple[Column, Floats]] = []
    for column, values in [*found, *odds]:
        if float(values.std()) > FLAT:
            kept.append((column, values))
    matrix = np.column_stack([values for _, values in kept]) if kept else np.zeros((int(spoke.sum()), 0))
    mean, spread = matrix.mean(axis=0), matrix.std(axis=0)
    # Lengths that hardly differ here may differ a lot in production: no weight may hang on how little they did.
    sized = [column.part == "features" and not column.name.startswith((TASK, ANSWER)) for column, _ in kept]
    spread = np.maximum(spread, np.where(sized, LEAST, 0.0))
    matrix -= mean
    matrix /= spread
    return Design([column for column, _ in kept], matrix, gates, spoke, mean, spread, filled)


def _gates(outcomes: Outcomes, signals: Sequence[str] | None) -> list[str]:
    """The signals that can be a gate's score, and say anything."""
    for name in signals or ():
        if name not in outcomes.signals:
            known = ", ".join(outcomes.signals) or "none"
            raise ConfigError(f"there is no signal {name!r} in {outcomes.name or 'the table'}; there are: {known}")
    gates = []
    for name in signals or outcomes.signals:
        column = outcomes.signals[name]
        low, high = np.nanmin(column, initial=np.inf), np.nanmax(column, initial=-np.inf)
        if name in SIZES or low > high:
            continue
        if low < 0 or high > 1:
            if signals:
                raise ConfigError(f"{name} is no score from 0 to 1, as a gate's is")
            continue
        if high - low > FLAT or np.isnan(column).any():
            gates.append(name)
    if not gates:
        raise ConfigError(f"{outcomes.name or 'the table'} has no signal from 0 to 1 that differs from case to case")
    return gates


def _features(
    outcomes: Outcomes, spoke: NDArray[np.bool_], signals: Sequence[str] | None
) -> list[tuple[Column, Floats]]:
    """Lengths, tokens, tasks and answers."""
    found = []
    for name, feature in SIZES.items():
        column = outcomes.signals.get(name) if signals is None or name in signals else None
        if column is not None and np.isfinite(column[spoke]).all():
            found.append((Column("features", feature), np.log10(1 + np.maximum(column[spoke], 0.0))))
    if outcomes.prompts is not None:
        lengths = np.fromiter(map(len, outcomes.prompts[spoke]), float)
        found.append((Column("features", "prompt_length"), np.log10(1 + lengths)))
    for prefix, marks in ((TASK, outcomes.slices), (ANSWER, outcomes.answers)):
        if marks is not None:
            found += [(Column("features", prefix + name), hot) for name, hot in _marks(marks[spoke], prefix)]
    return found


def _marks(given: Texts, prefix: str) -> list[tuple[str, Floats]]:
    """The frequent ones, and which cases have them."""
    if prefix == ANSWER:  # which may be whole pages
        given = np.array([each if len(each) <= LONG else "" for each in map(str.strip, given)], dtype=object)
    texts = given.astype(str)
    names, place, counts = np.unique(texts, return_inverse=True, return_counts=True)
    often = [at for at in np.argsort(-counts, kind="stable")[:MOST] if counts[at] >= FREQUENT]
    often = [at for at in often if 0 < len(str(names[at])) <= LONG]
    return [(str(names[at]), (place == at).astype(float)) for at in often]
