"""Shadow sampling: what is drawn, what is estimated from it, and what is kept."""

import json
import random
import threading
from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import Answer, Cascade, ConfigError, PriceSheet, Reply, Request, Tier
from fastcascade.answers import Attempt
from fastcascade.evals.shadow import Label, Sampled, Shadow, ShadowLog, shadowed
from fastcascade.fallbacks import Static
from fastcascade.gates import UserCheck
from fastcascade.messages import Image, Message, Text
from fastcascade.notices import Notice, subscribe
from fastcascade.telemetry.events import Event, Graded
from fastcascade.telemetry.events import subscribe as listen
from fastcascade.testing import Fault, ScriptedBackend, run_virtual

NO_PRICES = PriceSheet(source=None)
RUNS = 80


def accepted(task: str = "", text: str = "yes", confidence: float | None = 0.8, **fields: Any) -> Answer:
    """An answer that the cheap tier's gate has accepted."""
    request = Request.of("is it?", task=task)
    answer = Answer(Reply(text), request, "small", confidence, attempts=(Attempt("small", "accept"),))
    return replace(answer, **fields)


def seeded(seed: int = 1, **settings: Any) -> Shadow:
    """A shadow whose draws are known."""
    return Shadow(draw=random.Random(seed).random, **settings)


# What is drawn.


def test_each_answer_is_drawn_as_often_as_its_propensity_says() -> None:
    """Rates by slice, the default for what is not named, and never at 0."""
    shadow = seeded(rate=0.1, rates={"a": 0.5, "off": 0.0})
    drawn = {name: [shadow.draw(accepted(name)) for _ in range(4_000)] for name in ("a", "b", "off")}
    for name, rate in (("a", 0.5), ("b", 0.1), ("off", 0.0)):
        found = [each for each in drawn[name] if each is not None]
        assert len(found) / 4_000 == pytest.approx(rate, abs=4 * sqrt(rate * (1 - rate) / 4_000))
        assert {each.propensity for each in found} <= {rate}
    assert shadow.floor == 0.1
    assert (shadow.log.estimate().seen, shadow.log.estimate().never) == (8_000, 4_000)


NOT_ACCEPTED = {
    "degraded": accepted(degraded="below threshold"),
    "kept": accepted(via="cache"),
    "silent": accepted(reply=None),
    "escalated": accepted(attempts=(Attempt("small", "escalate"),)),
    "another tier": accepted(tier="middle", attempts=(Attempt("middle", "accept"),)),
}


@pytest.mark.parametrize("name", NOT_ACCEPTED)
def test_only_what_a_gate_accepted_in_this_run_is_drawn(name: str) -> None:
    """The rest is not even counted: the estimate is of accepted answers."""
    shadow = Shadow(1.0, tiers=["small"])
    assert shadow.draw(NOT_ACCEPTED[name]) is None
    assert shadow.log.estimate().seen == 0
    assert shadow.draw(accepted()) is not None


