"""The learned combination of gates, and the artefact it is kept in."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exams import Fixed, driven, exam
from fastcascade.errors import ConfigError
from fastcascade.gates.calibration import Origin
from fastcascade.gates.gate import Verdict
from fastcascade.gates.learned import FEATURES, Learned
from fastcascade.messages import Message, Reply, Request, Tool

SCORES = st.none() | st.floats(0.0, 1.0)


def by_hand(total: float) -> float:
    """The logistic function."""
    return 1.0 / (1.0 + math.exp(-total))


def test_learned_is_the_logistic_of_the_weighted_sum() -> None:
    """Scores, features, the slice, and what is put for an abstention."""
    a, b = Fixed(Verdict(0.5), name="a"), Fixed(Verdict(None), name="b")
    features = {"length": 0.2, "reply_length": -0.3, "turns": 0.5, "tools": 1.5, "task:refund": -2.0}
    gate = Learned({a: 3.0, b: 2.0}, -1.0, features=features, missing={b: -0.7})
    messages = (Message("user", "x" * 9), Message("assistant", ""))
    request = Request(messages, tools=(Tool("t"),), task="refund")
    base = -1.0 + 3.0 * 0.5 - 0.7 + 0.2 * 1.0 - 0.3 * math.log10(5) + 0.5 * math.log10(2)
    assert driven(gate, where=exam(Reply("abcd"), request))[0].score == pytest.approx(by_hand(base + 1.5 - 2.0))
    other = Request(messages, task="order")
    assert driven(gate, where=exam(Reply("abcd"), other))[0].score == pytest.approx(by_hand(base))
    assert {name for name in features if ":" not in name} <= set(FEATURES)


def test_learned_abstains_where_it_was_not_taught_what_an_abstention_means() -> None:
    """And where every gate abstains, whatever it was taught."""
    a, b = Fixed(Verdict(0.5), name="a"), Fixed(Verdict(None, "no idea"), name="b")
    verdict, _ = driven(Learned({a: 1.0, b: 1.0}))
    assert verdict.score is None and verdict.reason == "b: no idea"
    assert driven(Learned({b: 1.0}, missing={b: 9.0}))[0].score is None


@given(
    st.lists(st.tuples(SCORES, st.floats(-1e300, 1e300)), min_size=1, max_size=4),
    st.floats(-1e300, 1e300),
    st.booleans(),
)
def test_learned_is_a_probability_whatever_the_weights(
    pairs: list[tuple[float | None, float]], intercept: float, slow: bool
) -> None:
    """Or None; sums that overflow too."""
    gates = {Fixed(Verdict(score), slow=slow): weight for score, weight in pairs}
    score = driven(Learned(gates, intercept, missing=dict.fromkeys(gates, 1e300)))[0].score
    assert score is None or 0.0 <= score <= 1.0


ARTEFACT: Mapping[str, Any] = {
    "kind": "learned",
    "weights": {"a": 3.0, "b": 2.0},
    "intercept": -1.0,
    "features": {"task:refund": -2.0},
    "missing": {"b": -0.5},
    "threshold": 0.6,
    "n": 400,
    "date": "2026-01-31",
    "fingerprint": "9f2c",
}


def test_a_learned_artefact_is_read_and_written_back(tmp_path: Path) -> None:
    """From an object and from a file; the gates are found by name."""
    gates = [Fixed(Verdict(0.5), name=name) for name in ("c", "b", "a")]
    gate = Learned.load(ARTEFACT, gates)
    assert gate.dump(tmp_path / "gate.json") == ARTEFACT
    assert json.loads((tmp_path / "gate.json").read_text()) == ARTEFACT
    again = Learned.load(tmp_path / "gate.json", gates)
    assert (again.origin, again.threshold) == (Origin(400, "2026-01-31", "9f2c"), 0.6)
    assert driven(again)[0].score == driven(gate)[0].score == pytest.approx(by_hand(-1.0 + 1.5 + 1.0))


def loading(**changed: Any) -> Any:
    """Load the artefact with something in it changed."""
    gates = [Fixed(Verdict(0.5), name="a"), Fixed(Verdict(0.5), name="b")]
    return lambda: Learned.load({**ARTEFACT, **changed}, gates)


ONE = Fixed(Verdict(0.5), name="one")
WRONG: list[tuple[Any, str]] = [
    (lambda: Learned({}), "learned needs at least one gate"),
    (lambda: Learned({"x": 1.0}, gates=[ONE]), "there is no gate named 'x': give it in gates; there are one"),
    (lambda: Learned({ONE: math.inf}), "the weight of 'one'"),
    (lambda: Learned({ONE: 1.0}, features={"colour": 1.0}), "'colour'"),
    (lambda: Learned({ONE: 1.0}, missing={"two": 1.0}), "'two'"),
    (lambda: Learned({"one": 1.0}, gates=[ONE, Fixed(Verdict(1.0), name="one")]), "two gates are named 'one'"),
    (loading(kind="platt"), "kind must be 'learned'"),
    (loading(weights=[1]), "weights must be by name"),
    (loading(weights={"a": "1"}), "the weight of 'a' must be a finite number"),
    (loading(extra=1), "unknown field 'extra'"),
    (loading(n=0), "n, the number of cases"),
    (lambda: Learned.load({"kind": "learned"}, []), "artefact: weights is missing"),
]


@pytest.mark.parametrize(("make", "named"), WRONG)
def test_weights_that_cannot_work_are_refused_by_name(make: Any, named: str) -> None:
    """When they are built."""
    with pytest.raises(ConfigError, match=re.escape(named)):
        make()
