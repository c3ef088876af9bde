"""What a drill means, in sentences: how little thirty cases say, who decided what escalates, which lines it crosses."""

from collections.abc import Iterator
from math import ceil, log
from typing import Final

from fastcascade.evals.economics_account import REDESIGN, WARN, percent
from fastcascade.evals.exercise_account import Exercise, Figure
from fastcascade.evals.live_bounds import exact
from fastcascade.evals.savings import FEWEST

__all__ = ["cases_for", "sentences"]

ENOUGH: Final = 30
POINTS: Final = 0.05
"""Half the width of an interval that a decision can be built on."""
MOST: Final = 1 << 20


def sentences(found: Exercise) -> tuple[str, ...]:
    """All that is to be said of it."""
    return (*_size(found), *_gate(found), *_lines(found), *_money(found), *_rest(found))


def cases_for(rate: float, half: float, confidence: float = 0.95) -> int | None:
    """About how many cases bring the interval of such a rate to this much either way; None for a million and more."""

    def wide(n: int) -> bool:
        low, high = exact(round(rate * n), n, confidence)
        return high - low > 2 * half

    high = 1
    while wide(high):
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wide(middle) else (low, middle)
    return high


def _size(found: Exercise) -> Iterator[str]:
    rate, n = found.whole.rate, found.whole.n
    if n < FEWEST:
        yield f"{n} {_cases(n)} show nothing yet: drill {ENOUGH} or more, drawn at random from what is asked"
    if rate.value is None or rate.interval is None:
        return
    width = (rate.interval[1] or 0.0) - (rate.interval[0] or 0.0)
    told = f"{n} {_cases(n)} leave the escalation rate anywhere from {_span(rate)}, {100 * width:.0f} points wide"
    half, near = (cases_for(rate.value, each, found.confidence) for each in (width / 4, POINTS))
    if found.effective < 0.99 * n:  # another interval, which narrows with the root of the cases
        half, near = 4 * n, round(n * (width / 2 / POINTS) ** 2)
    if half is not None:
        told += f"; about {_round(half)} would halve that"
    if near is not None and width > 2 * POINTS:
        told += f", about {_round(near)} bring it to {100 * POINTS:.0f} points either way"
    yield told


def _gate(found: Exercise) -> Iterator[str]:
    yield (
        "the grader decided what escalated, with the right answer before it, which production cannot do: these are the "
        "figures of a perfect gate that costs nothing, the best that any gate could do with these replies"
    )
    if (own := found.own) is None:
        return
    kept = found.whole.n - own.sent_on - own.below
    told = f"the cascade's own gates, as they are set, send on {own.sent_on} of {found.whole.n}, {own.needless} of them"
    told += f" needlessly, and let {own.let_through} wrong of the {kept} that they keep through"
    if own.below:
        told += f"; {own.below} were answered before they came to {found.small}"
    yield told
    if own.ungraded:
        yield f"{own.ungraded} of the answers its own gates lead to could not be graded, and are not in its quality"


def _lines(found: Exercise) -> Iterator[str]:
    figures = [("", found.whole.rate)]
    if found.own is not None:
        figures.append(("with its own gates, ", found.own.rate))
    for who, rate in figures:
        value, high = rate.value or 0.0, (rate.interval or (0.0, 1.0))[1] or 0.0
        if value > REDESIGN:
            yield f"redesign: {who}{percent(value)} escalate, above {percent(REDESIGN)}"
        elif value > WARN:
            yield f"warning: {who}{percent(value)} escalate, above {percent(WARN)}"
        if line := next((each for each in (REDESIGN, WARN) if value <= each < high), None):
            name = "redesign" if line == REDESIGN else "warning"
            told = f"not settled: {who}the rate may be as high as {percent(high)}"
            yield f"{told}, above the {name} line of {percent(line)}"


def _money(found: Exercise) -> Iterator[str]:
    whole = found.whole
    figures = [("the small lane with its failures escalated", whole.saving)]
    if found.own is not None:
        figures.append(("the cascade with its own gates", found.own.saving))
    for who, each in figures:
        if each.value is not None and each.value < 0:
            yield f"loss: {who} costs {percent(-each.value)} more than {found.large} everywhere"
    if whole.saving.value is None:
        yield "no saving is told, since what the lanes cost is not known: give their prices"
    elif whole.saving.n < whole.n:
        yield f"dollars are of {whole.saving.n} cases, those where both lanes' cost is known"
    if found.estimated and whole.saving.value is not None:
        yield "dollars were reckoned from the length of the texts and the price sheet, not from what was paid"
    low, high = whole.small.usd.value, whole.large.usd.value
    if whole.escalated in (0, whole.n) and low is not None and high and whole.rate.interval is not None:
        ends = sorted(1 - low / high - (each or 0.0) for each in whole.rate.interval)
        none = "none" if not whole.escalated else "all"
        yield (
            f"{none} escalated, so that no draw of these cases shows another rate, and the saving's interval is too "
            f"narrow: over the rate's own it is {100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"
        )


def _rest(found: Exercise) -> Iterator[str]:
    whole = found.whole
    if whole.only_small:
        yield (
            f"{whole.only_small} {_cases(whole.only_small)} that {found.small} passes, {found.large} does not: quality "
            "after escalation may lie above the flagship's"
        )
    times = whole.large.p95
    if times.interval is not None and times.interval[1] is None:
        needed = ceil(log((1 - found.confidence) / 2) / log(0.95))
        yield f"{times.n} times do not bound the 95th percentile from above: {needed} would"
    if found.left_out:
        told = ", ".join(f"{count} {why}" for why, count in found.left_out.items())
        yield f"left out of every figure: {told}"
    if found.slices:
        yield "each interval holds by itself: of twenty, one may well be wrong"


def _cases(n: int) -> str:
    return "case" if n == 1 else "cases"


def _span(figure: Figure) -> str:
    low, high = figure.interval or (0.0, 1.0)
    return f"{100 * (low or 0.0):.1f} to {100 * (high or 0.0):.1f} %"


def _round(n: float) -> str:
    """Two digits: more would feign what is not known."""
    return f"{float(f'{n:.2g}'):,.0f}"
