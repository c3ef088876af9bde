"""Is a cascade worth it on these cases? Every figure is of decisions on cases that the rule had not seen.

The cases are dealt into folds, several times over; on each fold decides a rule that was learned, chosen and cut on
the others. Intervals come of drawing whole cases anew, each with all its decisions, and hold for the way of learning
a rule from that many cases; a rule learned from all of them is, if anything, a little better.

The claim is `quality_ratio >= keep`. It stands where the lower bound of the ratio (one-sided, at this confidence)
reaches `keep`, or where always-dear is recommended; else `more_cases_needed` estimates how many more cases of the same
kind would carry it.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastcascade.errors import ConfigError
from fastcascade.evals.bootstrap import resampled
from fastcascade.evals.curves import calibrated
from fastcascade.evals.logistic import fold_of
from fastcascade.evals.outcomes import Floats, Outcomes
from fastcascade.evals.strategies import CHEAP, DEAR, STRATEGIES, Rule, Sight, learn, see
from fastcascade.evals.sweep import NEVER, area, paid, sweep

__all__ = ["Evaluation", "Row", "evaluate"]

DECISIONS: Final = 30_000
"""Folds are dealt anew until so many decisions are there: the more cases, the less does the deal matter."""
OF_WORDS: Final = 10_000
"""The same where prompts are read, which takes far longer."""
FEWEST: Final = 10
MOST_MORE: Final = 10_000_000
LEAST: Final = 0.01
"""A saving under this share of the cost is not worth a second model."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy of the comparison, on the same cases and folds; savings and ratios are of always-dear's."""

    strategy: str
    saving: float
    saving_interval: Interval
    quality_ratio: float
    quality_interval: Interval
    escalation_rate: float
    area: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the cases say.

    Args:
        recommendation: "cascade", "route", "do not cascade" (always dear) or "never escalate" (always cheap).
        strategy: the rule that learning from all cases comes to.
        saving: the share of always-dear's cost that is saved; all samples and judges are paid for.
        saving_interval, quality_interval: two-sided, at `confidence`.
        quality_ratio: the quality reached, as a share of always-dear's.
        escalation_rate: the share of cases that go to the dear model.
        area: of the quality-cost curve: 0 as good as a random mix, 1 an oracle; 0 where the rule has no score.
        ece_before, ece_after: calibration error of the best signal as it is, and through a curve fitted elsewhere.
        n: the cases.
        more_cases_needed: 0 where the claim stands.
        strategies: the comparison.
        slices: the escalation rate of each slice.
    """

    recommendation: str
    strategy: str
    saving: float
    saving_interval: Interval
    quality_ratio: float
    quality_interval: Interval
    escalation_rate: float
    area: float
    ece_before: float | None
    ece_after: float | None
    n: int
    more_cases_needed: int
    keep: float = 0.98
    confidence: float = 0.95
    strategies: tuple[Row, ...] = ()
    slices: Mapping[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The twelve figures, as JSON has them."""
        whole = asdict(self)
        return {name: whole[name] for name in KEYS}


KEYS: Final = (
    "recommendation", "strategy", "saving", "saving_interval", "quality_ratio", "quality_interval", "escalation_rate",
    "area", "ece_before", "ece_after", "n", "more_cases_needed",
)  # fmt: skip


