"""What escalated: drawn at its own rate, what escalating gained, thresholds that come down, outcomes to refit from."""

import random
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import Answer, Cascade, ConfigError, PriceSheet, Reply, Request, Tier
from fastcascade.answers import Attempt
from fastcascade.effects import Outcome
from fastcascade.evals.cases import load_cases
from fastcascade.evals.evaluation import evaluate
from fastcascade.evals.outcomes import Outcomes
from fastcascade.evals.promises import guarantee
from fastcascade.evals.shadow import Label, Sampled, Shadow, ShadowLog, shadowed
from fastcascade.evals.shadow_outcomes import outcomes_from, write_cases, write_outcomes
from fastcascade.evals.suggestions import suggest
from fastcascade.gates import UserCheck
from fastcascade.testing import ScriptedBackend, run_virtual

NOW = 0.6
"""The threshold of the services below."""
COSTS = (0.001, 0.01)


def escalated(task: str = "", score: float = 0.3, **fields: Any) -> Answer:
    """An answer of the dear tier, after the cheap one's reply was sent up."""
    tries = (Attempt("small", "escalate", score, calls=(spent("small/answer"),)), Attempt("large", "accept"))
    said = {"small/answer": Outcome(Reply("cheap says"))}
    answer = Answer(Reply("dear says"), Request.of("?", task=task, id="r1"), "large", attempts=tries, outcomes=said)
    return replace(answer, **fields)


def spent(label: str) -> Any:
    """A call of that name."""
    from fastcascade.answers import Spent  # noqa: PLC0415 - it is of use here alone

    return Spent(label, "scripted", None, 0.001, estimated=False, started=0.0, latency=0.0)


def accepted(task: str = "", score: float = 0.8) -> Answer:
    """An answer that the cheap tier's gate has accepted."""
    tries = (Attempt("small", "accept", score, calls=(spent("small/answer"),)),)
    return Answer(Reply("cheap says"), Request.of("?", task=task), "small", score, attempts=tries)


def seeded(seed: int, **settings: Any) -> Shadow:
    """A shadow whose draws are known."""
    return Shadow(draw=random.Random(seed).random, **settings)


# What is drawn.


def test_escalated_answers_are_drawn_at_their_own_rate_and_counted_apart() -> None:
    """Each as often as its propensity says, and no estimate of accepted quality knows of them."""
    shadow = seeded(1, rate=0.5, rates={"off": 0.0}, escalated={"a": 0.2, "off": 0.5})
    found = [each for each in (shadow.draw_escalated(escalated("a")) for _ in range(4_000)) if each is not None]
    assert len(found) / 4_000 == pytest.approx(0.2, abs=4 * sqrt(0.16 / 4_000))
    assert {(each.propensity, each.population, each.tier, each.confidence) for each in found} == {
        (0.2, "escalated", "small", 0.3)
    }
    assert (found[0].answer, found[0].expected, found[0].dear_tier) == ("cheap says", "dear says", "large")
    for kind in ("b", "off"):
        assert not any(shadow.draw_escalated(escalated(kind)) for _ in range(50))
    for each in found:
        shadow.label(each, 0.0, "dear")
    said = shadow.log.estimate()
    assert (said.n, said.seen, said.drawn, said.never) == (0, 0, 0, 0)
    gain = shadow.log.gain()
    assert (gain.n, gain.seen, gain.never, gain.gain) == (len(found), 4_000, 100, 1.0)


NOTHING_TO_COMPARE = {
    "best of the poor": escalated(tier="small", reply=Reply("cheap says"), degraded="below threshold"),
    "nobody answered": escalated(reply=None),
    "broken off": escalated(degraded="incomplete"),
    "no trace": escalated(outcomes={}),
}


@pytest.mark.parametrize("name", NOTHING_TO_COMPARE)
def test_without_both_replies_it_is_never_drawn_and_shows(name: str) -> None:
    """It is counted as never drawn; what did not escalate, or was kept, is not counted at all."""
    shadow = Shadow(1.0, escalated=1.0)
    assert shadow.draw_escalated(NOTHING_TO_COMPARE[name]) is None
    assert shadow.draw_escalated(accepted()) is None
    assert shadow.draw_escalated(escalated(via="cache")) is None
    assert (shadow.log.gain().seen, shadow.log.gain().never) == (0, 1)
    assert str(shadow.log.gain()) == "escalations that were not needed: not known, n = 0 of 0"


