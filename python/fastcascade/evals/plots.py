"""Plots as SVG, drawn by hand: no library, no script, no font but the reader's own.

Colors are classes that the page's style fills in, so that one drawing serves a light page, a dark one and paper;
marks differ in shape, lines in their dashes, so that it reads without color. Every text is escaped.
"""

import math
from collections.abc import Sequence

from fastcascade.evals import plot_parts as parts
from fastcascade.evals.report_data import ReportData
from fastcascade.evals.report_sums import Figure
from fastcascade.evals.report_words import figure, number, value

__all__ = ["bars", "cost_by_path", "histogram", "quality_cost", "reliability", "slices"]


def quality_cost(data: ReportData) -> str:
    """Quality against cost at all thresholds, with other ways to answer the same cases."""
    curve, places = data.curve, (*data.baselines, data.chosen)
    costs = [*curve.cost, *data.router.cost, *data.oracle.cost, *(each.cost.value for each in places)]
    grades = [*curve.quality_low, *curve.quality_high, *data.router.quality, *data.oracle.quality]
    grades += [end for each in places for end in (each.quality.low, each.quality.high)]
    frame = parts.Frame(parts.room(costs, 0.0), parts.room(grades, 0.0, 1.0))
    ends = [data.baselines[0], data.baselines[1]]
    upper, lower = zip(curve.cost, curve.quality_high, strict=True), zip(curve.cost, curve.quality_low, strict=True)
    found = [
        frame.axes(
            "dollars for 1,000 cases", "mean grade", lambda at: number(1000 * at), lambda at: value(at, "share")
        ),
        f'<path class="band f1" d="{parts.route(frame, [*upper, *reversed(list(lower))])}Z"/>',
        parts.path(frame, data.oracle.cost, data.oracle.quality, "s3 dots"),
        parts.path(frame, [each.cost.value for each in ends], [each.quality.value for each in ends], "muted dash"),
        parts.path(frame, data.router.cost, data.router.quality, "s4 mixed"),
        parts.path(frame, curve.cost, curve.quality, "s1 thick"),
    ]
    kinds = [("down", "f2 s2"), ("up", "f2 s2"), ("square", "f3 s3"), ("star", "f5 s5")]
    rows = [
        ("all thresholds, with band", "s1 thick", ""),
        ("random mix of the two models", "muted dash", ""),
        ("oracle at each budget", "s3 dots", ""),
    ]
    if data.router.cost:
        rows.append(("prompt router", "s4 mixed", ""))
    for place, (mark, style) in zip(places, kinds, strict=True):
        found.append(parts.placed(frame, place, mark, style))
        rows.append((f"{place.name}: {value(place.quality.value, 'share')}", style, mark))
    kept, saved = data.headline["quality kept of always dear"], data.headline["saved of always dear"]
    told = f"This cascade keeps {figure(kept)} of the quality and saves {figure(saved)} of the cost of always dear."
    return parts.svg("curve", "Quality against cost", told, found, 366, rows)


def reliability(data: ReportData) -> str:
    """How often the cheap answer was right where the score said so, before and after calibration."""
    frame = parts.Frame((0, 1), (0, 1), left=82, width=parts.WIDTH - 102)
    share = lambda at: value(at, "share").replace(".0 %", " %")  # noqa: E731  # one use, named for its line
    found = [
        frame.axes("score", "how often right", share, share),
        f'<path class="muted dash" d="M{frame.at(0, 0)}L{frame.at(1, 1)}"/>',
    ]
    rows = [("as it should be", "muted dash", "")]
    series = (
        ("before", data.before, "circle", "hollow s2", "s2 dash", -3),
        ("after", data.after, "square", "f1 s1", "s1", 3),
    )
    told, row = [], 0
    for name, bins, mark, style, line, shift in series:
        if not bins:
            continue
        found.append(parts.path(frame, [each.mean for each in bins], [each.right.value for each in bins], line))
        for each in bins:
            x = frame.across(each.mean) + shift
            found += [
                parts.whisker(frame, x, each.right, style.split()[-1]),
                parts.mark_at(x, frame.down(each.right.value), mark, style),
            ]
            middle = frame.across((each.low + each.high) / 2)
            found.append(parts.text_at(middle, 364 + row * 17, parts.short(each.right.n), "small middle"))
        found.append(parts.text_at(frame.left - 6, 364 + row * 17, f"n {name}", "small end"))
        rows.append((f"{name} calibration", style, mark))
        told.append(f"{name}: calibration error {figure(data.errors[f'calibration error {name}'])}")
        row += 1
    top = 364 + row * 17 + 8
    return parts.svg("reliability", "Reliability", "; ".join(told), found, top, rows)


