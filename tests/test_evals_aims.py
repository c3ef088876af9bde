"""What a threshold is chosen for: each aim against trying every cut, and what it makes of a whole evaluation."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.evals.aims import Aim, Keep, Within, Worth
from fastcascade.evals.evaluation import evaluate
from fastcascade.evals.outcomes import Outcomes
from fastcascade.evals.strategies import DEAR
from fastcascade.evals.sweep import sweep, taken

CASES = st.lists(
    st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 2, st.integers(0, 4), st.integers(1, 9)), min_size=1, max_size=30
)


def made(n: int, seed: int = 0, *, told: bool = True, drop: float = 0.3) -> Outcomes:
    """A table: the cheap model is right by its confidence, or whatever that says."""
    rng = np.random.default_rng(seed)
    chance = rng.random(n)
    cheap = (rng.random(n) < 1 - 2 * drop * (1 - chance)).astype(float)
    return Outcomes(
        cheap,
        (rng.random(n) < 0.97).astype(float),
        np.full(n, 0.05),
        np.ones(n),
        signals={"confidence": chance if told else rng.random(n)},
        sense={"confidence": 1},
        cheap_seconds=rng.uniform(0.1, 0.3, n),
        dear_seconds=rng.uniform(1.0, 3.0, n),
    )


@given(CASES, st.booleans(), st.sampled_from([0.3, 0.6, 1.0, 2.0, 5.0]))
def test_cuts_are_the_best_of_all_cuts(rows: list[tuple[Any, ...]], router: bool, usd: float) -> None:
    """What a budget and the worth pick is as good as any cut, always-dear asked alone among them."""
    cheap, dear, score, price = np.array(rows, dtype=float).T
    outcomes = Outcomes(cheap, dear, np.full(len(cheap), 0.25), price)
    curve = sweep(outcomes, score, router=router)
    ways: list[tuple[float, float]] = []
    for threshold in curve.thresholds:
        took = score >= threshold
        base = np.where(took, 0.25, price) if router else 0.25 + np.where(took, 0.0, price)
        cost = price.mean() if math.isinf(threshold) else base.mean()
        ways.append((float(np.where(took, cheap, dear).mean()), float(cost)))
    mine = ways[Within(usd).cut(curve)]
    fit = [way for way in ways if way[1] <= usd + 1e-9]
    assert mine[0] >= max((way[0] for way in fit), default=0.0) - 1e-9
    assert mine[1] <= usd + 1e-9 or not fit
    worth = [quality * (1 - cost / price.mean()) for quality, cost in ways]
    assert worth[Worth().cut(curve)] >= max(worth) - 1e-9
    tried = np.array(ways).T
    assert ways[Within(usd).best(tried[0], tried[1], ways[0])][0] == pytest.approx(mine[0]) or not fit


@given(CASES, st.booleans())
def test_the_seconds_of_a_sweep_are_those_of_each_threshold(rows: list[tuple[Any, ...]], router: bool) -> None:
    """At every cut the mean time is that of deciding case by case."""
    cheap, dear, score, price = np.array(rows, dtype=float).T
    outcomes = Outcomes(cheap, dear, price, price, cheap_seconds=price / 7, dear_seconds=price)
    curve = sweep(outcomes, score, router=router)
    assert curve.seconds is not None
    for at, threshold in enumerate(curve.thresholds):
        took = score >= threshold
        known = np.where(took, price / 7, price) if router else price / 7 + np.where(took, 0.0, price)
        assert curve.seconds[at] == pytest.approx(known.mean())
        assert taken(outcomes, took, router=router) == pytest.approx(known)


def test_a_budget_is_kept_and_buys_quality() -> None:
    """More dollars buy no less quality, and what is spent on unseen cases is about the budget or less."""
    outcomes = made(800)
    found = [evaluate(outcomes, aim=Within(usd), repeats=1, strategy="raw") for usd in (0.2, 0.5)]
    assert found[0].quality_ratio < found[1].quality_ratio
    assert [1 - each.saving for each in found] == pytest.approx([0.2, 0.5], abs=0.05)
    assert all(each.more_cases_needed == 0 for each in found), "no claim is made"


def test_the_worth_is_no_less_than_at_the_ends() -> None:
    """Quality by saving is at least that of always-cheap, which it mostly comes down to; the oracle's is no less."""
    found = evaluate(made(600, drop=0.45), aim=Worth(), repeats=1, strategy="raw")
    worth = {each.strategy: each.quality_ratio * each.saving for each in found.strategies}
    assert worth["raw"] >= max(worth["always cheap"], worth[DEAR]) - 0.01 and worth["oracle"] >= worth["raw"]


def test_a_score_that_tells_nothing_is_not_cascaded_on() -> None:
    """Confidence drawn at random is seen through, however much a random mix would save."""
    found = [evaluate(made(300, seed, told=False), 0.9, repeats=1) for seed in range(8)]
    assert sum(each.recommendation == "do not cascade" for each in found) >= 7
    assert evaluate(made(300), 0.9, repeats=1).recommendation == "cascade"


def test_more_cases_are_asked_for_where_a_cascade_is_in_sight() -> None:
    """A table too small to carry a cascade says how many more would, and as many and some do."""
    small = evaluate(made(40, drop=0.12), 0.95, repeats=1)
    assert small.recommendation == "do not cascade" and 0 < small.more_cases_needed < 2_000
    many = [evaluate(made(40 + 2 * small.more_cases_needed, seed, drop=0.12), 0.95, repeats=1) for seed in range(5)]
    assert sum(each.recommendation == "cascade" for each in many) >= 4


def test_seconds_are_told_beside_those_of_always_dear() -> None:
    """An evaluation of a table with times has their mean and ends; without times it has none."""
    found = evaluate(made(400), 0.9, repeats=1)
    assert found.latency is not None and 1.9 < found.latency.dear_mean < 2.1
    assert found.latency.p50 < found.latency.p95 and found.latency.mean < found.latency.dear_mean
    assert found.latency.dear_p95 == pytest.approx(2.9, abs=0.1)


def refused(aim: Any, outcomes: Outcomes) -> None:
    """Make it, and check it."""
    made: Aim = aim()
    made.check(outcomes)


@pytest.mark.parametrize(
    ("aim", "said"),
    [
        (lambda: Keep(1.5), "keep must be above 0"),
        (lambda: Keep(0.9, 0.2), "confidence must be"),
        (lambda: Within(0.0), "above 0, not 0"),
        (lambda: Within(math.nan), "above 0, not nan"),
        (lambda: Within(0.01), r"the cheaper model alone costs 0\.05"),
    ],
)
def test_an_aim_out_of_reach_is_refused(aim: Any, said: str) -> None:
    """Each says what is wrong with it."""
    with pytest.raises(ConfigError, match=said):
        refused(aim, made(20))


def test_each_aim_says_what_it_is() -> None:
    """In the words of the command."""
    assert [str(each) for each in (Keep(0.98), Within(0.002), Worth())] == [
        "keep 98 % of always-dear's quality at least cost",
        "the best quality for 0.002 dollars a case",
        "the most quality x (1 - cost / always-dear's cost)",
    ]
