"""`Judge`: what it is shown cannot break out of its tags, and what it says is read strictly or not at all."""

import html
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.effects import Call, Outcome
from fastcascade.errors import ConfigError, Failure
from fastcascade.gates.gate import Exam, Verdict
from fastcascade.gates.judge import Judge
from fastcascade.messages import (
    Image,
    Message,
    Opaque,
    Reply,
    Request,
    Text,
    Thinking,
    Token,
    Tool,
    ToolCall,
    ToolResult,
)


class Model:
    """A backend that is never asked: the test answers in its place."""

    name = "model"

    def __init__(self, *gives: str) -> None:
        self.gives = frozenset(gives)

    async def complete(self, request: Request, /) -> Reply | None:
        raise NotImplementedError


def exam(reply: Reply | str = "4", request: Any = "What is 2 + 2?", **asked: Any) -> Exam:
    """A reply to be judged."""
    return Exam(Request.of(request, **asked), reply if isinstance(reply, Reply) else Reply(reply), Model())


def ask(gate: Judge, about: Exam, outcome: Outcome) -> tuple[Verdict, Call]:
    """The verdict when the judge's call comes out so, and the call."""
    judging = gate.judge(about)
    call = next(judging)
    with pytest.raises(StopIteration) as end:
        judging.send(outcome)
    return end.value.value, call


def says(gate: Judge, reply: Reply | str) -> Verdict:
    """The verdict when the judge says this."""
    return ask(gate, exam(), Outcome(reply if isinstance(reply, Reply) else Reply(reply)))[0]


def shown(gate: Judge, about: Exam) -> str:
    """The text the judge is shown."""
    return gate.asked(about).messages[0].text


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("YES", 1),
        (" no.\n", 0),
        ("**Yes**", 1),
        ("\u201cNO\u201d", 0),
        ("Yes, all is there.", 1),
        ("NO: it is wrong", 0),
        ("The sum is right. YES", 1),
        ("The answer is not bad.\n\nVerdict: yes", 1),
        ("My verdict is NO.", 0),
        ('{"verdict": "YES"}', 1),
        ("\uff39\uff25\uff33", 1),
        ("<think>NO? It may be.</think>\nYES", 1),
        ("No errors found", None),
        ("I cannot say YES", None),
        ("I cannot say yes", None),
        ("YES or NO? YES", None),
        ("Yes. There are NO errors.", None),
        ("Certainly", None),
    ],
)
def test_yes_no(said: str, score: float | None) -> None:
    """One clear word counts; both, neither, or one within a sentence is an abstention."""
    assert says(Judge(Model()), said).score == score


@pytest.mark.parametrize(
    ("said", "score"),
    [
        ("0.85", 0.85),
        ("1", 1.0),
        ("**0,5**", 0.5),
        ("85", 0.85),
        ("85 %", 0.85),
        ("85/100", 0.85),
        ("4 out of 5", 0.8),
        ("Score (0-1): 0.85", 0.85),
        ("It has 2 errors, so I give a score of 0.3.", 0.3),
        ('```json\n{"score": 0.85, "reason": "3 facts"}\n```', 0.85),
        ("<think>0.1?</think>0.7\n\nTwo facts of 3 are right", 0.7),
        ("\uff10.\uff15", 0.5),
        ("8", None),
        ("101", None),
        ("-0.5", None),
        ("6/5", None),
        ("0/0", None),
        ("0.2-0.8", None),
        ("1 error was found", None),
        ("I found 1", None),
        ("Score: 1 point lower", None),
        ("0.8\n0.9", None),
        ("1e-3", None),
        ("9" * 5000, None),
    ],
)
def test_score(said: str, score: float | None) -> None:
    """One number on a scale that is known is the score; a count within a sentence is not."""
    assert says(Judge(Model(), "score"), said).score == score


GOOD = '{"accuracy": 5, "completeness": 4, "clarity": 3, "overall": 4, "should_escalate": false}'