def evaluate(  # noqa: PLR0917 - each has a default, and the order is the command's
    outcomes: Outcomes,
    keep: float = 0.98,
    confidence: float = 0.95,
    strategy: str = "auto",
    folds: int = 5,
    repeats: int = 5,
    seed: int = 0,
) -> Evaluation:
    """Cross-validate a strategy, and all others beside it."""
    _check(outcomes, keep, confidence, strategy, folds, repeats)
    rng = np.random.default_rng(seed)
    sight = see(outcomes)
    wanted = tuple(dict.fromkeys((strategy, *STRATEGIES)))
    tallies = {each: _Tally(outcomes) for each in wanted}
    enough = DECISIONS if outcomes.prompts is None else OF_WORDS
    for _ in range(max(1, min(repeats, enough // len(outcomes)))):
        fold = fold_of(len(outcomes), folds, rng)
        for each in range(folds):
            inside, outside = np.flatnonzero(fold != each), np.flatnonzero(fold == each)
            rules = learn(outcomes.take(inside), sight.take(inside), keep, confidence, rng, wanted)
            unseen, seen = outcomes.take(outside), sight.take(outside)
            for name, rule in rules.items():
                tallies[name].add(rule, unseen, seen, outside)
    rows = {name: tally.row(name, confidence, rng) for name, tally in tallies.items()}
    final = learn(outcomes, sight, keep, confidence, rng, (strategy,))[strategy]
    said = _recommended(final, rows[strategy])
    shown = DEAR if said == "do not cascade" else CHEAP if said == "never escalate" else strategy
    mine, row = tallies[shown], rows[shown]
    before, after = _calibration(outcomes, sight, seed)
    return Evaluation(
        said,
        shown if shown in (DEAR, CHEAP) else final.name,
        row.saving,
        row.saving_interval,
        row.quality_ratio,
        row.quality_interval,
        row.escalation_rate,
        rows[strategy].area or 0.0,
        before,
        after,
        len(outcomes),
        _more(said, mine, keep, confidence),
        keep,
        confidence,
        (*rows.values(), *_bounds(outcomes, keep)),
        mine.slices(),
    )


class _Tally:
    """The decisions of one strategy on cases that its rules had not seen."""

    def __init__(self, outcomes: Outcomes) -> None:
        n = len(outcomes)
        self._outcomes = outcomes
        self._times = np.zeros(n)
        self._escalated = np.zeros(n)
        self._quality = np.zeros(n)
        self._cost = np.zeros(n)
        self.areas: list[float] = []

    def add(self, rule: Rule, unseen: Outcomes, sight: Sight, places: NDArray[np.intp]) -> None:
        """Let a rule decide the cases of a fold."""
        score = rule.score(sight)
        accepted = score >= rule.threshold
        dear = rule.threshold == NEVER
        self._times[places] += 1
        self._escalated[places] += ~accepted
        self._quality[places] += np.where(accepted, unseen.cheap, unseen.dear)
        # Always-dear does not ask the cheap model at all.
        self._cost[places] += unseen.dear_cost if dear else paid(unseen, accepted, router=rule.router)
        if rule.name not in (DEAR, CHEAP):
            self.areas.append(area(unseen, score, router=rule.router))

    def columns(self) -> Floats:
        """Of each case what it cost and would have cost, how good it was and would have been, and what went on."""
        weight = self._outcomes.weight / self._times
        full = self._outcomes.weight
        parts = (self._cost * weight, self._outcomes.dear_cost * full, self._quality * weight)
        return np.column_stack([*parts, self._outcomes.dear * full, self._escalated * weight, full])

    def row(self, name: str, confidence: float, rng: np.random.Generator) -> Row:
        """The figures, with intervals."""
        columns = self.columns()
        saving, quality = _figures(columns.sum(axis=0)[None, :])
        savings, qualities = _figures(resampled(columns, rng))
        ends = [(1 - confidence) / 2, (1 + confidence) / 2]
        return Row(
            name,
            float(saving[0].round(12)) + 0.0,
            _interval(savings, ends),
            float(quality[0]),
            _interval(qualities, ends),
            float(columns[:, 4].sum() / columns[:, 5].sum()),
            float(np.mean(self.areas)) if self.areas else None,
        )

    def shortfall(self, keep: float) -> tuple[float, float, float]:
        """The mean of what is kept above `keep`, its spread from case to case, and the cases' effective number."""
        weight = self._outcomes.weight / self._outcomes.weight.sum()
        kept = self._quality / self._times - keep * self._outcomes.dear
        mean = float(weight @ kept)
        return mean, math.sqrt(float(weight @ (kept - mean) ** 2)), 1.0 / float((weight**2).sum())

    def slices(self) -> dict[str, float]:
        """The escalation rate of each slice."""
        names, place = np.unique(self._outcomes.slice.astype(str), return_inverse=True)
        columns = self.columns()
        whole = np.bincount(place, columns[:, 5])
        rate = np.bincount(place, columns[:, 4]) / np.where(whole > 0, whole, 1.0)
        return {str(name): float(each) for name, each in zip(names, rate, strict=True)}


def _figures(sums: Floats) -> tuple[Floats, Floats]:
    """Saving and quality ratio; where always-dear costs or achieves nothing there is nothing to save or to lose."""
    dear_cost, dear = sums[:, 1], sums[:, 3]
    saving = np.where(dear_cost > 0, 1.0 - sums[:, 0] / np.where(dear_cost > 0, dear_cost, 1.0), 0.0)
    return saving, np.where(dear > 0, sums[:, 2] / np.where(dear > 0, dear, 1.0), 1.0)


def _interval(found: Floats, ends: list[float]) -> Interval:
    # Rounding must not show as a saving of -0.
    low, high = np.quantile(found, ends).round(12) + 0.0
    return float(low), float(high)


def _recommended(rule: Rule, row: Row) -> str:
    """What to do, by the rule that all cases come to and by what its like came to on cases they had not seen."""
    if rule.name == DEAR or row.saving < LEAST:
        return "do not cascade"
    if rule.name == CHEAP:
        return "never escalate"
    return "route" if rule.router else "cascade"


def _more(said: str, mine: _Tally, keep: float, confidence: float) -> int:
    """How many more cases would carry the claim, if they were like these."""
    if said == "do not cascade":
        return 0
    z = NormalDist().inv_cdf(confidence)
    mean, spread, effective = mine.shortfall(keep)
    if mean >= z * spread / math.sqrt(effective):
        return 0
    if mean <= 0:
        # The rule lands on the target or below it: a wider margin is needed, half of what may be lost, say.
        mean = max(0.5 * (1.0 - keep), 1e-4)
    return int(min(max(math.ceil((z * spread / mean) ** 2 - effective), 1), MOST_MORE))


def _calibration(outcomes: Outcomes, sight: Sight, seed: int) -> tuple[float | None, float | None]:
    """ECE of the best single signal before and after; none where there is no signal that says something."""
    best, found = -math.inf, None
    for signal in sight.signals.values():
        known = np.isfinite(signal)
        if not known.any() or np.ptp(signal[known]) == 0:
            continue
        score = np.where(known, signal, signal[known].min())
        if (reached := area(outcomes, score)) > best:
            best, found = reached, score
    if found is None:
        return None, None
    measured = calibrated(found, outcomes.cheap, outcomes.weight, seed=seed)
    return measured.ece_before, measured.ece_after


def _bounds(outcomes: Outcomes, keep: float) -> tuple[Row, Row]:
    """The two ends of what is possible, by the truth itself: cases sent at random, and an oracle that knows all."""
    flat = sweep(outcomes, np.zeros(len(outcomes)))
    per = (outcomes.dear - outcomes.cheap) / np.maximum(outcomes.dear_cost, 1e-300)
    curve = sweep(outcomes, -per)
    good = np.where(curve.ratio >= keep, curve.cost, math.inf)
    place = int(np.argmin(good))
    drop = float(flat.quality[0] - flat.quality[-1])
    part = 1.0 if drop <= 0 else min(1.0, (1.0 - keep) * flat.dear_quality / drop)
    saved, ratio = float(flat.saving[0] + part * (flat.saving[1] - flat.saving[0])), 1.0 - part * (1 - flat.ratio[1])
    if saved <= 0:
        saved, ratio, part = 0.0, 1.0, 0.0
    best, kept = float(curve.saving[place]), float(curve.ratio[place])
    return (
        Row("random mix", saved, (saved, saved), float(ratio), (float(ratio), float(ratio)), 1.0 - part, 0.0),
        Row("oracle", best, (best, best), kept, (kept, kept), float(curve.escalated[place]), 1.0),
    )


def _check(outcomes: Outcomes, keep: float, confidence: float, strategy: str, folds: int, repeats: int) -> None:
    if not 0 < keep <= 1:
        raise ConfigError(f"keep must be above 0 and at most 1, not {keep!r}")
    if not 0.5 <= confidence < 1:
        raise ConfigError(f"confidence must be from 0.5 to below 1, not {confidence!r}")
    if strategy not in STRATEGIES:
        raise ConfigError(f"no strategy {strategy!r}; there are: {', '.join(STRATEGIES)}")
    if folds < 2 or repeats < 1:
        raise ConfigError(f"there must be 2 folds and 1 repeat at least, not {folds} and {repeats}")
    if len(outcomes) < max(FEWEST, 2 * folds):
        few = max(FEWEST, 2 * folds)
        raise ConfigError(f"{outcomes.name or 'the table'} has {len(outcomes)} cases; {few} are needed at least")