def test_a_rate_may_be_worked_out() -> None:
    """A function's rate is raised to the floor, cut at 1, and 0 is never."""
    shadow = seeded(rate=0.5, rates=lambda answer: answer.confidence or 0.0, floor=0.05)
    for confidence, propensity in ((0.3, 0.3), (0.01, 0.05), (0.0, 0.0), (7.0, 1.0)):
        assert shadow.propensity(accepted(confidence=confidence)) == propensity


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "rate": ({"rate": 1.5}, "rate goes from 0 to 1, and that of 'rate' is 1.5"),
    "slice": ({"rates": {"a": -1.0}}, "that of 'a' is -1.0"),
    "none": ({"rate": 0.0}, "needs a rate above 0"),
    "floor needed": ({"rates": lambda _: 0.1}, "needs floor="),
    "floor": ({"floor": 0.5}, "at most its lowest rate, not 0.5"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_rates_that_cannot_be_are_refused(name: str) -> None:
    """The message names the rate."""
    given_settings, said = MISTAKES[name]
    with pytest.raises(ConfigError, match=said):
        Shadow(**given_settings)


BAD_LABELS = [
    ({"score": 1.1}, "a score goes from 0 to 1"),
    ({"source": "rumor"}, "a source is one of judge, dear"),
    ({"propensity": 0.0}, "a propensity is above 0"),
    ({"source": "thumb", "propensity": 0.5}, "a thumb comes by itself"),
]


@pytest.mark.parametrize(("fields", "said"), BAD_LABELS)
def test_what_is_no_label_is_refused(fields: dict[str, Any], said: str) -> None:
    """Scores and propensities out of range, unknown sources, and a thumb that claims to have been drawn."""
    with pytest.raises(ConfigError, match=said):
        Label(**{"id": "x", "score": 1.0, "source": "judge", **fields})


# What is estimated.


def service(rng: random.Random, shadow: Shadow, many: int) -> None:
    """Answers of two slices, a fifth of them poor (right in 60 %, not 95 %), each graded if it is drawn."""
    answers = accepted("good"), accepted("poor")
    for _ in range(many):
        poor = rng.random() < 0.2
        sampled = shadow.draw(answers[poor])
        if sampled is not None:
            shadow.label(sampled, float(rng.random() < (0.6 if poor else 0.95)), "dear")


def test_estimates_are_unbiased_under_unequal_propensities() -> None:
    """Over many services the mean of each estimate is the true quality, which the plain mean of labels misses."""
    rng, truth = random.Random(7), 0.2 * 0.6 + 0.8 * 0.95
    found: dict[str, list[float]] = {"hajek": [], "horvitz": [], "plain": []}
    missed = 0
    for seed in range(RUNS):
        shadow = seeded(seed, rate=0.1, rates={"poor": 0.5}, texts=False)
        service(rng, shadow, 600)
        said = shadow.log.estimate(confidence=0.9)
        assert said.quality is not None
        assert said.horvitz is not None
        assert said.method == "betting"
        found["hajek"].append(said.quality)
        found["horvitz"].append(said.horvitz)
        found["plain"].append(fmean(score for _, score, _ in shadow.log.pairs()))
        missed += not said.low <= truth <= said.high
    for name, bias in (("hajek", 0.003), ("horvitz", 0.0)):  # a ratio has a bias of order 1/n
        assert abs(fmean(found[name]) - truth) < 3.5 * stdev(found[name]) / sqrt(RUNS) + bias
    assert fmean(found["plain"]) < truth - 0.05
    assert missed / RUNS <= 0.1 + 3 * sqrt(0.09 / RUNS)


def test_equal_propensities_have_exact_bounds_by_slice() -> None:
    """Where all labels of a slice were drawn alike, its interval is that of Clopper and Pearson."""
    shadow = seeded(3, rate=0.1, rates={"poor": 0.5})
    service(random.Random(8), shadow, 3_000)
    by_slice = shadow.log.estimates()
    assert {name: each.method for name, each in by_slice.items()} == {"good": "exact", "poor": "exact"}
    for name, truth in (("good", 0.95), ("poor", 0.6)):
        said = by_slice[name]
        assert said.quality is not None
        assert said.low < truth < said.high
        assert said.n == said.drawn
    assert by_slice["good"].seen + by_slice["poor"].seen == 3_000


def test_an_estimate_without_labels_claims_nothing() -> None:
    """All of 0 to 1 is possible; what was drawn and has no label yet shows."""
    log = ShadowLog()
    log.take(Sampled("x", "a", 0.5))
    said = log.estimate()
    assert (said.quality, said.low, said.high, said.n, said.drawn, said.method) == (None, 0.0, 1.0, 0, 1, "none")


def test_labels_that_came_by_themselves_are_never_part_of_an_estimate() -> None:
    """Thumbs, regenerations and reviews leave it as it is, and are there to learn from."""
    shadow = seeded(4, rate=0.5)
    service(random.Random(9), shadow, 200)
    before = shadow.log.estimate()
    pairs = shadow.log.pairs()
    for _ in range(50):
        shadow.heard(accepted(), 0.0, "thumb")
        shadow.heard(accepted(), 0.0, "regenerated")
    shadow.heard(accepted(), 1.0, "review", "the right answer")
    assert shadow.log.estimate() == before
    assert shadow.log.pairs() == pairs
    kept = list(shadow.log.cases())
    assert len(kept) == before.n + 101
    assert kept[-1]["expected"] == "the right answer"
    assert kept[-1]["label"] == {"score": 1.0, "source": "review", "propensity": None}


def test_a_better_label_takes_the_place_of_another() -> None:
    """A judge's word gives way to the dear tier's, and that to a person's; never the other way."""
    log = ShadowLog()
    log.take(Sampled("x", "", 0.5))
    for source, score, quality in (("judge", 0.0, 0.0), ("dear", 0.5, 0.5), ("judge", 0.0, 0.5), ("review", 1.0, 1.0)):
        log.add(Label("x", score, source, 0.5))  # type: ignore[arg-type]
        said = log.estimate()
        assert (said.n, said.quality) == (1, quality)
    assert not log.pending


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from((0.1, 0.5)), st.sampled_from((0.0, 0.3, 1.0)))))
def test_estimates_are_those_of_the_textbook(labels: list[tuple[str, float, float]]) -> None:
    """Sums kept as labels come give the weighted mean over all of them."""
    log = ShadowLog(floor=0.1)
    for number, (kind, propensity, score) in enumerate(labels):
        log.take(Sampled(str(number), kind, propensity))
        log.saw(kind)
        log.add(Label(str(number), score, "judge", propensity, kind))
    said = log.estimate()
    assert (said.n, said.seen) == (len(labels), 2 * len(labels))
    if labels:
        right, mass = sum(score / p for _, p, score in labels), sum(1 / p for _, p, _ in labels)
        assert said.quality == pytest.approx(right / mass)
        assert said.horvitz == pytest.approx(right / said.seen)
        assert said.low <= right / mass + 1e-9
        assert said.high >= right / mass - 1e-9