def test_rates_of_escalated_answers_are_checked() -> None:
    """A rate beyond 0 to 1 is refused by name; at 0 nothing is counted."""
    with pytest.raises(ConfigError, match=r"that of 'a' is 1\.5"):
        Shadow(escalated={"a": 1.5})
    shadow = Shadow(1.0)
    assert shadow.draw_escalated(escalated()) is None
    assert shadow.log.gain().never == 0


def cascade(score: float, dear: ScriptedBackend, middle: bool = False) -> Cascade:
    """A cheap tier with that score against a threshold, below a dear one, and perhaps one in between."""
    gate = UserCheck(lambda _request, _reply: score, threshold=NOW)
    tiers = [Tier(ScriptedBackend(Reply("cheap says", cost_usd=0.001)), gate=gate, name="small")]
    if middle:
        tiers.append(Tier(ScriptedBackend("middle says"), gate=UserCheck(lambda _r, _a: True), name="middle"))
    return Cascade(*tiers, Tier(dear, name="large"), prices=PriceSheet(source=None))


def same(answer: Answer, dear: Answer | None) -> float:
    """Whether both say the same."""
    return float(dear is not None and answer.text == dear.text)


def test_an_escalated_answer_is_graded_without_a_call() -> None:
    """Both replies come with the answer: the dear tier is asked once, and the label knows both costs."""

    async def main() -> None:
        dear = ScriptedBackend(Reply("dear says", cost_usd=0.01))
        ladder, shadow = cascade(0.3, dear), Shadow(1.0, escalated=1.0)
        answer = await ladder.run("?")
        label = await shadowed(ladder, answer, shadow, same)
        assert len(dear.seen) == 1
        assert label is not None
        assert (label.population, label.tier, label.dear_tier, label.confidence) == (
            "escalated", "small", "large", 0.3,
        )  # fmt: skip
        assert (label.score, label.dear_score, label.gain, label.expected) == (0.0, 1.0, 1.0, "dear says")
        assert (label.cost, label.dear_cost) == (0.001, 0.01)
        both = await shadowed(ladder, answer, shadow, lambda _answer, _dear: (0.75, 0.5))
        assert both is not None
        assert (both.score, both.dear, both.gain) == (0.75, 0.5, -0.25)
        assert await shadowed(ladder, answer, shadow, lambda *_: 7.0) is None
        assert (shadow.log.gain().n, shadow.log.gain().drawn) == (2, 3)

    run_virtual(main())


def test_an_answer_in_between_is_of_both_populations() -> None:
    """What the cheap tier sent up and a middle one accepted is drawn from both, each with its own label."""

    async def main() -> None:
        ladder, shadow = cascade(0.3, ScriptedBackend("dear says"), middle=True), Shadow(1.0, escalated=1.0)
        label = await shadowed(ladder, await ladder.run("?"), shadow, same)
        assert label is not None
        assert (label.population, label.tier) == ("accepted", "middle")
        assert (shadow.log.estimate().n, shadow.log.gain().n) == (1, 1)
        assert [each.tier for each in shadow.log.kept()] == ["small", "middle"]

    run_virtual(main())


# What is estimated.


@given(
    st.lists(
        st.tuples(st.sampled_from((0.1, 0.5)), st.sampled_from((0.0, 0.5, 1.0)), st.sampled_from((0.0, 0.5, 1.0))),
        min_size=1,
    )
)
def test_gains_are_those_of_the_textbook(labels: list[tuple[float, float, float]]) -> None:
    """Sums kept as labels come give the weighted means, within intervals that hold them."""
    log = ShadowLog(escalated_floor=0.1)
    for number, (propensity, score, dear) in enumerate(labels):
        sampled = Sampled(str(number), "", propensity, population="escalated")
        log.take(sampled)
        log.add(Label.of(sampled, score, "dear", dear=dear))
    said, mass = log.gain(), sum(1 / p for p, _, _ in labels)
    assert said.gain == pytest.approx(sum((dear - score) / p for p, score, dear in labels) / mass)
    assert said.needless == pytest.approx(sum((dear <= score) / p for p, score, dear in labels) / mass)
    assert said.low - 1e-9 <= (said.gain or 0.0) <= said.high + 1e-9
    assert said.needless_low - 1e-9 <= (said.needless or 0.0) <= said.needless_high + 1e-9


def test_what_escalation_gained_is_told_in_a_line() -> None:
    """The share that was not needed, its exact interval, and n out of how many."""
    shadow = Shadow(1.0, escalated=1.0)
    for number in range(100):
        sampled = shadow.draw_escalated(escalated())
        assert sampled is not None
        shadow.label(sampled, float(number < 62), "dear")
    said = str(shadow.log.gain())
    assert said.startswith("escalations that were not needed: 62.0% (51.7 to 71.5), n = 100 of 100; gain 0.380 (")


