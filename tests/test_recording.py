"""Traces and recordings: JSON and back, and the same code over them without a network."""

import json
import math
from array import array
from dataclasses import dataclass, replace
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
from fastcascade.answers import Entrance
from fastcascade.effects import Call, Check, Gather, Outcome
from fastcascade.fallbacks import Hedge
from fastcascade.gates import Judge, UserCheck, all_of
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.records import dump, load, write_line
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
    script = (Reply("first", usage=Usage(3, 4)), "s1", Slow(1.0, "s2"), "judge says")
    return Cascade(
        Tier(ScriptedBackend(*script, name="a"), gate=Everyway(), accept=accept),
        Tier(ScriptedBackend(Slow(2.0, "large"), name="b")),
        prices=NO_PRICES,
    )


def test_a_recording_has_every_tier_and_every_sample() -> None:
    """`record` asks everyone, whatever the first says, so that any threshold can be tried later."""
    recording = run_virtual(record(built(accept=0.1), Request.of("q")))
    assert set(recording.outcomes) == {"a/answer", "a/sample", "a/sample/1", "a/judge", "a/check", "b/answer"}
    assert all(outcome.failure is None for outcome in recording.outcomes.values())


def test_what_is_recorded_is_not_raced() -> None:
    """A hedge does not cut the slower of two short: both replies are recorded."""
    cascade = Cascade(
        Tier(ScriptedBackend(Slow(10.0, "late"), name="a")),
        Tier(ScriptedBackend(Slow(1.0, "soon"), name="b")),
        hedge=Hedge(after=2.0),
        prices=NO_PRICES,
    )
    recording = run_virtual(record(cascade, Request.of("q")))
    assert [outcome.value.text for outcome in recording.outcomes.values()] == ["late", "soon"]
    assert cascade.hedge is not None


def test_every_judge_is_asked() -> None:
    """A combination of gates is recorded whole, though its first member has settled it."""
    cascade = Cascade(
        Tier(ScriptedBackend("no", name="a"), gate=all_of(UserCheck(nothing), Judge(ScriptedBackend("YES")))),
        prices=NO_PRICES,
    )
    recording = run_virtual(record(cascade, Request.of("q")))
    assert list(recording.outcomes) == ["a/answer", "a/check", "a/judge.2"]


def nothing(_request: Request, _reply: Reply) -> float:
    """A check that nothing passes."""
    return 0.0


def test_a_recording_where_no_tier_answers_is_one_too() -> None:
    """A cascade that would raise an error is recorded all the same."""
    cascade = Cascade(Tier(ScriptedBackend(Fault("server"), name="a")), last_resort=None, prices=NO_PRICES)
    recording = run_virtual(record(cascade, Request.of("q")))
    assert recording.outcomes["a/answer"].failure is not None


def test_recordings_are_kept_in_a_file(tmp_path: Path) -> None:
    """Saved and loaded, recordings are what they were, whatever their texts hold."""
    texts = ("q", "Grüße, 你好", "a\u2028b\u0085c\u000cd\r\ne", "\ud800")
    recordings = [run_virtual(record(built(), Request.of(text, task="code"))) for text in texts]
    path = tmp_path / "runs.jsonl"
    Recording.save(recordings, path)
    assert Recording.load(path) == recordings
    assert recordings[0].entrance == Entrance(0, 1)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))  # as an editor may leave it
    assert Recording.load(path) == recordings


def test_a_recording_from_before_there_were_entrances_loads(tmp_path: Path) -> None:
    """Files of an older version are read."""
    recording = run_virtual(record(built(), Request.of("q")))
    path = tmp_path / "runs.jsonl"
    path.write_text(write_line({"request": recording.request, "outcomes": recording.outcomes}), "utf-8")
    assert Recording.load(path) == [replace(recording, entrance=None)]


BROKEN = [
    (b"{}\n", r"runs.jsonl, line 1: this is no trace of an answer: it lacks 'outcomes'"),
    (b'\n{"outcomes": {}, "request": {}}\n', r"line 2: .* its request or its entrance is something else"),
    (b"\n[]\n", r"line 2: this is no trace"),
    (b"\n\n{\n", r"line 3: this is not JSON"),
    (b"\xff\n", r"runs.jsonl: this is not UTF-8"),
]


@pytest.mark.parametrize(("held", "message"), BROKEN)
def test_a_broken_line_is_named_by_its_number(held: bytes, message: str, tmp_path: Path) -> None:
    """A file that is none of ours, or was cut off, says where."""
    path = tmp_path / "runs.jsonl"
    path.write_bytes(held)
    with pytest.raises(ConfigError, match=message):
        Recording.load(path)


