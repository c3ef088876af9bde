"""Ties broken by a second signal: the order of the first stands, and a real gate gives the same score."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError
from fastcascade.evals.aims import Keep
from fastcascade.evals.evaluation import evaluate
from fastcascade.evals.outcomes import Outcomes
from fastcascade.evals.strategies import learn, see
from fastcascade.evals.ties import tie_broken, tie_weight

NUMBERS = st.lists(
    st.tuples(st.integers(0, 5), st.one_of(st.none(), st.floats(0, 1, allow_subnormal=False))), min_size=1, max_size=30
)


def made(first: Any, second: Any) -> Outcomes:
    """A table with two signals, the second of which points down."""
    n = len(first)
    ones = np.ones(n)
    signals = {"agreement": np.array(first, dtype=float), "vote_entropy": np.array(second, dtype=float)}
    return Outcomes(ones, ones, ones, ones, signals, {"agreement": 1, "vote_entropy": -1})


@given(NUMBERS)
def test_the_order_is_that_of_both_in_turn(rows: list[tuple[int, float | None]]) -> None:
    """A case goes before another where its first signal is surer, or that is equal and its second is."""
    first = [each / 5 for each, _ in rows]
    second = [np.nan if each is None else -round(each, 3) for _, each in rows]
    known = [each for each in second if not np.isnan(each)]
    found = tie_broken(made(first, second), "agreement", "vote_entropy").surer("agreement, then vote_entropy")
    turned = [-max(known, default=0.0) if np.isnan(each) else -each for each in second]
    for one in range(len(rows)):
        for two in range(len(rows)):
            wanted = (first[one], turned[one]) > (first[two], turned[two])
            assert (found[one] > found[two]) == wanted, (rows[one], rows[two])
    assert tie_weight(np.array(first), np.array(turned)) > 0


def test_a_coarse_signal_saves_more_with_its_ties_broken() -> None:
    """Where half of the cases tie and only some of them are safe, the rule that breaks the tie escalates fewer."""
    rng = np.random.default_rng(0)
    n = 2_000
    coarse, fine = rng.integers(0, 3, n) / 2, rng.random(n)
    cheap = (rng.random(n) < np.clip(0.3 + 0.4 * coarse + 0.5 * fine, 0, 0.99)).astype(float)
    signals = {"agreement": coarse, "token_confidence": fine}
    table = Outcomes(cheap, np.ones(n), np.full(n, 0.02), np.ones(n), signals, {"agreement": 1, "token_confidence": 1})
    broken = tie_broken(table, "agreement", "token_confidence")
    whole, apart = (learn(each, see(each), Keep(0.95), rng, ("raw",))["raw"] for each in (table, broken))
    assert apart.name == "raw: agreement, then token_confidence" and apart.saving > whole.saving + 0.02
    assert evaluate(broken, 0.95, strategy="raw", repeats=1).recommendation == "cascade"


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [("none", "agreement", "no signal 'none'"), ("vote_entropy", "agreement", "no ties worth breaking")],
)
def test_what_cannot_be_broken_is_refused(first: str, second: str, said: str) -> None:
    """A signal that is not there is named, and one without ties is told of."""
    with pytest.raises(ConfigError, match=said):
        tie_broken(made([0, 1, 1, 0], [0.1, 0.1 + 1e-9, 0.2, 0.3]), first, second)
