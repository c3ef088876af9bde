"""Bounds: each is wrong as seldom as it says, whatever is counted and in whatever order."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from fastcascade.errors import ConfigError
from fastcascade.evals import bounds
from fastcascade.evals.outcomes import Floats

NOISE = 3.0


def _most(rate: float, repeats: int) -> float:
    return rate + NOISE * math.sqrt(rate * (1 - rate) / repeats)


@pytest.mark.parametrize("n", [1, 7, 40, 974])
@pytest.mark.parametrize("truth", [0.0, 0.003, 0.2, 0.5, 0.97, 1.0])
def test_the_exact_interval_covers_every_truth(n: int, truth: float) -> None:
    """Each end of the exact interval is missed at most half of the time left, summed over all counts."""
    counts = np.arange(n + 1)
    low, high = bounds.exact_interval(counts, n, 0.9)
    weight = binom.pmf(counts, n, truth)
    assert weight[low > truth + 1e-12].sum() <= 0.05 + 1e-9
    assert weight[high < truth - 1e-12].sum() <= 0.05 + 1e-9


def test_wilsons_interval_is_as_published() -> None:
    """Wilson's interval for 81 of 263 is .2553 to .3662, and for no cases it is everything."""
    low, high = bounds.wilson_interval(81, 263)
    assert (round(float(low), 4), round(float(high), 4)) == (0.2553, 0.3662)
    assert tuple(map(float, bounds.wilson_interval(0, 0))) == (0.0, 1.0)


@given(st.integers(1, 300), st.floats(0.01, 0.99), st.data())
def test_cruder_bounds_are_never_below_the_exact_one(n: int, bound: float, data: st.DataObject) -> None:
    """Hoeffding's p-value and Hoeffding-Bentkus's are at least the binomial one below the bound, and in that order."""
    wrong = data.draw(st.integers(0, math.floor(n * bound)))
    exact = float(bounds.binomial_p(wrong, n, bound))
    mixed = float(bounds.hoeffding_bentkus_p(wrong / n, n, bound))
    assert exact <= mixed + 1e-12 <= float(bounds.hoeffding_p(wrong / n, n, bound)) + 2e-12


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.05, 0.95), st.randoms())
def test_betting_does_not_know_the_order(values: list[float], bound: float, random: Random) -> None:
    """The p-value of betting is the same for the same cases in any order."""
    first = bounds.betting_p(np.array(values), bound)
    random.shuffle(values)
    assert bounds.betting_p(np.array(values), bound) == pytest.approx(first, rel=1e-9)


@pytest.mark.parametrize("kind", ["coin", "uniform", "rare", "unlike"])
def test_betting_is_wrong_as_seldom_as_it_says(kind: str) -> None:
    """At a mean of just the bound, betting calls it lower at most 5 % of the time, cases alike or not."""
    rng, n, repeats = np.random.default_rng(5), 120, 2000
    draw = rng.random((repeats, n))
    values = {
        "coin": (draw < 0.3).astype(float),
        "uniform": 0.6 * draw,
        "rare": np.where(draw < 0.3 / 0.95, 0.95, 0.0),
        "unlike": (draw < np.linspace(0.0, 0.6, n)).astype(float),
    }[kind]
    wrong = sum(bounds.betting_p(each, 0.3) <= 0.05 for each in values)
    assert wrong / repeats <= _most(0.05, repeats)


@pytest.mark.parametrize("n", [30, 200])
@pytest.mark.parametrize("margin", [0.0, 0.02, 0.1])
def test_the_paired_test_is_wrong_as_seldom_as_it_says(n: int, margin: float) -> None:
    """Whatever the share of wins, a difference of just the margin is called smaller at most 5 % of the time."""
    lost, won = (each.ravel() for each in np.meshgrid(np.arange(31), np.arange(26)))
    inside = (lost + won <= n) & (lost - won < n * margin)
    lost, won = lost[inside], won[inside]
    called = np.array(
        [bounds.margin_p(a, b, n, margin, 0.001) <= 0.05 for a, b in zip(lost.tolist(), won.tolist(), strict=True)]
    )
    for win in (0.001, 0.01, 0.03):
        wins = binom.pmf(won, n, win)
        losses = binom.pmf(lost, n - won, (win + margin) / (1 - win))
        assert (wins * losses)[called].sum() <= 0.05


def test_the_paired_test_is_a_coin_where_nothing_may_be_lost() -> None:
    """At a margin of 0 only the cases on which the two differ count: 1 lost of 8 is 9 in 256."""
    assert bounds.margin_p(1, 7, 500, 0.0, 0.01) == pytest.approx(9 / 256)


def _score_of(lost: int, won: int, n: int, margin: float) -> float:
    """Tango's score, the root of the likelihood's equation as it stands in his paper's terms."""
    a, b = 2 * n, -(lost * (1 + margin) + won * (1 - margin) - 2 * n * margin)
    win = (math.sqrt(b * b + 8 * n * won * margin * (1 - margin)) - b) / (2 * a)
    return (lost - won - n * margin) / math.sqrt(n * (2 * win + margin * (1 - margin)))


