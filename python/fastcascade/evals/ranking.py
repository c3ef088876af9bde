"""How well a score puts cases in order, and whether one does it better than another on the same cases.

The area is the share of pairs of a good case and a bad one of which the good one has the higher score; ties count
half. 0.5 is no order at all. Cases may be good in part, and weigh differently. The interval is from each case's
influence on the area (DeLong, DeLong and Clarke-Pearson, 1988), normal, for cases that are independent; with few bad
cases, or an area near 1, it is rough.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from fastcascade.errors import ConfigError
from fastcascade.evals.outcomes import Floats

__all__ = ["Area", "area", "better"]

Z: Final = 1.959964


@dataclass(frozen=True, eq=False, slots=True)
class Area:
    """The area under one score's curve, and how much each case moved it; n cases."""

    value: float
    influence: Floats

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        half = Z * float(np.sqrt((self.influence**2).sum()))
        return max(0.0, self.value - half), min(1.0, self.value + half)


def area(score: Floats, good: Floats, bad: Floats) -> Area:
    """The area of a score; a case counts `good` much among the good ones and `bad` much among the bad.

    What is not a number ranks below all others. Where there is nothing good or nothing bad the area is 0.5.
    """
    if not len(score) == len(good) == len(bad):
        raise ConfigError(f"score, good and bad must be as long: {len(score)}, {len(good)} and {len(bad)}")
    _, place = np.unique(np.where(np.isnan(score), -np.inf, score), return_inverse=True)
    up, down = np.bincount(place, good), np.bincount(place, bad)
    ups, downs = float(up.sum()), float(down.sum())
    if ups <= 0 or downs <= 0:
        return Area(0.5, np.zeros(len(score)))
    below = (np.cumsum(down) - down / 2) / downs
    above = (ups - np.cumsum(up) + up / 2) / ups
    value = float((up * below).sum()) / ups
    influence = good * (below[place] - value) / ups + bad * (above[place] - value) / downs
    return Area(value, np.asarray(influence, dtype=float))


def better(one: Area, other: Area) -> tuple[float, float, float]:
    """By how much the area of one is above that of the other, of the same cases, with the 95 % interval."""
    gap = one.value - other.value
    half = Z * float(np.sqrt(((one.influence - other.influence) ** 2).sum()))
    return gap, gap - half, gap + half
