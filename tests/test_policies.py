"""Policies: where to begin, when to go on, when to stop. Values in, a tier out."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from math import erf, sqrt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.policies import Everything, ExpectedGain, Ladder, Plan, Policy, Standing, Threshold

GRID = st.integers(0, 20).map(lambda step: step / 20)
COSTS = st.integers(0, 40).map(lambda step: step / 4000)
LAMBDAS = st.sampled_from([0.01, 0.1, 0.5, 1.0, 3.0, 7.0, 10.0, 30.0, 100.0, 1000.0])


def ladder(quality: Sequence[float | None], cost: Sequence[float | None]) -> Ladder:
    """A ladder of tiers a, b, c, ... with these qualities and costs."""
    return Ladder(tuple("abcdefghijkl"[: len(quality)]), tuple(quality), tuple(cost), (0.5,) * len(quality))


@st.composite
def ladders(draw: st.DrawFn, most: int = 5) -> Ladder:
    """Ladders of two tiers or more, all of them known."""
    count = draw(st.integers(2, most))
    return ladder(
        draw(st.lists(GRID, min_size=count, max_size=count)), draw(st.lists(COSTS, min_size=count, max_size=count))
    )


def standing(position: int, last: int, score: float | None = None, **known: Any) -> Standing:
    """What is known after one tier."""
    fields: dict[str, Any] = {"accepted": False, "failed": False, "best": score, "spent_usd": 0.0}
    fields |= {"tried": frozenset({position}), **known}
    return Standing(position, last, score, **fields)


def expected(qualities: list[float], spread: float, best: float, steps: int = 4000) -> float:
    """The mean of the best of normal values and `best`, cut at 1: a Riemann sum over the product of their curves."""
    if spread == 0.0:
        return min(1.0, max([best, *qualities]))
    low = min([best, *qualities]) - 9.0 * spread if best == -9.0 else best
    width = (1.0 - low) / steps
    total = low
    for step in range(steps):
        at = low + (step + 0.5) * width
        below = 1.0
        for mean in qualities:
            below *= 0.5 * (1.0 + erf((at - mean) / (spread * sqrt(2.0))))
        total += (1.0 - below) * width
    return total


def worths(best: float | None, ahead: tuple[int, ...], known: Ladder, lam: float, spread: float) -> dict[Any, float]:
    """Every set of tiers and what it is worth, by numeric integration."""
    found = {}
    for size in range(len(ahead) + 1):
        for tiers in combinations(ahead, size):
            if not tiers and best is None:
                continue
            quality = expected([known.quality[tier] or 0.0 for tier in tiers], spread, -9.0 if best is None else best)
            found[tiers] = quality - lam * sum(known.cost[tier] or 0.0 for tier in tiers)
    return found


THRESHOLD_CASES = [
    (standing(0, 2, 0.9, accepted=True), None),
    (standing(0, 2, 0.2), 1),
    (standing(1, 2, None, failed=True), 2),
    (standing(2, 2, 0.2), None),
    (standing(0, 0, 0.2), None),
    (standing(0, 3, 0.2, tried=frozenset({0, 1})), 2),
    (standing(0, 1, 0.2, tried=frozenset({0, 1})), None),
    (standing(0, 2, None, accepted=True, best=None), None),
]


@pytest.mark.parametrize(("known", "then"), THRESHOLD_CASES)
def test_the_threshold_stops_at_the_first_accepted(known: Standing, then: int | None) -> None:
    """An accepted reply ends it; any other goes to the next tier that is left and allowed."""
    tiers = ladder([None] * 4, [None] * 4)
    assert Threshold().after(known, tiers) == then
    assert Threshold().first(1, 3, tiers) == 1


@pytest.mark.parametrize("accepted", [True, False])
def test_everything_goes_to_the_last(accepted: bool) -> None:
    """Every tier up to the last is tried, whatever was found."""
    tiers = ladder([None] * 4, [None] * 4)
    policy: Policy = Everything()
    seen: list[int | None] = [policy.first(0, 2, tiers)]
    while seen[-1] is not None:
        seen.append(policy.after(standing(seen[-1], 2, 0.9, accepted=accepted), tiers))
    assert seen == [0, 1, 2, None]


GAIN_CASES = [
    # 25 points of gain at a cost of 2, 20 and 30 points
    ("worth it", ExpectedGain(2.0, spread=0.0), standing(0, 1, 0.7), 1),
    ("worth it, though accepted", ExpectedGain(2.0, spread=0.0), standing(0, 1, 0.7, accepted=True), 1),
    ("just worth it", ExpectedGain(20.0, spread=0.0), standing(0, 1, 0.7), 1),
    ("not worth it", ExpectedGain(30.0, spread=0.0), standing(0, 1, 0.7), None),
    ("not worth it, though not accepted", ExpectedGain(30.0, spread=0.0), standing(0, 1, 0.0, best=0.7), None),
    ("good as certain", ExpectedGain(0.0), standing(0, 1, 1.0), None),
    ("nothing is better", ExpectedGain(0.0, spread=0.0), standing(0, 1, 0.95), None),
    ("nobody could judge", ExpectedGain(1000.0), standing(0, 1, None), 1),
    ("failed", ExpectedGain(1000.0), standing(0, 1, None, failed=True), 1),
    (
        "failed, but there is a good reply",
        ExpectedGain(30.0, spread=0.0),
        standing(0, 1, None, failed=True, best=0.7),
        None,
    ),
    ("no gate", ExpectedGain(0.0), standing(0, 1, None, accepted=True), None),
    ("none left", ExpectedGain(0.0), standing(1, 1, None, failed=True), None),
    ("the other was tried", ExpectedGain(0.0), standing(0, 1, 0.1, tried=frozenset({0, 1})), None),
    ("told otherwise", ExpectedGain(20.0, {"b": 0.8}, spread=0.0), standing(0, 1, 0.7), None),
    ("told of another", ExpectedGain(20.0, {"a": 0.8}, spread=0.0), standing(0, 1, 0.7), 1),
    ("a function says", ExpectedGain(20.0, lambda _, best: best, spread=0.0), standing(0, 1, 0.7), None),
]


@pytest.mark.parametrize(("why", "gain", "known", "then"), GAIN_CASES, ids=[case[0] for case in GAIN_CASES])
def test_gain_is_weighed_against_cost(why: str, gain: ExpectedGain, known: Standing, then: int | None) -> None:
    """It goes on where the gain in quality is worth more than the cost, and there alone."""
    assert gain.after(known, ladder([0.6, 0.95], [0.001, 0.01])) == then


def test_a_useless_tier_in_the_middle_is_skipped() -> None:
    """A tier that is hardly better and costs as much as the last is passed over."""
    tiers = ladder([0.5, 0.55, 0.95], [0.001, 0.01, 0.01])
    assert ExpectedGain(5.0, spread=0.05).after(standing(0, 2, 0.5), tiers) == 2
    cheap = ladder([0.5, 0.9, 0.95], [0.001, 0.002, 0.1])
    assert ExpectedGain(5.0, spread=0.05).after(standing(0, 2, 0.5), cheap) == 1


def test_where_to_begin() -> None:
    """It begins above the entry tier where that is the better plan and it may, and never above the last."""
    tiers = ladder([0.3, 0.5, 0.95], [0.001, 0.001, 0.01])
    assert ExpectedGain(100.0, spread=0.0).first(0, 2, ladder([0.3, 0.9, 0.95], [0.001, 0.001, 0.1])) == 1
    assert ExpectedGain(5.0, spread=0.0).first(0, 2, tiers) == 2
    assert ExpectedGain(5.0, spread=0.0).first(0, 1, tiers) == 1
    assert ExpectedGain(5.0, spread=0.0).first(0, 0, tiers) == 0
    assert ExpectedGain(5.0, spread=0.0, route=False).first(0, 2, tiers) == 0
    assert ExpectedGain(5.0).first(0, 2, ladder([None, 0.5, 0.9], [0.0, 0.1, 0.1])) == 0


UNKNOWN = [
    ladder([0.5, None, 0.9], [0.001, 0.01, 0.1]),
    ladder([0.5, 0.8, None], [0.001, 0.01, 0.1]),
    ladder([0.5, 0.8, 0.9], [0.001, None, 0.1]),
    ladder([0.5, 0.8, 0.9], [0.001, 0.01, None]),
]


@pytest.mark.parametrize("tiers", UNKNOWN)
def test_what_is_not_known_is_the_thresholds_to_decide(tiers: Ladder) -> None:
    """With a cost or a quality unknown it does what the threshold would do, and says so when it is built."""
    policy = ExpectedGain(1000.0)
    for known in (standing(0, 2, 0.2), standing(0, 2, 0.9, accepted=True), standing(0, 2, None, failed=True)):
        assert policy.after(known, tiers) == Threshold().after(known, tiers)
    assert policy.plan(0.2, (1, 2), tiers) is None
    with pytest.raises(ConfigError, match=r"tier '[bc]' has no (known cost|quality) to weigh"):
        policy.check(tiers)


def test_what_is_known_passes_the_check() -> None:
    """Nothing need be known of the lowest tier, and a function may know the qualities."""
    ExpectedGain(1.0).check(ladder([None, 0.9], [None, 0.1]))
    ExpectedGain(1.0, {"b": 0.9}).check(ladder([None, None], [None, 0.1]))
    ExpectedGain(1.0, lambda _name, _best: 0.9).check(ladder([None, None], [None, 0.1]))


def test_a_function_is_told_the_best_score() -> None:
    """A quality that is a function is asked for the tiers ahead alone, with the best score so far."""
    asked: list[tuple[str, float | None]] = []

    def quality(name: str, best: float | None) -> float | None:
        asked.append((name, best))
        return 0.9

    tiers = ladder([None] * 3, [0.001, 0.01, 0.1])
    policy = ExpectedGain(1.0, quality)
    policy.first(0, 2, tiers)
    policy.after(standing(0, 2, 0.4, best=0.6), tiers)
    assert asked == [("a", None), ("b", None), ("c", None), ("b", 0.6), ("c", 0.6)]
    assert ExpectedGain(1.0, lambda _name, _best: None).after(standing(0, 2, 0.4), tiers) == 1


@given(ladders(), st.none() | GRID, LAMBDAS, st.sampled_from([0.0, 0.05, 0.2, 0.4]))
def test_no_set_is_worth_more(tiers: Ladder, best: float | None, lam: float, spread: float) -> None:
    """The chosen set is worth as much as the best that brute force finds; Clark's approximation is near."""
    ahead = tuple(range(1, len(tiers.names)))
    plan = ExpectedGain(lam, spread=spread).plan(best, ahead, tiers)
    assert plan is not None
    worth = worths(best, ahead, tiers, lam, spread)
    near = 1e-4 if len(ahead) == 1 or spread == 0.0 else 0.02 * spread + 2e-3
    assert worth[plan.tiers] >= max(worth.values()) - near
    assert plan.usd == pytest.approx(sum(tiers.cost[tier] or 0.0 for tier in plan.tiers))
    gain = worth[plan.tiers] + lam * plan.usd - (best or 0.0)
    assert plan.gain == pytest.approx(gain, abs=near)


