"""Feedback: what people make of answers is found by request, kept as labels, and becomes cases."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desks import Clock
from fastcascade import Answer, ConfigError, Reply, Request
from fastcascade.answers import Attempt
from fastcascade.evals.alarms import QualityAlarm
from fastcascade.evals.cases import load_cases
from fastcascade.evals.feedback import Feedback
from fastcascade.evals.shadow import Label, Sampled, Shadow
from fastcascade.evals.shadow_outcomes import write_cases
from fastcascade.evals.shadow_seen import digest
from fastcascade.reviews.desk import ReviewDesk
from fastcascade.stores.reviews import Review
from fastcascade.testing import run_virtual
from memory_reviews import MemoryReviews


def answered(name: str = "r1", customer: str = "acme", text: str = "yes") -> Answer:
    """An accepted answer to a request of that name."""
    request = Request.of("is it?", id=name, customer=customer, task="sums")
    return Answer(Reply(text), request, "small", 0.8, attempts=(Attempt("small", "accept"),))


def ready(*answers: Answer, **settings: Any) -> Feedback:
    """Feedback that remembers these."""
    feedback = Feedback(Shadow(1.0), **settings)
    for each in answers or (answered(),):
        assert feedback.answered(each)
    return feedback


@pytest.mark.parametrize(
    ("said", "score", "source"),
    [("up", 1.0, "thumb"), ("down", 0.0, "thumb"), ("regenerated", 0.0, "regenerated"), (0.25, 0.25, "thumb")],
)
def test_what_is_said_of_a_request_becomes_a_label(said: Any, score: float, source: str) -> None:
    """Found by the request's id and customer, with what was asked and said, and no part of any estimate."""
    feedback = ready()
    assert feedback("r1", said, customer="acme", expected="no", note="wrong way round") == "kept"
    assert feedback("r1", said, customer="acme", expected="no", note="wrong way round") == "again"
    (label,) = feedback.shadow.log.kept()
    assert (label.score, label.source, label.propensity) == (score, source, None)
    assert (label.slice, label.tier, label.confidence, label.answer) == ("sums", "small", 0.8, "yes")
    assert (label.expected, label.note, label.asked) == ("no", "wrong way round", {"input": "is it?"})
    assert feedback.shadow.log.estimate().n == 0
    assert not QualityAlarm(0.9).hear(label)


def test_whoever_is_not_known_is_told_so() -> None:
    """Another id, another customer's, an empty one: "unknown", and no label."""
    feedback = ready()
    for name, customer in (("r2", "acme"), ("r1", "other"), ("r1", ""), ("", "acme"), ("", ""), ("er1", "acm")):
        assert feedback(name, "down", customer=customer) == "unknown"
    assert not feedback.shadow.log.labels
    assert not feedback.answered(answered(""))
    assert not feedback.answered(answered().__class__(None, Request.of("?", id="r9")))


HOSTILE: list[Any] = ["sideways", "", True, None, -0.1, 1.1, float("nan"), float("inf"), [], {}, b"up", 10**400]


@pytest.mark.parametrize("said", HOSTILE, ids=[repr(each)[:12] for each in HOSTILE])
def test_what_is_no_score_is_refused_and_nothing_raises(said: Any) -> None:
    """Whatever a client sends: "refused"."""
    feedback = ready()
    assert feedback("r1", said, customer="acme") == "refused"
    assert not feedback.shadow.log.labels


@pytest.mark.parametrize("field", ["request_id", "customer", "expected", "note"])
@pytest.mark.parametrize("value", [7, ["x"], "x" * 100_001])
def test_texts_that_are_none_or_too_long_are_refused(field: str, value: Any) -> None:
    """An id, a customer, a correction or a remark that is no text, or would fill the disk."""
    sent: dict[str, Any] = {"request_id": "r1", "said": "up", "customer": "acme", field: value}
    assert ready()(**sent) == "refused"


