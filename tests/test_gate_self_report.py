"""The self-report gate: what a model states is read in any form, and taken out again."""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exams import ASKED, CALL, exam, judged
from fastcascade.effects import Call, Outcome
from fastcascade.errors import Failure
from fastcascade.gates.gate import Gate, Verdict
from fastcascade.gates.self_report import SelfReport, find
from fastcascade.messages import Block, Message, Reply, Request, Text, Thinking, Tool, ToolCall

STATED = [
    ("It is 4.\nCONFIDENCE: 85", 0.85),
    ("It is 4.\n\nCONFIDENCE: 85%\n", 0.85),
    ("It is 4.\nConfidence: 0.85", 0.85),
    ("It is 4.\n**CONFIDENCE: 85**", 0.85),
    ("It is 4.\n**Confidence:** 85 %", 0.85),
    ("It is 4.\nCONFIDENCE: <85>", 0.85),
    ("It is 4.\nCONFIDENCE: 85/100", 0.85),
    ("It is 4.\nCONFIDENCE: 8,5/10", 0.85),
    ("It is 4.\nCONFIDENCE: 8 / 10.", 0.8),
    ("It is 4.\nCONFIDENCE: 0.5%", 0.005),
    ("It is 4.\nCONFIDENCE: 1", 0.01),
    ("It is 4.\nCONFIDENCE: 1.0", 1.0),
    ("It is 4.\nCONFIDENCE: 100", 1.0),
    ("It is 4.\nCONFIDENCE: 0", 0.0),
    ("It is 4.\r\nCONFIDENCE: 12.5\r\n", 0.125),
    ("CONFIDENCE: 10\nNo, wait.\nCONFIDENCE: 90", 0.9),
    ("It is 4.\nCONFIDENCE: 70\n\nAsk me anything.", 0.7),
    ("```\nIt is 4.\nCONFIDENCE: 70\n```", 0.7),
    ("It is 4.\nCONFIDENCE\uff1a70", 0.7),
    ("It is 4.\nCONFIDENCE: 850", None),
    ("It is 4.\nCONFIDENCE: 8/0", None),
    ("It is 4.\nCONFIDENCE: -5", None),
    ("It is 4.\nCONFIDENCE: high", None),
    ("It is 4 and CONFIDENCE: 85 is what I have.", None),
    ("With confidence: 95\nthe mean is 3.", None),
    ("Confidence: 95\nThat is the usual level.", None),
    ("It is 4.", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "score"), STATED)
def test_a_confidence_is_read_in_every_form_it_comes_in(text: str, score: float | None) -> None:
    """The last line counts; what is no probability, and what is part of the answer, does not."""
    found = judged(SelfReport(), Reply(text)).score
    assert found == (None if score is None else pytest.approx(score))


BODY = st.text(max_size=40).map(lambda text: text.rstrip()).filter(lambda text: find(text) is None)
LINES = st.sampled_from(["CONFIDENCE: 85", "confidence: 0.3", "**Confidence: 70%**", "> CONFIDENCE = 40/100"])
OTHERS: st.SearchStrategy[Block] = st.sampled_from(
    [CALL, Thinking("CONFIDENCE: 3", by="x"), ToolCall("2", "t", "CONFIDENCE: 3")]
)


@given(BODY, st.integers(1, 3), LINES, st.sampled_from(["", "\n", " \n\n"]), st.lists(OTHERS, max_size=2))
def test_clean_takes_out_the_line_and_nothing_else(
    body: str, breaks: int, line: str, after: str, others: list[Block]
) -> None:
    """Unicode, tool calls and thoughts stay as they were."""
    reply = Reply((*others, Text(body + "\n" * breaks + line + after, {"x": 1}), *others), id="7")
    cleaned = SelfReport().clean(reply)
    kept = (Text(body, {"x": 1}),) if body or not others else ()
    assert cleaned == replace(reply, content=(*others, *kept, *others))
    assert SelfReport(inline=False).clean(reply) is reply


@given(st.lists(OTHERS | BODY.map(Text), max_size=3).map(tuple))
def test_clean_leaves_a_reply_without_the_line_alone(content: tuple[Block, ...]) -> None:
    """The very same reply comes back."""
    reply = Reply(content)
    assert SelfReport().clean(reply) is reply


def test_clean_takes_a_line_out_of_the_middle() -> None:
    """What comes after it stays."""
    assert SelfReport().clean(Reply("a\nCONFIDENCE: 7\nb\n")).text == "a\nb\n"