def serve(rng: random.Random, shadow: Shadow, many: int, right: float = 0.8) -> None:
    """Scores are even over 0 to 1, a cheap answer of score s is right with `right` + 0.2 s, a dear one always."""
    for _ in range(many):
        score = rng.random()
        good = float(rng.random() < right + 0.2 * score)
        answer = accepted(score=score) if score >= NOW else escalated(score=score)
        sampled = shadow.draw(answer) if score >= NOW else shadow.draw_escalated(answer)
        if sampled is not None:
            more: dict[str, Any] = {"dear_tier": "large", "dear_cost": 0.01, "dear": 1.0}
            shadow.label(sampled, good, "dear", "dear says", **more)


def test_a_threshold_comes_down_where_the_data_cover_it() -> None:
    """With both populations, the suggestion is lower, and right; with accepted ones alone it never is."""
    down = wrong = 0
    for seed in range(6):
        shadow = seeded(seed, rate=0.5, escalated=0.8, texts=False)
        serve(random.Random(100 + seed), shadow, 4_000)
        said = suggest(shadow.log.pairs(), 0.91, delta=0.1)
        assert said.covered is not None
        assert said.threshold is None or said.threshold >= said.covered
        down += said.threshold is not None and said.threshold < NOW - 0.1
        wrong += said.threshold is not None and 0.8 + 0.1 * (1 + said.threshold) < 0.91
        alone = seeded(seed, rate=0.3, texts=False)
        serve(random.Random(100 + seed), alone, 1_500)
        one = suggest(alone.log.pairs(), 0.91, delta=0.1)
        assert one.threshold is None or one.threshold >= NOW
        assert one.covered is not None
        assert one.covered >= NOW
    assert down >= 5
    assert wrong / 6 <= 0.1 + 3 * sqrt(0.09 / 6)


def test_labels_of_a_time_when_one_side_was_drawn_are_left_out() -> None:
    """Years of accepted labels do not outweigh a week of both sides: together they would tilt the mix."""
    shadow = seeded(3, rate=0.5, texts=False)
    serve(random.Random(4), shadow, 2_000)
    before = shadow.log.pairs()
    both = seeded(5, rate=0.5, escalated=0.5, texts=False)
    both.log = shadow.log
    serve(random.Random(6), both, 2_000)
    pairs = shadow.log.pairs("small")
    assert len(pairs) < len(before) + 1_000
    mass = sum(1 / propensity for _, _, propensity in pairs)
    assert sum(1 / p for score, _, p in pairs if score >= NOW) / mass == pytest.approx(0.4, abs=0.05)
    assert not shadow.log.pairs("large")
    assert shadow.log.pairs(slice="") == pairs


def test_labels_that_failed_do_not_tilt_the_mix() -> None:
    """Where half of the accepted answers could not be graded, the rest of them count twice."""
    log = ShadowLog()
    for number in range(40):
        side = "accepted" if number % 2 else "escalated"
        sampled = Sampled(str(number), "", 0.5, confidence=0.5, population=side, both=True)  # type: ignore[arg-type]
        log.take(sampled)
        if number % 4 != 1:
            log.add(Label.of(sampled, 1.0, "dear"))
    by_side = sorted(propensity for _, _, propensity in log.pairs())
    assert by_side == [0.25] * 10 + [0.5] * 20


# From the log to outcomes, and to cases.


def test_from_the_log_to_a_guarantee(tmp_path: Path) -> None:
    """A table from the log loads, its weighted quality is that of all requests, and it carries what it can."""
    path = tmp_path / "shadow.jsonl"
    serve(random.Random(8), seeded(7, rate=0.2, escalated=0.5, path=path), 5_000)
    log = Shadow(rate=0.2, escalated=0.5, path=path).log  # as another process finds it
    written = write_outcomes(log, tmp_path / "outcomes.csv", costs=COSTS)
    outcomes = Outcomes.load(tmp_path / "outcomes.csv")
    assert written.n == len(outcomes) == len(log.pairs())
    assert not written.left_out
    weight = outcomes.weight / outcomes.weight.sum()
    assert float(weight @ outcomes.cheap) == pytest.approx(0.9, abs=0.03)
    assert float(weight @ (outcomes.signals["confidence"] >= NOW)) == pytest.approx(1 - NOW, abs=0.04)
    assert set(outcomes.dear_cost) == {0.01}
    said = guarantee(
        outcomes.signals["confidence"], outcomes.cheap, outcomes.dear, keep=0.9, weights=outcomes.weight
    )  # fmt: skip
    assert said is not None
    again = outcomes_from(log, costs=COSTS)
    assert (again.cheap == outcomes.cheap).all()
    assert evaluate(again.take(np.arange(200)), keep=0.9, folds=2, repeats=1).n == 200


