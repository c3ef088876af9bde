"""The figures of the live page, added up from the store of decisions; each with the number of decisions it is of."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from fastcascade.evals.live_bounds import exact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastcascade.gateway.settings_seen import Promises
    from fastcascade.telemetry.decisions import Decisions, GradedBy, Rung, Sum

__all__ = ["DRAWN", "WINDOWS", "figures", "saved", "saved_by_slice"]

WINDOWS: Final = (900, 3_600, 86_400, 604_800)
"""Seconds that one can look back: fifteen minutes, an hour, a day, a week."""
SLICES: Final = 12
"""Slices that are shown, the most first; so many more there are is said."""
DRAWN: Final = 6
"""Slices whose saving gets an interval."""
GRADES: Final = 7 * 86_400.0
"""Seconds that grades are looked for at least: they come late, and few."""


def figures(decisions: "Decisions", now: float, window: int, cascade: str, promises: "Promises") -> dict[str, Any]:
    """All of them, in one go through the store."""
    since = now - window
    # What never reached a cascade has no name of one: it is told of where all are shown.
    by = {each: decisions.sums(since, by=each, cascade=cascade) for each in ("layer", "way", "slice", "hour")}
    layers = by["layer"]
    reached = sum(each.reached for each in layers)
    graded_since = now - max(window, GRADES)
    return {
        "window": window,
        "since": since,
        "total": _total(layers, reached),
        "funnel": [_rung(each) for each in decisions.funnel(since, cascade=cascade)],
        "layers": [_sum(each) for each in layers],
        "paths": [_sum(each) for each in by["way"]],
        "slices": [_sum(each) for each in by["slice"][:SLICES]],
        "more_slices": max(0, len(by["slice"]) - SLICES),
        "hours": [_sum(each) for each in by["hour"]],
        "graded": [_graded(each, promises) for each in decisions.graded(graded_since, cascade=cascade, slices=False)],
        "graded_slices": [
            _graded(each, promises) for each in decisions.graded(graded_since, cascade=cascade, slices=True)
        ],
        "graded_days": round((now - graded_since) / 86_400, 1),
    }


def saved(decisions: "Decisions", now: float, window: int, cascade: str) -> dict[str, Any]:
    """What was saved, with its interval."""
    return {"saved": asdict(decisions.savings(now - window, cascade=cascade))}


def saved_by_slice(
    decisions: "Decisions", now: float, window: int, cascade: str, slices: "Sequence[str]"
) -> dict[str, Any]:
    """The same of the largest slices."""
    found = {name: decisions.savings(now - window, cascade=cascade, slice=name) for name in slices[:DRAWN] if name}
    return {"slices": {name: asdict(each) for name, each in found.items()}}


def _total(layers: "Sequence[Sum]", reached: int) -> dict[str, Any]:
    escalated = sum(each.escalated for each in layers)
    low, high = exact(escalated, reached)
    return {
        "n": sum(each.n for each in layers),
        "reached": reached,
        "cost_usd": sum(each.cost_usd for each in layers),
        "unknown": sum(each.unknown for each in layers),
        "escalated": escalated,
        "escalated_low": low,
        "escalated_high": high,
        "degraded": sum(each.degraded for each in layers),
        "failed": sum(each.failed for each in layers),
    }


def _sum(found: "Sum") -> dict[str, Any]:
    """A sum, with the share that was saved; no interval, which takes the single decisions."""
    saved = 1 - found.compared_usd / found.baseline_usd if found.baseline_usd > 0 else None
    return {**asdict(found), "saved": saved}


def _rung(found: "Rung") -> dict[str, Any]:
    low, high = found.escalation
    return {**asdict(found), "low": low, "high": high}


def _graded(found: "GradedBy", promises: "Promises") -> dict[str, Any]:
    """How good answers are, beside what was promised of the tier."""
    return {**asdict(found), "promised": promises.quality.get(found.tier)}