def histogram(data: ReportData) -> str:
    """How many cheap answers were right, upward, and wrong, downward, at each score."""
    bins = data.histogram
    low, high = (bins[0].low, bins[-1].high) if bins else (0.0, 1.0)
    if not high > low:
        half = max(0.5, abs(low) / 2)
        low, high = low - half, high + half
    most, least = max((each.n_right for each in bins), default=0), max((each.n_wrong for each in bins), default=0)
    frame = parts.Frame((low, high), (-max(least, 1) * 1.05, max(most, 1) * 1.05))
    found = [frame.axes("score", "cases", number, lambda at: parts.short(round(abs(at))))]
    for each in bins:
        left, right = (each.low, each.high) if each.high > each.low else (low, high)
        found.append(parts.block(frame, left, right, each.n_right, "f1"))
        found.append(parts.block(frame, left, right, -each.n_wrong, "f2 hatch"))
    found.append(parts.line(frame.left, frame.down(0), frame.left + frame.width, frame.down(0), "axis"))
    rows = [("right: upward", "f1", "square"), ("wrong: downward", "f2", "square")]
    if low <= data.threshold <= high:
        at = frame.across(data.threshold)
        found.append(parts.line(at, frame.top, at, frame.top + frame.height, "ink dash"))
        rows.append((f"threshold {number(data.threshold)}: kept from here on", "ink dash", ""))
    told = f"{sum(each.n_right for each in bins):,} right and {sum(each.n_wrong for each in bins):,} wrong answers."
    return parts.svg("histogram", "Scores of right and wrong answers", told, found, 366, rows)


def slices(data: ReportData) -> str:
    """Which share of each slice goes on."""
    rows = [(each.name, each.escalated, "") for each in data.slices]
    return bars("slices", "Share that goes on, by slice", rows, 1.0)


def cost_by_path(data: ReportData) -> str:
    """What a case costs on each way."""
    rows = [(each.name, each.cost, f"{value(each.spent.value, 'share')} of all spent") for each in data.paths]
    rows.append(("always dear", data.baselines[1].cost, "for comparison"))
    ends = [end for _, each, _ in rows for end in (each.value, each.high) if math.isfinite(end)]
    return bars("paths", "Dollars for 1,000 cases, by path", rows, max(ends, default=0.0))


def bars(name: str, title: str, rows: Sequence[tuple[str, Figure, str]], most: float) -> str:
    """A bar to each figure, with its interval and its n; `most` is the end of the scale."""
    frame = parts.Frame((0, most if most > 0 else 1.0), (0, 1), left=190, width=parts.WIDTH - 190 - 215)
    found = []
    for place, (label, given, note) in enumerate(rows):
        middle = 14 + place * 26.0
        named = parts.text_at(182, middle + 4, parts.cut(label), "end")
        found.append(f"<g><title>{parts.clean(label)}</title>{named}</g>")
        if math.isfinite(given.value):
            right = frame.across(given.value)
            found.append(f'<path class="f1 soft" d="M190,{middle - 8:.1f}H{right:.1f}v16H190Z"/>')
        if math.isfinite(given.low):
            low, high = frame.across(max(given.low, 0)), frame.across(given.high)
            found.append(f'<path class="ink" d="M{low:.1f},{middle - 4:.1f}v8m0,-4H{high:.1f}m0,-4v8"/>')
        beside = value(given.value, given.unit) if given.n else "no cases"
        text = f"{beside}, n = {parts.short(given.n)}{f', {note}' if note else ''}"
        found.append(parts.text_at(frame.left + frame.width + 10, middle + 4, text, "small"))
    bottom = 14 + len(rows) * 26.0 - 8
    found.append(parts.line(190, 2, 190, bottom, "axis"))
    told = "; ".join(f"{label}: {figure(given)}, n = {given.n:,}" for label, given, _ in rows)
    return parts.svg(name, title, told, found, bottom + 8)
