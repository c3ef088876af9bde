"""The sentences of a report, and how its figures are written."""

import math

import numpy as np
from numpy.typing import NDArray

from fastcascade.evals.outcomes import Floats, Outcomes
from fastcascade.evals.report_sums import Figure

__all__ = ["advice", "figure", "limits_of", "method_of", "number", "value"]


def number(given: float) -> str:
    """Three or four digits that matter, never in powers of ten."""
    if not math.isfinite(given):
        return "not known" if math.isnan(given) else "above all" if given > 0 else "below all"
    if abs(given) >= 1000:
        return f"{given:,.0f}"
    return str(np.format_float_positional(given, precision=4, fractional=False, trim="-"))


def value(given: float, unit: str) -> str:
    """A number in its unit; dollars are written for a thousand cases."""
    if not math.isfinite(given):
        return "not known"
    if unit == "share":
        return f"{100 * given:.1f} %"
    if unit == "dollars":
        return f"${number(1000 * given)}"
    return f"{given:.3f}"


def figure(given: Figure) -> str:
    """A figure with its interval: `72.7 % (67.0 to 77.9)`."""
    if math.isnan(given.low):
        return f"{value(given.value, given.unit)} (interval not known)"
    ends = (value(each, given.unit).removesuffix(" %").removeprefix("$") for each in (given.low, given.high))
    return f"{value(given.value, given.unit)} ({' to '.join(ends)})"


def advice(headline: dict[str, Figure], threshold: float, source: str, n: int) -> str:
    """What to do, from the figures alone: whether it saves, and what it keeps."""
    kept, saved = headline["quality kept of always dear"], headline["saved of always dear"]
    gone = headline["cases that went on"].value
    over = f"over the {n:,} {'case' if n == 1 else 'cases'}{f' of {source}' if source else ''}"
    found = f"{over} that saves {figure(saved)} of what always asking the dear model costs and keeps {figure(kept)}"
    if gone == 0:
        return f"Never escalate: {found} of its quality."
    if not saved.low > 0:
        return f"Do not cascade at this threshold, no saving is shown: {found} of its quality."
    return f"Keep the cheap answer from a score of {number(threshold)} on, escalate the rest: {found} of its quality."


def method_of(level: float, weighted: bool, routed: bool) -> tuple[str, ...]:  # noqa: FBT001
    """How it was worked out."""
    found = [
        "Both models answered every case; each way of choosing between their answers is replayed on the same cases.",
        "A case that goes on costs the cheap and the dear answer; always dear costs the dear answer alone.",
        (
            f"Intervals are of {100 * level:g} %: Wilson's for shares and grades, the normal one of a mean for costs, "
            "the linearized one for ratios; those two want some dozens of cases."
        ),
        "The band around the curve is of each threshold alone, not of all at once.",
        (
            "The random mix flips a coin before any model is asked; the oracle knows both grades once the cheap answer "
            "is there, and sends on the cases that gain the most for a dollar."
        ),
        (
            "The calibration error is the mean distance between score and grade over ten bins of equal width; it is "
            "never below 0, so that few cases make it too large."
        ),
        "A case is counted as right in the histogram where its grade is a half or more.",
    ]
    if weighted:
        found.append("Cases count by their weights; n counts cases, intervals go by the effective number.")
    if routed:
        found.append("The prompt router sees the prompt alone and asks one model, never both.")
    return tuple(found)


def limits_of(outcomes: Outcomes, score: Floats, goes: NDArray[np.bool_], *, before: bool) -> tuple[str, ...]:
    """What it does not show."""
    n, kept = len(outcomes), int((~goes).sum())
    found = [
        "A threshold that was chosen on these same cases looks better here than it is: judge it on cases not used.",
        "It holds for cases like these; other traffic, prompts, models or prices need a new report.",
        "Grades are taken as they are: a grader's mistakes are in every figure.",
    ]
    if n < 1000:
        found.append(f"{n:,} cases are few: intervals are wide, and slices of some dozens tell little.")
    if kept == 0:
        found.append("No cheap answer was kept, so nothing is known of those that would be.")
    if unknown := int(np.isnan(score).sum()):
        found.append(f"{unknown:,} cases have no score; they go on at any threshold.")
    if not before:
        found.append("The raw score is not a probability (0 to 1), so that its calibration is not drawn.")
    if outcomes.slices is None:
        found.append("The table has no slices, so that a slice that does badly would not be seen.")
    return tuple(found)
