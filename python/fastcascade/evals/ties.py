"""Ties broken by a declared second signal: five samples agree in six ways, and half of the cases may lie in one.

Ties are taken whole elsewhere, which makes a coarse signal jump over the best threshold. Here the second signal decides
among equals of the first and never against it: the two are put together as a weighted mean, whose second weight is so
small that the order of the first stands. In production the same mean is a gate, `weighted([(first, 1), (second, w)])`.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from fastcascade.errors import ConfigError
from fastcascade.evals.outcomes import Floats, Outcomes

__all__ = ["tie_broken", "tie_weight"]

NEAR: Final = 1e-6
"""Values nearer to each other than this are no steps: such a signal has hardly any ties."""


def tie_weight(first: Floats, second: Floats) -> float:
    """The weight of the second signal where the first has 1: half of what could carry a case over a step."""
    steps = np.diff(np.unique(first[np.isfinite(first)]))
    span = float(np.ptp(known)) if len(known := second[np.isfinite(second)]) else 0.0
    if not len(steps) or span == 0:
        return 1.0
    if steps.min() < NEAR:
        raise ConfigError(f"the first signal has values {steps.min():.2g} apart, and no ties worth breaking")
    return float(0.5 * steps.min() / span)


def tie_broken(outcomes: Outcomes, first: str, second: str) -> Outcomes:
    """The same cases with one signal more, "first, then second", the surer the higher.

    A case without the first has none; without the second it is the least sure among its equals.
    """
    for name in (first, second):
        if name not in outcomes.signals:
            known = ", ".join(outcomes.signals) or "none"
            raise ConfigError(f"there is no signal {name!r} in {outcomes.name or 'the table'}; there are: {known}")
    main, other = outcomes.surer(first), outcomes.surer(second)
    weight = tie_weight(main, other)
    lowest = float(np.nanmin(other)) if np.isfinite(other).any() else 0.0
    mixed = (main + weight * np.where(np.isfinite(other), other, lowest)) / (1 + weight)
    name = f"{first}, then {second}"
    return replace(outcomes, signals={**outcomes.signals, name: mixed}, sense={**outcomes.sense, name: 1})
