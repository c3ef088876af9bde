"""Where the cascade is that runs: recorded cases through it, with its gates and thresholds. No call is made.

It is done by the worker itself, since only that has the cascade: in a thread, on a bounded number of cases. Intervals
are those of a report: Wilson's for shares, the normal one for means and ratios.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastcascade.errors import ConfigError, NoAnswer, StoreError

if TYPE_CHECKING:
    from fastcascade.cascade import Cascade
    from fastcascade.recording import Recording

__all__ = ["MOST", "current", "mean_of", "ratio_of", "share_of"]

MOST: Final = 2_000
"""Cases that are put through the cascade; of more, as many evenly from first to last."""
STEP: Final = 25
"""Cases after which requests get their turn."""
Z: Final = 1.959964
SQLITE: Final = b"SQLite format 3\0"
Figure = dict[str, Any]


@dataclass(slots=True)
class _Through:
    """What came of the cases, column by column."""

    quality: list[float]
    cost: list[float]
    goes: list[float]
    right: list[float]
    dear: list[float]
    weight: list[float]


def current(cascade: "Cascade", file: Path, tell: Callable[[str], object]) -> dict[str, Any]:
    """Quality, cost and escalation of the cascade as it runs; `why` where that cannot be told."""
    from fastcascade.evals.runs import Runs  # noqa: PLC0415 - SQLite, which not every gateway needs

    try:
        with file.open("rb") as held:
            if held.read(len(SQLITE)) != SQLITE:
                return {"why": "a table holds no replies; a recording can be put through the cascade as it runs"}
        with Runs(file) as runs:
            ladder, recordings = runs.ladder(), runs.recordings()
            if missing := [each for each in ladder["tiers"] if each not in cascade.places]:
                return {"why": f"the cascade that runs has no tier {missing[0]!r}, which was recorded"}
            places = {name: at for at, name in enumerate(ladder["ids"])}
            step = max(1, -(-len(places) // MOST))
            wanted = {name: at for name, at in places.items() if at % step == 0}
            columns = _Through([], [], [], [], [], [])
            for name, recording in recordings:
                if name in wanted:
                    _put(cascade, recording, ladder, wanted[name], columns)
                    if len(columns.cost) % STEP == 0:
                        tell(f"putting the cascade as it runs through the recording: {len(columns.cost)} cases")
                        time.sleep(0)
    except (ConfigError, StoreError, OSError) as error:
        return {"why": f"the recording could not be put through the cascade as it runs: {error}"}
    if not columns.cost:
        return {"why": "no case of the recording was graded for every tier"}
    return {"n": len(columns.cost), "of": len(places), **_figures(columns)}


def _put(cascade: "Cascade", recording: "Recording", ladder: Mapping[str, Any], at: int, columns: _Through) -> None:
    """One case."""
    from fastcascade.recording import replay  # noqa: PLC0415 - as above

    try:
        answer = replay(cascade, _entered(cascade, recording, ladder["slices"][at]))
    except NoAnswer as error:
        answer = error.answer
    tiers: list[str] = ladder["tiers"]
    right = ladder["right"][at]
    columns.quality.append(right[tiers.index(answer.tier)] if answer.tier in tiers else 0.0)
    columns.cost.append(answer.known_cost_usd)
    columns.goes.append(float(any(each.verdict in ("escalate", "abstain") for each in answer.attempts)))
    columns.right.append(right[-1])
    columns.dear.append(ladder["cost"][at][-1])
    columns.weight.append(ladder["weights"][at])


def _entered(cascade: "Cascade", recording: "Recording", filed: str) -> "Recording":
    """Every tier was asked; now the case enters where the lanes of the cascade say."""
    request = recording.request if recording.request.task else replace(recording.request, task=filed)
    after = recording.entrance.after if recording.entrance else 0.0
    entrance = cascade.lanes.choose(request, cascade.places, remember=False)
    return replace(recording, entrance=replace(entrance, after=after))


def _figures(columns: _Through) -> dict[str, Figure]:
    weight = columns.weight
    return {
        "quality": share_of(columns.quality, weight),
        "cost": mean_of(columns.cost, weight),
        "escalated": share_of(columns.goes, weight),
        "kept": ratio_of(columns.quality, columns.right, weight),
        "saved": ratio_of([-each for each in columns.cost], columns.dear, weight, 1.0),
    }


def share_of(values: Sequence[float], weights: Sequence[float]) -> Figure:
    """The mean of what lies in 0 to 1, with Wilson's interval on as many cases as these are worth."""
    total = sum(weights)
    if not total > 0:
        return _figure(None, None, None, len(values), "share")
    mean = sum(w * v for w, v in zip(weights, values, strict=True)) / total
    worth = total**2 / sum(w * w for w in weights)
    middle = (mean + Z**2 / (2 * worth)) / (1 + Z**2 / worth)
    half = Z / (1 + Z**2 / worth) * sqrt(max(0.0, mean * (1 - mean)) / worth + (Z / (2 * worth)) ** 2)
    return _figure(mean, max(0.0, min(mean, middle - half)), min(1.0, max(mean, middle + half)), len(values), "share")


def mean_of(values: Sequence[float], weights: Sequence[float], unit: str = "dollars") -> Figure:
    """The mean of anything."""
    total = sum(weights)
    if not total > 0:
        return _figure(None, None, None, len(values), unit)
    mean = sum(w * v for w, v in zip(weights, values, strict=True)) / total
    return _around(mean, [w * (v - mean) / total for w, v in zip(weights, values, strict=True)], unit)


def ratio_of(top: Sequence[float], bottom: Sequence[float], weights: Sequence[float], offset: float = 0.0) -> Figure:
    """`offset` plus the quotient of two sums over the same cases; the interval is linearized."""
    under = sum(w * b for w, b in zip(weights, bottom, strict=True))
    if not under > 0:
        return _figure(None, None, None, len(top), "share")
    value = sum(w * t for w, t in zip(weights, top, strict=True)) / under
    parts = [w * (t - value * b) / under for w, t, b in zip(weights, top, bottom, strict=True)]
    found = _around(value, parts, "share")
    for name in ("value", "low", "high"):
        if found[name] is not None:
            found[name] += offset
    return found


def _around(value: float, parts: Sequence[float], unit: str) -> Figure:
    n = len(parts)
    if n < 2:  # one case tells nothing of the spread
        return _figure(value, None, None, n, unit)
    half = Z * sqrt(sum(each * each for each in parts) * n / (n - 1))
    return _figure(value, value - half, value + half, n, unit)


def _figure(value: float | None, low: float | None, high: float | None, n: int, unit: str) -> Figure:
    return {"value": value, "low": low, "high": high, "n": n, "unit": unit}
