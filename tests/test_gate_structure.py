"""The structure gate: what cannot be used is rejected beyond doubt, and nothing else is."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.errors import ConfigError, PatternError
from fastcascade.gates.gate import Exam, Verdict, Watch
from fastcascade.gates.structure import Structure
from fastcascade.messages import Delta, Opaque, Reply, Request, Text, Thinking, Tool, ToolCall

PRICE: Mapping[str, Any] = {
    "type": "object",
    "properties": {"of": {"type": "string"}, "count": {"type": "integer", "minimum": 1}},
    "required": ["of"],
    "additionalProperties": False,
}
ASKED = Request.of("how much is it?")
TOOLS = replace(ASKED, tools=(Tool("price", schema=PRICE), Tool("stop")))
NESTED = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}}
FINAL = ("end", "length", "stop_sequence", "tool", "refusal", "pause", "other")


class Silent:
    """A backend nobody asks."""

    name = "small"
    gives: frozenset[str] = frozenset()

    async def complete(self, request: Request, /) -> Reply | None:
        raise NotImplementedError


def judged(gate: Structure, reply: Reply, request: Request = ASKED) -> Verdict:
    """The verdict on a reply."""
    return gate.judge(Exam(request, reply, Silent()))


def calling(arguments: str, name: str = "price") -> Reply:
    """A reply that is a tool call alone."""
    return Reply((ToolCall("1", name, arguments),), stop="tool")


GOOD: list[tuple[Structure, Reply, Request]] = [
    (Structure(), Reply("It is 4."), ASKED),
    (Structure(), Reply("It is 4.", stop="stop_sequence"), ASKED),
    (Structure(), Reply((Opaque("anthropic", {"type": "server_tool_use"}),), stop="pause"), ASKED),
    (Structure(allow=["end", "length"]), Reply("It is", stop="length"), ASKED),
    (Structure(refusal=False), Reply("I'm sorry, but I can't help with that."), ASKED),
    (Structure(refusal=False), Reply("No.", stop="refusal"), ASKED),
    (Structure(), Reply("I can't help but admire it."), ASKED),
    (Structure(), Reply("Sorry, but I can't find order 12."), ASKED),
    (Structure(), Reply("It is as it is. " * 30 + "I can't help with that."), ASKED),
    (Structure(PRICE), Reply(' {"of": "tea", "count": 2}\n'), ASKED),
    (Structure(), Reply('{"of": "tea"}'), replace(ASKED, schema=PRICE)),
    (Structure(), Reply('{"of": "tea"}'), replace(ASKED, schema=MappingProxyType(PRICE))),
    (Structure(schema=False), Reply("tea"), replace(ASKED, schema=PRICE)),
    (Structure({}), Reply("3"), replace(ASKED, schema=PRICE)),
    (Structure(PRICE, fence=True), Reply('```json\n{"of": "tea"}\n```'), ASKED),
    (Structure(PRICE, fence=True), Reply('````\n{"of":\n"```"}\n````\n'), ASKED),
    (Structure(PRICE, fence=True), Reply('{"of": "tea"}'), ASKED),
    (Structure(pattern=r"\d+|yes"), Reply(" 42\n"), ASKED),
    (Structure(pattern="(?i)a|ab"), Reply("AB"), ASKED),
    (Structure(pattern=re.compile("yes  # or so", re.VERBOSE | re.IGNORECASE)), Reply("YES"), ASKED),
    (Structure(min_length=3, max_length=3), Reply("  abc  "), ASKED),
    (Structure(), calling('{"of": "tea"}'), TOOLS),
    (Structure(), calling("", "stop"), TOOLS),
    (Structure(), calling('{"of": "tea"}'), replace(TOOLS, tool_choice="price")),
    (Structure(), calling('{"of": "tea"}'), replace(TOOLS, tool_choice="any")),
    (Structure(tools=False), calling("{", "nobody"), ASKED),
    (Structure(tools=False), Reply("4"), replace(TOOLS, tool_choice="any")),
    # A reply that calls tools is no result yet.
    (Structure(PRICE, pattern="x", min_length=99), calling('{"of": "tea"}'), TOOLS),
    (Structure(), Reply((Text("I can't do that myself: "), ToolCall("1", "stop"))), TOOLS),
    (Structure(), Reply((Text("Let me see."), ToolCall("1", "stop"))), replace(TOOLS, schema=PRICE)),
]


@pytest.mark.parametrize(("gate", "reply", "request_"), GOOD)
def test_what_has_the_form_asked_for_passes(gate: Structure, reply: Reply, request_: Request) -> None:
    """With the full score."""
    found = judged(gate, reply, request_)
    assert (found.score, found.decisive) == (1.0, False), found.reason


BAD: list[tuple[Structure, Reply, Request, str]] = [
    (Structure(), Reply(""), ASKED, "neither text nor a tool call"),
    (Structure(), Reply((Thinking("hm"), Text(" \n"))), ASKED, "neither text nor a tool call"),
    (Structure(), Reply("It is", stop="length", raw_stop="max_tokens"), ASKED, "cut off: out of tokens (max_tokens)"),
    (Structure(), Reply("", stop="refusal"), ASKED, "refused"),
    (Structure(allow=["end"]), Reply("x", stop="other"), ASKED, "stop reason 'other'"),
    (Structure(), Reply("I'm sorry, but I can't help with that."), ASKED, "begins like a refusal"),
    (Structure(), Reply("Es tut mir leid, aber dabei kann ich nicht helfen."), ASKED, "begins like a refusal"),
    (Structure(), Reply("Je suis désolé, mais je ne peux pas vous aider."), ASKED, "begins like a refusal"),
    (Structure(), Reply("Lo siento, pero no puedo ayudarte."), ASKED, "begins like a refusal"),
    (Structure(), Reply("Mi dispiace, ma non posso aiutarti."), ASKED, "begins like a refusal"),
    (Structure(), Reply("Desculpe, mas não posso ajudar."), ASKED, "begins like a refusal"),
    (Structure(), Reply("Het spijt me, maar daar kan ik je niet mee helpen."), ASKED, "begins like a refusal"),
    (Structure(), Reply("抱歉，我无法提供这些信息。"), ASKED, "begins like a refusal"),
    (Structure(), Reply("申し訳ありませんが、お手伝いできません。"), ASKED, "begins like a refusal"),
    (Structure(PRICE), Reply("tea"), ASKED, "the text is not JSON: Expecting value at character 0"),
    (Structure(PRICE), Reply('{"of": "tea"'), ASKED, "at character 12"),
    (Structure(PRICE), Reply('{"of": "tea", "count": 0}'), ASKED, "at /count: 0 is less than the minimum of 1"),
    (Structure(NESTED), Reply('{"a": [1, "x"]}'), ASKED, 'at /a/1: "x" is not of type "integer"'),
    (Structure({}), Reply("NaN"), ASKED, "NaN is not JSON"),
    (Structure({}), Reply("[" * 100_000), ASKED, "cannot be read as JSON"),
    (Structure({}), Reply("9" * 5_000), ASKED, "cannot be read as JSON"),
    (Structure(), Reply("{}"), replace(ASKED, schema=PRICE), '"of" is a required property'),
    (Structure(PRICE), Reply('```json\n{"of": "tea"}\n```'), ASKED, "not JSON"),
    (Structure(PRICE, fence=True), Reply('Here:\n```json\n{"of": "tea"}\n```'), ASKED, "not JSON"),
    (Structure(pattern="a|ab"), Reply("abc"), ASKED, "does not match the pattern 'a|ab'"),
    (Structure(pattern="ab"), Reply("ab\nab"), ASKED, "does not match the pattern"),
    (Structure(pattern="(a+)+b"), Reply("a" * 50_000), ASKED, "does not match the pattern"),
    (Structure(pattern="x"), Reply("\ud800"), ASKED, "does not match the pattern"),
    (Structure(min_length=4), Reply(" abc "), ASKED, "3 characters, below min_length 4"),
    (Structure(max_length=2), Reply("abc"), ASKED, "3 characters, above max_length 2"),
    (Structure(), calling("{}", "nobody"), TOOLS, "it calls 'nobody'"),
    (Structure(), calling("{}", "price"), ASKED, "none of the request's tools"),
    (Structure(), calling('{"of"'), TOOLS, "the input of 'price' is not JSON"),
    (Structure(), calling("{}"), TOOLS, "the input of 'price' does not fit the schema: \"of\" is a required"),
    (Structure(), calling('{"of": 3}'), TOOLS, "at /of"),
    (Structure(), calling("[]", "stop"), TOOLS, "the input of 'stop'"),
    (Structure(), Reply("It is 4."), replace(TOOLS, tool_choice="any"), "no tool is called"),
    (Structure(), calling("{}", "stop"), replace(TOOLS, tool_choice="price"), "tool_choice is 'price'"),
]


@pytest.mark.parametrize(("gate", "reply", "request_", "reason"), BAD)
def test_what_has_not_is_rejected_beyond_doubt(gate: Structure, reply: Reply, request_: Request, reason: str) -> None:
    """And the reason names what is wrong and where."""
    found = judged(gate, reply, request_)
    assert (found.score, found.decisive) == (0.0, True)
    assert reason in found.reason
    assert len(found.reason) < 700


DEEP: dict[str, Any] = {}
for _ in range(2_000):
    DEEP = {"not": DEEP}
UNUSABLE: list[Mapping[str, Any]] = [
    {"type": "objec"},
    {"$ref": "http://example.invalid/schema.json"},
    {"$ref": "file:///etc/hostname"},
    {"pattern": "("},
    {"type": {1, 2}},
    DEEP,
]


@pytest.mark.parametrize("schema", UNUSABLE, ids=[str(at) for at in range(len(UNUSABLE))])
def test_a_schema_of_the_request_that_cannot_be_used_makes_it_abstain(schema: Mapping[str, Any]) -> None:
    """Of the text or of a tool; the same again comes to the same, and nothing is fetched."""
    gate = Structure()
    for _ in range(2):
        assert judged(gate, Reply("{}"), replace(ASKED, schema=schema)).score is None
        found = judged(gate, calling("{}"), replace(ASKED, tools=(Tool("price", schema=schema),)))
        assert found.score is None and "the input of 'price'" in found.reason
    with pytest.raises(ConfigError, match="the schema cannot be used"):
        Structure(schema)


WRONG: list[tuple[Any, str]] = [
    (lambda: Structure(pattern="(?=a)b"), "linear"),
    (lambda: Structure(pattern="a)|(b"), "pattern"),
    (lambda: Structure(pattern=b"a"), "pattern must be a text"),  # type: ignore[arg-type]
    (lambda: Structure(min_length=-1), "min_length"),
    (lambda: Structure(max_length=True), "max_length"),
    (lambda: Structure(min_length=3, max_length=2), "above max_length"),
    (lambda: Structure(allow="end"), "allow"),  # type: ignore[arg-type]
    (lambda: Structure(allow=["done"]), "'done'"),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("make", "named"), WRONG)
def test_settings_that_cannot_work_are_refused_by_name(make: Any, named: str) -> None:
    """When the gate is built."""
    with pytest.raises(ConfigError, match=re.escape(named)):
        make()


def test_an_error_in_a_pattern_shows_it_as_it_was_given() -> None:
    """Not as it is compiled."""
    with pytest.raises(PatternError) as caught:
        Structure(pattern="a(?=b)")
    assert (caught.value.pattern, caught.value.position) == ("a(?=b)", 1)


def test_without_the_library_only_what_needs_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra to install, and what can be had without."""
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'fastcascade[schema]'")):
        Structure()
    plain = Structure(schema=False, tools=False, min_length=3)
    assert judged(plain, Reply("ab")).decisive


