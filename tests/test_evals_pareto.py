"""Thresholds for several tiers: what settings come to, and that a promise is seldom false, and often made."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.evals.ladder import Ladder, dealt
from fastcascade.evals.ladder_figures import figures
from fastcascade.evals.ladder_grid import STEPS, Grid, Sums
from fastcascade.evals.ladder_trial import Trial, front
from fastcascade.evals.pareto import ladder_guarantee

DELTA = 0.1


@st.composite
def ladders(draw: st.DrawFn, most: int = 30) -> Ladder:
    """Small ladders, whose figures add up without rounding; scores are tied, and now and then missing."""
    n, k = draw(st.integers(1, most)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    score = rng.integers(0, draw(st.integers(1, 8)), (n, k - 1)) / 8.0
    score[rng.random((n, k - 1)) < draw(st.sampled_from([0.0, 0.2, 1.0]))] = math.nan
    return Ladder(
        (rng.integers(0, 2, (n, k)) * 4 if draw(st.booleans()) else rng.integers(0, 5, (n, k))) / 4.0,
        rng.integers(0, 9, (n, k)) / 8.0,
        score,
        seconds=rng.integers(0, 9, (n, k)) / 8.0,
        slices=rng.integers(0, 3, n).astype(str).astype(object),
        weights=rng.integers(1, 4, n) / 2.0 if draw(st.booleans()) else None,
    )


def one(ladder: Ladder, case: int, thresholds: tuple[float, ...]) -> tuple[int, float, float]:
    """One case asked of tier after tier: which answers, how right that is, and what it cost."""
    cost = 0.0
    for tier, threshold in enumerate((*thresholds, None)):
        if threshold == math.inf:
            continue
        cost += ladder.cost[case, tier]
        if threshold is None or ladder.score[case, tier] >= threshold:
            return tier, ladder.right[case, tier], cost
    raise AssertionError("the last tier answers")


@given(ladders())
@settings(max_examples=80, deadline=None)
def test_what_every_setting_comes_to_is_what_asking_tier_after_tier_comes_to(ladder: Ladder) -> None:
    """Sums over cells, columns of one setting, and the plain walk through each case agree, for all settings."""
    grid = Grid(ladder.score)
    sums = Sums(ladder, grid)
    right, paid = sums.answered(ladder.right), sums.paid()
    assert len(right) == len(paid) == len(grid)
    for place in {0, len(grid) - 1, *range(0, len(grid), max(1, len(grid) // 12))}:
        thresholds = grid.vector(place)
        taken = ladder.taken(thresholds)
        plain = [one(ladder, case, thresholds) for case in range(len(ladder))]
        assert [tuple(each) for each in zip(taken.place, taken.right, taken.cost, strict=True)] == plain
        assert right[place] == sum(each[1] for each in plain)
        assert paid[place] == sum(each[2] * weight for each, weight in zip(plain, ladder.weight, strict=True))
        assert taken.seconds is not None and ladder.seconds is not None
        assert taken.seconds.sum() == (ladder.seconds * taken.asked).sum()
    assert grid.vector(0) == (math.inf,) * ladder.score.shape[1]


@given(ladders(most=200), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_cases_does_not_matter(ladder: Ladder, seed: int) -> None:
    """Given which cases choose and which judge, the same settings are tried, carried and taken in any order."""
    ladder = ladder.take(np.repeat(np.arange(len(ladder)), 2))
    ladder = replace(ladder, learning=dealt(len(ladder), seed=seed))
    other = ladder.take(np.random.default_rng(seed).permutation(len(ladder)))
    found, again = (ladder_guarantee(each, keep=0.75, delta=0.2) for each in (ladder, other))
    for name in ("thresholds", "verdict", "tried", "carried", "more_cases", "why", "n", "n_learning"):
        assert getattr(found, name) == getattr(again, name), name
    assert found.ratio_low == pytest.approx(again.ratio_low)
    assert found.figures.saving == pytest.approx(again.figures.saving)


@given(st.integers(2, 300), st.integers(1, 40), st.sampled_from([0.3, 0.5, 0.8]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_cases_are_dealt_within_slices(n: int, slices: int, split: float, seed: int) -> None:
    """Of all cases, and of each slice, the share that was asked for chooses, give or take one case."""
    filed = np.random.default_rng(seed).integers(0, slices, n).astype(str).astype(object)
    learning = dealt(n, filed, split=split, seed=seed)
    assert (learning == dealt(n, filed, split=split, seed=seed)).all()
    assert abs(learning.sum() - split * n) <= 1
    for name in set(filed):
        here = filed == name
        assert abs(learning[here].sum() - split * here.sum()) <= 1


LOST = 0.1


def at_limit(rng: np.random.Generator, n: int, kind: str, lost: float = LOST) -> tuple[Ladder, float]:
    """A ladder on which every setting that accepts all of the surest answers is exactly at the limit of `keep`.

    A tenth of the cases is known to the last tier alone, and every lower tier is surest of just these; on the others a
    lower tier loses as often as it wins, so that every setting has luck of its own.
    """
    trap = rng.random(n) < lost
    spread = rng.random((n, 3))
    last = trap | (spread[:, 2] < 0.9)
    lower = ~trap[:, None] & (~last[:, None] | (spread[:, :2] >= 1 / 9))
    right = np.column_stack([lower, last]).astype(float)
    score = np.where(trap[:, None], 0.95 + 0.05 * rng.random((n, 2)), 0.95 * rng.random((n, 2)))
    if kind == "tied":
        score = np.where(trap[:, None], 1.0, np.floor(score * 8) / 8)
    weights = None
    if kind == "betting":
        right, weights = 0.2 + 0.6 * right, rng.integers(1, 3, n).astype(float)
    scale, floor = (0.6, 0.2) if kind == "betting" else (1.0, 0.0)
    keep = 1 - scale * LOST / (floor + scale * (LOST + (1 - LOST) * 0.9))
    return Ladder(right, np.tile([1.0, 2.0, 20.0], (n, 1)), score, weights=weights), keep


def promised(ladder: Ladder, keep: float, seed: int) -> list[tuple[float, ...]]:
    """All settings of which the promise is made."""
    learning = dealt(len(ladder), seed=seed)
    chosen_by = ladder.take(learning)
    grid = Grid(chosen_by.score)
    tried = front(Sums(chosen_by, grid), keep)
    return [grid.vector(place) for place in Trial(ladder.take(~learning), grid, keep, DELTA).walk(tried)[0]]


@pytest.mark.parametrize("kind", ["tied", "continuous", "betting"])
def test_a_promise_is_seldom_false(kind: str) -> None:
    """Where no setting deserves it, it is made no oftener than delta, and chance; where all do, nearly always."""
    rng, runs = np.random.default_rng(11), 150

    def claims(lost: float, runs: int) -> float:
        count = 0
        for seed in range(runs):
            ladder, keep = at_limit(rng, 800, kind, lost)
            # A threshold within the trap takes less than all of it, and its promise is true.
            count += any(min(each) <= 0.95 or kind == "tied" for each in promised(ladder, keep, seed))
        return count / runs

    assert claims(LOST, runs) <= DELTA + 3 * math.sqrt(DELTA * (1 - DELTA) / runs)
    assert claims(LOST / 5, 25) >= 0.7


def three(rng: np.random.Generator, n: int) -> Ladder:
    """Small, middle and large: each knows what is easy for it, and its score tells; the middle costs a third."""
    hard = rng.random(n)
    chance = np.column_stack([hard < 0.4, hard < 0.8, hard < 2.0]) * 0.97
    score = np.column_stack([1 - hard + 0.1 * rng.normal(size=n), 1.4 - hard + 0.1 * rng.normal(size=n)])
    right = (rng.random((n, 3)) < chance).astype(float)
    return Ladder(right, np.tile([1.0, 12.0, 36.0], (n, 1)), score, tiers=("small", "middle", "large"))


def without(ladder: Ladder, tier: int) -> Ladder:
    """The ladder with a tier taken out."""
    left = [each for each in range(3) if each != tier]
    return Ladder(ladder.right[:, left], ladder.cost[:, left], ladder.score[:, left[:-1]])


def test_a_middle_tier_that_is_worth_it_is_used() -> None:
    """Three tiers save more than the best two of them, with all thresholds finite; new cases bear it out."""
    rng = np.random.default_rng(5)
    ladder, truth = three(rng, 3000), three(rng, 50_000)
    found = ladder_guarantee(ladder, keep=0.95)
    pairs = [ladder_guarantee(without(ladder, tier), keep=0.95) for tier in (0, 1)]
    assert found.verdict == "holds" and max(found.thresholds) < math.inf
    assert found.figures.saving > 0.05 + max(each.figures.saving for each in pairs)
    low, high = found.figures.saving_interval
    seen = figures(truth, found.thresholds)
    assert low - 0.02 <= seen.saving <= high + 0.02 and low < found.figures.saving < high
    # Promises may be false now and then, by a little: how often is tested above.
    assert seen.quality_ratio >= 0.94 and found.figures.quality_ratio >= found.ratio_low >= 0.95


def test_a_tier_that_is_not_worth_its_cost_is_taken_out() -> None:
    """A middle tier as dear as the last has an infinite threshold, is asked of nobody, and is not paid for."""
    ladder = three(np.random.default_rng(5), 4000)
    ladder = replace(ladder, cost=np.tile([1.0, 36.0, 36.0], (4000, 1)))
    found = ladder_guarantee(ladder, keep=0.95)
    assert found.verdict == "holds" and found.thresholds[0] < math.inf == found.thresholds[1]
    small, middle, large = found.figures.rungs
    assert middle.asked == middle.answered == 0.0
    assert small.asked == 1.0 and small.escalated == pytest.approx(large.asked) == pytest.approx(1 - small.answered)
    assert found.figures.cost == pytest.approx(1 + 36 * large.asked)


def test_the_figures_are_of_the_cases_that_judge() -> None:
    """Shares, cost, time and quality are those of the testing half, weighted, each within its interval."""
    ladder = three(np.random.default_rng(9), 2000)
    seconds = np.tile([0.5, 1.0, 4.0], (2000, 1))
    weights = np.random.default_rng(1).integers(0, 3, 2000).astype(float)
    ladder = replace(ladder, weights=weights, seconds=seconds, learning=dealt(2000, seed=4))
    found = ladder_guarantee(ladder, keep=0.9)
    assert ladder.learning is not None
    judges = ladder.take(~ladder.learning & (weights > 0))
    assert found.n == len(judges) and found.n + found.n_learning == np.count_nonzero(weights)
    plain = [one(judges, case, found.thresholds) for case in range(len(judges))]
    total = judges.weight.sum()
    seen = found.figures
    assert seen.cost == pytest.approx(sum(w * each[2] for w, each in zip(judges.weight, plain, strict=True)) / total)
    assert seen.quality == pytest.approx(sum(w * each[1] for w, each in zip(judges.weight, plain, strict=True)) / total)
    assert seen.last_seconds == 4.0 and seen.seconds is not None and seen.seconds < 4.0
    assert seen.quality_interval[0] < seen.quality_ratio < seen.quality_interval[1]
    for tier, rung in enumerate(seen.rungs):
        share = sum(w for w, each in zip(judges.weight, plain, strict=True) if each[0] == tier) / total
        assert rung.answered == pytest.approx(share)
        assert rung.answered_interval[0] < share < rung.answered_interval[1]


@pytest.mark.parametrize("fraction", [False, True])
def test_too_few_cases_are_not_yet_and_enough_are(fraction: bool) -> None:
    """Of few cases nothing is promised; of as many as are then asked for, most of the time."""
    rng = np.random.default_rng(2)

    def drawn(n: int) -> Ladder:
        ladder = three(rng, n)
        return replace(ladder, right=ladder.right * 0.9) if fraction else ladder

    found = ladder_guarantee(drawn(60), keep=0.95)
    assert found.verdict == "not yet" and found.thresholds == (math.inf, math.inf)
    assert found.why == "too few cases" and found.more_cases is not None and 60 < found.more_cases < 10_000
    assert found.figures.saving == 0.0 and found.figures.rungs[-1].answered == 1.0
    again = [ladder_guarantee(drawn(60 + found.more_cases), keep=0.95).verdict for _ in range(6)]
    assert again.count("holds") >= 4


def test_what_no_number_of_cases_would_carry_says_so() -> None:
    """Lower tiers that are never right, and such as cost more than the last, are told from too few cases."""
    rng = np.random.default_rng(3)
    ladder = three(rng, 600)
    never = replace(ladder, right=ladder.right * [0.0, 0.0, 1.0])
    assert ladder_guarantee(never, keep=0.999).why == "not as good"
    for cost in ([40.0, 40.0, 36.0], [0.0, 0.0, 0.0], [1.0, 1.0, 0.0]):
        dear = ladder_guarantee(replace(ladder, cost=np.tile(cost, (600, 1))), keep=0.9)
        assert (dear.verdict, dear.why, dear.more_cases, dear.tried) == ("not yet", "nothing is cheaper", None, 0)
        assert dear.figures.saving == 0.0


@pytest.mark.parametrize("tiers", [2, 3, 4, 6, 12])
def test_the_grid_is_bounded(tiers: int) -> None:
    """However many tiers there are, settings are some thousands at most, and there is one besides infinity to each."""
    grid = Grid(np.random.default_rng(0).random((500, tiers - 1)))
    assert len(grid) <= 4096 and min(grid.shape) >= 2
    assert tiers > 3 or grid.shape == (STEPS + 1,) * (tiers - 1)


def _columns(**changed: Any) -> dict[str, Any]:
    return {"right": np.ones((4, 3)), "cost": np.ones((4, 3)), "score": np.full((4, 2), 0.5), **changed}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"right": np.ones((4, 1))}, "2 to 12 tiers"),
        ({"right": np.ones(4)}, "2 to 12 tiers"),
        ({"right": np.ones((0, 3))}, "has no cases"),
        ({"cost": np.ones((4, 2))}, "cost must have the shape"),
        ({"score": np.ones((4, 3))}, "score must have the shape"),
        ({"seconds": np.ones((3, 3))}, "seconds must have the shape"),
        ({"slices": np.array(["a"], dtype=object)}, "slices must have the shape"),
        ({"right": np.full((4, 3), 1.5)}, "right of case 0 must be from 0 to 1, not 1.5"),
        ({"cost": np.full((4, 3), -1.0)}, "cost of case 0 must be 0 or more, not -1.0"),
        ({"cost": np.full((4, 3), math.nan), "ids": np.array(list("abcd"), dtype=object)}, "cost of case 'a'"),
        ({"score": np.full((4, 2), math.inf)}, "a score must be a finite number"),
        ({"weights": np.zeros(4)}, "weigh nothing"),
        ({"tiers": ("a", "b")}, "tiers has 2 names, and 3 are needed"),
        ({"gates": ("a",)}, "gates has 1 names, and 2 are needed"),
    ],
)
def test_columns_that_do_not_fit_are_refused(changed: dict[str, Any], said: str) -> None:
    """A ladder that makes no sense is refused, with what is wrong."""
    with pytest.raises(ConfigError, match=said):
        Ladder(**_columns(**changed))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"keep": 0.0}, "keep must be above 0"),
        ({"keep": 1.1}, "keep must be above 0"),
        ({"keep": 0.9, "delta": 0.5}, "delta must be above 0"),
        ({"keep": 0.9, "split": 1.0}, "split must be above 0"),
    ],
)
def test_promises_that_make_no_sense_are_refused(given: dict[str, Any], said: str) -> None:
    """The terms of a promise are checked, and so is that there is something to judge by."""
    with pytest.raises(ConfigError, match=said):
        ladder_guarantee(Ladder(**_columns()), **given)
    with pytest.raises(ConfigError, match="cannot be dealt into two halves"):
        ladder_guarantee(Ladder(**_columns(learning=np.ones(4, dtype=bool))), keep=0.9)
    with pytest.raises(ConfigError, match="needs 2 thresholds"):
        Ladder(**_columns()).taken([0.5])