def _summed(lost: int, won: int, n: int, margin: float, spare: float) -> float:
    """`margin_p` as it is defined: every result that is as far out, one after the other, at each place."""
    seen = _score_of(lost, won, n, margin)
    if seen > -0.5:
        return 1.0
    ends = (float(bounds.exact_low(won, n, spare / 2)), float(bounds.exact_high(won, n, spare / 2)))
    count = 40 if won < 10 else 12 if won < 100 else 5
    low, high = (min(end, (1 - margin) / 2) for end in ends)
    win = np.linspace(low, high, count)
    chance = np.minimum((win + margin) / (1 - win), 1.0)
    total = np.zeros(count)
    for wins in range(n + 1):
        most = -1
        while most + 1 < wins + n * margin and _score_of(most + 1, wins, n, margin) <= seen + 1e-9:
            most += 1
        if most >= 0:
            total += binom.pmf(wins, n, win) * binom.cdf(min(most, n - wins), n - wins, chance)
    return min(1.0, spare + 1.02 * float(total.max()) + 1e-8)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.data())
def test_the_paired_test_is_the_sum_it_is_said_to_be(n: int, data: st.DataObject) -> None:
    """Found by few evaluations, it is the sum over all results; what is next to impossible may weigh a little more."""
    won = data.draw(st.integers(0, n // 2))
    margin = data.draw(st.sampled_from([0.001, 0.02, 0.05, 0.1, 0.3, 0.6, 0.9]))
    lost = data.draw(st.integers(0, max(0, min(n - won, math.floor(won + n * margin)))))
    found, summed = bounds.margin_p(lost, won, n, margin, 0.001), _summed(lost, won, n, margin, 0.001)
    assert summed - 1e-9 <= found <= summed + 2e-8


@pytest.mark.parametrize("n", [10_000, 1_000_000])
@pytest.mark.parametrize("won", [0, 30, 2_000])
def test_the_paired_test_is_that_sum_for_many_cases(n: int, won: int) -> None:
    """For large counts, and results from likely to rare, it is the sum with each term from the sum function itself."""
    margin, spare = 0.01, 0.0005
    for off in (-3.0, -2.0, -1.0):
        lost = max(0, round(won + n * margin + off * math.sqrt(2 * won + n * margin)))
        seen = _score_of(lost, won, n, margin)
        places = 40 if won < 10 else 12 if won < 100 else 5
        ends = (float(bounds.exact_low(won, n, spare / 2)), float(bounds.exact_high(won, n, spare / 2)))
        win = np.linspace(*ends, places)
        wins = np.arange(max(0, won - 1500), won + 1500)
        low, high = np.full(len(wins), -1.0), np.floor(wins + n * margin) + 1
        while (high - low > 1).any():
            middle = np.floor((low + high) / 2)
            out = np.array([_score_of(*each, n, margin) for each in zip(middle.tolist(), wins.tolist(), strict=True)])
            low, high = np.where(out <= seen + 1e-9, middle, low), np.where(out <= seen + 1e-9, high, middle)
        few = binom.cdf(low, n - wins, ((win + margin) / (1 - win))[:, None])
        total = np.asarray(binom.pmf(wins, n, win[:, None]) * few).sum(axis=1).max()
        expected = min(1.0, spare + 1.02 * float(total) + 1e-8)
        assert bounds.margin_p(lost, won, n, margin, spare) == pytest.approx(expected, abs=2e-8)


def _pairs(rng: np.random.Generator, n: int, repeats: int, worse: float) -> tuple[Floats, Floats, Floats]:
    """Lost, won and right counts: the dear model is right on .8; the cheap one differs on .01 and loses `worse`."""
    lost, won, both, _ = rng.multinomial(n, [worse + 0.01, 0.01, 0.79 - worse, 0.2 - 0.01], repeats).T.astype(float)
    return lost, won, lost + both


def test_the_ratio_test_is_wrong_as_seldom_as_it_says_and_has_power() -> None:
    """At a ratio of just .98 it is called higher at most 5 % of the time; at .9925, most of the time of 974 cases."""
    rng, n, repeats = np.random.default_rng(7), 974, 800
    for worse, least, most in ((0.016, 0.005, _most(0.05, repeats)), (0.006, 0.5, 1.0)):
        lost, won, right = _pairs(rng, n, repeats, worse)
        rate = np.mean([bounds.ratio_p(*each, n, 0.98, 0.005) <= 0.05 for each in zip(lost, won, right, strict=True)])
        assert least <= rate <= most


@given(st.integers(1, 400), st.data())
def test_more_losses_never_help(n: int, data: st.DataObject) -> None:
    """With one more loss and one tie less the p-value does not fall."""
    won = data.draw(st.integers(0, n // 2))
    lost = data.draw(st.integers(0, n - won - 1)) if won < n else 0
    first, second = (bounds.margin_p(each, won, n, 0.05, 0.001) for each in (lost, lost + 1))
    assert 0 <= first <= second + 1e-6 <= 1 + 1e-6


def test_betting_refuses_values_it_was_not_told_of() -> None:
    """A value outside the ends, a bound outside them, or no cases at all is a `ConfigError`."""
    for values, bound in (([0.5, 1.5], 0.5), ([0.5], 1.5), ([], 0.5)):
        with pytest.raises(ConfigError, match="betting"):
            bounds.betting_p(np.array(values), bound)
    assert bounds.betting_p(np.array([0.2]), 1.0) == 0.0


def test_planning_scores_point_the_right_way() -> None:
    """The score is below 0 where the ratio is above `keep`, and 0 where nothing is known."""
    assert bounds.ratio_score(2, 1, 800, 974, 0.98) < 0 < bounds.ratio_score(40, 1, 800, 974, 0.98)
    assert bounds.ratio_score(0, 0, 800, 974, 1.0) == 0.0
    assert bounds.ratio_score(1, 5, 800, 974, 1.0) < 0