# What is kept.


def test_a_log_is_read_back_as_it_was(tmp_path: Path) -> None:
    """Another process that opens the file has the same estimates, labels and drawn answers, and goes on."""
    path = tmp_path / "shadow.jsonl"
    shadow = seeded(5, rate=0.3, rates={"poor": 0.6}, path=path)
    service(random.Random(10), shadow, 300)
    waiting = Sampled("later", "good", 0.3, asked={"input": "?"})
    shadow.log.take(waiting)
    shadow.heard(accepted(), 0.0, "thumb")
    shadow.log.flush()
    other = Shadow(rate=0.3, rates={"poor": 0.6}, path=path).log
    assert other.estimates() == shadow.log.estimates()
    assert list(other.cases()) == list(shadow.log.cases())
    assert other.pending == {"later": waiting}
    other.add(Label("later", 1.0, "judge", 0.3, "good"))
    assert ShadowLog(path, floor=0.3).estimate() == other.estimate()


def test_a_line_that_broke_off_costs_that_line_alone(tmp_path: Path) -> None:
    """A process killed while it wrote leaves half a line: it is counted, and what comes after is whole."""
    path = tmp_path / "shadow.jsonl"
    log = ShadowLog(path)
    log.take(Sampled("x", "", 0.5))
    with path.open("a") as file:
        file.write('{"label": {"kind:": "Lab')
    again = ShadowLog(path)
    again.add(Label("x", 1.0, "judge", 0.5))
    assert again.damaged == 1
    last = ShadowLog(path)
    assert (last.damaged, last.estimate().n) == (1, 1)


def test_a_full_disk_does_not_reach_the_request(tmp_path: Path) -> None:
    """A file that cannot be written is told as a notice; what is in memory stays."""
    heard: list[Notice] = []
    end = subscribe(heard.append)
    log = ShadowLog(tmp_path / "missing" / "shadow.jsonl")
    log.take(Sampled("x", "", 0.5))
    end()
    assert [each.kind for each in heard] == ["at risk"]
    assert log.estimate().drawn == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old labels leave the list; estimates still know them."""
    monkeypatch.setattr("fastcascade.evals.shadow_log.MOST", 10)
    log = ShadowLog()
    for number in range(50):
        log.take(Sampled(str(number), "", 0.5))
        log.add(Label(str(number), 1.0, "judge", 0.5))
        log.take(Sampled(f"pending {number}", "", 0.5))
    assert (len(log.labels), len(log.pending), log.estimate().n) == (10, 10, 50)


def test_threads_may_share_one() -> None:
    """Answers drawn and labelled from four threads are all counted."""
    shadow = Shadow(0.5)

    def serve() -> None:
        for _ in range(300):
            if (sampled := shadow.draw(accepted())) is not None:
                shadow.label(sampled, 1.0, "judge")

    work = [threading.Thread(target=serve) for _ in range(4)]
    for each in work:
        each.start()
    for each in work:
        each.join()
    said = shadow.log.estimate()
    assert said.seen == 1_200
    assert said.n == said.drawn == len(shadow.log.labels)


def test_a_case_says_what_was_asked_and_not_by_whom() -> None:
    """A text, a conversation, a system text; the whole request where there is a picture. As JSON can hold it."""
    shadow = Shadow(1.0)
    asked = (
        Request.of("one?", user="ann", id="r1"),
        Request((Message("user", "a"), Message("assistant", "b"), Message("user", "c")), system=(Text("be brief"),)),
        Request((Message("user", (Text("what is it?"), Image("aGk=", "image/png"))),), customer="acme"),
    )
    for request in asked:
        sampled = shadow.draw(accepted(request=request))
        assert sampled is not None
        shadow.label(sampled, 1.0, "dear", "expected")
    one, talk, picture = json.loads(json.dumps(list(shadow.log.cases())))
    assert (one["input"], one["candidates"], one["expected"]) == ("one?", {"small": "yes"}, "expected")
    assert [each["content"] for each in talk["input"]] == ["a", "b", "c"]
    assert talk["system"] == "be brief"
    assert "request" in picture
    assert "acme" not in json.dumps(picture)
    assert "ann" not in json.dumps(one)


def test_texts_can_be_left_out(tmp_path: Path) -> None:
    """Without texts the log holds scores alone, and estimates are the same."""
    path = tmp_path / "shadow.jsonl"
    shadow = Shadow(1.0, texts=False, path=path)
    sampled = shadow.draw(accepted(text="a secret"))
    assert sampled is not None
    shadow.label(sampled, 1.0, "dear", "another secret")
    shadow.heard(accepted(text="a secret"), 0.0, "thumb", "another secret")
    assert "secret" not in path.read_text()
    assert "is it?" not in path.read_text()
    assert shadow.log.estimate().n == 1
    assert not list(shadow.log.cases())


# In a cascade.


def built(dear: ScriptedBackend, **settings: Any) -> Cascade:
    """A cheap tier whose gate accepts, below a dear one."""
    small = Tier(ScriptedBackend("cheap says"), gate=UserCheck(lambda _request, reply: bool(reply.text)), name="small")
    return Cascade(small, Tier(dear, name="large"), prices=NO_PRICES, **settings)


def same(answer: Answer, dear: Answer | None) -> float:
    """Whether both say the same."""
    return float(dear is not None and answer.text == dear.text)


def test_the_dear_tier_is_asked_and_compared() -> None:
    """What the cheap tier answered is graded beside the dear tier's answer, which becomes what is expected."""

    async def main() -> tuple[Label | None, Label | None]:
        shadow = Shadow(1.0)
        cascade = built(ScriptedBackend("dear says", "cheap says"))
        answer = await cascade.run("?")
        assert answer.text == "cheap says"
        return await shadowed(cascade, answer, shadow, same), await shadowed(cascade, answer, shadow, same)

    first, second = run_virtual(main())
    assert first is not None
    assert second is not None
    assert (first.score, first.source, first.expected, first.propensity) == (0.0, "dear", "dear says", 1.0)
    assert second.score == 1.0


