"""The gate that looks at log-probabilities; and what the plain gates refuse to be built from."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exams import ASKED, CALL, fed, judged, watching
from fastcascade.errors import ConfigError
from fastcascade.gates.calibration import Isotonic, Platt
from fastcascade.gates.hedging import Hedging
from fastcascade.gates.logprobs import Logprobs
from fastcascade.gates.self_report import SelfReport
from fastcascade.messages import Delta, Reply, Text, Token, Tool

LN = math.log


def tokens(*probabilities: float, tool: bool = False) -> tuple[Token, ...]:
    """Tokens of these probabilities."""
    return tuple(Token("t", LN(p) if p > 0 else -math.inf, tool=tool) for p in probabilities)


FIGURES = [
    (Logprobs(), (0.5, 1.0), 0.75),
    (Logprobs("geometric"), (0.25, 1.0), 0.5),
    (Logprobs("min"), (0.9, 0.3, 0.8), 0.3),
    (Logprobs("quantile", quantile=0.5), (0.9, 0.1, 0.4), 0.4),
    (Logprobs("quantile", quantile=0.0), (0.9, 0.1, 0.4), 0.1),
    (Logprobs("quantile", quantile=1.0), (0.9, 0.1, 0.4), 0.9),
    (Logprobs(), (0.0, 1.0), 0.5),
    (Logprobs("geometric"), (0.0, 1.0), 0.0),
]


@pytest.mark.parametrize(("gate", "probabilities", "score"), FIGURES)
def test_each_statistic_is_what_its_name_says(gate: Logprobs, probabilities: tuple[float, ...], score: float) -> None:
    """Every statistic, over tokens worked out by hand."""
    found = judged(gate, Reply("a", logprobs=tokens(*probabilities)))
    assert found.score == pytest.approx(score)
    assert not found.decisive


def test_the_margin_is_between_the_likeliest_two() -> None:
    """Where a token has no two alternatives the least that the gap can be is taken; where none has, it abstains."""
    known = Token("a", LN(0.7), (("a", LN(0.7)), ("b", LN(0.2))))
    lone = Token("c", LN(0.9))
    assert judged(Logprobs("margin"), Reply("a", logprobs=(known,))).score == pytest.approx(0.5)
    assert judged(Logprobs("margin"), Reply("a", logprobs=(known, lone))).score == pytest.approx(0.65)
    assert judged(Logprobs("margin"), Reply("a", logprobs=(lone,))).score is None


@pytest.mark.parametrize("given_tokens", [None, ()])
def test_without_log_probabilities_it_abstains(given_tokens: Any) -> None:
    """None and an empty list are no evidence."""
    assert judged(Logprobs(), Reply("a", logprobs=given_tokens)).score is None


def test_the_arguments_of_a_tool_are_judged_alone() -> None:
    """Where the reply calls a tool; where it does not, or is told otherwise, all tokens count."""
    mixed = tokens(1.0, 1.0) + tokens(0.2, tool=True)
    calling = Reply((Text("hm"), CALL), logprobs=mixed)
    assert judged(Logprobs(), calling).score == pytest.approx(0.2)
    assert judged(Logprobs(tool_arguments=False), calling).score == pytest.approx(2.2 / 3)
    assert judged(Logprobs(), replace(calling, logprobs=tokens(0.4))).score == pytest.approx(0.4)
    assert "none of them" in judged(Logprobs(), replace(calling, logprobs=tokens(0.4))).reason


ASKS = [("mean", None, 0), ("mean", 0, 0), ("mean", 5, 5), ("margin", None, 2), ("margin", 1, 2), ("margin", 20, 20)]


@pytest.mark.parametrize(("of", "before", "after"), ASKS)
def test_it_asks_for_what_it_needs_and_keeps_what_was_asked(of: Any, before: int | None, after: int) -> None:
    """The larger of what the caller asked for and what the statistic needs."""
    gate = Logprobs(of)
    assert gate.prepare(replace(ASKED, logprobs=before)).logprobs == after
    assert gate.needs == {"logprobs"}


ANY_LOGPROB = st.floats(max_value=0.0) | st.sampled_from([math.nan, -math.inf, 1e-9, 800.0, -0.0, -9999.0])
ANY_TOKENS = st.lists(
    st.builds(
        Token,
        st.just("t"),
        ANY_LOGPROB,
        st.lists(st.tuples(st.just("x"), ANY_LOGPROB), max_size=3).map(tuple),
        st.booleans(),
    ),
    max_size=12,
).map(tuple)
STATISTICS = st.sampled_from(["mean", "geometric", "min", "quantile", "margin"])


@given(STATISTICS, ANY_TOKENS, st.booleans())
def test_whatever_the_provider_says_a_score_is_a_score(of: Any, given_tokens: Any, calls: bool) -> None:
    """From 0 to 1 or None, for numbers that are none, infinite or above zero too."""
    found = judged(Logprobs(of), Reply((CALL,) if calls else "a", logprobs=given_tokens)).score
    assert found is None or 0.0 <= found <= 1.0


def test_what_is_not_a_number_never_passes() -> None:
    """A token that cannot be read counts as one that is impossible."""
    for of in ("mean", "geometric", "min", "margin"):
        token = Token("t", math.nan, (("a", math.nan), ("b", math.nan)))
        assert judged(Logprobs(of), Reply("a", logprobs=(token,))).score == 0.0


CURVES = st.sampled_from([None, Isotonic(((0.2, 0.1), (0.6, 0.9))), Platt(8.0, -4.0), Isotonic(((0.5, 0.3),))])


@given(STATISTICS, st.lists(st.floats(0.01, 1.0), min_size=1, max_size=30), st.floats(0.05, 1.0), CURVES, st.booleans())
def test_a_stream_is_committed_on_what_holds_and_given_up_on_what_cannot(
    of: Any, probabilities: list[float], accept: float, curve: Any, bounded: bool
) -> None:
    """At "commit" the tokens so far reach the mark; after "abort" the whole never does."""
    gate = Logprobs(of, commit_after=5, quantile=0.3)
    gate.calibration = curve
    made = tuple(Token("t", LN(p), (("t", LN(p)), ("u", LN(p / 2)))) for p in probabilities)
    watch = watching(gate, replace(ASKED, max_tokens=len(made) if bounded else None), accept)
    for count, token in enumerate(made, 1):
        said = watch.feed(Delta("text", "t", tokens=(token,)))
        if said == "hold":
            continue
        upto = made[:count] if said == "commit" else made
        score = gate.calibrated(judged(gate, Reply("t", logprobs=upto))).score
        shown = watch.verdict.score
        assert score is not None and shown is not None
        if said == "commit":
            assert count >= 5 and score >= accept - 1e-6 and shown >= accept - 1e-6
        else:
            assert score < accept + 1e-6 and shown < accept + 1e-6
        return


def test_a_token_in_doubt_ends_a_stream_judged_by_its_minimum() -> None:
    """It can only fall, so nothing more is waited for."""
    watch = watching(Logprobs("min", threshold=0.5))
    sure, doubtful = tokens(0.9, 0.4)
    assert watch.feed(Delta("text", "a", tokens=(sure,))) == "hold"
    assert watch.feed(Delta("text", "b", tokens=(doubtful,))) == "abort"
    assert watch.verdict.score == pytest.approx(0.4)


def test_a_stream_that_may_call_a_tool_is_held_back() -> None:
    """Text that is sure says nothing of the arguments that may follow."""
    request = replace(ASKED, tools=(Tool("price"),))
    assert Logprobs().watch(request, 0.6) is None
    assert Logprobs().watch(replace(request, tool_choice="none"), 0.6) is not None
    assert Logprobs(tool_arguments=False).watch(request, 0.6) is not None


def test_a_stream_without_log_probabilities_is_never_committed() -> None:
    """However long it is: there is no evidence."""
    assert fed(watching(Logprobs(commit_after=1)), [Delta("text", "word ")] * 50) == "hold"


WRONG: list[tuple[Any, str]] = [
    (lambda: Logprobs("median"), "median"),  # type: ignore[arg-type]
    (lambda: Logprobs(quantile=2), "quantile"),
    (lambda: Logprobs(threshold=math.nan), "threshold"),
    (lambda: Logprobs(commit_after=0), "commit_after"),
    (lambda: SelfReport(threshold=70), "threshold"),
    (lambda: SelfReport(max_tokens=0), "max_tokens"),
    (lambda: SelfReport(timeout=0), "timeout"),
    (lambda: Hedging(languages=["xx"]), "'xx'"),
    (lambda: Hedging(languages="en"), "languages"),
    (lambda: Hedging(languages=[]), "nothing to look for"),
    (lambda: Hedging(extra="maybe"), "extra"),
    (lambda: Hedging(extra=[" "]), "extra"),
    (lambda: Hedging(extra=[re.compile(r"(a)\1")]), "linear"),
    (lambda: Hedging(commit_after=0), "commit_after"),
]


@pytest.mark.parametrize(("make", "named"), WRONG)
def test_settings_that_cannot_work_are_refused_by_name(make: Any, named: str) -> None:
    """When the gate is built, not when it is used."""
    with pytest.raises(ConfigError, match=re.escape(named)):
        make()


def test_a_gate_shows_how_it_was_made() -> None:
    """Its settings, and nothing of its inside."""
    assert repr(Logprobs("min")) == (
        "Logprobs(of='min', quantile=0.1, threshold=0.6, tool_arguments=True, commit_after=32)"
    )