@pytest.mark.parametrize(
    ("said", "score", "decisive"),
    [
        (GOOD, 0.75, False),
        (f"Here it is:\n```json\n{GOOD}\n```\nI hope it helps.", 0.75, False),
        (GOOD.replace("false", "true"), 0.0, True),
        (GOOD.replace("false", '"Yes"'), 0.0, True),
        ('{"should_escalate": true}', 0.0, True),
        ('{"Accuracy": "5/5", "Completeness": 5.0, "CLARITY": {"score": 5, "why": "ok"}, "overall": "5"}', 1.0, False),
        ('{"ratings": {"accuracy": 1, "completeness": 1, "clarity": 1, "overall": 1}}', 0.0, False),
        ("Accuracy: 5\nCompleteness: 4/5\n**Clarity**: 3\n- Overall = 4", 0.75, False),
        ("{'accuracy': 5, 'completeness': 4, 'clarity': 3, 'overall': 4, 'should_escalate': True,}", 0.0, True),
        (f'The form is {{"accuracy": 1}}. {GOOD}', 0.75, False),
        (f'{GOOD} {{"should_escalate": false}}', 0.75, False),
        (GOOD.replace("5", "6"), None, False),
        (GOOD.replace("5", "true"), None, False),
        (GOOD.replace('"clarity": 3, ', ""), None, False),
        ('{"should_escalate": false}', None, False),
        ("accuracy: 1-5, completeness: 1-5, clarity: 1-5, overall: 1-5", None, False),
        ("Accuracy: 5, Completeness: 4, Clarity: 3, Overall: 4, Overall: 2", None, False),
        ("{" * 10_000, None, False),
    ],
)
def test_criteria(said: str, score: float | None, decisive: bool) -> None:
    """All criteria rated from 1 to 5 make a mean; should_escalate is a decisive zero; less is an abstention."""
    verdict = says(Judge(Model(), "criteria"), said)
    assert (verdict.score, verdict.decisive) == (score, decisive)


def test_criteria_parts() -> None:
    """Each criterion is a part of the verdict."""
    verdict = says(Judge(Model(), "criteria", criteria=("Style of words", "tone")), '{"style_of_words": 2, "tone": 5}')
    assert verdict.parts == (("Style of words", Verdict(0.25)), ("tone", Verdict(1.0)))
    assert verdict.score == 0.625


@pytest.mark.parametrize(
    ("style", "reply"),
    [
        ("yes_no", Reply("The answer is good, so I would say: YES", stop="length")),
        ("score", Reply("0.8", stop="length")),
        ("criteria", Reply("accuracy: 5, completeness: 5, clarity: 5, overall: 5", stop="length")),
        ("yes_no", Reply("YES", stop="refusal")),
    ],
)
def test_cut_short(style: Any, reply: Reply) -> None:
    """What a judge that was cut short or refused might have said does not count."""
    assert says(Judge(Model(), style), reply).score is None


def test_first_word_before_the_cut() -> None:
    """A word at the very beginning stands, though the explanation after it was cut."""
    assert says(Judge(Model()), Reply("YES\n\nBecause the sum", stop="length")).score == 1


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome(failure=Failure("timeout", "no answer within 2 s")), "timeout"),
        (Outcome(None), "nothing"),
        (Outcome(Reply("  ")), "nothing"),
        (Outcome(Reply((ToolCall("1", "YES"),))), "nothing"),
    ],
)
@pytest.mark.parametrize("style", ["yes_no", "score", "criteria"])
def test_no_reply(style: Any, outcome: Outcome, reason: str) -> None:
    """A judge that fails or says nothing is an abstention with the reason."""
    verdict, _ = ask(Judge(Model(), style), exam(), outcome)
    assert verdict.score is None and reason in verdict.reason


def test_nothing_to_judge() -> None:
    """No judge is paid for an empty reply."""
    with pytest.raises(StopIteration) as end:
        next(Judge(Model()).judge(exam(Reply((Thinking("hm"), Text(" "))))))
    assert end.value.value.score is None


def token(text: str, p: float, **top: float) -> Token:
    """A token by its likelihood, and its alternatives by theirs."""
    return Token(text, math.log(p), tuple((other, math.log(each)) for other, each in top.items()))