def test_one_request_cannot_fill_the_disk(tmp_path: Path) -> None:
    """Who changes his mind is heard eight times; the last label counts."""
    path = tmp_path / "shadow.jsonl"
    feedback = Feedback(Shadow(1.0, path=path))
    feedback.answered(answered())
    heard = [feedback("r1", "up" if number % 2 else "down", customer="acme") for number in range(100)]
    feedback.answered(answered())  # the same request, answered again
    assert feedback("r1", "down", customer="acme") == "refused"
    assert heard == ["kept"] * 8 + ["refused", "again"] * 46
    assert len(path.read_text().splitlines()) == 8
    assert [each.score for each in feedback.shadow.log.kept()] == [1.0]


def test_after_a_restart_what_the_log_knows_is_found(tmp_path: Path) -> None:
    """What was drawn, or spoken of before, is found in the log; the id itself is not in the file."""
    path = tmp_path / "shadow.jsonl"
    shadow = Shadow(1.0, path=path)
    assert shadow.draw(answered("drawn-id")) is not None
    before = Feedback(shadow)
    before.answered(answered("spoken-id"))
    before.answered(answered("lost-id"))
    assert before("spoken-id", "up", customer="acme") == "kept"
    assert "-id" not in path.read_text()
    assert "acme" not in path.read_text()
    after = Feedback(Shadow(1.0, path=path))
    assert [after(f"{name}-id", "down", customer="acme") for name in ("drawn", "spoken", "lost")] == [
        "kept", "kept", "unknown",
    ]  # fmt: skip
    found = after.shadow.log.kept()
    assert {(each.source, each.score, each.answer, each.slice) for each in found} == {("thumb", 0.0, "yes", "sums")}
    assert after.shadow.log.estimate().drawn == 1


def test_of_an_escalated_answer_feedback_is_about_what_the_caller_got() -> None:
    """Found in the log, it is the dear tier's reply that the thumb is for, not the one that was sent up."""
    shadow = Shadow(1.0)
    sampled = Sampled(
        "x", "", 1.0, "small", 0.2, {"input": "?"}, "cheap says", "escalated", request=digest("r1"),
        dear_tier="large", expected="dear says",
    )  # fmt: skip
    shadow.log.take(sampled)
    assert Feedback(shadow)("r1", "up") == "kept"
    (label,) = shadow.log.kept()
    assert (label.tier, label.answer, label.population) == ("large", "dear says", "accepted")


def test_without_texts_none_are_kept(tmp_path: Path) -> None:
    """A shadow that keeps no texts gets no corrections and no remarks either."""
    path = tmp_path / "shadow.jsonl"
    feedback = Feedback(Shadow(1.0, texts=False, path=path))
    feedback.answered(answered(text="a secret"))
    assert feedback("r1", "down", customer="acme", expected="a secret", note="a secret") == "kept"
    assert feedback.reviewed(reviewed("a secret", Reply("a secret"))) is not None
    assert "secret" not in path.read_text()
    assert "is it?" not in path.read_text()


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 30))), st.integers(1, 4), st.integers(1, 60))
def test_memory_is_bounded(answers: list[tuple[str, int]], most: int, characters: int) -> None:
    """Of the last answers as many are remembered as fit, the last one always; the sum of their sizes is right."""
    feedback = ready(answered("first"), most=most, characters=characters)
    sizes = {"first": len("is it?yes")}
    for name, length in answers:
        feedback.answered(answered(name, text="x" * length))
        sizes.pop(name, None)
        sizes[name] = len("is it?") + length
        while len(sizes) > most or (sum(sizes.values()) > characters and len(sizes) > 1):
            del sizes[next(iter(sizes))]
    known = [name for name in ("first", *"abcde") if feedback(name, "up", customer="acme") != "unknown"]
    assert sorted(known) == sorted(sizes)


