"""Self-report: the model says how sure it is, in the same reply or when asked once more."""

import re
from collections.abc import Generator
from dataclasses import replace
from typing import Final, NamedTuple

from fastcascade.effects import Call, Outcome
from fastcascade.errors import ConfigError
from fastcascade.gates.check import failed, patience, unit
from fastcascade.gates.gate import Exam, Gate, Judging, Verdict
from fastcascade.messages import Block, Message, Reply, Request, Text, Thinking, ToolCall

__all__ = ["SelfReport"]

ASK_INLINE: Final = (
    "After your answer, add one last line of exactly this form: CONFIDENCE: <0-100>, where the number is the "
    "probability in percent that your answer is correct and complete. Be honest: a low number does no harm."
)
ASK_AGAIN: Final = (
    "How likely is it that your last answer is correct and complete? Be honest: a low number does no harm. "
    "Reply with one line of exactly this form, and nothing else: CONFIDENCE: <0-100>"
)
WORD: Final = "CONFIDENCE"
LONGEST: Final = 200
# What may be repeated is possessive, so that no line can make it look twice.
NUMBER: Final = (
    r"(?P<number>[0-9]{1,9}(?:[.,][0-9]{1,20}+)?)\s*+"
    r"(?:(?P<percent>%|percent)|/\s*+(?P<of>[0-9]{1,9}))?"
)
LINE: Final = re.compile(
    rf"[\s>*_`#(\[-]*+{WORD}[\s*_`]*+[:\uff1a=][\s*_`<(\[]*+{NUMBER}[\s*_`>)\].!]*+", re.IGNORECASE
)
BARE: Final = re.compile(rf"[\s*_`<(\[]*+{NUMBER}[\s*_`>)\].!]*+", re.IGNORECASE)


class Found(NamedTuple):
    """A confidence line: where it begins and ends, and what it says (None where that is no probability)."""

    start: int
    end: int
    score: float | None


class SelfReport(Gate):
    """The model's own estimate of being right.

    `inline=True` asks for it in the same call: the system prompt is given one more paragraph, the reply ends with
    a line `CONFIDENCE: 85`, and `clean` takes that line out again. The line is the last of the reply, in whatever
    case; failing that, the last line elsewhere that has the word in capitals, as it was asked for. A percentage, a
    number from 0 to 100, `85/100` and a fraction such as `0.85` are understood; a whole number is a percentage,
    so a bare `1` is one in a hundred. Where the text must fit a schema there is no room for such a line: it is not
    asked for.

    `inline=False` asks the same backend in a second call, which costs one more round with the whole conversation.

    No statement, or a reply that is a tool call alone, makes it abstain. It is judged when it is whole, so nothing
    of it is let through earlier. Models state more confidence than they have: attach a calibration.
    """

    name = "self_report"

    def __init__(
        self,
        *,
        inline: bool = True,
        threshold: float = 0.7,
        max_tokens: int = 256,
        timeout: float | None = None,
    ) -> None:
        """Choose the way of asking; `max_tokens` and `timeout` are the second call's."""
        if type(max_tokens) is not int or max_tokens < 1:
            msg = f"max_tokens must be a whole number from 1 on, not {max_tokens!r}"
            raise ConfigError(msg)
        self.inline = inline
        self.threshold = unit("threshold", threshold)
        self.max_tokens = max_tokens
        self.timeout = patience("timeout", timeout)

    def prepare(self, request: Request, /) -> Request:
        """Ask for the line, once."""
        if not self.inline or request.schema is not None or any(text.text == ASK_INLINE for text in request.system):
            return request
        return replace(request, system=(*request.system, Text(ASK_INLINE)))

    def judge(self, exam: Exam, /) -> Judging:
        """Read the line, or ask again."""
        if not self.inline:
            return self._ask(exam)
        for block in reversed(exam.reply.content):
            if type(block) is Text and (found := find(block.text)) is not None:
                return _stated(found.score)
        if exam.request.schema is not None:
            return Verdict(None, "no room for a confidence in a text that must fit a schema")
        return Verdict(
            None, "no confidence stated beside the tool call" if exam.reply.tool_calls else "no confidence stated"
        )

    def clean(self, reply: Reply, /) -> Reply:
        """Take the line out, and the line breaks that led to it; all else stays as it is."""
        if not self.inline:
            return reply
        for position in range(len(reply.content) - 1, -1, -1):
            block = reply.content[position]
            if type(block) is Text and (found := find(block.text)) is not None:
                text = _without(block.text, found)
                kept: tuple[Block, ...] = (replace(block, text=text),)
                if not text and len(reply.content) > 1:
                    kept = ()
                return replace(reply, content=(*reply.content[:position], *kept, *reply.content[position + 1 :]))
        return reply

    def _ask(self, exam: Exam) -> Generator[Call, Outcome, Verdict]:
        said = _said(exam.reply)
        if not said:
            return Verdict(None, "nothing was said that could be sure")
        asked = replace(
            exam.request,
            messages=(*exam.request.messages, Message("assistant", said), Message("user", (Text(ASK_AGAIN),))),
            tool_choice="none" if exam.request.tools else exam.request.tool_choice,
            max_tokens=self.max_tokens,
            thinking=None,
            schema=None,
            logprobs=None,
            stop=(),
        )
        outcome = yield Call(exam.backend, asked, "report", self.timeout)
        if outcome.failure is not None:
            return failed("the report", outcome.failure)
        if not isinstance(outcome.value, Reply):
            return Verdict(None, "the report has no answer")
        return _report(outcome.value.text)


