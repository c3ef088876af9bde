"""Structure: whether a reply has the form that was asked for. It either has or has not."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, get_args

from fastcascade._core import PatternSet
from fastcascade.errors import ConfigError
from fastcascade.gates.gate import Exam, Gate, Verdict
from fastcascade.gates.phrases import REFUSAL_WITHIN, first, refusals
from fastcascade.gates.schemas import Schemas, Unusable, as_json
from fastcascade.messages import Delta, Reply, Request, Stop, ToolCall

__all__ = ["Structure"]

WHOLE: Final[tuple[Stop, ...]] = ("end", "stop_sequence", "tool", "pause", "other")
FITS: Final = Verdict(1.0, "it has the form that was asked for")
SHOWN: Final = 200
FLAGS: Final = re.compile(r"\(\?[aimsux]+\)")
FENCED: Final = re.compile(
    r"(?P<marks>`{3,}+)[^\S\n]*+(?:json)?[^\S\n]*+\n(?P<text>.*)\n[^\S\n]*+(?P=marks)", re.DOTALL | re.IGNORECASE
)
STARTS: Final[Mapping[str, str]] = {
    "object": "{",
    "array": "[",
    "string": '"',
    "number": "-0123456789",
    "integer": "-0123456789",
    "boolean": "tf",
    "null": "n",
}


class Structure(Gate):
    """Rejects, beyond doubt, what cannot be used as it stands; the reason names what is wrong and where.

      stop        why it ended must be in `allow`; "length", a reply cut off, is not unless you put it there
      refusal     neither the stop reason of a refusal nor, without a tool call, a text that begins like one (in
                  the languages of `fastcascade.gates.phrases`)
      empty       there must be text or a tool call
      tools       a tool that is called must be one of the request's, its arguments must be JSON that fits the
                  tool's schema; and where `tool_choice` asks for a call there must be one
      schema      the text must be JSON that fits; where none is given, the request's own; False is none at all
      fence       lets that JSON stand in one Markdown fence instead, with nothing around it
      pattern     the whole text, white space around it left off, must match; it must be a pattern that a
                  linear-time matcher can run
      min_length, max_length      in characters, white space around it left off

    A reply that calls tools is a step on the way and no result: its text is not held to schema, pattern and
    `min_length`. A schema that cannot be used (in the request, where nobody could be told earlier) makes it
    abstain. Schemas are compiled once and kept, by content. Nothing is fetched for a `$ref`.

    While streaming it gives up as soon as it is too long, begins like a refusal or cannot become the JSON that is
    asked for. It commits only where nothing later can fail, and nearly everything can: a reply may be cut off
    ("length" must be in `allow`, and every other stop reason), refused (`refusal=False`), grow too long, or call a
    tool that is not there (`tools=False`), and a schema or a pattern needs the whole text.
    """

    name = "structure"

    def __init__(  # noqa: PLR0913 - every one a check of its own, and named
        self,
        schema: Mapping[str, Any] | Literal[False] | None = None,
        *,
        pattern: "str | re.Pattern[str] | None" = None,
        min_length: int | None = None,
        max_length: int | None = None,
        allow: Iterable[Stop] = WHOLE,
        refusal: bool = True,
        tools: bool = True,
        fence: bool = False,
    ) -> None:
        """Compile what there is to compile; with a schema or with tools the extra `schema` must be installed."""
        self.schema = schema
        self.pattern = pattern
        self.min_length = _length("min_length", min_length)
        self.max_length = _length("max_length", max_length)
        self.allow = _stops(allow)
        self.refusal = refusal
        self.tools = tools
        self.fence = fence
        if self.min_length is not None and self.max_length is not None and self.min_length > self.max_length:
            msg = f"min_length {min_length} is above max_length {max_length}"
            raise ConfigError(msg)
        self._allowed = self.allow if refusal else self.allow | {"refusal"}
        self._refusals = refusals() if refusal else None
        self._pattern = None if pattern is None else PatternSet([_whole(pattern)])
        self._schemas = Schemas() if tools or schema is not False else None
        self._own = (
            None if self._schemas is None or schema is None or schema is False else self._schemas.compiled(schema)
        )

    def judge(self, exam: Exam, /) -> Verdict:
        """Look for the first thing that is wrong."""
        try:
            wrong = self._wrong(exam.request, exam.reply)
        except Unusable as unusable:
            return Verdict(None, str(unusable))
        return FITS if wrong is None else Verdict(0.0, wrong, decisive=True)

    def watch(self, request: Request, _accept: float, /) -> "_Shape":
        """Look at the text as it comes."""
        return _Shape(self, request)

    def _wrong(self, request: Request, reply: Reply) -> str | None:
        if reply.stop not in self._allowed:
            return _stopped(reply)
        calls = reply.tool_calls
        text = reply.text.strip()
        if not calls and not text and reply.empty:
            return "neither text nor a tool call in it"
        if self.tools and (wrong := self._called(request, calls)):
            return wrong
        if not calls and self.refuses(text):
            return "its text begins like a refusal"
        if self.max_length is not None and len(text) > self.max_length:
            return f"{len(text)} characters, above max_length {self.max_length}"
        return None if calls else self._written(request, text)

    def _called(self, request: Request, calls: tuple[ToolCall, ...]) -> str | None:
        """What is wrong with the tools that are called, or are not."""
        choice = request.tool_choice
        if not calls:
            return None if choice in ("auto", "none") else f"no tool is called, where tool_choice is {choice!r}"
        for call in calls:
            tool = next((tool for tool in request.tools if tool.name == call.name), None)
            if tool is None:
                return f"it calls {_short(call.name)!r}, which is none of the request's tools"
            if choice not in ("auto", "any", call.name):
                return f"it calls {call.name!r}, where tool_choice is {choice!r}"
            where = f"the input of {call.name!r}"
            if self._schemas and (wrong := self._schemas.wrong(tool.schema, call.arguments or "{}", where)):
                return wrong
        return None

    def _written(self, request: Request, text: str) -> str | None:
        """What is wrong with the text of a reply that is a result."""
        if self.min_length is not None and len(text) < self.min_length:
            return f"{len(text)} characters, below min_length {self.min_length}"
        if self._pattern is not None and first(self._pattern, text) is None:
            return f"the text does not match the pattern {_short(self._shown_pattern)!r}"
        if self._schemas is None or self.schema is False:
            return None
        if self._own is not None:
            return self._own.wrong(as_json(self.unfenced(text), "the text"), "the text")
        if request.schema is None:
            return None
        return self._schemas.wrong(request.schema, self.unfenced(text), "the text")

    @property
    def _shown_pattern(self) -> str:
        return self.pattern.pattern if isinstance(self.pattern, re.Pattern) else self.pattern or ""

    def refuses(self, text: str) -> bool:
        """Whether a text begins like a refusal, as far as that counts here."""
        return self._refusals is not None and first(self._refusals, text[:REFUSAL_WITHIN]) is not None

    def unfenced(self, text: str) -> str:
        """What stands in the fence, where that is allowed and there is one."""
        match = FENCED.fullmatch(text) if self.fence and text.startswith("```") else None
        return text if match is None else match["text"]

    def starts(self, request: Request) -> str:
        """What the text may begin with, if it must be JSON; nothing where it may begin with anything."""
        schema = request.schema if self.schema is None else self.schema
        if schema is None or isinstance(schema, bool) or request.tools:
            return ""
        kind = schema.get("type")
        starts = STARTS.get(kind, "") if isinstance(kind, str) else ""
        return (starts or "".join(STARTS.values())) + ("`" if self.fence else "")

    def final(self, request: Request) -> bool:
        """Whether there is nothing that could still go wrong once there is enough text."""
        schema = request.schema if self.schema is None else self.schema
        asked = schema is not None and schema is not False
        stops = all(stop in self._allowed for stop in get_args(Stop))
        text = self.max_length is None and self._pattern is None and not asked
        return stops and text and not self.refusal and not self.tools


class _Shape:
    """The text of a stream so far: no more of it than is needed, and its length."""

    def __init__(self, gate: Structure, request: Request) -> None:
        """Begin with no text."""
        self._gate = gate
        self._starts = gate.starts(request)
        self._final = gate.final(request)
        self._refusable = not request.tools  # before a call such words are no refusal
        self._head = ""
        self._fresh = False  # whether the head grew with the last piece
        self._size = 0  # of the text without the white space around it
        self._space = 0  # white space after it, which counts once more text follows
        self.verdict = Verdict(None, "nothing was judged yet")

    def feed(self, delta: Delta, /) -> Literal["hold", "commit", "abort"]:
        """Look at one more piece."""
        if delta.kind != "text" or not delta.text:
            return "hold"
        self._measure(delta.text)
        if wrong := self._wrong():
            self.verdict = Verdict(0.0, wrong, decisive=True)
            return "abort"
        if self._final and self._size and self._size >= (self._gate.min_length or 0):
            self.verdict = self._gate.calibrated(FITS)
            return "commit"
        return "hold"

    def _measure(self, text: str) -> None:
        self._fresh = len(self._head) < REFUSAL_WITHIN
        if self._fresh:
            self._head = (self._head + text).lstrip()[:REFUSAL_WITHIN]
        if not self._size:
            text = text.lstrip()
        if bare := text.rstrip():
            self._size += self._space + len(bare)
            self._space = 0
        self._space += (len(text) - len(bare)) if self._size else 0

    def _wrong(self) -> str | None:
        longest = self._gate.max_length
        if longest is not None and self._size > longest:
            return f"{self._size} characters and more, above max_length {longest}"
        if self._head and self._starts and self._head[0] not in self._starts:
            return f"text that begins with {self._head[0]!r} is not the JSON that is asked for"
        if self._fresh and self._refusable and self._gate.refuses(self._head):
            return "its text begins like a refusal"
        return None


def _stopped(reply: Reply) -> str:
    said = f" ({reply.raw_stop})" if reply.raw_stop else ""
    if reply.stop == "refusal":
        return f"the model refused{said}"
    if reply.stop == "length":
        return f"it was cut off: out of tokens{said}"
    return f"it ended with the stop reason {reply.stop!r}{said}"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _whole(pattern: "str | re.Pattern[str]") -> "str | re.Pattern[str]":
    """The same pattern for a whole text. Flags must stay in front, and a comment must not swallow what is added."""
    given: Any = pattern
    flags = given.flags if isinstance(given, re.Pattern) else 0
    text = given.pattern if isinstance(given, re.Pattern) else given
    if not isinstance(text, str):
        msg = f"pattern must be a text or a compiled pattern of text, not {given!r}"
        raise ConfigError(msg)
    PatternSet([given])  # so that an error names the pattern as it was given
    head = match[0] if (match := FLAGS.match(text)) else ""
    ending = "\n" if "x" in head or flags & re.VERBOSE else ""
    whole = rf"{head}\A(?:{text[len(head) :]}{ending})\Z"
    try:
        return re.compile(whole, flags) if flags else whole
    except re.error as error:
        msg = f"pattern {text!r} cannot be matched against a whole text: {error}"
        raise ConfigError(msg) from None


def _length(name: str, given: Any) -> int | None:
    if given is not None and (type(given) is not int or given < 0):
        msg = f"{name} must be a number of characters, or None for any, not {given!r}"
        raise ConfigError(msg)
    length: int | None = given
    return length


def _stops(given: Iterable[Stop]) -> frozenset[str]:
    if isinstance(given, str):
        msg = f"allow is a list of stop reasons; write [{given!r}]"
        raise ConfigError(msg)
    stops = frozenset(given)
    if unknown := stops - set(get_args(Stop)):
        msg = f"allow has {min(unknown)!r}, which is none of the stop reasons {', '.join(get_args(Stop))}"
        raise ConfigError(msg)
    return stops