def test_a_judge_needs_no_dear_tier() -> None:
    """With `dear=None` the grader alone says it, and may be a coroutine function."""

    async def judge(answer: Answer, dear: Answer | None) -> float:
        assert dear is None
        return 0.25

    async def main() -> Label | None:
        cascade = built(ScriptedBackend("never asked"))
        return await shadowed(cascade, await cascade.run("?"), Shadow(1.0), judge, dear=None)

    label = run_virtual(main())
    assert label is not None
    assert (label.score, label.source, label.expected) == (0.25, "judge", None)


def failing(answer: Answer, dear: Answer | None) -> float:
    """A grader with a fault."""
    raise RuntimeError("no")


def test_what_fails_leaves_an_answer_without_a_label() -> None:
    """A dear tier that fails, a grader that raises or comes to no score: nothing is raised, and it shows as drawn."""

    async def main() -> list[int]:
        shadow = Shadow(1.0)
        for dear, grade in (
            (ScriptedBackend(Fault("server")), same),
            (ScriptedBackend("dear says"), failing),
            (ScriptedBackend("dear says"), lambda *_: 7.0),
        ):
            cascade = built(dear, fallbacks=[Static("sorry")])
            assert await shadowed(cascade, await cascade.run("?"), shadow, grade) is None
        said = shadow.log.estimate()
        return [said.seen, said.drawn, said.n]

    assert run_virtual(main()) == [3, 3, 0]


def test_what_the_dear_tier_answered_itself_is_not_drawn() -> None:
    """An answer of the dear tier has nothing to be compared with; an unknown tier is refused."""

    async def main() -> None:
        shadow = Shadow(1.0)
        cascade = built(ScriptedBackend("dear says"))
        answer = await cascade.run("?", min_tier="large")
        assert await shadowed(cascade, answer, shadow, same) is None
        assert shadow.log.estimate().seen == 0
        with pytest.raises(ConfigError, match="there is no tier 'huge'; there are: small, large"):
            await shadowed(cascade, answer, shadow, same, dear="huge")

    run_virtual(main())


def test_labels_of_accepted_answers_are_told_as_grades() -> None:
    """Metrics, the store and the console hear of a label; not of the escalated, nor of what a review desk tells of."""
    heard: list[Event] = []
    end = listen(heard.append)
    log = ShadowLog(floor=0.5)
    log.add(Label("a", 0.5, "judge", 0.5, "refunds", "small", request="digest"))
    log.add(Label("b", 1.0, "judge", 0.5, population="escalated"))
    log.add(Label("c", 1.0, "review"))
    end()
    (grade,) = heard
    assert isinstance(grade, Graded) and (grade.tier, grade.score, grade.slice) == ("small", 0.5, "refunds")
    assert (grade.propensity, grade.source, grade.id) == (0.5, "judge", "digest")
