"""What plots are made of: a frame with axes, lines, marks, texts, a legend. Every text is escaped here."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, TypeAlias
from unicodedata import east_asian_width

from fastcascade.evals.report_parts import Baseline
from fastcascade.evals.report_sums import Figure

__all__ = [
    "WIDTH",
    "Frame",
    "Rows",
    "block",
    "clean",
    "cut",
    "line",
    "mark_at",
    "path",
    "placed",
    "room",
    "route",
    "short",
    "svg",
    "text_at",
    "ticks",
    "whisker",
]

Rows: TypeAlias = Sequence[tuple[str, str, str]]
"""Of a legend: the text, the style, and the mark; a line where there is none."""
WIDTH: Final = 680
ROW: Final = 20
LABEL: Final = 26

MARKS: Final[dict[str, str]] = {
    "circle": "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0Z",
    "square": "M-4.5,-4.5h9v9h-9Z",
    "up": "M0,-6L5.5,4.5H-5.5Z",
    "down": "M0,6L5.5,-4.5H-5.5Z",
    "star": "M0,-8L2,-2.5L8,-2.5L3.2,1.2L5,7L0,3.5L-5,7L-3.2,1.2L-8,-2.5L-2,-2.5Z",
}


def clean(text: str) -> str:
    """Text for HTML or XML: escaped, with a mark for what may not stand there at all."""
    blank = "".join(" " if each.isspace() else each for each in text)
    return escape("".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in blank))


def ticks(low: float, high: float, many: int = 5) -> list[float]:
    """Round numbers from low to high, about this many."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    rough = span / many
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(each * size for each in (1, 2, 2.5, 5, 10) if each * size >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [at * step for at in range(first, math.floor(high / step + 1e-9) + 1)] or [low]


@dataclass(frozen=True)
class Frame:
    """Where numbers are drawn: a range of each axis, and the box it fills."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float = 80
    top: float = 14
    width: float = WIDTH - 100
    height: float = 290

    def across(self, given: float) -> float:
        """How far from the left a number is."""
        return self.left + self.width * _part(given, self.x)

    def down(self, given: float) -> float:
        """How far from the top a number is."""
        return self.top + self.height * (1 - _part(given, self.y))

    def at(self, x: float, y: float) -> str:
        """Where a pair of numbers is."""
        return f"{self.across(x):.1f},{self.down(y):.1f}"

    def axes(self, x_name: str, y_name: str, x_text: Callable[[float], str], y_text: Callable[[float], str]) -> str:
        """Grid, ticks and names of both axes."""
        bottom, right = self.top + self.height, self.left + self.width
        found = []
        for tick in ticks(*self.y):
            at = self.down(tick)
            found += [line(self.left, at, right, at, "grid"), text_at(self.left - 7, at + 4, y_text(tick), "end")]
        for tick in ticks(*self.x):
            at = self.across(tick)
            found += [line(at, bottom, at, bottom + 5, "axis"), text_at(at, bottom + 19, x_text(tick), "middle")]
        found.append(line(self.left, bottom, right, bottom, "axis"))
        found.append(text_at(self.left + self.width / 2, bottom + 38, x_name, "middle"))
        middle = self.top + self.height / 2
        found.append(f'<text transform="translate(12,{middle:.1f}) rotate(-90)" class="middle">{clean(y_name)}</text>')
        return "".join(found)


def svg(name: str, title: str, told: str, drawn: Iterable[str], top: float, legend: Rows = ()) -> str:
    """A drawing, with its legend from `top` on, that says what it shows to those who do not see it."""
    height = top + (ROW * ((len(legend) + 1) // 2) + 6 if legend else 0)
    told = f'<title id="{name}-title">{clean(title)}</title><desc id="{name}-desc">{clean(told)}</desc>'
    return (
        f'<svg class="plot" role="img" viewBox="0 0 {WIDTH} {height:.0f}" aria-labelledby="{name}-title {name}-desc">'
        f"{told}{''.join(drawn)}{_legend(legend, top)}</svg>"
    )


def _part(given: float, ends: tuple[float, float]) -> float:
    """How far between the ends, and never outside."""
    return min(max((given - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)


def room(given: Sequence[float], least: float, most: float = math.inf) -> tuple[float, float]:
    """The range of some numbers with a little room, inside what can be."""
    known = [each for each in given if math.isfinite(each)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return max(low - room, least), min(high + room, most)


def route(frame: Frame, points: Iterable[tuple[float, float]]) -> str:
    """What a path is drawn along."""
    return "M" + "L".join(frame.at(*each) for each in points)


def path(frame: Frame, xs: Sequence[float], ys: Sequence[float], style: str) -> str:
    """A line through points; one point has none."""
    return f'<path class="line {style}" d="{route(frame, zip(xs, ys, strict=True))}"/>' if len(xs) > 1 else ""


def placed(frame: Frame, place: Baseline, mark: str, style: str) -> str:
    """A mark with the intervals of both its numbers."""
    x, y = frame.across(place.cost.value), frame.down(place.quality.value)
    stroke = style.rsplit(maxsplit=1)[-1]
    across = ""
    if math.isfinite(place.cost.low):
        low, high = frame.across(place.cost.low), frame.across(place.cost.high)
        across = line(low, y, high, y, stroke)
    return whisker(frame, x, place.quality, stroke) + across + mark_at(x, y, mark, style)


def whisker(frame: Frame, x: float, given: Figure, style: str) -> str:
    """The interval of a figure, upright."""
    if not math.isfinite(given.low):
        return ""
    low, high = frame.down(given.low), frame.down(given.high)
    return f'<path class="{style}" d="M{x - 3:.1f},{low:.1f}h6m-3,0V{high:.1f}m-3,0h6"/>'


def mark_at(x: float, y: float, mark: str, style: str) -> str:
    """One of `MARKS`."""
    return f'<path class="{style}" transform="translate({x:.1f},{y:.1f})" d="{MARKS[mark]}"/>'


def block(frame: Frame, low: float, high: float, count: int, style: str) -> str:
    """A bar from 0 up or down."""
    if not count:
        return ""
    left, right, zero = frame.across(low) + 0.5, frame.across(high) - 0.5, frame.down(0)
    return f'<path class="{style}" d="M{left:.1f},{zero:.1f}H{right:.1f}V{frame.down(count):.1f}H{left:.1f}Z"/>'


def line(x: float, y: float, to_x: float, to_y: float, style: str) -> str:
    """A straight line."""
    return f'<path class="{style}" d="M{x:.1f},{y:.1f}L{to_x:.1f},{to_y:.1f}"/>'


def text_at(x: float, y: float, text: str, style: str = "") -> str:
    """A text, escaped."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{clean(text)}</text>'


def _legend(rows: Rows, top: float) -> str:
    """Two columns of a mark or a line and what it stands for."""
    found = []
    for place, (text, style, mark) in enumerate(rows):
        x, y = 64 + (place % 2) * 305, top + 8 + (place // 2) * ROW
        found.append(mark_at(x + 14, y, mark, style) if mark else line(x, y, x + 28, y, f"line {style}"))
        found.append(text_at(x + 36, y + 4, text))
    return "".join(found)


def short(count: int) -> str:
    """A count in few letters: 12,345 is 12.3k."""
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1e3:.3g}k" if count < 999_500 else f"{count / 1e6:.3g}M"


def cut(text: str) -> str:
    """As much of a label as there is room for; the whole is in its title and in the table."""
    room, kept = LABEL, ""
    for each in text:
        room -= 2 if east_asian_width(each) in "WF" else 1
        if room < 0:
            return kept[:-1] + "\N{HORIZONTAL ELLIPSIS}"
        kept += each
    return kept
