"""Artefacts fitted to outcomes: what a gate makes of one is what the fit said, and claims are made out of fold."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals_pieces import PRICE, Counted, Same
from exams import Fixed, driven, exam
from fastcascade import Cascade, ConfigError, Tier
from fastcascade.evals.cases import Case
from fastcascade.evals.curves import brier, calibrated, fit_platt, reliability, shifts, through
from fastcascade.evals.fitting import against, fit_gain, fit_learned
from fastcascade.evals.outcomes import Floats, Outcomes, Texts
from fastcascade.evals.ranking import area, better
from fastcascade.evals.recorder import Recorder
from fastcascade.evals.runs import Runs
from fastcascade.evals.slicing import fit_slices, sliced, through_slices
from fastcascade.evals.sources import outcomes_of
from fastcascade.gates.combine import weighted
from fastcascade.gates.gain import Gain
from fastcascade.gates.gate import Exam, Gate, Verdict
from fastcascade.gates.learned import Learned
from fastcascade.messages import Reply, Request, Usage


def made(seed: int, n: int = 300, **more: object) -> Outcomes:
    """Two signals that tell, one of which is silent at times, and slices of which one is easier."""
    rng = np.random.default_rng(seed)
    a, b = rng.random(n), rng.random(n).round(1)
    slices = np.array(["easy", "hard", "rare"], dtype=object)[rng.choice(3, n, p=[0.5, 0.48, 0.02])]
    line = 3 * a + 2 * b - 2.5 + np.where(slices == "easy", 1.5, 0.0)
    cheap = (rng.random(n) < 1 / (1 + np.exp(-line))).astype(float)
    dear = (rng.random(n) < np.where(slices == "hard", 0.95, 0.7)).astype(float)
    b = np.where(rng.random(n) < 0.2, np.nan, b)
    answers = np.array(["yes", "no", "maybe so"], dtype=object)[rng.integers(0, 3, n)]
    prompts = np.array(["x" * int(each) for each in rng.integers(1, 90, n)], dtype=object)
    sizes = {"cheap_output_chars": np.array([len(each) for each in answers], float)}
    sizes["cheap_completion_tokens"] = rng.integers(1, 500, n).astype(float)
    signals = {"a": a, "b": b, **sizes}
    sense = {"a": 1, "b": 1, "cheap_output_chars": -1, "cheap_completion_tokens": -1}
    cost = np.full(n, 0.001), np.full(n, 0.02)
    table = Outcomes(cheap, dear, *cost, signals, sense, slices=slices, answers=answers, prompts=prompts)
    return replace(table, **more)  # type: ignore[arg-type] # named


def said(gate: type[Learned | Gain], artefact: dict[str, object], table: Outcomes, place: int) -> float | None:
    """What a gate with this artefact makes of one case."""
    assert table.slices is not None and table.answers is not None and table.prompts is not None
    known = {name: float(table.signals[name][place]) for name in ("a", "b")}
    told = [Fixed(Verdict(None if math.isnan(each) else each), name=name) for name, each in known.items()]
    request = Request.of(table.prompts[place], task=table.slices[place])
    tokens = int(table.signals["cheap_completion_tokens"][place])
    reply = Reply(table.answers[place], usage=Usage(1, tokens))
    return driven(gate.load(artefact, told), where=exam(reply, request))[0].score


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_gate_makes_of_each_case_what_the_fit_made_of_it(seed: int, gain: bool) -> None:
    """Scores, log-odds, abstentions, lengths, tokens, tasks and answers: the loaded artefact gives the very score."""
    table = made(seed)
    fitted = (fit_gain if gain else fit_learned)(table)
    found = [said(Gain if gain else Learned, fitted.artefact(0.4), table, place) for place in range(40)]
    assert found == pytest.approx(fitted.final[:40].tolist(), abs=1e-9)


class Told(Gate):
    """A gate that goes by the length of the question."""

    def __init__(self, name: str, every: int) -> None:
        self.name, self.every = name, every

    def judge(self, exam: Exam, /) -> Verdict:
        size = len(exam.request.text)
        return Verdict(None if self.every and size % self.every == 0 else (size * 7 % 11) / 10)


class Sized(Counted):
    """A model of which the tokens depend on the question."""

    async def complete(self, request: Request, /) -> Reply | None:
        reply = await super().complete(request)
        assert reply is not None
        return replace(reply, usage=Usage(10, len(request.text) + 3, reasoning=len(request.text) % 5))


def test_a_recorded_case_asked_in_production_gets_the_score_of_the_fit(tmp_path: Path) -> None:
    """From a recording to a running cascade: fitted to the file, loaded by a gate, the same number for each case."""
    gates = [Told("first", 0), Told("second", 6)]
    small = Sized("small", lambda text: str(len(text) % 3) * (1 + len(text) % 4), lambda _: None)
    large = Counted("large", lambda _: "1", lambda _: None)
    asked = [Case(f"c{n}", "q" * (n % 37 + 1) + str(n), "1", slice="odd" if n % 2 else "even") for n in range(80)]
    recorded = Cascade(Tier(small, gate=weighted(dict.fromkeys(gates, 1.0)), price=PRICE), Tier(large, price=PRICE))
    with Runs(tmp_path / "run.db", make=True) as runs:
        asyncio.run(Recorder(recorded, runs, version="1", grader=Same()).run(asked))
    fitted = fit_learned(outcomes_of(tmp_path / "run.db"))
    artefact = fitted.artefact(0.0)
    assert set(artefact["weights"]) == {"first", "second"} and set(artefact["missing"]) == {"second"}
    assert {"prompt_length", "reply_length", "output_tokens", "thinking_tokens", "task:odd"} <= set(
        artefact["features"]
    )
    live = Cascade(Tier(small, gate=Learned.load(artefact, gates), price=PRICE), Tier(large, price=PRICE))
    for place, case in enumerate(asked):
        attempt = live.run_sync(Request.of(case.input, task=case.slice)).attempts[0]
        assert attempt.score == pytest.approx(fitted.final[place], abs=1e-9)


def test_scores_for_claims_have_not_seen_their_grades() -> None:
    """Where nothing can be told, in-sample scores look as if it could, and those out of fold do not."""
    rng = np.random.default_rng(3)
    gaps = []
    for seed in range(12):
        table = made(seed, 120, cheap=(rng.random(120) < 0.5).astype(float))
        fitted = fit_learned(table)
        right = fitted.outcomes.cheap
        gaps.append([area(each, right, 1 - right).value for each in (fitted.final, fitted.score)])
    seen, unseen = np.mean(gaps, axis=0)
    assert seen > 0.58 and unseen < 0.54


def test_the_fit_finds_the_weights_that_made_the_cases() -> None:
    """With many cases the weights are those of the truth, and what is in no signal is left out."""
    table = made(1, 60_000)
    kept = fit_learned(replace(table, answers=None, prompts=None), ["a", "b"]).artefact(0.5)
    assert kept["weights"]["a"] == pytest.approx(3.0, abs=0.15)
    assert kept["weights"]["b"] == pytest.approx(2.0, abs=0.15)
    assert kept["features"]["task:easy"] - kept["features"]["task:hard"] == pytest.approx(1.5, abs=0.15)
    assert kept["missing"]["b"] == pytest.approx(1.0, abs=0.15)  # which is what it is worth on the mean
    assert kept["n"] == 60_000 and kept["fingerprint"] and "date" not in kept


def test_gain_keeps_what_learned_gives_away() -> None:
    """Where both models fail, asking on wins nothing: the order by gain loses less than that by P(cheap right)."""
    table = made(5, 8000)
    rng = np.random.default_rng(5)
    table = replace(table, dear=(rng.random(8000) < np.where(table.slice == "hard", 0.3, 0.95)).astype(float))
    gain, learned = fit_gain(table), fit_learned(table)
    lost = np.maximum(table.dear - table.cheap, 0.0)
    assert better(area(gain.score, 1 - lost, lost), area(learned.score, 1 - lost, lost))[1] > 0
    assert gain.dear is not None
    order = np.argsort(gain.score)
    assert (np.diff((gain.cheap - gain.dear)[order]) >= -1e-12).all()
    assert against(gain).worth_it


def test_one_signal_is_said_to_be_as_good_where_it_is() -> None:
    """A second signal that says nothing does not make a combination worth it."""
    rng = np.random.default_rng(2)
    a = rng.random(400)
    table = made(4, 400, cheap=(rng.random(400) < a).astype(float), slices=None, answers=None, prompts=None)
    table = replace(table, signals={"a": a, "b": rng.random(400)}, sense={"a": 1, "b": 1})
    versus = against(fit_learned(table))
    assert versus.signal == "a" and not versus.worth_it and versus.low <= versus.gap <= versus.high


def test_cases_of_which_no_gate_speaks_are_left_out() -> None:
    """As the gate abstains there; and without a promise the artefact accepts next to nothing."""
    table = made(6)
    silent = np.arange(300) < 30
    quiet = {name: np.where(silent, np.nan, table.signals[name]) for name in ("a", "b")}
    fitted = fit_learned(replace(table, signals={**table.signals, **quiet}))
    assert (fitted.spoke == ~silent).all() and len(fitted.score) == fitted.artefact()["n"] == 270
    assert fitted.artefact()["threshold"] == 1.0 and said(Learned, fitted.artefact(), table, 0) != 1.0


WRONG = [
    (lambda: fit_learned(made(0), ["c"]), "there is no signal 'c'"),
    (lambda: fit_learned(made(0).take(np.arange(9))), "a fit needs 20 at least"),
    (lambda: fit_gain(replace(made(0), signals={}, sense={})), "no signal from 0 to 1"),
    (lambda: fit_learned(replace(made(0), signals={"m": np.arange(300.0)}, sense={"m": 1}), ["m"]), "m is no score"),
    (lambda: fit_slices(np.ones(2), np.ones(2), np.array(["a"], dtype=object)), "slices has 1 cases"),
    (lambda: area(np.ones(2), np.ones(1), np.ones(2)), "must be as long"),
]


@pytest.mark.parametrize(("make", "named"), WRONG)
def test_what_cannot_be_fitted_is_refused_by_name(make: Callable[[], object], named: str) -> None:
    """The message says what is wrong."""
    with pytest.raises(ConfigError, match=named):
        make()


GRADES = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.25, 1.0])), min_size=1, max_size=30)


@given(GRADES)
def test_the_area_is_the_share_of_pairs_in_order(rows: list[tuple[int, float]]) -> None:
    """Against all pairs, ties and cases that are good in part among them; influences add up to nothing."""
    score, good = (np.array(each, dtype=float) for each in zip(*rows, strict=True))
    score = np.where(score == 4, np.nan, score)
    ranks = [-1.0 if math.isnan(each) else each for each in score]
    pairs = [
        (g * (1 - b), (x > y) + (x == y) / 2)
        for x, g in zip(ranks, good.tolist(), strict=True)
        for y, b in zip(ranks, good.tolist(), strict=True)
    ]
    mass = sum(weight for weight, _ in pairs)
    found = area(score, good, 1 - good)
    assert found.value == pytest.approx(sum(w * above for w, above in pairs) / mass if mass else 0.5)
    assert abs(found.influence.sum()) < 1e-9
    assert better(found, found)[0] == 0.0


def test_the_interval_of_a_difference_covers_it() -> None:
    """Two scores of known areas, over and over: the truth lies outside of 95 % intervals in about a twentieth."""
    rng = np.random.default_rng(8)
    missed = 0
    for _ in range(300):
        right = rng.integers(0, 2, 200).astype(float)
        one, two = (rng.normal(right * shift) for shift in (1.0, 1.0))
        _, low, high = better(area(one, right, 1 - right), area(two, right, 1 - right))
        missed += not low <= 0 <= high
    assert 3 <= missed <= 30


def shift_by_hand(chance: Floats, right: Floats, differ: float) -> float:
    """The shift of one slice of greatest posterior density, by looking everywhere."""
    tried = np.linspace(-4, 4, 8001)
    line = np.log(chance / (1 - chance))[:, None] + tried
    fits = (right[:, None] * line - np.logaddexp(0, line)).sum(axis=0) - tried**2 / (2 * differ)
    return float(tried[np.argmax(fits)])


def test_the_shift_of_a_slice_is_the_likeliest() -> None:
    """Against a search: the shift is where the likelihood and how much slices differ balance."""
    rng = np.random.default_rng(9)
    slices = np.array(["a", "b", "c"], dtype=object)[rng.choice(3, 900, p=[0.6, 0.39, 0.01])]
    chance = rng.random(900) * 0.8 + 0.1
    right = (rng.random(900) < np.where(slices == "a", 0.9, 0.3)).astype(float)
    found = shifts(chance, right, slices)
    known = np.array([float((chance * (1 - chance))[slices == name].sum()) for name in "abc"])
    moved = np.array([float((right - chance)[slices == name].sum()) for name in "abc"]) / known
    differ = float(np.average(moved**2, weights=known)) - 3 / known.sum()
    for name in "abc":
        own = slices == name
        assert found[name] == pytest.approx(shift_by_hand(chance[own], right[own], differ), abs=2e-3)


@given(st.sampled_from(["isotonic", "platt"]), st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_curves_by_slice_say_of_many_what_they_say_of_one(method: str, seed: int) -> None:
    """The figures for many cases at once are those of the gate's own curve, slices that are unknown among them."""
    table = made(seed, 200)
    assert table.slices is not None
    score = table.signals["a"]
    curves = fit_slices(score, table.cheap, table.slices, method=method)  # type: ignore[arg-type] # one of two
    asked: Texts = np.array(["easy", "hard", "new", ""] * 50, dtype=object)
    one = [curves.of(Request.of("?", task=str(name)))(float(at)) for name, at in zip(asked, score, strict=True)]
    assert through_slices(curves, score, asked).tolist() == pytest.approx(one)