def test_a_schema_that_was_changed_is_another_schema() -> None:
    """What is kept goes by content, not by where it lies."""
    gate, schema = Structure(), {"type": "integer"}
    request = replace(ASKED, schema=schema)
    assert judged(gate, Reply("3"), request).score == 1.0
    schema["type"] = "string"
    assert judged(gate, Reply("3"), request).score == 0.0
    for most in range(600):
        assert judged(gate, Reply("3"), replace(ASKED, schema={"maximum": most})).score == float(most >= 3)


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSONS, st.booleans(), st.booleans())
def test_all_json_is_json_with_a_fence_and_without(value: object, fenced: bool, ascii_only: bool) -> None:
    """An empty schema takes every JSON text, unicode and escapes and all."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=1)
    shown = f"```json\n{text}\n```" if fenced else text
    assert judged(Structure({}, fence=True), Reply(shown)).score == 1.0


def watching(gate: Structure, request: Request = ASKED) -> Watch:
    """The watch of a gate."""
    watch = gate.watch(request, 0.5)
    assert watch is not None
    return watch


def test_the_default_commits_nothing_early() -> None:
    """A reply may always be cut off or refused."""
    watch = watching(Structure())
    assert {watch.feed(Delta("text", "It is so. ")) for _ in range(100)} == {"hold"}


GIVEN_UP: list[tuple[Structure, Request, list[str], int, str]] = [
    (Structure(max_length=5), ASKED, [" ", "abc", " ", " ", "def"], 4, "above max_length 5"),
    (Structure(PRICE), ASKED, [" \n", "Here"], 1, "begins with 'H'"),
    (Structure(), replace(ASKED, schema=PRICE), ["[1]"], 0, "begins with '['"),
    (Structure({"enum": [1, "a"]}), ASKED, ["x"], 0, "begins with 'x'"),
    (Structure(), ASKED, ["I'm ", "sorry, ", "but I can't ", "help", " with", " that"], 4, "refusal"),
]


@pytest.mark.parametrize(("gate", "request_", "pieces", "at", "reason"), GIVEN_UP)
def test_a_stream_is_given_up_as_soon_as_it_shows(
    gate: Structure, request_: Request, pieces: list[str], at: int, reason: str
) -> None:
    """At this piece and no earlier, with the reason."""
    watch = watching(gate, request_)
    said = [watch.feed(Delta("text", piece)) for piece in pieces[: at + 1]]
    assert said == ["hold"] * at + ["abort"]
    assert watch.verdict.decisive and reason in watch.verdict.reason


KEPT: list[tuple[Structure, Request, list[str]]] = [
    (Structure(PRICE, fence=True), ASKED, ["```json"]),
    (Structure(PRICE), TOOLS, ["Let me see."]),
    (Structure(), TOOLS, ["I can't do that myself, so: "]),
    (Structure({"type": "number"}), ASKED, ["-", "3"]),
    (Structure(max_length=3), ASKED, ["  abc", "   ", "\n"]),
]


@pytest.mark.parametrize(("gate", "request_", "pieces"), KEPT)
def test_a_stream_that_may_still_be_good_is_kept(gate: Structure, request_: Request, pieces: list[str]) -> None:
    """A fence, a tool call that may follow, white space at the end."""
    watch = watching(gate, request_)
    assert {watch.feed(Delta("text", piece)) for piece in pieces} == {"hold"}


WORDS = st.sampled_from(["a", " ", "\n", "I can't ", "help with", "{", '"of": "tea"', "}", "3", "```", "sorry, ", "-"])
GATES = st.builds(
    Structure,
    st.sampled_from([None, False, PRICE, {}, {"type": "integer"}]),
    pattern=st.sampled_from([None, "a+", "(?s).*"]),
    min_length=st.sampled_from([None, 0, 3]),
    max_length=st.sampled_from([None, 5, 50]),
    allow=st.sampled_from([FINAL, ("end",)]),
    refusal=st.booleans(),
    tools=st.booleans(),
    fence=st.booleans(),
)
REQUESTS = st.sampled_from([ASKED, TOOLS, replace(ASKED, schema=PRICE), replace(ASKED, tool_choice="any")])


@given(GATES, REQUESTS, st.lists(WORDS, max_size=20), st.sampled_from(FINAL), st.booleans())
def test_a_stream_is_never_let_through_or_given_up_against_the_verdict_on_the_whole(
    gate: Structure, request_: Request, words: list[str], stop: Any, calls: bool
) -> None:
    """What is committed is not rejected in the end, and what is given up would have been."""
    text = "".join(words)
    watch = watching(gate, request_)
    called = (ToolCall("1", "price", "{"),) if calls and request_.tools else ()
    whole = judged(gate, Reply((Text(text), *called), stop=stop), request_)
    for word in words:
        said = watch.feed(Delta("text", word))
        if said == "commit":
            assert whole.score == 1.0
            return
        if said == "abort":
            assert whole.decisive and whole.score == 0.0
            return


def test_a_stream_is_let_through_where_nothing_can_fail_any_more() -> None:
    """Every stop allowed, refusals and tools not looked at, no form asked for, and enough text."""
    watch = watching(Structure(schema=False, allow=FINAL, refusal=False, tools=False, min_length=3))  # type: ignore[arg-type]
    assert [watch.feed(Delta("text", piece)) for piece in ("  ", "ab", " ", "c")] == ["hold", "hold", "hold", "commit"]
    assert watch.verdict.score == 1.0
