"""Replays of recorded runs: what a live run gave, another gave, or would have given under other settings."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fastcascade import (
    Budget,
    Cascade,
    Lane,
    Lanes,
    Price,
    Request,
    Sessions,
    record,
    replay,
)
from fastcascade.errors import Failure
from fastcascade.fallbacks import Hedge
from fastcascade.gates import all_of, any_of
from fastcascade.testing import Cut, Fault, ScriptedBackend, Slow, Stall, run_virtual
from replays import Asks, Reads, Samples, Watches, built, streamed, through_json, tier, told


def test_a_trace_replays_to_the_same_answer() -> None:
    """Through JSON and back, a trace gives the answer it is the trace of, to the letter."""

    def cascade() -> Cascade:
        lower = tier("a", "0.2 first", "0.4 s1", "0.3 s2", gate=Samples(2, 1))
        return built(lower, tier("b", Slow(2.0, "0.9 large")))

    answer = run_virtual(cascade().run("q", task="code"))
    again = replay(cascade(), through_json(answer))
    assert again.attempts == answer.attempts
    assert (again.text, again.tier, again.latency, again.request) == ("0.9 large", "b", 2.0, answer.request)


def test_another_threshold_gives_the_answer_it_would_have_given() -> None:
    """The same trace under a lower threshold stops where that would have stopped."""
    cascade = built(tier("a", "0.4 first", gate=Reads()), tier("b"))
    answer = run_virtual(cascade.run("q"))
    assert answer.tier == "b"
    assert replay(cascade.adjusted(accept={"a": 0.4}), answer).tier == "a"
    assert replay(cascade, answer, streaming=True).tier == "b"


def test_what_was_not_recorded_is_missing() -> None:
    """A replay that asks for more than was recorded says what is missing, and asks no network."""
    cascade = built(tier("a", "0.4 first", gate=Reads(), accept=0.1), tier("b"))
    again = replay(cascade.adjusted(accept={"a": 0.5}), run_virtual(cascade.run("q")))
    assert (again.tier, bool(again.degraded)) == ("a", True)
    assert again.attempts[1].error == Failure("missing", "nothing was recorded for b/answer; record all tiers first")


def test_failures_are_recorded_too() -> None:
    """A failure replays as the failure it was."""
    cascade = built(tier("a", Fault("rate_limited", "slow down", 429, 3.0)), tier("b"))
    answer = run_virtual(cascade.run("q"))
    assert replay(cascade, through_json(answer)).attempts[0].error == answer.attempts[0].error


def raced(accept: float = 0.5) -> Cascade:
    """A slow tier and one that is started beside it."""
    return built(
        tier("a", Slow(3.0, "0.6 by a"), gate=Reads(), accept=accept),
        tier("b", Slow(9.0, "0.9 by b")),
        hedge=Hedge(after=2.0),
    )


def test_a_race_replays_as_it_was_run() -> None:
    """The loser is cancelled again, when it was, and costs what it did."""
    overtaken = built(
        tier("a", Slow(10.0), price=Price(1.0, 1.0)), tier("b", Slow(1.0, "0.9 by b")), hedge=Hedge(after=2.0)
    )
    for cascade in (raced(), overtaken):
        answer = run_virtual(cascade.run("q"))
        again = replay(cascade, through_json(answer))
        assert (again.attempts, again.latency) == (answer.attempts, 3.0)
        assert "cancelled" in [attempt.verdict for attempt in again.attempts]


def test_what_a_cancelled_call_would_have_said_is_missing() -> None:
    """A stricter threshold that needs the loser's reply is told that it is not there, rather than that it failed."""
    again = replay(raced(accept=0.9), run_virtual(raced().run("q")))
    assert [(each.tier, each.verdict, each.error and each.error.kind) for each in again.attempts] == [
        ("a", "escalate", None),
        ("b", "failed", "missing"),
    ]
    gate = Samples(3, 1)
    cascade = built(tier("a", "0.9 first", "0.1 s", Slow(3.0, "0.8 s"), Slow(5.0, "0.9 s"), gate=gate), tier("b"))
    answer = run_virtual(cascade.run("q"))
    gate.suffice = 3
    kinds = {call.label: call.failure and call.failure.kind for call in replay(cascade, answer).calls}
    assert (kinds["a/sample"], kinds["a/sample/1"], kinds["a/sample/2"]) == (None, "missing", "missing")


def test_a_recorded_reply_streams_within_its_time() -> None:
    """A reply that came too late for a stream's patience, or for the deadline, is a timeout when that has passed."""
    recording = run_virtual(record(built(tier("a", Slow(4.0, "0.9 late")), tier("b")), Request.of("q")))
    again = replay(built(tier("a", gate=Reads(), timeout=2.0), tier("b")), recording, streaming=True)
    assert (again.tier, again.latency, again.attempts[0].error) == (
        "b",
        2.0,
        Failure("timeout", "no answer within 2 s"),
    )
    bound = replace(recording, request=replace(recording.request, budget=Budget(deadline=1.0)))
    again = replay(built(tier("a"), tier("b")), bound, streaming=True)
    assert (again.tier, again.degraded, again.latency) == ("", "deadline", 1.0)


