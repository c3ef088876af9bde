"""The figures of a report that rest on which cases went on."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastcascade.evals.outcomes import Outcomes
from fastcascade.evals.report_sums import Figure, Sums, codes

__all__ = ["Baseline", "Compared", "Parts", "Path", "Slice"]

SLICES: Final = 30


@dataclass(frozen=True)
class Baseline:
    """Another way to answer the same cases.

    Args:
        name: what it is called.
        cost: dollars of a case.
        quality: the mean grade.
    """

    name: str
    cost: Figure
    quality: Figure


@dataclass(frozen=True)
class Compared:
    """A rule on cases that it had not seen, as shares of always-dear's cost and quality.

    Args:
        name: what it is called.
        saving: the share of the cost that is saved.
        kept: the share of the quality that is kept.
        escalated: the share of cases that go to the dear model.
    """

    name: str
    saving: Figure
    kept: Figure
    escalated: float


@dataclass(frozen=True)
class Slice:
    """The cases filed under one name.

    Args:
        name: as the table has it.
        escalated: the share that went on.
        quality: the mean grade of what was answered.
    """

    name: str
    escalated: Figure
    quality: Figure


@dataclass(frozen=True)
class Path:
    """The cases that went one way.

    Args:
        name: which way.
        share: of all cases.
        cost: dollars of a case that went this way.
        spent: its share of all that was spent.
        quality: the mean grade of a case that went this way.
    """

    name: str
    share: Figure
    cost: Figure
    spent: Figure
    quality: Figure


class Parts:
    """The figures that rest on which cases went on."""

    def __init__(self, outcomes: Outcomes, goes: NDArray[np.bool_], sums: Sums, *, one_model: bool = False) -> None:
        """Of these cases, those that `goes` marks go on; with `one_model` the cheap one was not asked before."""
        self._outcomes = outcomes
        self._goes = goes
        self._sums = sums
        self._one_model = one_model
        before = np.where(goes, 0.0, outcomes.cheap_cost) if one_model else outcomes.cheap_cost
        self._cost = before + np.where(goes, outcomes.dear_cost, 0.0)
        self._quality = np.where(goes, outcomes.dear, outcomes.cheap)

    def headline(self) -> dict[str, Figure]:
        """The figures first asked for."""
        sums, outcomes = self._sums, self._outcomes
        return {
            "quality": sums.share(self._quality),
            "quality of always dear": sums.share(outcomes.dear),
            "quality kept of always dear": sums.ratio(self._quality, outcomes.dear),
            "cost of a case": sums.mean(self._cost),
            "cost of a case, always dear": sums.mean(outcomes.dear_cost),
            "saved of always dear": sums.ratio(-self._cost, outcomes.dear_cost, 1.0),
            "cases that went on": sums.share(self._goes.astype(float)),
            "quality of kept cheap answers": sums.share(outcomes.cheap, ~self._goes),
        }

    def chosen(self) -> Baseline:
        """The decisions themselves."""
        return Baseline("this cascade", self._sums.mean(self._cost), self._sums.share(self._quality))

    def baselines(self) -> tuple[Baseline, ...]:
        """Always cheap, always dear, and one who knows both grades."""
        outcomes, sums = self._outcomes, self._sums
        better = outcomes.dear > outcomes.cheap
        best = outcomes.cheap_cost + np.where(better, outcomes.dear_cost, 0.0)
        return (
            Baseline("always cheap", sums.mean(outcomes.cheap_cost), sums.share(outcomes.cheap)),
            Baseline("always dear", sums.mean(outcomes.dear_cost), sums.share(outcomes.dear)),
            Baseline("oracle", sums.mean(best), sums.share(np.maximum(outcomes.cheap, outcomes.dear))),
        )

    def paths(self) -> tuple[Path, ...]:
        """What was kept, and what went on."""
        found = []
        kept, gone = ("cheap alone", "dear alone") if self._one_model else ("cheap answer kept", "cheap, then dear")
        for name, among in ((kept, ~self._goes), (gone, self._goes)):
            found.append(
                Path(
                    name,
                    self._sums.share(among.astype(float)),
                    self._sums.mean(self._cost, among),
                    self._sums.ratio(np.where(among, self._cost, 0.0), self._cost),
                    self._sums.share(self._quality, among),
                )
            )
        return tuple(found)

    def slices(self) -> tuple[Slice, ...]:
        """The largest slices, and the rest in one."""
        if self._outcomes.slices is None:
            return ()
        names, code = codes(self._outcomes.slices)
        order = np.argsort(-np.bincount(code, minlength=len(names)), kind="stable")
        rank = np.empty(len(names), np.intp)
        rank[order] = np.arange(len(names))
        # One slice that is left over is shown as itself, not as "others".
        kept = len(names) if len(names) <= SLICES + 1 else SLICES
        ranks = np.minimum(rank[code], kept)
        shown = [names[at] or "(none)" for at in order[:kept].tolist()]
        if kept < len(names):
            shown.append(f"{len(names) - kept:,} others together")
        gone = self._goes.astype(float)
        return tuple(
            Slice(name, self._sums.share(gone, ranks == at), self._sums.share(self._quality, ranks == at))
            for at, name in enumerate(shown)
        )
