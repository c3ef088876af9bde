"""What a threshold is chosen for. Each aim picks a cut of a sweep, and says what a rule cut there is worth.

    Keep(0.98)       the cheapest cut that keeps 98 % of always-dear's quality, with a margin against bad luck
    Within(0.002)    the best quality for two tenths of a cent a case, on average
    Worth()          the most quality x (1 - cost / always-dear's cost)

Only `Keep` makes a claim; the other two take what was seen for the truth, and let the intervals say how sure that is.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from fastcascade.errors import ConfigError
from fastcascade.evals.outcomes import Floats, Outcomes
from fastcascade.evals.sweep import Sweep

__all__ = ["LEAST", "Aim", "Keep", "Within", "Worth", "saved"]

AROUND: Final = (0.7, 0.8, 0.9, 0.95, 0.98)
"""A saving is also looked at with these margins: one that hangs on a few cases is not to be chosen."""
LEAST: Final = 0.01
"""A saving under this share of the cost is not worth a second model."""
UP_TO: Final = 1 + 1e-12


class Aim(Protocol):
    """What every aim can do."""

    def check(self, outcomes: Outcomes, /) -> None:
        """Refuse what no threshold can come to on these cases."""
        ...

    def cut(self, curve: Sweep, /) -> int:
        """The place of the cut in the sweep; 0 accepts nothing, and the cheap model is then not asked at all."""
        ...

    def value(self, curve: Sweep, place: int, /) -> float:
        """What the cut is worth beside that of another rule, as a share: more is better."""
        ...

    def pays(self, saving: float, /) -> bool:
        """Whether a second model is worth having for this saving."""
        ...

    def best(self, quality: Floats, cost: Floats, full: tuple[float, float], /) -> int:
        """The best of some ways with this quality and cost, all known for certain; `full` is always-dear's."""
        ...


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep a share of always-dear's quality at least cost, with a one-sided margin at this confidence."""

    share: float = 0.98
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0 < self.share <= 1:
            raise ConfigError(f"keep must be above 0 and at most 1, not {self.share!r}")
        if not 0.5 <= self.confidence < 1:
            raise ConfigError(f"confidence must be from 0.5 to below 1, not {self.confidence!r}")

    def __str__(self) -> str:
        """Say it."""
        return f"keep {100 * self.share:g} % of always-dear's quality at least cost"

    def check(self, _outcomes: Outcomes, /) -> None:
        """Always-dear keeps all there is."""

    def cut(self, curve: Sweep, /) -> int:
        """The cheapest cut that keeps the share."""
        return curve.keep(self.share, self.confidence)

    def value(self, curve: Sweep, place: int, /) -> float:
        """The saving, half of it by what margins around this one come to."""
        around = float(np.mean([saved(curve, curve.keep(self.share, each)) for each in AROUND]))
        return (saved(curve, place) + around) / 2

    def pays(self, saving: float, /) -> bool:
        """Not for next to nothing."""
        return saving >= LEAST

    def best(self, quality: Floats, cost: Floats, full: tuple[float, float], /) -> int:
        """The cheapest that keeps the share."""
        return int(np.argmin(np.where(quality * UP_TO >= self.share * full[0], cost, np.inf)))


@dataclass(frozen=True, slots=True)
class Within:
    """The best quality for at most so many dollars a case, on average."""

    usd: float

    def __post_init__(self) -> None:
        """Refuse what is no sum."""
        if not (np.isfinite(self.usd) and self.usd > 0):
            raise ConfigError(f"a budget must be dollars a case, above 0, not {self.usd!r}")

    def __str__(self) -> str:
        """Say it."""
        return f"the best quality for {self.usd:g} dollars a case"

    def check(self, outcomes: Outcomes, /) -> None:
        """Refuse a budget under what the cheaper model alone costs."""
        least = min(
            float(np.average(each, weights=outcomes.weight)) for each in (outcomes.cheap_cost, outcomes.dear_cost)
        )
        if self.usd * UP_TO < least:
            raise ConfigError(
                f"no way costs {self.usd:g} dollars a case or less; the cheaper model alone costs {least:g}"
            )

    def cut(self, curve: Sweep, /) -> int:
        """The best that the budget pays for."""
        return curve.within(self.usd)

    def value(self, curve: Sweep, place: int, /) -> float:
        """The quality, as a share of always-dear's."""
        return float(curve.ratio[place])

    def pays(self, _saving: float, /) -> bool:
        """What counts is the quality."""
        return True

    def best(self, quality: Floats, cost: Floats, _full: tuple[float, float], /) -> int:
        """The best of those that it pays for; of equals the cheaper."""
        return int(np.lexsort((cost, np.where(cost <= self.usd * UP_TO, -quality, np.inf)))[0])


@dataclass(frozen=True, slots=True)
class Worth:
    """The most quality x (1 - cost / always-dear's cost)."""

    def __str__(self) -> str:
        """Say it."""
        return "the most quality x (1 - cost / always-dear's cost)"

    def check(self, _outcomes: Outcomes, /) -> None:
        """Always-dear is worth 0, which is within reach."""

    def cut(self, curve: Sweep, /) -> int:
        """The cut of most worth."""
        return curve.worth()

    def value(self, curve: Sweep, place: int, /) -> float:
        """That worth, as a share of what always-dear's quality for nothing would be."""
        return float(curve.ratio[place]) * saved(curve, place)

    def pays(self, saving: float, /) -> bool:
        """Not for next to nothing."""
        return saving >= LEAST

    def best(self, quality: Floats, cost: Floats, full: tuple[float, float], /) -> int:
        """The one of most worth."""
        return int(np.argmax(quality * (full[1] - cost)))


def saved(curve: Sweep, place: int) -> float:
    """The saving at a cut. Where nothing is accepted the cheap model is not asked, and nothing is saved or lost."""
    return float(curve.saving[place]) if place else 0.0