def test_slices_bring_what_they_are_worth() -> None:
    """Where slices differ the error falls, clearly; where they do not the interval of its fall holds 0."""
    table = made(11, 4000)
    assert table.slices is not None
    each = sliced(table.signals["a"], table.cheap, table.slices)
    assert brier(each.by_slice, table.cheap) < brier(each.by_whole, table.cheap)
    assert each.gain(table.cheap)[1] > 0
    mixed = np.random.default_rng(0).permutation(table.slices)
    _, low, high = sliced(table.signals["a"], table.cheap, mixed).gain(table.cheap)
    assert low <= 0 <= high + 1e-4


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=200))
def test_a_reliability_diagram_has_every_case_once(rows: list[tuple[float, bool]]) -> None:
    """Bins are in order, hold all cases, and each interval holds what came true."""
    chance, right = np.array([each for each, _ in rows]), np.array([float(each) for _, each in rows])
    bins = reliability(chance, right)
    assert sum(each.n for each in bins) == len(rows)
    assert sum(each.n * each.right for each in bins) == pytest.approx(right.sum())
    assert [each.said for each in bins] == sorted(each.said for each in bins)
    assert all(0 <= each.low <= each.right <= each.high <= 1 for each in bins)


def test_what_is_measured_has_its_interval() -> None:
    """Both errors, before and after, on cases that the curve has not seen; a curve of one's own may be measured."""
    table = made(12, 1500)
    score = table.signals["a"] ** 3
    found = calibrated(score, table.cheap)
    assert found.brier_before_interval[0] < found.brier_before < found.brier_before_interval[1]
    assert found.brier_after_interval[1] < found.brier_before_interval[0]
    own = calibrated(score, table.cheap, after=through(fit_platt(score, table.cheap), score))
    assert own.brier_before == found.brier_before and own.brier_after != found.brier_after


def test_a_length_below_nothing_is_none() -> None:
    """A table that says -1 for a length is fitted as if it said 0, without a logarithm of what has none."""
    table = made(3)
    chars = table.signals["cheap_output_chars"].copy()
    fitted = [
        fit_learned(replace(table, signals={**table.signals, "cheap_output_chars": np.where(chars > 3, low, chars)}))
        for low in (-5.0, 0.0)
    ]
    assert fitted[0].score == pytest.approx(fitted[1].score)


def test_a_fit_leaves_out_what_weighs_nothing() -> None:
    """It is the fit to the other cases, wherever those stand, and too few of them are refused."""
    table, some = made(5), np.arange(300) % 3 > 0
    fitted, other = fit_gain(replace(table, weights=some.astype(float))), fit_gain(table.take(some))
    assert np.array_equal(fitted.spoke, some) and len(fitted.outcomes) == 200
    assert np.array_equal(fitted.score, other.score)
    with pytest.raises(ConfigError, match="speak of 5 cases, and a fit needs 20"):
        fit_learned(replace(table, weights=(np.arange(300) < 5).astype(float)))