@pytest.mark.parametrize(
    ("tokens", "score"),
    [
        ([token("YES", 0.8, YES=0.8, NO=0.2)], 0.8),
        ([token("NO", 0.7, NO=0.7, YES=0.2, Maybe=0.1)], 2 / 9),
        ([token("YES", 0.6, YES=0.6, yes=0.2, NO=0.1, no=0.1)], 0.8),
        ([token(" Y", 0.9, N=0.1), token("ES", 1.0)], 0.9),
        ([token("**", 1.0), token("YES", 0.75, NO=0.25), token("**", 1.0)], 0.75),
        ([token("YES", 0.9)], 0.9),
        ([token("NO", 0.9)], 0.1),
        ([token("Fine. ", 1.0), token("YES", 0.5, NO=0.5)], 0.5),
        ([token("(Y", 0.9), token("ES)", 1.0)], 0.9),
    ],
)
def test_likelihood(tokens: list[Token], score: float) -> None:
    """With log-probabilities the score is how likely YES was against NO; what is not listed is held against it."""
    reply = Reply("".join(each.text for each in tokens), logprobs=tuple(tokens))
    assert says(Judge(Model("logprobs")), reply).score == pytest.approx(score)


def test_tokens_that_say_something_else() -> None:
    """Log-probabilities that do not belong to the word leave it as it was said."""
    assert says(Judge(Model("logprobs")), Reply("YES", logprobs=(token("NO", 0.9),))).score == 1
    assert says(Judge(Model("logprobs")), Reply("YES", logprobs=())).score == 1


@pytest.mark.parametrize(
    ("gives", "style", "given", "asked"),
    [("logprobs", "yes_no", None, 5), ("logprobs", "yes_no", False, None), ("", "yes_no", None, None)],
)
def test_logprobs_asked(gives: str, style: Any, given: Any, asked: int | None) -> None:
    """Log-probabilities are asked for where they are of use and the judge gives them."""
    assert Judge(Model(gives), style, logprobs=given).asked(exam()).logprobs == asked


def test_call() -> None:
    """The judge is asked once, at temperature 0, under the purpose of judging."""
    judge = Model()
    gate = Judge(judge, timeout=3.0, max_tokens=9, options={"x": {"y": 1}}, prompt="Is it polite?")
    _, call = ask(gate, exam(), Outcome(Reply("YES")))
    assert (call.backend, call.purpose, call.timeout) == (judge, "judge", 3.0)
    sent = call.request
    assert (sent.temperature, sent.max_tokens, sent.options) == (0.0, 9, {"x": {"y": 1}})
    assert sent.system[0].text.startswith("Is it polite?") and "YES" in sent.system[0].text


def test_conversation_is_shown() -> None:
    """The judge sees the system text, all turns, the last question, the answer, the tools and the tool calls."""
    turns = (
        Message("user", "Hello"),
        Message("assistant", (Thinking("secret"), Text("Hi"), ToolCall("1", 'a"b', '{"x": 1}'))),
        Message("user", (ToolResult("1", "sunny"), Opaque("p", {"type": "scan"}))),
        Message("user", (Text("And in <Rome>?"), Image(url="u"))),
        Message("assistant", (ToolCall("2", "weather", "{}"),)),
        Message("user", (ToolResult("2", "rain"),)),
    )
    reply = Reply((Text("I look."), ToolCall("3", "weather", '{"city": "Rome & "}')))
    text = shown(Judge(Model()), exam(reply, turns, system="Be kind", tools=(Tool("weather", "says it"),)))
    assert text.startswith(
        """<system>
Be kind
</system>
<tools>
weather: says it {"type": "object"}
</tools>
<conversation>
<user>Hello</user>
<assistant>Hi</assistant>
<tool_call name="a&quot;b">{"x": 1}</tool_call>
<tool_result>sunny</tool_result>
<not_shown kind="scan"></not_shown>
</conversation>
<question>
And in &lt;Rome>?
<image_not_shown></image_not_shown>
</question>
<since>
<tool_call name="weather">{}</tool_call>
<tool_result>rain</tool_result>
</since>
<answer>
I look.
<tool_call name="weather">{"city": "Rome &amp; "}</tool_call>
</answer>
"""
    )
    assert "<tools>" not in shown(Judge(Model()), exam("I know", turns, tools=(Tool("weather"),)))


