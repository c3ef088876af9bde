"""What thresholds for several tiers come to on some cases: quality, cost, time, and what each tier does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from fastcascade.evals.bootstrap import resampled
from fastcascade.evals.ladder import Ladder
from fastcascade.evals.outcomes import Floats

__all__ = ["Figures", "Interval", "Rung", "figures", "ratio"]

Interval: TypeAlias = tuple[float, float]

ENDS: Final = (2.5, 97.5)
LEAST: Final = 1e-300


@dataclass(frozen=True, slots=True)
class Rung:
    """One tier under the thresholds.

    Args:
        tier: its name.
        gate: the score that its answers are accepted by; empty for the last.
        threshold: accepted from here on, as the score is, before any calibration; infinity takes the tier out; None
            for the last.
        asked: the share of all cases that it is asked.
        answered: the share of all cases that it answers.
        answered_interval: where that share lies.
        escalated: of the cases that it is asked, the share that goes on; 0 where it is not asked.
    """

    tier: str
    gate: str
    threshold: float | None
    asked: float
    answered: float
    answered_interval: Interval
    escalated: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The whole under the thresholds, beside the last tier alone. Intervals are 95 %, of cases drawn anew.

    Args:
        n: the cases.
        quality: how right the answers are.
        last_quality: the same of the last tier.
        quality_ratio: the one by the other, and where that lies.
        cost: dollars a case, and `last_cost` those of the last tier.
        saving: the share of the last tier's cost that is saved, and where that lies.
        seconds: how long a case takes, where that is known, and `last_seconds` with the last tier.
        rungs: each tier.
    """

    n: int
    quality: float
    last_quality: float
    quality_ratio: float
    quality_interval: Interval
    cost: float
    last_cost: float
    saving: float
    saving_interval: Interval
    seconds: float | None
    last_seconds: float | None
    rungs: tuple[Rung, ...]


def figures(ladder: Ladder, thresholds: Sequence[float], *, seed: int = 0) -> Figures:
    """What these thresholds, one to each tier but the last, come to on these cases."""
    taken, weight, k = ladder.taken(thresholds), ladder.weight, ladder.right.shape[1]
    answered = taken.place[:, None] == np.arange(k)
    parts = [taken.right, ladder.right[:, -1], taken.cost, ladder.cost[:, -1]]
    columns = np.column_stack([np.ones(len(ladder)), *parts, answered]) * weight[:, None]
    drawn = resampled(columns, np.random.default_rng(seed))
    total, right, top, cost, last, *answers = (float(each) for each in columns.sum(axis=0))
    asked = weight @ taken.asked / total
    rungs = tuple(
        Rung(
            tier,
            (*ladder.gates, "")[place],
            (*thresholds, None)[place],
            float(asked[place]),
            answers[place] / total,
            _between(drawn[:, 5 + place], drawn[:, 0]),
            float(1 - answers[place] / total / asked[place]) if asked[place] else 0.0,
        )
        for place, tier in enumerate(ladder.tiers)
    )
    low, high = _between(drawn[:, 3], drawn[:, 4])
    return Figures(
        len(ladder),
        right / total,
        top / total,
        ratio(right, top),
        _between(drawn[:, 1], drawn[:, 2]),
        cost / total,
        last / total,
        1 - ratio(cost, last),
        (1 - high, 1 - low),
        _mean(taken.seconds, weight),
        _mean(None if ladder.seconds is None else ladder.seconds[:, -1], weight),
        rungs,
    )


def ratio(part: float, whole: float) -> float:
    """The one by the other; what is nothing by nothing is the same."""
    return part / whole if whole > 0 else math.inf if part > 0 else 1.0


def _mean(column: Floats | None, weight: Floats) -> float | None:
    return None if column is None else float(column @ weight / weight.sum())


def _between(part: Floats, whole: Floats) -> Interval:
    low, high = np.percentile(np.where(whole > 0, part / np.maximum(whole, LEAST), 1.0), ENDS)
    return float(low), float(high)