def find(text: str) -> Found | None:
    """The last confidence line of a text. Each line is looked at once."""
    end = len(text.rstrip())
    start = text.rfind("\n", 0, end) + 1
    if found := _line(text, start, end):
        return Found(start, len(text), found.score)
    end = start
    while (at := text.rfind(WORD, 0, end)) >= 0:
        start = text.rfind("\n", 0, at) + 1
        stop = text.find("\n", at, end)
        if found := _line(text, start, end if stop < 0 else stop):
            return found
        end = start
    return None


def _line(text: str, start: int, end: int) -> Found | None:
    """This line, if it states a confidence."""
    if end - start > LONGEST or (match := LINE.fullmatch(text, start, end)) is None:
        return None
    return Found(start, end, _score(match))


def _score(match: "re.Match[str]") -> float | None:
    """What a number says as a probability; None where it cannot be one."""
    number = match["number"].replace(",", ".")
    value = float(number)
    if match["of"] is not None:
        whole = float(match["of"])
        value = value / whole if whole else 2.0
    elif match["percent"] is not None or "." not in number or value > 1.0:
        value /= 100.0
    return value if value <= 1.0 else None


def _stated(score: float | None) -> Verdict:
    if score is None:
        return Verdict(None, "the confidence stated is no probability")
    return Verdict(score, f"the model says {score:.2f}")


def _report(text: str) -> Verdict:
    """What the second call says: the line, or the number alone."""
    if (found := find(text)) is not None:
        return _stated(found.score)
    if len(text) <= LONGEST and (match := BARE.fullmatch(text)) is not None:
        return _stated(_score(match))
    return Verdict(None, "the report states no confidence")


def _without(text: str, found: Found) -> str:
    if found.end >= len(text):
        return text[: found.start].rstrip("\r\n")
    return text[: found.start] + text[found.end + 1 :]


def _said(reply: Reply) -> tuple[Block, ...]:
    """A reply as a turn that can be asked about: a tool's call is told in words, for its result is not there yet."""
    said: list[Block] = []
    for block in reply.content:
        if type(block) is ToolCall:
            said.append(Text(f"[calls the tool {block.name} with {block.arguments}]"))
        elif type(block) is not Thinking and not (type(block) is Text and not block.text.strip()):
            said.append(block)
    return tuple(said)
