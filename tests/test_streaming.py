"""A stream through the cascade: what is held back, from when it flows, and what a fault does to it."""

import asyncio
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import (
    Answer,
    Budget,
    Cascade,
    Delta,
    IncompleteAnswer,
    PriceSheet,
    Reply,
    Request,
    Text,
    Thinking,
    Tier,
    ToolCall,
)
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict, Watch
from fastcascade.streaming import assemble, pieces
from fastcascade.testing import Cut, Fault, ScriptedBackend, Slow, Stall, Step, run_virtual

NO_PRICES = PriceSheet(source=None)


class Watcher:
    """Commits at one word, aborts at another."""

    def __init__(self) -> None:
        self.verdict = Verdict(None)

    def feed(self, delta: Delta, /) -> Literal["hold", "commit", "abort"]:
        if "GOOD" in delta.text:
            self.verdict = Verdict(0.9, "a good word")
            return "commit"
        if "BAD" in delta.text:
            self.verdict = Verdict(0.0, "a bad word")
            return "abort"
        return "hold"


class Words(Gate):
    """Judges a prefix by its words, and a whole reply by whether it says FINE."""

    def __init__(self, *, watching: bool = True) -> None:
        self.watching = watching

    def judge(self, exam: Exam, /) -> Judging:
        return Verdict(1.0 if "FINE" in exam.reply.text else 0.1, "by its words")

    def watch(self, request: Request, accept: float, /) -> Watch | None:
        return Watcher() if self.watching else None


def streamed(cascade: Cascade, **fields: object) -> tuple[str, Answer, bool]:
    """The text a client has seen, the answer, and whether it was told that it is incomplete."""

    async def read() -> tuple[str, Answer, bool]:
        stream = cascade.stream("q", **fields)
        seen = ""
        try:
            async for delta in stream:
                seen += delta.text
        except IncompleteAnswer as error:
            return seen, error.answer, True
        assert stream.answer is not None
        return seen, stream.answer, False

    return run_virtual(read())


def two(first: Step, *, gate: Gate | None = None, second: Step = "large", **settings: object) -> Cascade:
    """A gated tier below one that streams through."""
    return Cascade(
        Tier(ScriptedBackend(first, name="a"), gate=gate, stall=5.0, **settings),  # type: ignore[arg-type]
        Tier(ScriptedBackend(second, name="b"), stall=5.0),
        prices=NO_PRICES,
    )


WORDS = [
    # what the gated tier says, who answers, what is seen
    ("this is GOOD indeed", "a", "this is GOOD indeed"),
    ("this is BAD indeed", "b", "large"),
    ("this is BAD but GOOD", "b", "large"),
    ("GOOD then BAD", "a", "GOOD then BAD"),
    ("neither, but FINE", "a", "neither, but FINE"),
    ("neither", "b", "large"),
]


@pytest.mark.parametrize(("says", "by", "seen"), WORDS)
def test_a_gate_commits_or_aborts_while_it_streams(says: str, by: str, seen: str) -> None:
    """What is committed is passed on, what is aborted is never seen, and what is neither is judged when it is whole."""
    text, answer, incomplete = streamed(two(says, gate=Words()))
    assert (text, answer.text, answer.tier, incomplete) == (seen, seen, by, False)


def test_a_gate_that_needs_the_whole_reply_holds_it_back() -> None:
    """Without a way to judge a prefix nothing is seen before the verdict."""
    assert streamed(two("GOOD", gate=Words(watching=False)))[0] == "large"
    assert streamed(two("FINE", gate=Words(watching=False)))[0] == "FINE"


FAULTS: list[Step] = [
    Fault("overloaded"),
    Cut("cut before it was GOOD", 2),
    Cut("an error inside", 2, "server"),
    Cut("malformed", 0, "malformed"),
    Stall("stalls before it is GOOD", 2),
    Slow(9.0, "so slow GOOD"),
    None,
]


@pytest.mark.parametrize("fault", FAULTS)
def test_before_the_commit_point_another_tier_answers(fault: Step) -> None:
    """A break in what was held back is invisible to the client."""
    text, answer, incomplete = streamed(two(fault, gate=Words()))
    assert (text, answer.tier, incomplete) == ("large", "b", False)
    assert answer.attempts[0].verdict in ("failed", "empty")


AFTER: list[Step] = [
    Cut("GOOD so far", 2),
    Cut("GOOD so far", 2, "server"),
    Stall("GOOD so far", 2),
    Cut("GOOD so far", 2, "malformed"),
]


