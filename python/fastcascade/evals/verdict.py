"""What is recommended and why, how many cases are missing, and the two ends of what is possible."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Final

import numpy as np

from fastcascade.evals.aims import LEAST, Aim, Keep
from fastcascade.evals.curves import calibrated
from fastcascade.evals.outcomes import Floats, Outcomes
from fastcascade.evals.strategies import CHEAP, DEAR, Rule, Sight
from fastcascade.evals.sweep import Scale, Sweep, sweep
from fastcascade.evals.tally import Row, Tally

__all__ = ["calibration", "extremes", "more_cases", "said_of"]

MOST_MORE: Final = 10_000_000
MIXES: Final = 1_001
"""So many random mixes are looked at, from all dear to all cheap."""
LEARNED: Final = 0.8
"""The share of the cases that a rule is learned and cut on, in five folds."""
DULL: Final = 10
"""A score that is this many times less sure than it must be says nothing; a hundred times the cases would not help."""
SURELY: Final = NormalDist().inv_cdf(0.8)
"""Standard deviations to spare, for a number of cases that does four times in five."""


def said_of(
    rule: Rule, rows: Mapping[str, Row], tally: Tally, strategy: str, aim: Aim, confidence: float
) -> tuple[str, str]:
    """What to do, by the rule that all cases come to and by what its like came to on cases they had not seen."""
    row = rows[strategy]
    if rule.name == DEAR or not aim.pays(row.saving):
        return "do not cascade", _too_little(aim)
    if rule.name == CHEAP:
        return "never escalate", "escalating brings no more than the cheap model alone comes to"
    beyond = tally.informed()
    if beyond < NormalDist().inv_cdf(confidence):
        why = f"the scores tell right from wrong no better than chance ({beyond:.1f} standard deviations from it)"
        return "do not cascade", f"{why}: a random mix does as well, and asks one model, not two"
    mix = _mixed(rows, row.quality_ratio)
    if isinstance(aim, Keep) and mix >= row.saving and row.saving_interval[0] <= 0:
        low, high = (100 * each for each in row.saving_interval)
        why = f"a saving is not shown ({100 * row.saving:.1f} %, {low:.1f} to {high:.1f})"
        return "do not cascade", f"{why}, and a random mix of that quality would save {100 * mix:.1f} %"
    said = "route" if rule.router else "cascade"
    if mix >= row.saving:
        return said, f"it meets the aim; a random mix of that quality would save as much, {100 * mix:.1f} %"
    return said, f"it meets the aim; a random mix of that quality would save {100 * mix:.1f} %"


def _too_little(aim: Aim) -> str:
    if isinstance(aim, Keep):
        return f"no rule is shown to keep {100 * aim.share:g} % and to save {100 * LEAST:g} % of the cost"
    return "no rule does better than always asking the dear model"


def _mixed(rows: Mapping[str, Row], ratio: float) -> float:
    """What sending cases at random, to one model each, saves at this quality."""
    cheap = rows[CHEAP]
    if cheap.quality_ratio >= ratio or cheap.quality_ratio >= 1:
        return max(cheap.saving, 0.0)
    return max(cheap.saving * (1 - min(ratio, 1.0)) / (1 - cheap.quality_ratio), 0.0)


def more_cases(  # noqa: PLR0917 - all that the answer hangs on, from one place
    said: str, outcomes: Outcomes, rule: Rule, tried: Tally, mine: Tally, aim: Aim, confidence: float
) -> int:
    """How many more cases would carry the claim, or a cascade, if they were like these; 0 where none are missing."""
    if not isinstance(aim, Keep):
        return 0
    z = NormalDist().inv_cdf(confidence)
    if said == "do not cascade":
        beyond = tried.informed()
        unsure = rule.name not in (DEAR, CHEAP) and beyond < z
        if rule.crossed is None or (unsure and beyond < z / DULL):
            return 0
        return _for_a_cascade(outcomes, rule.crossed, rule, aim, z / beyond if unsure else 0.0)
    mean, spread, effective = mine.kept(aim.share)
    if mean >= z * spread / math.sqrt(effective):
        return 0
    if mean <= 0:
        # The rule lands on the target or below it: a wider margin is needed, half of what may be lost, say.
        mean = max(0.5 * (1.0 - aim.share), 1e-4)
    return _up((z * spread / mean) ** 2 - effective)


def _for_a_cascade(outcomes: Outcomes, score: Floats, rule: Rule, aim: Keep, short: float) -> int:
    """How many would do, four times in five; 0 where no threshold that pays keeps the share, as it looks.

    `short` is how many times surer one must be that the score says something.
    """
    curve = sweep(outcomes, score, router=rule.router)
    z = NormalDist().inv_cdf(aim.confidence)
    mean = curve.shortfall(aim.share, 0.5)
    error = (curve.shortfall(aim.share, aim.confidence) - mean) / z if z > 0 else np.zeros_like(mean)
    able = (curve.saving >= LEAST) & (mean < 0)
    able[0] = False
    if not able.any():
        return 0
    steps = float(((z + SURELY) * error[able] / -mean[able]).min())
    # Four folds in five are learned from.
    return _up(curve.effective * (max(steps, short) ** 2 / LEARNED - 1))


def _up(count: float) -> int:
    return int(min(max(math.ceil(count), 1), MOST_MORE))


def calibration(outcomes: Outcomes, sight: Sight, seed: int) -> tuple[float | None, float | None]:
    """ECE of the best single signal before and after; none where there is no signal that says something."""
    best, found, scale = -math.inf, None, Scale(outcomes)
    for signal in sight.signals.values():
        known = np.isfinite(signal)
        if not known.any() or np.ptp(signal[known]) == 0:
            continue
        score = np.where(known, signal, signal[known].min())
        if (reached := scale.area(score)) > best:
            best, found = reached, score
    if found is None:
        return None, None
    measured = calibrated(found, outcomes.cheap, outcomes.weight, seed=seed)
    return measured.ece_before, measured.ece_after


def extremes(outcomes: Outcomes, aim: Aim) -> tuple[Row, Row]:
    """The two ends of what is possible, by the truth itself: cases sent at random, and an oracle that knows all.

    The mix asks one model of each case; the oracle is a cascade, which asks the cheap one of all.
    """
    flat = sweep(outcomes, np.zeros(len(outcomes)), router=True)
    part = np.linspace(0.0, 1.0, MIXES)
    quality, cost = (each[0] + part * (each[-1] - each[0]) for each in (flat.quality, flat.cost))
    full = flat.dear_quality, flat.dear_cost
    mixed = aim.best(quality, cost, full)
    per = (outcomes.dear - outcomes.cheap) / np.maximum(outcomes.dear_cost, 1e-300)
    # An oracle need not take ties whole.
    curve = sweep(outcomes, -np.argsort(np.argsort(per, kind="stable")).astype(float))
    spent = np.append(curve.dear_cost, curve.cost[1:])
    found = aim.best(curve.quality, spent, full)
    return (
        _known("random mix", quality[mixed], cost[mixed], 1.0 - part[mixed], flat, 0.0),
        _known("oracle", curve.quality[found], spent[found], curve.escalated[found], curve, 1.0),
    )


def _known(name: str, quality: float, cost: float, escalated: float, curve: Sweep, area: float) -> Row:
    saved = float(1.0 - cost / curve.dear_cost) if curve.dear_cost > 0 else 0.0
    kept = float(quality / curve.dear_quality) if curve.dear_quality > 0 else 1.0
    return Row(name, saved, (saved, saved), kept, (kept, kept), float(escalated), area)
