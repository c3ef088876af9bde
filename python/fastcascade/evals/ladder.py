"""What all tiers of a cascade came to on the same cases, as columns: what thresholds for several tiers are chosen by.

    thresholds    one to each tier but the last; a case is answered by the first whose score reaches its own, else by
                  the last. Equal scores go the same way, and a score that is not a number goes on
    cost          of a case: what all tiers that were asked cost together, each with its own gate and samples
    infinity      a tier with this threshold accepts nothing. Nobody would ask it, so that it is not paid for: it is to
                  be taken out of the cascade, and not merely given a threshold that no score reaches
    the baseline  the last tier, asked alone

Half of the cases are there to choose by (which gate, which thresholds), and the other half to judge what was chosen:
what was looked at while choosing must not judge. `learning` says which is which.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastcascade.errors import ConfigError
from fastcascade.evals.outcomes import Floats, Texts
from fastcascade.evals.ranking import area

__all__ = ["Bools", "Ladder", "Taken", "dealt", "ladder_of"]

Bools: TypeAlias = NDArray[np.bool_]

TIERS_MOST: Final = 12


@dataclass(frozen=True, eq=False)
class Taken:
    """What thresholds come to, case by case: which tier answered, which were asked, and what that was and cost."""

    place: NDArray[np.intp]
    asked: Bools
    right: Floats
    cost: Floats
    seconds: Floats | None


@dataclass(frozen=True, eq=False)
class Ladder:
    """The columns of n cases over k tiers, the cheapest first.

    Args:
        right: n x k, how right each tier was, 0 to 1.
        cost: n x k, dollars for all calls of each tier, those of its gate and its samples among them.
        score: n x (k - 1), how sure one is of each tier's answer but the last's; NaN where its gate says nothing.
        seconds: n x k, how long each took.
        slices: what each case is filed under.
        weights: how much each counts.
        ids: what each is called.
        learning: which cases were chosen by, where anything was; None leaves the deal to who chooses.
        tiers: what the tiers are called.
        gates: by what name the scores go, one to each tier but the last.
        left_out: how many cases are in none of these, by why.
    """

    right: Floats
    cost: Floats
    score: Floats
    seconds: Floats | None = None
    slices: Texts | None = None
    weights: Floats | None = None
    ids: Texts | None = None
    learning: Bools | None = None
    tiers: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse columns that do not fit together; name what has no name."""
        self._fit()
        for name, column, most in self._ranges():
            if (bad := ~(np.isfinite(column) & (column >= 0) & (column <= most))).any():
                place = int(np.argwhere(bad)[0][0])
                ends = "from 0 to 1" if most == 1.0 else "0 or more"
                raise ConfigError(f"{name} of case {self.called(place)} must be {ends}, not {column[bad][0]}")
        if np.isinf(self.score).any():
            raise ConfigError("a score must be a finite number, or NaN where the gate says nothing")
        if not self.weight.sum() > 0:
            raise ConfigError("the cases weigh nothing: one weight must be above 0")

    def _fit(self) -> None:
        """Shapes and names; those that were not given are made."""
        if self.right.ndim != 2 or not 2 <= self.right.shape[1] <= TIERS_MOST:
            raise ConfigError(f"right needs a column to each of 2 to {TIERS_MOST} tiers, not {self.right.shape}")
        n, k = self.right.shape
        if n == 0:
            raise ConfigError(f"{self.name or 'the ladder'} has no cases")
        for name, column, wanted in self._shapes(n, k):
            if column.shape != wanted:
                raise ConfigError(f"{name} must have the shape {wanted}, not {column.shape}")
        for name, names, count in (("tiers", self.tiers, k), ("gates", self.gates, k - 1)):
            if not names:
                object.__setattr__(self, name, tuple(f"{name[:-1]} {place + 1}" for place in range(count)))
            elif len(names) != count:
                raise ConfigError(f"{name} has {len(names)} names, and {count} are needed")

    def __len__(self) -> int:
        """How many cases."""
        return len(self.right)

    def __repr__(self) -> str:
        """Show what there is."""
        return f"Ladder({self.name!r}, n={len(self)}, tiers={list(self.tiers)}, gates={list(self.gates)})"

    @property
    def weight(self) -> Floats:
        """The weights; ones where none were given."""
        return np.ones(len(self)) if self.weights is None else self.weights

    def called(self, place: int) -> str:
        """What to call a case in a message."""
        return repr(str(self.ids[place])) if self.ids is not None else str(place)

    def take(self, places: NDArray[np.intp] | Bools) -> "Ladder":
        """Some of the cases, in this order."""
        return Ladder(
            self.right[places],
            self.cost[places],
            self.score[places],
            None if self.seconds is None else self.seconds[places],
            None if self.slices is None else self.slices[places],
            None if self.weights is None else self.weights[places],
            None if self.ids is None else self.ids[places],
            None if self.learning is None else self.learning[places],
            self.tiers,
            self.gates,
            self.left_out,
            self.name,
        )

    def taken(self, thresholds: Sequence[float]) -> Taken:
        """What these thresholds, one to each tier but the last, come to."""
        limits = np.asarray(thresholds, float)
        n, k = self.right.shape
        if limits.shape != (k - 1,) or np.isnan(limits).any():
            raise ConfigError(f"a ladder of {k} tiers needs {k - 1} thresholds, not {list(thresholds)}")
        accepts = np.column_stack([self.score >= limits, np.ones(n, dtype=bool)])
        place = accepts.argmax(axis=1)
        asked = (np.arange(k) <= place[:, None]) & np.append(limits < math.inf, True)
        rows = np.arange(n)
        seconds = None if self.seconds is None else (self.seconds * asked).sum(axis=1)
        return Taken(place, asked, self.right[rows, place], (self.cost * asked).sum(axis=1), seconds)

    def _shapes(self, n: int, k: int) -> Iterator[tuple[str, NDArray[Any], tuple[int, ...]]]:
        yield "cost", self.cost, (n, k)
        yield "score", self.score, (n, k - 1)
        if self.seconds is not None:
            yield "seconds", self.seconds, (n, k)
        for name in ("slices", "weights", "ids", "learning"):
            if (column := getattr(self, name)) is not None:
                yield name, column, (n,)

    def _ranges(self) -> Iterator[tuple[str, Floats, float]]:
        yield "right", self.right, 1.0
        yield "cost", self.cost, math.inf
        if self.seconds is not None:
            yield "seconds", self.seconds, math.inf
        yield "weights", self.weight, math.inf


