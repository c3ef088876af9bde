"""Thresholds for several tiers under one promise: "quality at least `keep` of asking the last tier alone".

With more than one threshold there is no order from strict to lenient to try settings in, and many settings cost the
same. So the cases are dealt into two halves (`ladder.dealt`). On the learning half every combination of a grid is
weighed: what it costs, and how sure it looks to keep the quality. Those of which none is both surer and cheaper are
kept, and put in order from the surest to the cheapest. On the testing half, which has had no say in that, they are
tried in this order, each by an exact test, until the first that is not carried (Pareto testing: Laufer-Goldshtein and
others, 2023; fixed-sequence testing as in "Learn then Test", Angelopoulos and others, 2021). Of those carried the
cheapest is taken. Where none is, the answer is "not yet": ask the last tier alone.

When it holds. The cases are drawn independently, as those to come will be, and no score was fitted to the grades of the
testing half. A false promise is then made at most `delta` of the time for any scores, tied or not, and any number of
tiers and settings: the order was settled before the test, and whatever is wrong with it costs power alone. It is of the
average over all cases, not of each case or slice, and lapses when the cases change.

What it costs. Half of the cases do not judge, so that a ladder of two tiers is better served by `promises.guarantee`.
Savings, shares and the quality ratio are of the testing half, on which none of the thresholds was fitted; which of the
carried settings is cheapest was looked up on all cases.
"""

import math
from dataclasses import dataclass

from fastcascade.errors import ConfigError
from fastcascade.evals.ladder import Ladder, dealt
from fastcascade.evals.ladder_figures import Figures, Rung, figures
from fastcascade.evals.ladder_grid import Grid, Sums
from fastcascade.evals.ladder_trial import Trial, Why, front
from fastcascade.evals.trial import Verdict

__all__ = ["Figures", "LadderGuarantee", "Rung", "ladder_guarantee"]


@dataclass(frozen=True, slots=True)
class LadderGuarantee:
    """What can be promised.

    Args:
        thresholds: one to each tier but the last; infinity takes a tier out, and all are infinite where nothing holds.
        verdict: "holds", or "not yet": ask the last tier alone.
        keep: the share of the last tier's quality that is promised.
        delta: how often such a promise may be false.
        ratio_low: the lower bound of the quality ratio at 1 - delta, were this setting the only one tried; `keep` is
            what is promised.
        n: cases that the promise rests on.
        n_learning: cases that the settings were chosen by.
        tried: settings that were tried, and `carried` of them: the trial ends at the first that is not.
        more_cases: 0 where it holds; else how many more, over both halves, are likely (four times in five) to carry the
            surest setting, if things are as they look; None where no number would do.
        why: what stands in the way where it does not hold.
        figures: what the thresholds come to on the testing half.
    """

    thresholds: tuple[float, ...]
    verdict: Verdict
    keep: float
    delta: float
    ratio_low: float
    n: int
    n_learning: int
    tried: int
    carried: int
    more_cases: int | None
    why: Why
    figures: Figures


def ladder_guarantee(
    ladder: Ladder, *, keep: float, delta: float = 0.05, split: float = 0.5, seed: int = 0
) -> LadderGuarantee:
    """The cheapest thresholds of which the promise can be made.

    Args:
        ladder: the cases. If it says by which of them something was chosen already, that is the learning half.
        keep: the share of the last tier's quality to keep, above 0 and at most 1.
        delta: how often the promise may be false.
        split: the share of the cases to choose by.
        seed: of the deal, and of the intervals.
    """
    if not 0 < keep <= 1:
        raise ConfigError(f"keep must be above 0 and at most 1, not {keep!r}")
    if not 0 < delta < 0.5:
        raise ConfigError(f"delta must be above 0 and below 0.5, not {delta!r}")
    if not ladder.weight.all():  # what weighs nothing is no case
        ladder = ladder.take(ladder.weight > 0)
    chosen_by = ladder.learning
    if chosen_by is None:
        chosen_by = dealt(len(ladder), ladder.slices, split=split, seed=seed)
    if chosen_by.all() or not chosen_by.any():
        raise ConfigError(f"{len(ladder)} cases cannot be dealt into two halves: one to choose by, and one to judge")
    learning, testing = ladder.take(chosen_by), ladder.take(~chosen_by)
    grid = Grid(learning.score)
    settings = front(Sums(learning, grid), keep)
    trial = Trial(testing, grid, keep, delta)
    carried, tried = trial.walk(settings)
    thresholds, low = (math.inf,) * (len(ladder.tiers) - 1), 1.0
    more, why = (0, "") if carried else trial.needed(settings, len(ladder))
    if carried:
        costs = Sums(ladder, grid).paid()
        chosen = min(carried, key=lambda place: (costs[place], place))
        thresholds, low = grid.vector(chosen), trial.low(chosen)
    return LadderGuarantee(
        thresholds,
        "holds" if carried else "not yet",
        keep,
        delta,
        low,
        len(testing),
        len(learning),
        tried,
        len(carried),
        more,
        why,
        figures(testing, thresholds, seed=seed),
    )
