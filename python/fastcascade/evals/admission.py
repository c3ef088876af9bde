"""Which slices the small tier has earned, from what it and the large tier came to on the same cases.

A slice is

    admitted   proved to keep its share of the large tier's quality
    refused    proved to keep less, or it does not cost less: the small tier is paid for nothing
    not yet    neither is proved, with how many more cases are expected to be needed; it goes large meanwhile

Both proofs allow for the number of slices by Holm's rule: the risk that any slice is admitted wrongly is at most
delta, and so is the risk that any is refused wrongly for its quality. They hold for any number of cases, drawn apart
from what the slice will be asked.

Where all grades are 0 or 1 and weigh the same the test is exact: keeping the share is a margin on the paired
difference, 1 - keep of the large tier's quality. That is bounded first, at a tenth of the error, which is paid.
Otherwise it is betting, on the small tier's grade less its share of the large one's.
"""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastcascade.errors import ConfigError
from fastcascade.evals.bounds import exact_high, exact_low
from fastcascade.evals.earned import Admission, AdmissionRow
from fastcascade.evals.outcomes import Floats, Outcomes
from fastcascade.evals.paired import Pairs, holm

__all__ = ["Share", "admit"]

SPARE: Final = 0.1
"""The share of the error that bounding the large tier's quality may cost."""
HALVINGS: Final = 14


def admit(
    outcomes: Outcomes,
    score: ArrayLike | None = None,
    keep: float = 0.98,
    delta: float = 0.05,
    *,
    accept: float | None = None,
    date: str | None = None,
) -> Admission:
    """Say which slices may enter at the small tier.

    Args:
        outcomes: what the two tiers came to. A table without slices is one slice, "".
        score: a gate's score for each case; then what is judged is the cascade with that gate. None is the small
            tier alone, whatever it says. A case without a score (NaN) goes large.
        keep: the share of the large tier's quality that a slice must keep.
        delta: the risk that any slice is admitted wrongly.
        accept: the score from which on the small tier's answer is taken; needed with `score`. Choose it beforehand,
            or from other cases.
        date: when the cases were recorded; today by default.
    """
    if not 0.0 < keep < 1.0:
        raise ConfigError(f"keep must be above 0 and below 1, not {keep!r}: no data can show a share of 1")
    if not 0.0 < delta < 0.5:
        raise ConfigError(f"delta must be above 0 and below 0.5, not {delta!r}")
    taken = _taken(outcomes, score, accept)
    quality = np.where(taken, outcomes.cheap, outcomes.dear)
    cost = outcomes.cheap_cost + np.where(taken, 0.0, outcomes.dear_cost)
    places = _places(outcomes)
    shares = [_share(outcomes, quality, at) for at in places.values()]
    enough = holm(np.array([each.above(keep, delta / len(shares)) for each in shares]), delta)
    short = holm(np.array([each.below(keep, delta / len(shares)) for each in shares]), delta)
    rows = []
    for name, at, share, good, bad in zip(places, places.values(), shares, enough, short, strict=True):
        saving = _saving(outcomes, cost, at)
        row = share.row(name, delta, saving)
        if bad:
            row = replace(row, verdict="refused", why="it keeps less than its share")
        elif saving is None or saving <= 0:
            row = replace(row, verdict="refused", why="it costs no less than the large tier alone")
        elif good:
            row = replace(row, verdict="admitted")
        else:
            more = share.more(keep, delta / len(shares))
            row = replace(row, more_cases=more, why="" if more else "it seems to keep less than its share")
        rows.append(row)
    day = dt.datetime.now(dt.UTC).date().isoformat() if date is None else date
    return Admission(tuple(rows), keep, delta, len(outcomes), day, outcomes.fingerprint(), accept)


def _taken(outcomes: Outcomes, score: ArrayLike | None, accept: float | None) -> NDArray[np.bool_]:
    """Which cases the small tier answers."""
    if (score is None) != (accept is None):
        raise ConfigError("a score needs accept, the score from which on it is good enough, and accept needs a score")
    if score is None or accept is None:
        return np.ones(len(outcomes), dtype=bool)
    found = np.asarray(score, dtype=float)
    if found.shape != (len(outcomes),):
        raise ConfigError(f"there are {len(outcomes)} cases, and scores of shape {found.shape}")
    return np.asarray(found >= accept, dtype=bool)


def _places(outcomes: Outcomes) -> dict[str, NDArray[np.intp]]:
    """Which cases each slice has, the slices by name; those that weigh nothing are left out."""
    names, inverse = np.unique(outcomes.slice.astype(str), return_inverse=True)
    parts = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    weight = outcomes.weight
    return {str(name): at for name, at in zip(names, parts, strict=True) if weight[at].sum() > 0}


def _saving(outcomes: Outcomes, cost: Floats, at: NDArray[np.intp]) -> float | None:
    """The share of the large tier's cost that is saved; None where that costs nothing."""
    weight = outcomes.weight[at]
    alone = float(outcomes.dear_cost[at] @ weight)
    return 1 - float(cost[at] @ weight) / alone if alone > 0 else None


def _share(outcomes: Outcomes, quality: Floats, at: NDArray[np.intp]) -> "Share":
    weights = None if outcomes.weights is None else outcomes.weights[at]
    return Share(quality[at], outcomes.dear[at], weights)


@dataclass(frozen=True, eq=False)
class Share:
    """The quality of one slice beside that of the large tier alone."""

    quality: Floats
    dear: Floats
    weights: Floats | None

    @property
    def exact(self) -> bool:
        """Whether there are two grades and one weight."""
        whole = bool(np.isin(self.dear, (0.0, 1.0)).all())
        return whole and Pairs(self.quality - self.dear, self.weights).exact

    def above(self, keep: float, delta: float) -> float:
        """The p-value of "it keeps at most this share"; `delta` says only how the error is laid out."""
        if not self.exact:
            return Pairs(self.quality - keep * self.dear, self.weights).above(0.0)
        spare = SPARE * delta
        dear = float(exact_low(self.dear.sum(), len(self.dear), spare))
        return min(1.0, spare + Pairs(self.quality - self.dear).above(-(1 - keep) * dear))

    def below(self, keep: float, delta: float) -> float:
        """The p-value of "it keeps at least this share"."""
        if not self.exact:
            return Pairs(self.quality - keep * self.dear, self.weights).below(0.0)
        spare = SPARE * delta
        dear = float(exact_high(self.dear.sum(), len(self.dear), spare))
        return min(1.0, spare + Pairs(self.quality - self.dear).below(-(1 - keep) * dear))

    def low(self, delta: float) -> float:
        """The share that is kept with confidence 1 - delta; 0 where nothing can be said, and 1 is the most said."""
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.above(middle, delta) <= delta else (low, middle)
        return low

    def more(self, keep: float, delta: float) -> int | None:
        """How many more cases are expected to be needed."""
        if not self.exact:
            return Pairs(self.quality - keep * self.dear, self.weights).more(0.0, delta)
        margin = (1 - keep) * float(self.dear.mean())
        return Pairs(self.quality - self.dear).more(-margin, (1 - SPARE) * delta)

    def row(self, name: str, delta: float, saving: float | None) -> AdmissionRow:
        """What is known of the slice, before anything is decided."""
        cheap, dear = (float(np.average(each, weights=self.weights)) for each in (self.quality, self.dear))
        return AdmissionRow(name, len(self.quality), cheap, dear, self.low(delta), "not yet", saving)