@given(GRID, GRID, GRID, st.sampled_from([0.05, 0.2, 0.4]))
def test_two_tiers_are_exact(one: float, other: float, best: float, spread: float) -> None:
    """The expected best of one tier and the score so far is a closed form, exact to rounding."""
    tiers = ladder([one, other], [0.0, 0.0])
    plan = ExpectedGain(0.0, spread=spread).plan(best, (1,), tiers)
    assert plan is not None
    assert plan.gain == pytest.approx(expected([other], spread, best) - best, abs=1e-6)


@given(ladders(), st.none() | GRID, st.sampled_from([0.0, 0.1, 0.3]))
def test_dearer_dollars_never_spend_more(tiers: Ladder, best: float | None, spread: float) -> None:
    """The larger lam, the less the plan costs."""
    ahead = tuple(range(1, len(tiers.names)))
    lambdas = [0.01, 0.1, 0.5, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0]
    plans = [ExpectedGain(lam, spread=spread).plan(best, ahead, tiers) for lam in lambdas]
    spent = [plan.usd for plan in plans if plan is not None]
    assert len(spent) == len(lambdas)
    assert all(after <= before + 1e-12 for before, after in pairwise(spent))


@given(ladders(), LAMBDAS, GRID, st.data())
def test_it_moves_up_and_within_bounds(tiers: Ladder, lam: float, score: float, data: st.DataObject) -> None:
    """What it says next lies above the tier just tried, no higher than the last, and was not tried."""
    count = len(tiers.names)
    position = data.draw(st.integers(0, count - 1))
    last = data.draw(st.integers(position, count - 1))
    tried = data.draw(st.frozensets(st.integers(0, count - 1))) | {position}
    policies: list[Policy] = [Threshold(), Everything(), ExpectedGain(lam)]
    for policy in policies:
        then = policy.after(standing(position, last, score, tried=tried), tiers)
        assert then is None or (position < then <= last and then not in tried)
        assert position <= policy.first(position, last, tiers) <= last


