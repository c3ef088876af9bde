"""Rules learned from some cases and applied to others: what they see, what they choose, and that they keep it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.evals.aims import Keep
from fastcascade.evals.features import Frame, agreements, columns
from fastcascade.evals.logistic import fit
from fastcascade.evals.outcomes import Floats, Outcomes, Texts
from fastcascade.evals.strategies import CHEAP, DEAR, STRATEGIES, learn, see, train


def made(n: int = 1500, seed: int = 0, *, drop: float = 0.5, price: float = 0.05) -> Outcomes:
    """A pair of models: the signal says how hard a case is to the cheap one."""
    rng = np.random.default_rng(seed)
    ease = rng.random(n)
    cheap = (rng.random(n) < 1 - drop * (ease < 0.5)).astype(float)
    dear = (rng.random(n) < 0.97).astype(float)
    slices = np.where(rng.random(n) < 0.5, "x", "y").astype(object)
    return Outcomes(cheap, dear, np.full(n, price), np.ones(n), {"confidence": ease}, {"confidence": 1}, slices)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_learns_a_rule_that_decides(strategy: str) -> None:
    """A rule of every strategy decides cases that it has not seen, and keeps what it promised there."""
    rule = train(made(), Keep(0.95), strategy=strategy)
    unseen = made(4000, 1)
    accepted = rule.accepts(see(unseen))
    assert accepted.shape == (4000,) and accepted.dtype == bool
    if strategy not in (CHEAP, "router"):
        assert np.where(accepted, unseen.cheap, unseen.dear).mean() >= 0.95 * unseen.dear.mean()
    if strategy not in (DEAR, CHEAP, "router"):
        assert 0.3 < accepted.mean() < 0.8


CALLED = [
    ("the cheap one is as good", {"drop": 0.0}, CHEAP),
    ("the cheap one costs as much", {"price": 1.0}, DEAR),
]


@pytest.mark.parametrize(("why", "how", "name"), CALLED, ids=[each[0] for each in CALLED])
def test_auto_says_when_not_to_cascade(why: str, how: dict[str, float], name: str) -> None:
    """Where a cascade brings nothing, auto comes to one of the two models alone."""
    assert why
    outcomes = made(1500, 2, drop=how.get("drop", 0.5), price=how.get("price", 0.05))
    assert train(outcomes, Keep(0.98 if name == DEAR else 0.95)).name == name


def test_a_rule_is_the_same_for_the_same_seed() -> None:
    """Learning is repeatable: the same cases and seed give the same threshold."""
    first, second = train(made(400), Keep(0.9), seed=3), train(made(400), Keep(0.9), seed=3)
    assert (first.name, first.threshold) == (second.name, second.threshold)


def test_a_router_pays_for_one_model_and_sees_only_the_prompt() -> None:
    """From words alone a router learns who is to answer, and no cascade is offered."""
    rng = np.random.default_rng(0)
    hard = rng.random(300) < 0.5
    prompts = np.where(hard, "prove this theorem", "greet the guest").astype(object)
    cheap = (rng.random(300) < np.where(hard, 0.2, 0.97)).astype(float)
    outcomes = Outcomes(cheap, np.ones(300), np.full(300, 0.1), np.ones(300), prompts=prompts)
    rule = train(outcomes, Keep(0.95))
    accepted = rule.accepts(see(outcomes))
    assert rule.router and rule.name.startswith("router") and accepted[~hard].all() and not accepted[hard].any()


def test_no_truth_is_seen() -> None:
    """What the models came to and cost is in no column: turn it all round, and the columns are the same."""
    one = made(50)
    other = Outcomes(1 - one.cheap, 1 - one.dear, one.cheap_cost + 3, one.dear_cost * 7, one.signals, one.sense, one.slices)  # fmt: skip  # noqa: E501
    assert np.array_equal(columns(one).numbers, columns(other).numbers)
    assert columns(one).names == ("confidence", "confidence_odds")


SAMPLES = st.lists(st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=4, max_size=4), min_size=1, max_size=8)


@given(SAMPLES)
def test_samples_are_counted_as_by_hand(rows: list[list[str]]) -> None:
    """Share of the majority, empties and distinct answers are those of counting each case by itself."""
    found, answers = agreements(np.array(rows, dtype=object))
    for at, row in enumerate(rows):
        given = [each for each in row if each]
        top = max((given.count(each) for each in given), default=0)
        assert found["share_of_majority"][at] == pytest.approx(top / max(len(given), 1))
        assert found["distinct"][at] == pytest.approx(-len(set(given)))
        assert found["empty_share"][at] == pytest.approx((len(given) - 4) / 4)
        assert answers[at] == next((each for each in row if each and given.count(each) == top), "")


def test_what_is_missing_and_what_is_new_is_borne() -> None:
    """A case without a signal, and one of a slice never seen, get a finite row as wide as the others."""
    table = made(200)
    frame = Frame(columns(table), wide=True)
    odd: Texts = np.array(["never seen"], dtype=object)
    none: Floats = np.array([np.nan])
    case = Outcomes(np.ones(1), np.ones(1), np.ones(1), np.ones(1), {"confidence": none}, {"confidence": 1}, odd)
    row, rows = frame.matrix(columns(case)), frame.matrix(columns(table))
    assert isinstance(row, np.ndarray) and isinstance(rows, np.ndarray)
    assert np.isfinite(row).all() and row.shape[1] == rows.shape[1]


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.5, 50))
def test_logistic_regression_is_at_its_optimum(seed: int, penalty: float) -> None:
    """At the fit the slope of the penalized loss is zero, with fractional targets and weights."""
    rng = np.random.default_rng(seed)
    matrix, right, weight = rng.normal(size=(80, 3)), rng.random(80), rng.random(80) + 0.1
    found = fit(matrix, right, weight, penalty)
    error = weight * (found.chance(matrix) - right)
    assert np.abs(matrix.T @ error + penalty * found.coefficients).max() < 1e-2
    assert abs(error.sum()) < 1e-2


def test_an_unknown_strategy_is_refused() -> None:
    """A name that is no strategy is refused with those that are."""
    table = made(50)
    with pytest.raises(ConfigError, match="no strategy 'magic'; there are: auto, raw"):
        learn(table, see(table), Keep(0.9), np.random.default_rng(0), ("magic",))


def test_a_column_to_each_mark_has_an_end() -> None:
    """Of three hundred slices the largest have a column, so that a fit does not grow with the square of all."""
    many = np.repeat([f"s{at:03}" for at in range(300)], 15).astype(object)
    many[:200] = "s299"
    n = len(many)
    table = Outcomes(np.ones(n), np.ones(n), np.ones(n), np.ones(n), slices=many)
    frame = Frame(columns(table))
    matrix = frame.matrix(columns(table))
    assert isinstance(matrix, np.ndarray) and matrix.shape == (n, 100)
    assert len(np.unique(matrix[:200], axis=0)) == 1 and not (matrix[0] == matrix[-20]).all()
