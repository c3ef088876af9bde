"""All thresholds at once: the same figures as one threshold after another, and a choice that keeps its margin."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.evals.curves import brier, calibrated, ece, fit_isotonic, fit_platt, through
from fastcascade.evals.outcomes import Floats, Outcomes
from fastcascade.evals.slicing import fit_slices, through_slices
from fastcascade.evals.sweep import area, paid, sweep

CASES = st.lists(
    st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 2, st.integers(0, 4), st.integers(1, 3), st.integers(1, 9)),
    min_size=1,
    max_size=40,
)


def made(rows: list[tuple[Any, ...]]) -> tuple[Outcomes, Floats]:
    """A table and a score, from rows of cheap, dear, score, weight and dear cost."""
    cheap, dear, score, weight, cost = np.array(rows, dtype=float).T
    return Outcomes(cheap, dear, np.full(len(cheap), 0.25), cost, weights=weight), score


@given(CASES, st.booleans())
def test_a_sweep_is_one_threshold_after_another(rows: list[tuple[Any, ...]], router: bool) -> None:
    """Escalation, quality, cost and quality of the accepted at every cut are those of deciding case by case."""
    outcomes, score = made(rows)
    found = sweep(outcomes, score, router=router)
    assert list(found.thresholds) == [np.inf, *sorted(set(score.tolist()), reverse=True)]
    for at, threshold in enumerate(found.thresholds):
        accepted = score >= threshold
        weight = outcomes.weight
        quality = np.average(np.where(accepted, outcomes.cheap, outcomes.dear), weights=weight)
        assert found.quality[at] == pytest.approx(quality)
        assert found.cost[at] == pytest.approx(np.average(paid(outcomes, accepted, router=router), weights=weight))
        assert found.escalated[at] == pytest.approx(np.average(~accepted, weights=weight), abs=1e-12)
        if accepted.any():
            right = np.average(outcomes.cheap[accepted], weights=weight[accepted])
            assert found.accepted_quality[at] == pytest.approx(right)


@given(CASES, st.sampled_from([0.8, 0.95, 1.0]))
def test_the_choice_is_the_cheapest_that_keeps_its_margin(rows: list[tuple[Any, ...]], keep: float) -> None:
    """No cheaper cut is good, the chosen one is, and always-dear is chosen where none is."""
    outcomes, score = made(rows)
    found = sweep(outcomes, score)
    place = found.keep(keep, 0.95)
    good = found.shortfall(keep, 0.95) <= 0
    if place:
        assert good[place] and found.ratio[place] >= keep - 1e-9
        assert not (good[1:] & (found.cost[1:] < found.cost[place])).any()
    else:
        assert not (good[1:] & (found.cost[1:] < found.dear_cost - 1e-12)).any()


@pytest.mark.parametrize("share", [1, 2, 7])
def test_the_margin_errs_as_seldom_as_it_says(share: int) -> None:
    """Of tables whose cut loses just what is allowed, about 5 % or fewer are passed, however rare losses are."""
    rng = np.random.default_rng(share)
    n, passed, tables = 400, 0, 1000
    for _ in range(tables):
        cheap = (rng.random(n) >= share / 100).astype(float)
        outcomes = Outcomes(cheap, np.ones(n), np.zeros(n), np.ones(n))
        passed += int(sweep(outcomes, np.zeros(n)).keep(1 - share / 100, 0.95) > 0)
    assert passed / tables < 0.05 + 3 * (0.05 * 0.95 / tables) ** 0.5


def test_a_budget_and_the_worth_of_a_cut() -> None:
    """Within a budget the best quality is taken, always-dear for what it costs alone; worth is quality by saving."""
    outcomes, score = made([(1, 1, 4, 1, 1), (1, 1, 3, 1, 1), (0, 1, 2, 1, 1), (0, 1, 1, 1, 1)])
    found = sweep(outcomes, score)
    assert found.within(0.75) == 2 and found.within(9.0) == 2
    assert found.within(0.1) == 4, "nothing costs so little: the cheapest"
    assert found.worth() == int(np.argmax(found.quality * (1 - found.cost)))
    dearer = sweep(*made([(0, 1, 2, 1, 1), (0, 1, 1, 1, 1)]))
    assert dearer.within(1.0) == 0, "always-dear asks one model, and pays one"


def test_area_has_its_two_ends() -> None:
    """One score for all is a random mix, at 0, and the gain by dollar itself is an oracle, at 1."""
    rng = np.random.default_rng(1)
    cheap, dear, cost = rng.random(500), rng.random(500), rng.random(500) + 0.1
    outcomes = Outcomes(cheap, dear, cost / 9, cost)
    assert area(outcomes, np.zeros(500)) == pytest.approx(0)
    assert area(outcomes, (cheap - dear) / cost) == pytest.approx(1)
    assert abs(area(outcomes, rng.random(500))) < 0.15


def test_a_score_must_fit() -> None:
    """A score of other length, or one that is not finite, is refused by what is wrong with it."""
    outcomes, score = made([(1, 1, 1, 1, 1)] * 3)
    with pytest.raises(ConfigError, match="the score has 2 cases, and the outcomes have 3"):
        sweep(outcomes, score[:2])
    with pytest.raises(ConfigError, match="must be finite"):
        sweep(outcomes, np.array([1.0, np.nan, 2.0]))


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 1)), min_size=1, max_size=60))
def test_an_isotonic_curve_never_falls_and_keeps_the_mean(rows: list[tuple[int, int]]) -> None:
    """It rises with the score, and over all cases it says as many right as there were."""
    score, right = np.array(rows, dtype=float).T
    fitted = through(fit_isotonic(score / 8, right), score / 8)
    assert (np.diff(fitted[np.argsort(score)]) >= -1e-12).all()
    assert fitted.mean() == pytest.approx(right.mean(), abs=1e-9)


def test_curves_mend_a_score_that_is_too_sure() -> None:
    """ECE and Brier fall by a curve fitted on other folds; a score that says the opposite gets a level curve."""
    rng = np.random.default_rng(3)
    truth = rng.uniform(0.3, 0.9, 4000)
    right = (rng.random(4000) < truth).astype(float)
    score = truth**0.2
    found = calibrated(score, right)
    assert found.ece_after < 0.03 < found.ece_before and found.brier_after < found.brier_before
    low, high = found.ece_before_interval
    assert low < found.ece_before < high
    assert brier(truth, right) < brier(score, right) and ece(truth, right) < 0.03
    assert fit_platt(score, right).a > 0 and fit_platt(score, 1 - right).a == 0


def test_slices_stay_near_the_whole_where_cases_are_few() -> None:
    """A large slice that differs has its own curve, three wrong cases do not make it 0, and equal slices share one."""
    rng = np.random.default_rng(5)
    slices = np.array(["a"] * 2000 + ["b"] * 2000 + ["few"] * 3, dtype=object)
    score = rng.random(4003)
    right = (rng.random(4003) < np.where(slices == "a", 0.9, 0.5)).astype(float)
    right[-3:] = 0.0
    found = fit_slices(score, right, slices, method="platt")
    assert found.shifts["a"] > 0.4
    assert through_slices(found, score[-3:], slices[-3:]).min() > 0.2
    level = fit_slices(score, np.tile([0.0, 1.0], 2002)[:4003], slices, method="platt").shifts
    assert abs(level.get("a", 0.0) - level.get("b", 0.0)) < 0.1


@pytest.mark.parametrize("heavy", [1.0, 10.0])
def test_the_margin_knows_of_weights(heavy: float) -> None:
    """Where the few cases that weigh most are those that may be lost, it errs no more often than with equal weights."""
    rng = np.random.default_rng(7)
    n, share, passed, tables = 2000, 0.06, 0, 600
    for _ in range(tables):
        score = (rng.random(n) < share).astype(float)
        weights = np.where(score > 0, heavy, 1.0)
        part = heavy * share / (heavy * share + 1 - share)
        cheap = (rng.random(n) >= np.where(score > 0, 0.05 / part, 0.0)).astype(float)
        outcomes = Outcomes(cheap, np.ones(n), np.zeros(n), np.ones(n), weights=weights)
        passed += int(sweep(outcomes, score).shortfall(0.95, 0.95)[1] <= 0)
    assert 0.01 < passed / tables < 0.05 + 3 * (0.05 * 0.95 / tables) ** 0.5