@given(ladders(), LAMBDAS, GRID)
def test_a_decision_depends_on_its_arguments_alone(tiers: Ladder, lam: float, score: float) -> None:
    """Asked again after other questions, or asked anew, it says the same: nothing is remembered but tables."""
    last = len(tiers.names) - 1
    known = standing(0, last, score)
    used, other = ExpectedGain(lam), ladder([0.9, 0.1], [1.0, 0.0])
    before = used.after(known, tiers)
    used.after(standing(0, 1, 0.1), other)
    used.first(0, 1, other)
    beyond = replace(tiers, quality=(0.123, *tiers.quality[1:]), cost=(9.9, *tiers.cost[1:]))
    assert used.after(known, tiers) == before == ExpectedGain(lam).after(known, tiers)
    assert used.after(known, beyond) == before  # what is behind plays no part
    assert known == standing(0, last, score)


@given(ladders(4), GRID, st.floats(0.0, 0.01), LAMBDAS)
def test_what_lies_above_the_last_tier_plays_no_part(tiers: Ladder, quality: float, cost: float, lam: float) -> None:
    """A tier that this request may not use changes nothing."""
    last = len(tiers.names) - 1
    taller = ladder([*tiers.quality, quality], [*tiers.cost, cost])
    known = standing(0, last, 0.4)
    assert ExpectedGain(lam).after(known, tiers) == ExpectedGain(lam).after(known, taller)
    assert ExpectedGain(lam).first(0, last, tiers) == ExpectedGain(lam).first(0, last, taller)