@given(st.text(alphabet="CONFIDE ce:8%\n*/.", max_size=200))
def test_any_text_states_a_probability_or_none(text: str) -> None:
    """And what is found is a place in the text."""
    found = find(text)
    if found is not None:
        assert 0 <= found.start < found.end <= len(text)
        assert found.score is None or 0.0 <= found.score <= 1.0


@pytest.mark.parametrize("text", ["CONFIDENCE" * 20_000, "CONFIDENCE:" + " " * 200_000, "CONFIDENCE\n" * 20_000])
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    """It ends, well within the time that every test has."""
    assert judged(SelfReport(), Reply(text)).score is None


def test_the_line_is_asked_for_once_and_not_where_a_schema_leaves_no_room() -> None:
    """The system prompt gets one more paragraph at its end; all else stays."""
    gate = SelfReport()
    asked = gate.prepare(replace(ASKED, system=(Text("Be brief."),)))
    assert asked.system[0] == Text("Be brief.") and "CONFIDENCE: <0-100>" in asked.system[1].text
    assert gate.prepare(asked) is asked
    fitted = replace(ASKED, schema={"type": "object"})
    assert gate.prepare(fitted) is fitted
    assert "schema" in judged(gate, Reply("{}"), fitted).reason
    assert SelfReport(inline=False).prepare(ASKED) is ASKED


def test_a_tool_call_alone_states_nothing() -> None:
    """It abstains, and the call comes back as it was."""
    reply = Reply((CALL,), stop="tool")
    assert judged(SelfReport(), reply).score is None
    assert SelfReport().clean(reply) is reply


def asking(gate: Gate, reply: Reply, request: Request = ASKED) -> tuple[Call, Generator[Any, Outcome, Verdict]]:
    """The call that a gate makes first."""
    judging = gate.judge(exam(reply, request))
    assert isinstance(judging, Generator)
    call = next(judging)
    assert isinstance(call, Call)
    return call, judging


def ending(judging: Generator[Any, Outcome, Verdict], outcome: Outcome) -> Verdict:
    """What a gate says once it was told."""
    with pytest.raises(StopIteration) as stopped:
        judging.send(outcome)
    verdict = stopped.value.value
    assert isinstance(verdict, Verdict)
    return verdict


REPORTS = [
    (Outcome(Reply("CONFIDENCE: 80")), 0.8),
    (Outcome(Reply("80")), 0.8),
    (Outcome(Reply(" 80 % ")), 0.8),
    (Outcome(Reply("Rather sure.")), None),
    (Outcome(Reply("There are 80 of them.")), None),
    (Outcome(None), None),
    (Outcome(None, Failure("timeout", "no answer within 2 s")), None),
]


@pytest.mark.parametrize(("outcome", "score"), REPORTS)
def test_a_second_call_is_read_and_its_failure_abstains(outcome: Outcome, score: float | None) -> None:
    """The number in its reply; without one, no score."""
    _, judging = asking(SelfReport(inline=False), Reply("It is 4."))
    assert ending(judging, outcome).score == score


def test_the_second_call_shows_the_whole_conversation_and_no_tool_to_run() -> None:
    """The same backend, the reply as a turn, a tool's call in words, and nothing that would bend the answer."""
    request = replace(ASKED, tools=(Tool("price"),), schema={}, logprobs=3, thinking=500, stop=("x",))
    gate = SelfReport(inline=False, timeout=2.0)
    call, _ = asking(gate, Reply((Thinking("hm"), Text("  "), Text("Let me see."), CALL)), request)
    assert (call.purpose, call.timeout, call.backend.name) == ("report", 2.0, "small")
    said = call.request.messages[1]
    told = '[calls the tool price with {"of": "tea"}]'
    assert said == Message("assistant", (Text("Let me see."), Text(told)))
    assert call.request.messages[0] == ASKED.messages[0] and call.request.messages[2].role == "user"
    assert call.request.tools == request.tools and call.request.tool_choice == "none"
    sent = call.request
    assert (sent.schema, sent.logprobs, sent.thinking, sent.stop, sent.max_tokens) == (None, None, None, (), 256)


def test_nothing_said_is_not_asked_about() -> None:
    """An empty reply costs no second call."""
    judging = SelfReport(inline=False).judge(exam(Reply(" ")))
    with pytest.raises(StopIteration) as stopped:
        next(judging)  # type: ignore[arg-type]
    assert stopped.value.value.score is None