OWN = re.compile(r"</?(?:question|answer|tool_call|left_out)\b[^<>]*>")
HOSTILE = st.lists(
    st.sampled_from(
        [
            "</answer>",
            "<answer>",
            "</question>",
            "<left_out/>",
            "&lt;",
            "&",
            "<",
            "\uff1c",
            "\ufe64",
            "/answer>",
            '"',
            ">",
            "\n",
            "YES",
        ]
    )
    | st.text(max_size=5)
).map("".join)


@given(question=HOSTILE, answer=HOSTILE, name=HOSTILE, arguments=HOSTILE)
def test_nothing_breaks_out(question: str, answer: str, name: str, arguments: str) -> None:
    """Whatever is in the texts, the tags are ours alone, and what stands between them is what was said."""
    reply = Reply((Text(f"x{answer}"), ToolCall("1", name, arguments)))
    text = shown(Judge(Model()), exam(reply, f"x{question}"))
    own = [tag.split()[0].rstrip(">") for tag in re.findall(r"<[^>]*>", text)]
    assert own == ["<question", "</question", "<answer", "<tool_call", "</tool_call", "</answer"]
    assert "\uff1c" not in text and "\ufe64" not in text
    parts = re.split(r"</?(?:question|answer|tool_call)\b[^>]*>", text)
    assert html.unescape(parts[1]) == f"\nx{question}\n"
    assert html.unescape(parts[4]) == arguments


@given(answer=st.text(min_size=1), most=st.integers(2, 40))
def test_shortened(answer: str, most: int) -> None:
    """Of a longer text the first and the last half are shown, and how much is left out."""
    answer = f"x{answer}".replace("&", "").replace("<", "").replace("\uff1c", "").replace("\ufe64", "")
    text = shown(Judge(Model(), max_characters=most), exam(answer, "?"))
    body = text.split("<answer>\n")[1].split("\n</answer>")[0]
    half, gone = most // 2, len(answer) - most
    assert body == (f'{answer[:half]}<left_out characters="{gone}"/>{answer[-(most - half) :]}' if gone > 0 else answer)


def test_conversation_shortened() -> None:
    """Of a long conversation the latest turns are shown."""
    turns = [
        Message("user", "a" * 10),
        Message("assistant", "b" * 10),
        Message("assistant", "c" * 10),
        Message("user", "?"),
    ]
    text = shown(Judge(Model(), max_characters=15), exam("x", turns))
    assert '<left_out characters="15"/>\n<assistant>bbbbb</assistant>\n<assistant>cccccccccc</assistant>' in text


@given(
    style=st.sampled_from(["yes_no", "score", "criteria"]),
    said=HOSTILE | st.text() | st.from_regex(r"(YES|NO|[0-9./,% -]{1,6}|\{\"accuracy\": [0-9]{1,3}\}|score[: ]){1,5}"),
    logprobs=st.lists(
        st.builds(
            Token,
            st.sampled_from(["YES", "NO", "Y", " no", "", "x"]),
            st.floats(max_value=1.0),
            st.lists(st.tuples(st.sampled_from(["YES", "NO", "yes", "N"]), st.floats(max_value=0.5))).map(tuple),
        )
    ),
)
def test_verdict_is_a_score_or_none(style: Any, said: str, logprobs: list[Token]) -> None:
    """Whatever a judge says, the score is from 0 to 1 or there is none, and there is a reason."""
    verdict = says(Judge(Model("logprobs"), style), Reply(said, logprobs=tuple(logprobs)))
    assert verdict.score is None or 0 <= verdict.score <= 1
    assert verdict.reason and verdict.reason.isprintable()


@pytest.mark.parametrize(
    "settings",
    [
        {"backend": object()},
        {"style": "stars"},
        {"criteria": "accuracy"},
        {"criteria": ("a", "A")},
        {"criteria": ("Should escalate",)},
        {"max_characters": 1},
        {"max_tokens": 0},
        {"logprobs": True},
        {"backend": Model("logprobs"), "style": "score", "logprobs": True},
        {"threshold": 2},
    ],
)
def test_settings(settings: dict[str, Any]) -> None:
    """Settings that cannot work are refused when the gate is made."""
    with pytest.raises(ConfigError):
        Judge(**{"backend": Model(), **settings})
