"""What a drill prints: each way of answering beside the others, the two figures that decide, and what they mean."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from fastcascade.cli.report import table
from fastcascade.evals.economics_account import usd
from fastcascade.evals.exercise_account import Account, Exercise, Figure, Way

__all__ = ["text"]

WIDTH: Final = 110
SLICES_MOST: Final = 20


def text(found: Exercise) -> list[str]:
    """All of it."""
    whole, level = found.whole, f"{100 * found.confidence:g} %"
    rate = _span(whole.rate)
    lanes = f"small lane {found.small!r}, flagship {found.large!r}, passed from a grade of {found.passing:g}"
    ways = [whole.small, whole.after, whole.large]
    if found.own is not None:
        ways.append(found.own.way)
    lines = [
        f"drill on {whole.n} cases: {lanes}",
        "",
        *_ways(ways),
        "",
        f"  escalation rate  {_shared(whole.rate)} ({whole.escalated} of {whole.n}), {level} interval {rate}",
        f"  saving           {_saved(whole.saving, level)}",
    ]
    if (own := found.own) is not None:
        lines += [
            f"  with own gates   {_shared(own.rate)} sent on ({own.sent_on} of {whole.n}), interval {_span(own.rate)}",
            f"  saving           {_saved(own.saving, level)}",
        ]
    if found.slices:
        lines += ["", *_slices(found.slices)]
    for each in found.said:
        lines += ["", *wrap(f"{each}.", WIDTH)]
    return lines


def _ways(ways: Sequence[Way]) -> list[str]:
    timed = any(each.p50.n for each in ways)
    head = ["way", "quality", "interval", "$ a case", "interval", *(["p50 s", "p95 s"] if timed else [])]
    rows = [
        [
            each.name,
            _shared(each.quality),
            _span(each.quality),
            "unknown" if each.usd.value is None else usd(each.usd.value),
            _dollars(each.usd),
            *([_seconds(each.p50), _seconds(each.p95)] if timed else []),
        ]
        for each in ways
    ]
    return table(head, rows)


def _slices(slices: dict[str, Account]) -> list[str]:
    shown = sorted(slices.items(), key=lambda each: (-(each[1].rate.value or 0.0), each[0]))[:SLICES_MOST]
    rows = [
        [
            name or "(none)",
            str(each.n),
            _shared(each.rate),
            _span(each.rate),
            *(_shared(way.quality) for way in (each.small, each.after, each.large)),
            _shared(each.saving),
        ]
        for name, each in shown
    ]
    lines = table(["slice", "cases", "escalated", "interval", "small", "after", "flagship", "saving"], rows)
    if len(slices) > SLICES_MOST:
        lines.append(f"... and {len(slices) - SLICES_MOST} slices that escalate less")
    return lines


def _saved(figure: Figure, level: str) -> str:
    if figure.value is None:
        return "unknown"
    ends = f"{level} interval {_span(figure)}" if figure.interval else "too few cases for an interval"
    return f"{_shared(figure)} of the flagship's cost, {ends}"


def _shared(figure: Figure) -> str:
    return "-" if figure.value is None else f"{100 * figure.value:.1f} %"


def _span(figure: Figure) -> str:
    if figure.interval is None:
        return "-"
    low, high = (f"{100 * (each or 0.0):.1f}" for each in figure.interval)
    return f"{low} to {high} %"


def _dollars(figure: Figure) -> str:
    return "-" if figure.interval is None else " to ".join(usd(each or 0.0) for each in figure.interval)


def _seconds(figure: Figure) -> str:
    return "-" if figure.value is None else f"{figure.value:.2f}"