def test_costs_may_differ_with_each_request() -> None:
    """The same policy weighs each request at its own cost."""
    policy = ExpectedGain(10.0, spread=0.0)
    assert policy.after(standing(0, 1, 0.7), ladder([0.6, 0.95], [0.0, 0.001])) == 1
    assert policy.after(standing(0, 1, 0.7), ladder([0.6, 0.95], [0.0, 0.1])) is None


def test_a_tall_ladder_is_weighed_in_sets_of_three() -> None:
    """With more than six tiers ahead a plan holds at most three, and every tier can still be reached."""
    tiers = ladder([0.5] * 11, [0.0] * 11)
    plan = ExpectedGain(0.0, spread=0.2).plan(0.1, tuple(range(1, 11)), tiers)
    assert plan is not None and len(plan.tiers) == 3
    six = ExpectedGain(0.0, spread=0.2).plan(0.1, tuple(range(5, 11)), tiers)
    assert six is not None and six.tiers == (5, 6, 7, 8, 9, 10)
    best = ladder([0.5] * 10 + [0.95], [0.01] * 11)
    assert ExpectedGain(5.0, spread=0.01).after(standing(0, 10, 0.5), best) == 10


def test_memory_is_bounded() -> None:
    """Qualities that differ with each request do not pile up."""
    policy = ExpectedGain(1.0)
    for step in range(2000):
        policy.after(standing(0, 1, 0.5), ladder([0.5, step / 2000], [0.0, 0.01]))
    assert len(policy._tables) <= 512  # noqa: SLF001 # there is no other way to see it


BAD: list[tuple[dict[str, Any], str]] = [
    ({"lam": -1.0}, "lam must be zero or more"),
    ({"lam": float("nan")}, "lam must be zero or more"),
    ({"lam": float("inf")}, "lam must be zero or more"),
    ({"lam": 1.0, "quality": {"a": 1.5}}, "the quality of tier 'a' must be from 0 to 1"),
    ({"lam": 1.0, "spread": -0.1}, "spread is a standard deviation"),
    ({"lam": 1.0, "spread": {"a": 2.0}}, "spread is a standard deviation"),
]


@pytest.mark.parametrize(("settings", "message"), BAD)
def test_settings_that_cannot_work(settings: dict[str, Any], message: str) -> None:
    """A setting without sense is an error when the policy is built, and names what is wrong."""
    with pytest.raises(ConfigError, match=message):
        ExpectedGain(**settings)


def test_how_they_show() -> None:
    """A policy shows how it was made."""
    assert repr(Threshold()) == "Threshold()"
    assert repr(Everything()) == "Everything()"
    assert repr(ExpectedGain(2.0)) == "ExpectedGain(lam=2.0, quality=None, spread=0.2, route=True)"
    assert Plan((1,), 0.5, 0.1).tiers == (1,)


def test_a_spread_of_its_own() -> None:
    """A tier whose quality is less certain has more to gain; one not named has the usual spread."""
    tiers = ladder([0.5, 0.6], [0.0, 0.01])
    assert ExpectedGain(10.0, spread={"b": 0.0}).after(standing(0, 1, 0.6), tiers) is None
    assert ExpectedGain(10.0, spread={"b": 0.4}).after(standing(0, 1, 0.6), tiers) == 1
    one, other = ExpectedGain(10.0, spread={"a": 0.0}), ExpectedGain(10.0)
    assert one.plan(0.6, (1,), tiers) == other.plan(0.6, (1,), tiers)
