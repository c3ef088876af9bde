"""Traces and recordings: JSON and back, and the same code over them without a network."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcascade import (
    Answer,
    Cascade,
    ConfigError,
    Image,
    Message,
    Opaque,
    PriceSheet,
    Recording,
    Reply,
    Request,
    Text,
    Thinking,
    Tier,
    Token,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
    record,
    replay,
)
from fastcascade.backends import Recorded, Recorder
from fastcascade.effects import Call, Check, Gather
from fastcascade.errors import BackendError
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.records import dump, load
from fastcascade.testing import Fault, ScriptedBackend, Slow, run_virtual

NO_PRICES = PriceSheet(source=None)


class Everyway(Gate):
    """Asks in every way a gate can: samples, a judge, a function."""

    def judge(self, exam: Exam, /) -> Judging:
        sample = Call(exam.backend, exam.request, "sample")
        outcome = yield Gather((sample, Call(exam.backend, exam.request, "sample")), lambda came: came[0] is not None)
        said = [each.value.text for each in outcome.value if each.failure is None]
        judged = yield Call(exam.backend, exam.request, "judge")
        checked = yield Check(len, (exam.reply.text,), inline=True)
        return Verdict(0.4, f"{said} {judged.value.text} {checked.value}")


def built(accept: float = 0.5) -> Cascade:
    """Two tiers, the lower with a gate that asks in every way."""
    script = (Reply("first", usage=Usage(3, 4)), "s1", "s2", "judge says")
    return Cascade(
        Tier(ScriptedBackend(*script, name="a"), gate=Everyway(), accept=accept),
        Tier(ScriptedBackend(Slow(2.0, "large"), name="b")),
        prices=NO_PRICES,
    )


def test_a_trace_replays_to_the_same_answer() -> None:
    """Through JSON and back, a trace gives the answer it is the trace of, gates and all."""
    answer = run_virtual(built().run("q", task="code"))
    trace = json.loads(json.dumps(answer.trace()))
    again = replay(built(), trace)
    for one, other in zip(again.attempts, answer.attempts, strict=True):
        assert one == other
    assert (again.text, again.tier, again.latency, again.request) == ("large", "b", 2.0, answer.request)


def test_another_threshold_gives_the_answer_it_would_have_given() -> None:
    """The same trace under a lower threshold stops where that would have stopped."""
    answer = run_virtual(built().run("q"))
    assert replay(built().adjusted(accept={"a": 0.4}), answer).tier == "a"
    assert replay(built(), answer, streaming=True).tier == "b"


def test_what_was_not_recorded_is_missing() -> None:
    """A replay that asks for more than was recorded says what is missing, and asks no network."""
    stopped = run_virtual(built(accept=0.1).run("q"))
    again = replay(built(), stopped)
    assert again.degraded == "below threshold"
    assert again.attempts[1].error is not None
    assert again.attempts[1].error.kind == "missing"
    assert "b/answer" in again.attempts[1].error.message


def test_a_recording_has_every_tier_and_every_sample() -> None:
    """`record` asks everyone, whatever the first says, so that any threshold can be tried later."""
    recording = run_virtual(record(built(accept=0.1), Request.of("q")))
    assert set(recording.outcomes) == {"a/answer", "a/sample", "a/sample/1", "a/judge", "a/check", "b/answer"}
    assert all(outcome.failure is None for outcome in recording.outcomes.values())


def test_recordings_are_kept_in_a_file(tmp_path: Path) -> None:
    """Saved and loaded, recordings are what they were; a broken line is named by its number."""
    recordings = [run_virtual(record(built(), Request.of(text))) for text in ("q", "Grüße, 你好")]
    path = tmp_path / "runs.jsonl"
    Recording.save(recordings, path)
    assert Recording.load(path) == recordings
    path.write_text(path.read_text("utf-8") + "{}\n", "utf-8")
    with pytest.raises(ConfigError, match=r"runs.jsonl, line 3: this is no trace"):
        Recording.load(path)


def test_failures_are_recorded_too() -> None:
    """A failure replays as the failure it was."""
    cascade = Cascade(
        Tier(ScriptedBackend(Fault("rate_limited", "slow down", 429, 3.0), name="a")),
        Tier(ScriptedBackend("b", name="b")),
        prices=NO_PRICES,
    )
    answer = run_virtual(cascade.run("q"))
    again = replay(cascade, json.loads(json.dumps(answer.trace())))
    assert again.attempts[0].error == answer.attempts[0].error


NAMES = st.text(min_size=1, max_size=8)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
EXTRAS = st.dictionaries(NAMES, st.dictionaries(NAMES, JSONS, max_size=2), max_size=1)
BLOCKS = st.one_of(
    st.builds(Text, st.text(), EXTRAS),
    st.builds(Image, st.just("aGk="), st.just("image/png")),
    st.builds(Thinking, st.text(), st.text(), st.text(), st.text()),
    st.builds(ToolCall, NAMES, NAMES, st.text(), EXTRAS),
    st.builds(ToolResult, NAMES, st.lists(st.builds(Text, st.text()), max_size=2).map(tuple), st.booleans()),
    st.builds(Opaque, NAMES, st.dictionaries(NAMES, JSONS, max_size=2)),
)
CONTENTS = st.lists(BLOCKS, max_size=4).map(tuple)
TOKENS = st.builds(
    Token, st.text(), st.floats(-20, 0), st.lists(st.tuples(st.text(), st.floats(-20, 0)), max_size=2).map(tuple)
)
REPLIES = st.builds(
    Reply,
    CONTENTS,
    logprobs=st.none() | st.lists(TOKENS, max_size=2).map(tuple),
    usage=st.none() | st.just(Usage(1, 2)),
)
REQUESTS = st.builds(
    Request,
    st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), CONTENTS), min_size=1, max_size=3).map(tuple),
    system=st.lists(st.builds(Text, st.text()), max_size=1).map(tuple),
    tools=st.lists(st.builds(Tool, NAMES, st.text(), st.dictionaries(NAMES, JSONS, max_size=2)), max_size=1).map(tuple),
    stop=st.lists(st.text(min_size=1), max_size=2).map(tuple),
    schema=st.none() | st.dictionaries(NAMES, JSONS, max_size=2),
)


@given(st.one_of(REPLIES, REQUESTS))
@settings(max_examples=150)
def test_values_go_through_json_unchanged(value: Reply | Request) -> None:
    """Whatever a request or a reply holds comes back from JSON as it was."""
    assert load(json.loads(json.dumps(dump(value)))) == value


def test_what_cannot_be_kept_is_said() -> None:
    """An object that JSON cannot hold is named, and so is a record of another version."""
    with pytest.raises(ConfigError, match="a object cannot be kept"):
        dump(object())
    with pytest.raises(ConfigError, match="'Nothing', which this version does not know"):
        load({"kind:": "Nothing"})
    with pytest.raises(ConfigError, match="holds a Usage that cannot be read"):
        load({"kind:": "Usage", "inputs": 3})


# The Recorded backend.


def ask(backend: Recorded | Recorder, text: str) -> Reply | None:
    """Ask a backend one thing."""
    return asyncio.run(backend.complete(Request.of(text)))


def test_recorded_replies_come_in_turn() -> None:
    """Several replies to one text are given one after another, and then again from the first."""
    backend = Recorded({"q": ["a", "b"], "r": "c"}, name="tape")
    assert [reply.text for _ in range(3) if (reply := ask(backend, "q"))] == ["a", "b", "a"]
    assert backend.answer(Request.of("r")) == Reply("c", model="tape")


def test_what_is_not_on_the_tape_is_an_error_or_no_answer() -> None:
    """An unknown text is a failure that names it; not strict, the tape just has no answer."""
    with pytest.raises(BackendError, match="no recorded reply to 'who'"):
        ask(Recorded({"q": "a"}), "who")
    assert ask(Recorded({"q": "a"}, strict=False), "who") is None


def test_a_recorder_writes_what_recorded_reads(tmp_path: Path) -> None:
    """A tape made of one backend's replies stands in for it."""
    path = tmp_path / "tape.jsonl"
    live = ScriptedBackend(Reply("größer", model="m", usage=Usage(1, 2)), Reply((ToolCall("1", "look"),), stop="tool"))
    recorder = Recorder(live, path)
    said = [ask(recorder, "q"), ask(recorder, "q")]
    tape = Recorded(path)
    assert [ask(tape, "q"), ask(tape, "q")] == said


def test_a_broken_tape_is_named_by_its_line(tmp_path: Path) -> None:
    """A line that is no reply is an error with its number."""
    path = tmp_path / "tape.jsonl"
    path.write_text('{"ask": "q", "reply": "a"}\n{"asked": "q"}\n', "utf-8")
    with pytest.raises(ConfigError, match=r"tape.jsonl, line 2: not a recorded reply"):
        Recorded(path)
    with pytest.raises(ConfigError, match="must be a text or a Reply, not int"):
        Recorded({"q": 7})


def test_an_answer_shows_what_it_took() -> None:
    """The trace holds the request, each attempt with its calls, and the outcome of each call."""
    answer: Answer = run_virtual(built().run("q"))
    trace = answer.trace()
    assert [call["label"] for call in trace["attempts"][0]["calls"]] == [
        "a/answer",
        "a/sample",
        "a/sample/1",
        "a/judge",
    ]
    assert trace["outcomes"]["a/answer"]["value"]["content"][0]["text"] == "first"