def dealt(n: int, slices: Texts | None = None, *, split: float = 0.5, seed: int = 0) -> Bools:
    """Which of n cases to choose by: a share `split` of them, and of each slice, drawn at random."""
    if not 0 < split < 1:
        raise ConfigError(f"split must be above 0 and below 1, not {split!r}")
    rng = np.random.default_rng(seed)
    filed = np.zeros(n, dtype=int) if slices is None else np.unique(slices.astype(str), return_inverse=True)[1]
    order = np.lexsort((rng.random(n), filed))
    # Every so many of those in a row; where it begins is drawn, so that a slice of one case may fall to either half.
    ends = np.floor(np.arange(n + 1) * split + rng.random())
    learning = np.zeros(n, dtype=bool)
    learning[order] = np.diff(ends) > 0
    return learning


def ladder_of(path: str | Path, gates: Mapping[str, str] | None = None, *, split: float = 0.5, seed: int = 0) -> Ladder:
    """Read all tiers of a recording.

    Args:
        path: the file of the recording.
        gates: by the tier's name, which of its signals to go by. Where none is named it is, of those from 0 to 1, the
            one that best tells right from wrong on the half that is chosen by.
        split: the share of the cases to choose by.
        seed: of the deal.
    """
    from fastcascade.evals.runs import Runs  # noqa: PLC0415 - loads what columns do not need

    with Runs(path) as runs:
        held = runs.ladder()
    if not held["ids"]:
        why = ", ".join(f"{count} {reason}" for reason, count in held["left_out"].items() if count)
        raise ConfigError(f"{path} has no case that all tiers answered and that was graded: {why or 'it is empty'}")
    tiers: list[str] = held["tiers"]
    if unknown := sorted(set(gates or {}) - set(tiers[:-1])):
        raise ConfigError(f"no tier {unknown[0]!r} that has a gate was recorded; there are: {', '.join(tiers[:-1])}")
    right, cost, seconds = (np.array(held[name], dtype=float) for name in ("right", "cost", "seconds"))
    slices, ids = (np.array(held[name], dtype=object) for name in ("slices", "ids"))
    learning = dealt(len(ids), slices, split=split, seed=seed)
    named, scores = [], []
    for place, tier in enumerate(tiers[:-1]):
        signals = {name: np.array(each, dtype=float) for name, each in held["signals"][place].items()}
        chosen = _gate(tier, signals, right[:, place], learning, (gates or {}).get(tier))
        named.append(chosen)
        scores.append(signals[chosen])
    return Ladder(
        right,
        cost,
        np.column_stack(scores),
        seconds,
        slices,
        np.array(held["weights"], dtype=float),
        ids,
        learning,
        tuple(tiers),
        tuple(named),
        {why: count for why, count in held["left_out"].items() if count},
        str(path),
    )


def _gate(tier: str, signals: Mapping[str, Floats], right: Floats, learning: Bools, wanted: str | None) -> str:
    """The signal named, or of those from 0 to 1 the one that best tells right from wrong."""
    known = ", ".join(signals) or "none"
    if wanted is not None:
        if wanted not in signals:
            raise ConfigError(f"the tier {tier!r} has no signal {wanted!r}; there are: {known}")
        return wanted
    fit = [name for name, each in signals.items() if ((each >= 0) & (each <= 1) | np.isnan(each)).all()]
    if not fit:
        raise ConfigError(f"the tier {tier!r} has no signal from 0 to 1 to go by, but: {known}; name one for it")
    seen = right[learning]
    return max(fit, key=lambda name: area(signals[name][learning], seen, 1 - seen).value)