NAMES = st.text(min_size=1, max_size=8)
OWN = st.sampled_from(["kind:", "=kind:", "==kind:", "items", "text"]) | st.text(max_size=3)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(OWN, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(OWN, JSONS, max_size=2)
EXTRAS = st.dictionaries(NAMES, OBJECTS, max_size=1)
BLOCKS = st.one_of(
    st.builds(Text, st.text(), EXTRAS),
    st.builds(Image, st.just("aGk="), st.just("image/png")),
    st.builds(Thinking, st.text(), st.text(), st.text(), st.text()),
    st.builds(ToolCall, NAMES, NAMES, st.text(), EXTRAS),
    st.builds(ToolResult, NAMES, st.lists(st.builds(Text, st.text()), max_size=2).map(tuple), st.booleans()),
    st.builds(Opaque, NAMES, OBJECTS),
)
CONTENTS = st.lists(BLOCKS, max_size=4).map(tuple)
LOGPROBS = st.floats(max_value=0.0, allow_nan=False)
TOKENS = st.builds(
    Token, st.text(), LOGPROBS, st.lists(st.tuples(st.text(), LOGPROBS), max_size=2).map(tuple), st.booleans()
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
    tools=st.lists(st.builds(Tool, NAMES, st.text(), OBJECTS, EXTRAS), max_size=1).map(tuple),
    stop=st.lists(st.text(min_size=1), max_size=2).map(tuple),
    schema=st.none() | OBJECTS,
    options=EXTRAS,
)


# What a function of the user's may return.
FOUND = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.floats(allow_nan=False) | REPLIES,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(OWN, inner, max_size=2)
        | st.sets(st.integers(), max_size=1)
        | st.builds(Verdict, st.none() | st.floats(0, 1), st.text(max_size=3))
    ),
    max_leaves=4,
)


@given(st.one_of(REPLIES, REQUESTS, st.builds(Outcome, FOUND)))
@settings(max_examples=200)
def test_values_go_through_json_unchanged(value: Reply | Request | Outcome) -> None:
    """Whatever a request, a reply or an outcome holds comes back from JSON as it was, lists as lists."""
    loaded = load(json.loads(write_line(value)))
    assert loaded == value
    assert repr(loaded) == repr(value)


def test_numbers_that_json_has_no_word_for_are_kept() -> None:
    """Not a number, infinities, and arrays of numbers, which come back as lists."""
    found = load(json.loads(write_line(Outcome([math.nan, -math.inf, array("d", [0.5, math.inf])]))))
    assert math.isnan(found.value[0])
    assert found.value[1:] == [-math.inf, [0.5, math.inf]]


@dataclass(frozen=True)
class Unheard:
    """A class of the user's."""

    size: int = 0


UNKEPT: list[tuple[object, str]] = [
    (object(), "a object cannot be kept in a trace or a recording"),
    (b"x", "bytes cannot be kept in a trace or a recording; make a text of them, such as base64"),
    ({"of": [bytearray()]}, "bytearray cannot be kept"),
    (Unheard(), r"a Unheard cannot be kept .* as it is; make it readable: fastcascade.records.known\(Unheard\)"),
    ({(1, 2): 3}, "a mapping with a tuple for a key cannot be kept"),
]


@pytest.mark.parametrize(("value", "message"), UNKEPT)
def test_what_cannot_be_kept_is_said(value: object, message: str) -> None:
    """What would not come back as it was is named when it is to be written, rather than when it is missed."""
    with pytest.raises(ConfigError, match=message):
        dump(value)


UNREAD: list[tuple[object, str]] = [
    ({"kind:": "Nothing"}, "'Nothing', which this version does not know"),
    ({"kind:": ["x"]}, "holds a .* that cannot be read"),
    ({"kind:": "Usage", "inputs": 3}, "holds a Usage that cannot be read"),
    ({"kind:": "float"}, "holds a float that cannot be read"),
]


@pytest.mark.parametrize(("data", "message"), UNREAD)
def test_what_cannot_be_read_is_said(data: object, message: str) -> None:
    """A record of another version is named."""
    with pytest.raises(ConfigError, match=message):
        load(data)


def test_what_a_check_returned_can_be_read_again() -> None:
    """A trace in which a function of the user's gave a verdict, or a pair, replays to the same."""
    for found, score in ((Verdict(0.9, "fine"), 0.9), ((0.8, "so"), 0.8), ([0.8, "so"], None)):
        gate = UserCheck(lambda _request, _reply, found=found: found)
        cascade = Cascade(Tier(ScriptedBackend("a", name="a"), gate=gate), prices=NO_PRICES)
        answer = run_virtual(cascade.run("q"))
        assert answer.confidence == score
        assert replay(cascade, json.loads(json.dumps(answer.trace()))).attempts == answer.attempts


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