BROKEN: list[tuple[str, Callable[[], Cascade]]] = [
    ("incomplete", lambda: built(tier("a", Cut("0.9 two three", 2)), tier("b"))),
    ("incomplete", lambda: built(tier("a", Stall("0.9 two three", 2)), tier("b"))),
    ("incomplete", lambda: built(tier("a", Slow(3.0, Cut("0.9 b c d", 3)), timeout=4.0), tier("b"))),  # type: ignore[arg-type]
    ("incomplete", lambda: built(tier("a", Slow(3.0, "0.9 b c d"), stall=9.0), budget=Budget(deadline=8.0))),
    ("incomplete", lambda: built(tier("a", Cut("0.9 two three", 2), gate=Watches()), tier("b"))),
    ("failed", lambda: built(tier("a", Cut("0.4 two three", 2), gate=Watches()), tier("b"))),
    ("failed", lambda: built(tier("a", Cut("0.9 two three", 2), gate=Reads()), tier("b"))),
    ("failed", lambda: built(tier("a", Cut("0.9 two three", 0)), tier("b"))),
    ("escalate", lambda: built(tier("a", "0.1 two three", gate=Watches()), tier("b"))),
    ("escalate", lambda: built(tier("a", Slow(3.0, "0.1 two three"), gate=Watches()), tier("b"))),
]


@pytest.mark.parametrize(("ended", "make"), BROKEN)
def test_a_stream_that_did_not_end_well_replays_as_it_went(ended: str, make: Callable[[], Cascade]) -> None:
    """Broken off after the client had seen some, or before, or given up by its gate: each is that again."""
    answer = streamed(make(), "q")
    assert answer.attempts[0].verdict == ended
    assert told(replay(make(), through_json(answer), streaming=True)) == told(answer)


def test_a_stream_that_was_given_up_is_missing_where_it_is_wanted() -> None:
    """Half a reply is neither judged nor taken for a failure of the backend's."""
    cascade = built(tier("a", "0.1 two three", gate=Watches()), tier("b"))
    answer = streamed(cascade, "q")
    for streaming in (False, True):
        again = replay(cascade.adjusted(accept={"a": 0.15}), answer, streaming=streaming)
        assert again.attempts[0].error is not None
        assert again.attempts[0].error.kind == "missing"


# Entrances.


def test_a_session_replays_where_it_was() -> None:
    """A replay of a conversation's second turn enters where that did, and asks no session."""
    cascade = built(tier("a", "0.1 poor", gate=Reads()), tier("b"), sessions=Sessions())
    run_virtual(cascade.run("q", session="s"))
    answer = run_virtual(cascade.run("q", session="s"))
    assert [attempt.tier for attempt in answer.attempts] == ["b"]
    assert told(replay(cascade, through_json(answer))) == told(answer)


def test_a_request_that_was_asked_again_replays_large() -> None:
    """That it had been asked before is recorded with it; a replay is not counted as asking."""
    cascade = built(tier("a", gate=Reads()), tier("b"), lanes=Lanes(regenerated_within=60))
    first, second = (run_virtual(cascade.run("q", user="u")) for _ in range(2))
    for _ in range(2):
        assert told(replay(cascade, through_json(first))) == told(first)
        assert told(replay(cascade, through_json(second))) == told(second)
    assert [first.tier, second.tier] == ["a", "b"]


class Meanings:
    """A table of routes for one word each; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def embed(self, text: str) -> list[float]:
        self.asked += 1
        return [float("money" in text)]

    def match(self, vector: list[float]) -> tuple[str | None, float]:
        return ("refund", 0.9) if vector[0] else (None, 0.1)


def test_a_route_that_was_found_is_not_looked_for_again() -> None:
    """Neither where a meaning was found nor where none was does a replay need the embedder; a recording keeps it."""
    meanings = Meanings()
    lanes = Lanes([Lane(start="b", route="refund")], semantic=meanings)  # type: ignore[arg-type]
    cascade = built(tier("a"), tier("b"), lanes=lanes)
    for asked, by in (("my money back", "b"), ("hello", "a")):
        answer = run_virtual(cascade.run(asked))
        recording = run_virtual(record(cascade, Request.of(asked)))
        meanings.asked = 0
        assert told(replay(cascade, through_json(answer))) == told(answer)
        assert replay(cascade, recording).tier == answer.tier == by
        assert recording.request.route == answer.request.route
        assert meanings.asked == 0
        assert replay(cascade, replace(recording, entrance=None)).tier == by


def test_members_of_gates_keep_their_names_when_fewer_are_asked() -> None:
    """What a judge within a combination said is not taken for another's, whoever is asked before it."""

    def cascade(inner: float) -> Cascade:
        one, two, three = (Asks(ScriptedBackend(said, name=said)) for said in ("0.4", "0.9", "0.1"))
        one.threshold = inner
        return built(tier("a", gate=any_of(all_of(one, two), three)), tier("b"))

    recording = run_virtual(record(cascade(0.5), Request.of("q")))
    assert list(recording.outcomes) == ["a/answer", "a/judge", "a/judge.1.2", "a/judge.2", "b/answer"]
    for inner in (0.3, 0.5):
        assert told(replay(cascade(inner), recording)) == told(run_virtual(cascade(inner).run("q")))
