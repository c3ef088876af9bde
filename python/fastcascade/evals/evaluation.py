"""Is a cascade worth it on these cases? Every figure is of decisions on cases that the rule had not seen.

The cases are dealt into folds, several times over; on each fold decides a rule that was learned, chosen and cut on
the others. Intervals come of drawing whole cases anew, each with all its decisions, and of how much the rules of the
folds differ, each learned from other cases; a rule learned from all of them is, if anything, a little better.

The claim, where a share is to be kept, is `quality_ratio >= keep`. It stands where the lower bound of the ratio (of the
decisions as they were made, one-sided, at this confidence) reaches `keep`, or where always-dear is recommended and
nothing better is in sight; else `more_cases_needed` estimates how many more cases of the same kind would carry it, or
would carry a cascade.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fastcascade.errors import ConfigError
from fastcascade.evals.aims import Aim, Keep
from fastcascade.evals.logistic import fold_of
from fastcascade.evals.outcomes import Outcomes
from fastcascade.evals.strategies import CHEAP, DEAR, STRATEGIES, Rule, learn, see
from fastcascade.evals.tally import Fold, Interval, Latency, Row, Tally
from fastcascade.evals.verdict import calibration, extremes, more_cases, said_of

__all__ = ["Evaluation", "Row", "evaluate"]

DECISIONS: Final = 30_000
"""Folds are dealt anew until so many decisions are there: the more cases, the less does the deal matter."""
OF_WORDS: Final = 10_000
"""The same where prompts are read, which takes far longer."""
FEWEST: Final = 10
SAME: Final = 5_000
"""Rules of different folds are held against each other on so many cases at most."""


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
        n: the cases; one that weighs nothing is none.
        more_cases_needed: 0 where the claim stands, and where more would not help.
        aim: what was aimed at.
        confidence: of the intervals.
        why: why this is recommended, in one sentence.
        strategies: the comparison.
        slices: the escalation rate of each slice.
        latency: seconds a case, where the table has times.
        rule: what all cases come to; it decides new cases, and `rule.crossed` holds its scores of these.
        accepted: of each case, whether a rule that had not seen it lets the cheap answer stand.
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
    aim: Aim = field(default_factory=Keep)
    confidence: float = 0.95
    why: str = ""
    strategies: tuple[Row, ...] = ()
    slices: Mapping[str, float] = field(default_factory=dict)
    latency: Latency | None = None
    rule: Rule | None = field(default=None, repr=False, compare=False)
    accepted: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)

    def document(self) -> dict[str, Any]:
        """The twelve figures, as JSON has them."""
        found = {name: getattr(self, name) for name in KEYS}
        return {name: list(each) if isinstance(each, tuple) else each for name, each in found.items()}


KEYS: Final = (
    "recommendation", "strategy", "saving", "saving_interval", "quality_ratio", "quality_interval", "escalation_rate",
    "area", "ece_before", "ece_after", "n", "more_cases_needed",
)  # fmt: skip


def evaluate(  # noqa: PLR0913, PLR0917 - each has a default, and the order is the command's
    outcomes: Outcomes,
    keep: float = 0.98,
    confidence: float = 0.95,
    strategy: str = "auto",
    folds: int = 5,
    repeats: int = 5,
    seed: int = 0,
    *,
    aim: Aim | None = None,
) -> Evaluation:
    """Cross-validate a strategy, and all others beside it.

    Args:
        outcomes: the cases.
        keep: the share of always-dear's quality to keep.
        confidence: of the margin and of the intervals.
        strategy: what decides; "auto" chooses.
        folds: into how many parts the cases are dealt.
        repeats: how often at most; fewer times where there are many cases.
        seed: of the folds, and of the cases drawn for intervals.
        aim: what is aimed at instead of `keep`: `Within(usd)`, or `Worth()`.
    """
    aim, outcomes = aim or Keep(keep, confidence), outcomes.counted()
    _check(outcomes, confidence, strategy, folds, repeats)
    aim.check(outcomes)
    rng = np.random.default_rng(seed)
    sight = see(outcomes)
    wanted = tuple(dict.fromkeys((strategy, *STRATEGIES)))
    tallies = {each: Tally(outcomes) for each in wanted}
    same = Fold(outcomes, sight, np.sort(rng.spawn(1)[0].permutation(len(outcomes))[:SAME]))
    enough = DECISIONS if outcomes.prompts is None else OF_WORDS
    for _ in range(max(1, min(repeats, enough // len(outcomes)))):
        dealt = fold_of(len(outcomes), folds, rng)
        for each in range(folds):
            inside, fold = np.flatnonzero(dealt != each), Fold(outcomes, sight, np.flatnonzero(dealt == each))
            rules = learn(outcomes.take(inside), sight.take(inside), aim, rng, wanted)
            for name, rule in rules.items():
                tallies[name].add(rule, fold, same)
    rows = {name: tally.row(name, confidence, rng) for name, tally in tallies.items()}
    rule = learn(outcomes, sight, aim, rng, (strategy,))[strategy]
    said, why = said_of(rule, rows, tallies[strategy], strategy, aim, confidence)
    shown = {"do not cascade": DEAR, "never escalate": CHEAP}.get(said, strategy)
    mine, row = tallies[shown], rows[shown]
    before, after = calibration(outcomes, sight, seed)
    more = more_cases(said, outcomes, rule, tallies[strategy], mine, aim, confidence)
    return Evaluation(
        said,
        shown if shown in (DEAR, CHEAP) else rule.name,
        row.saving,
        row.saving_interval,
        row.quality_ratio,
        row.quality_interval,
        row.escalation_rate,
        rows[strategy].area or 0.0,
        before,
        after,
        len(outcomes),
        more,
        aim,
        confidence,
        why,
        (*rows.values(), *extremes(outcomes, aim)),
        mine.slices(),
        mine.latency(router=rule.router, dear=shown == DEAR),
        rule,
        mine.accepted,
    )


def _check(outcomes: Outcomes, confidence: float, strategy: str, folds: int, repeats: int) -> None:
    if not 0.5 <= confidence < 1:
        raise ConfigError(f"confidence must be from 0.5 to below 1, not {confidence!r}")
    if strategy not in STRATEGIES:
        raise ConfigError(f"no strategy {strategy!r}; there are: {', '.join(STRATEGIES)}")
    if folds < 2 or repeats < 1:
        raise ConfigError(f"there must be 2 folds and 1 repeat at least, not {folds} and {repeats}")
    if len(outcomes) < max(FEWEST, 2 * folds):
        few = max(FEWEST, 2 * folds)
        raise ConfigError(f"{outcomes.name or 'the table'} has {len(outcomes)} cases; {few} are needed at least")