@pytest.mark.parametrize("fault", AFTER)
@pytest.mark.parametrize("last", [False, True])
def test_after_the_commit_point_a_break_is_said(fault: Step, last: bool) -> None:
    """What was seen stays, no other tier adds to it, and the end is an error that holds the answer so far."""
    cascade = Cascade(Tier(ScriptedBackend(fault), stall=5.0), prices=NO_PRICES) if last else two(fault, gate=Words())
    text, answer, incomplete = streamed(cascade)
    assert (text, answer.text, answer.degraded, incomplete) == ("GOOD so ", "GOOD so ", "incomplete", True)
    assert [attempt.verdict for attempt in answer.attempts] == ["incomplete"]


def test_the_last_tier_streams_through() -> None:
    """The last tier is not held back: its first piece is seen before its last is said."""

    async def first_piece() -> float:
        loop = asyncio.get_running_loop()
        cascade = Cascade(Tier(ScriptedBackend(Slow(1.0, "one two three"))), prices=NO_PRICES)
        async with cascade.stream("q") as stream:
            await anext(stream)
            return loop.time()

    assert run_virtual(first_piece()) == 1.0


def test_leaving_a_stream_cancels_its_call() -> None:
    """A client that goes away stops what is under way."""
    backend = ScriptedBackend(Stall("one two three", 2))

    async def leave() -> None:
        async with Cascade(Tier(backend), prices=NO_PRICES).stream("q") as stream:
            await anext(stream)

    run_virtual(leave())
    assert backend.cancelled == 1


def test_a_deadline_ends_a_stream_as_incomplete() -> None:
    """The budget covers a stream too; what was seen before it ran out is marked as not the whole."""
    cascade = Cascade(Tier(ScriptedBackend(Slow(1.0, "one two three four five"))), prices=NO_PRICES)
    text, answer, incomplete = streamed(cascade, budget=Budget(deadline=2.5))
    assert (text, incomplete, answer.latency) == ("one two ", True, 2.5)


def test_a_stream_given_up_is_counted() -> None:
    """What a tier had written before it was aborted is in the trace."""
    answer = streamed(two("this is BAD indeed", gate=Words()))[1]
    assert (answer.attempts[0].verdict, answer.attempts[0].reason) == ("escalate", "a bad word")
    assert answer.attempts[0].calls[0].estimated


def test_when_all_fail_the_last_resort_is_streamed() -> None:
    """A stream has a last resort too."""
    cascade = Cascade(Tier(ScriptedBackend(Fault("server"))), prices=NO_PRICES, last_resort="Call us.")
    text, answer, incomplete = streamed(cascade)
    assert (text, answer.degraded, incomplete) == ("Call us.", "no tier answered", False)


def test_tools_and_thoughts_stream_as_such() -> None:
    """Pieces say what they are part of, and together are the reply."""
    reply = Reply((Thinking("hm"), Text("I look."), ToolCall("1", "look", '{"at": 1}')), stop="tool")

    async def read() -> list[Delta]:
        return [delta async for delta in Cascade(Tier(ScriptedBackend(reply)), prices=NO_PRICES).stream("q")]

    deltas = run_virtual(read())
    assert assemble(deltas) == reply.content
    assert [delta.kind for delta in deltas] == ["thinking", "text", "text", "tool"]


BLOCKS = st.lists(
    st.one_of(
        st.text().map(Text),
        st.text().map(Thinking),
        st.builds(ToolCall, st.text(min_size=1), st.text(min_size=1), st.text()),
    ),
    max_size=5,
).map(tuple)


@given(BLOCKS)
def test_pieces_of_a_reply_are_the_reply(content: tuple[Text | Thinking | ToolCall, ...]) -> None:
    """Taking a reply to pieces and putting them together again changes nothing."""
    assert assemble(list(pieces(Reply(content)))) == content


@given(
    st.lists(st.sampled_from(["GOOD", "BAD", "FINE", "so"]), min_size=1, max_size=8), st.integers(0, 9), st.booleans()
)
def test_nothing_seen_is_ever_taken_back(words: list[str], after: int, cut: bool) -> None:
    """Whatever is said, and wherever it breaks, what the client saw is a beginning of the answer it ends with."""
    says = " ".join(words)
    text, answer, incomplete = streamed(two(Cut(says, after) if cut else says, gate=Words()))
    assert answer.text == text
    assert incomplete == (answer.degraded == "incomplete")
    assert answer.tier == "b" or says.startswith(text)