def labeled(count: int, **fields: Any) -> ShadowLog:
    """Labels of both sides."""
    log = ShadowLog()
    for number in range(count):
        side = "accepted" if number % 2 else "escalated"
        known: dict[str, Any] = {"tier": "small", "dear_tier": "large", "cost": 0.1, "dear_cost": 1.0}
        sampled = Sampled(str(number), "", 0.5, population=side, both=True, **{**known, **fields})  # type: ignore[arg-type]
        log.take(sampled)
        log.add(Label.of(sampled, 1.0, "dear"))
    return log


def test_what_makes_no_outcome_is_counted_or_refused(tmp_path: Path) -> None:
    """Labels of unknown cost, of no graded dear reply and of another tier are left out; none at all is an error."""
    log = labeled(4)
    log.add(Label("u", 1.0, "dear", 0.5, tier="small", dear_tier="large", both=True))
    log.add(Label("j", 1.0, "judge", 0.5, tier="small", both=True))
    log.add(Label("t", 1.0, "thumb"))
    written = write_outcomes(log, tmp_path / "o.csv")
    assert (written.n, dict(written.left_out)) == (4, {"of unknown cost": 1, "without a grade of the dear tier": 1})
    assert write_outcomes(log, tmp_path / "o.csv", costs=COSTS).n == 5
    with pytest.raises(ConfigError, match="no labels of escalated answers"):
        write_outcomes(ShadowLog(), tmp_path / "o.csv")
    with pytest.raises(ConfigError, match="makes an outcome: 2 of unknown cost"):
        outcomes_from(labeled(2, cost=None))
    with pytest.raises(ConfigError, match="none of the tier 'huge'"):
        outcomes_from(log, cheap="huge", dear="large")
    log.add(Label("m", 1.0, "dear", 0.5, tier="middle", dear_tier="large", both=True))
    with pytest.raises(ConfigError, match=r"which tier is the cheap one: .* has middle, small"):
        outcomes_from(log)
    assert len(outcomes_from(log, cheap="small")) == 4


def test_prompts_that_no_table_holds_do_not_break_it(tmp_path: Path) -> None:
    """Half a surrogate pair, ends of lines, quotes, and a prompt longer than a cell may be."""
    log = labeled(2, asked={"input": 'a "quoted"\r\nline \ud800'})
    sampled = Sampled("long", "", 0.5, "small", 0.5, {"input": "x" * 200_000}, both=True, dear_tier="large", cost=0.0)
    log.add(Label.of(replace(sampled, dear_cost=0.0), 1.0, "dear"))
    assert write_outcomes(log, tmp_path / "o.csv").n == 3
    found = Outcomes.load(tmp_path / "o.csv")
    assert found.prompts is not None
    assert [len(each) for each in found.prompts] == [18, 18, 100_000]


def test_a_log_becomes_cases_that_load(tmp_path: Path) -> None:
    """All labels of a log load as cases with what was made of them; those drawn may weigh 1/propensity."""
    shadow = seeded(9, rate=0.25, escalated=0.5)
    serve(random.Random(10), shadow, 200)
    for source in ("thumb", "regenerated"):
        shadow.heard(escalated(), 0.0, source)
    shadow.heard(escalated(), 1.0, "review", "a better answer")
    count = write_cases(shadow.log, tmp_path / "cases.jsonl")
    cases = load_cases(tmp_path / "cases.jsonl")
    assert count == len(cases) == len(shadow.log.labels)
    last = cases[-1]
    assert (last.input, last.expected, last.candidates) == ("?", "a better answer", {"large": "dear says"})
    assert last.label == {"score": 1.0, "source": "review", "propensity": None}
    assert {each.weight for each in cases} == {1.0}
    assert write_cases(shadow.log, tmp_path / "drawn.jsonl", drawn=True) == count - 3
    weights = {each.weight for each in load_cases(tmp_path / "drawn.jsonl")}
    assert weights == {4.0, 2.0}


def test_a_blank_prompt_still_loads(tmp_path: Path) -> None:
    """What was asked without a word is kept as a whole request: a case needs something to ask."""
    shadow = Shadow(1.0)
    shadow.heard(replace(accepted(), request=Request.of("  ")), 0.0, "thumb")
    write_cases(shadow.log, tmp_path / "cases.jsonl")
    (case,) = load_cases(tmp_path / "cases.jsonl")
    assert case.request.text == "  "