def test_threads_may_share_one() -> None:
    """Answers and thumbs from four threads are all there."""
    feedback = Feedback(Shadow(1.0))

    def serve(worker: int) -> None:
        for number in range(100):
            feedback.answered(answered(f"{worker}-{number}"))
            assert feedback(f"{worker}-{number}", "up", customer="acme") == "kept"

    work = [threading.Thread(target=serve, args=(worker,)) for worker in range(4)]
    for each in work:
        each.start()
    for each in work:
        each.join()
    assert len(feedback.shadow.log.labels) == 400


def test_feedback_needs_room() -> None:
    """A bound that holds nothing is refused."""
    with pytest.raises(ConfigError, match="not for 0 and 5 characters"):
        Feedback(Shadow(1.0), most=0, characters=5)


# Reviews.


def reviewed(said: str, best: Reply | None, **fields: Any) -> Review:
    """A review that was answered."""
    request = answered().request
    trace = {"tier": "small", "confidence": 0.4}
    return Review(
        "the ticket", request, "unsure", 0.0, best=best, trace=trace, slice="sums", answer=Reply(said), **fields
    )


@pytest.mark.parametrize(
    ("said", "best", "score", "tier"),
    [("yes", Reply("yes\n"), 1.0, "small"), ("no", Reply("yes"), 0.0, "small"), ("no", None, 0.0, "")],
)
def test_an_answered_review_is_a_label(said: str, best: Reply | None, score: float, tier: str) -> None:
    """Right where the reviewer says the same; his words are what is expected; it is kept once, and has no ticket."""
    feedback = Feedback(Shadow(1.0))
    label = feedback.reviewed(reviewed(said, best, note="called them"))
    assert label is not None
    assert (label.score, label.source, label.propensity, label.tier) == (score, "review", None, tier)
    assert (label.expected, label.note, label.slice) == (said, "called them", "sums")
    assert feedback.reviewed(reviewed(said, best, note="called them")) is None
    assert "ticket" not in json.dumps(label.case())
    assert len(feedback.shadow.log.labels) == 1
    assert feedback.reviewed(replace(reviewed(said, best), answer=None)) is None


def test_from_the_desk_to_a_case(tmp_path: Path) -> None:
    """A desk whose hook it is: what a reviewer answers is a label, and a case that loads; a grader may judge words."""

    async def main(feedback: Feedback) -> None:
        desk = ReviewDesk(MemoryReviews(), clock=Clock(), on_answer=feedback.reviewed)
        answer = answered()
        await desk.submit(answer.request, "unsure", answer.reply, answer.trace())
        claimed = await desk.claim("ann")
        assert claimed is not None
        assert await desk.answer(claimed, "yes, it is", note="sure") == "done"
        await desk.aclose()

    feedback = Feedback(Shadow(1.0), grade=lambda said, right: float(right.startswith(said)))
    run_virtual(main(feedback))
    (label,) = feedback.shadow.log.kept()
    assert (label.score, label.tier, label.confidence, label.answer) == (1.0, "small", 0.8, "yes")
    assert feedback("r1", "up", customer="acme") == "kept"  # the request is known from its review
    assert write_cases(feedback.shadow.log, tmp_path / "cases.jsonl") == 2
    case, thumb = load_cases(tmp_path / "cases.jsonl")
    assert (case.input, case.expected, case.note, case.slice) == ("is it?", "yes, it is", "sure", label.slice)
    assert (case.label["source"], thumb.label["source"]) == ("review", "thumb")
    assert (thumb.expected, thumb.candidates) == (None, {"small": "yes"})


def test_a_label_of_a_review_is_well_formed() -> None:
    """A grader beyond 0 to 1 is cut; a confidence in a trace that is no number is none."""
    feedback = Feedback(Shadow(1.0), grade=lambda _said, _right: 7.0)
    label = feedback.reviewed(replace(reviewed("no", Reply("yes")), trace={"confidence": "high"}))
    assert isinstance(label, Label)
    assert (label.score, label.confidence, label.tier) == (1.0, None, "")
