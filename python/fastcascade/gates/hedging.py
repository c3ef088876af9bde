"""Hedging: words by which a model says that it is not sure, counted."""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, Literal

from fastcascade._core import PatternSet
from fastcascade.errors import ConfigError
from fastcascade.gates.calibration import raw_floor
from fastcascade.gates.check import unit
from fastcascade.gates.gate import Exam, Gate, Verdict
from fastcascade.gates.phrases import PHRASES, every, pattern_of
from fastcascade.messages import Delta, Request, Text

__all__ = ["Hedging"]

STRONG: Final = 0.4
WEAK: Final = 0.85
WORD: Final = "UNSURE"
ASK: Final = (
    "If you are not sure that your answer is correct, begin your reply with the word UNSURE followed by a colon; "
    "then answer as well as you can."
)
INLINE_CODE: Final = re.compile(r"`[^`\n]+`")
OPENING: Final = " \t\r\n*_"
UNSURE: Final = Verdict(0.0, "it begins with UNSURE:", decisive=True)


class Hedging(Gate):
    """How little the words of a reply hedge.

    Phrases of two kinds are looked for: strong ones that admit to not knowing ("I'm not sure"), and weak ones that
    soften ("probably"). Each counts once, however often it stands there:

        score = 0.4 ** strong * 0.85 ** weak

    One strong phrase, or five weak ones, are below the default threshold of a half. Code (fenced or in backticks)
    and quoted lines ("> ...") are not counted. Phrases are matched whatever their case, in all `languages` (those
    of `fastcascade.gates.phrases.PHRASES`) unless some are named. `extra` adds strong ones of your own: a text, or
    a compiled pattern, which must be one that a linear-time matcher can run.

    A reply that begins with `UNSURE:` is decisively rejected; `convention=True` asks the model to begin so where it
    is not sure. A reply without text, such as a tool call alone, makes it abstain.

    While streaming it gives up at `UNSURE:`, and commits after `commit_after` characters that hedge too little to
    be rejected: a bet that the rest will not. If they hedge too much it holds back, and gives up once what can no
    longer change (whole lines) is enough to reject.
    """

    name = "hedging"

    def __init__(
        self,
        *,
        languages: Iterable[str] | None = None,
        extra: "Iterable[str | re.Pattern[str]]" = (),
        convention: bool = False,
        commit_after: int = 400,
        threshold: float = 0.5,
    ) -> None:
        """Compile the phrases."""
        self.languages = _languages(languages)
        self.extra = _extra(extra)
        self.convention = convention
        if type(commit_after) is not int or commit_after < 1:
            msg = f"commit_after must be a number of characters from 1 on, not {commit_after!r}"
            raise ConfigError(msg)
        self.commit_after = commit_after
        self.threshold = unit("threshold", threshold)
        if not self.languages and not self.extra:
            raise ConfigError("hedging has nothing to look for: name languages, or give extra phrases")
        self._strong, self._phrases = _compiled(self.languages, self.extra)

    def prepare(self, request: Request, /) -> Request:
        """Ask for the convention, once, where it was chosen."""
        if not self.convention or request.schema is not None or any(text.text == ASK for text in request.system):
            return request
        return replace(request, system=(*request.system, Text(ASK)))

    def judge(self, exam: Exam, /) -> Verdict:
        """Count the phrases."""
        text = exam.reply.text
        if not text or text.isspace():
            return Verdict(None, "no text in the reply")
        return UNSURE if begins_unsure(text) else self.weigh(text)

    def watch(self, _request: Request, accept: float, /) -> "_Listening":
        """Look at the text as it comes."""
        return _Listening(self, raw_floor(self, accept))

    def weigh(self, text: str) -> Verdict:
        """The score of a text, whatever it begins with."""
        found = every(self._phrases, spoken(text))
        if not found:
            return Verdict(1.0, "no hedging")
        strong = sum(index < self._strong for index in found)
        weak = len(found) - strong
        return Verdict(STRONG**strong * WEAK**weak, f"hedging: {strong} strong, {weak} weak phrases")


class _Listening:
    """The text of a stream so far."""

    def __init__(self, gate: Hedging, floor: float) -> None:
        """Begin with nothing heard; `floor` is the raw score to reach."""
        self._gate = gate
        self._floor = floor
        self._heard: list[str] = []
        self._size = 0
        self._opened = False  # whether it is settled that it does not begin with UNSURE:
        self._next = gate.commit_after
        self.verdict = Verdict(None, "nothing was judged yet")

    def feed(self, delta: Delta, /) -> Literal["hold", "commit", "abort"]:
        """Hear one more piece."""
        if delta.kind != "text" or not delta.text:
            return "hold"
        self._heard.append(delta.text)
        self._size += len(delta.text)
        if not self._opened:
            said = begins_unsure("".join(self._heard))
            if said:
                self.verdict = UNSURE
                return "abort"
            self._opened = said is False
        if not self._opened or self._size < self._next:
            return "hold"
        return self._weighed()

    def _weighed(self) -> Literal["hold", "commit", "abort"]:
        text = "".join(self._heard)
        self._heard = [text]
        self._next = 2 * self._size  # so that all looks together cost no more than twice the text
        verdict = self._gate.weigh(text)
        if verdict.score is not None and verdict.score >= self._floor:
            self.verdict = self._gate.calibrated(verdict)
            return "commit"
        verdict = self._gate.weigh(text[: text.rfind("\n") + 1])
        if verdict.score is not None and verdict.score < self._floor:
            self.verdict = self._gate.calibrated(verdict)
            return "abort"
        return "hold"


def begins_unsure(text: str) -> bool | None:
    """Whether a text begins with `UNSURE:`, bold or not; None where it is too short to tell."""
    start = text.lstrip(OPENING)
    if not start.startswith(WORD):
        return None if WORD.startswith(start) else False
    after = start[len(WORD) :].lstrip(" \t*_")
    return after[0] in ":\uff1a" if after else None


def spoken(text: str) -> str:
    """A text without its code and its quoted lines."""
    if "`" not in text and ">" not in text and "~~~" not in text:
        return text
    kept = []
    fence = ""
    for line in text.split("\n"):
        bare = line.lstrip(" ")
        mark = _fence(bare)
        if fence:
            if mark.startswith(fence) and not bare[len(mark) :].strip():
                fence = ""
        elif mark and not (mark[0] == "`" and "`" in bare[len(mark) :]):
            fence = mark
        elif not bare.startswith(">"):
            kept.append(line)
    return INLINE_CODE.sub(" ", "\n".join(kept))


def _fence(bare: str) -> str:
    """The three or more marks with which a line opens or closes code; nothing where it does neither."""
    if not bare.startswith(("```", "~~~")):
        return ""
    return bare[: len(bare) - len(bare.lstrip(bare[0]))]


@lru_cache(maxsize=16)
def _compiled(languages: tuple[str, ...], extra: "tuple[str | re.Pattern[str], ...]") -> tuple[int, PatternSet]:
    """How many strong phrases there are, and all of them with the weak ones after: it takes tens of milliseconds."""
    strong: list[str | re.Pattern[str]] = [each for name in languages for each in PHRASES[name].patterns("strong")]
    strong += [each if isinstance(each, re.Pattern) else pattern_of(each) for each in extra]
    weak = [each for name in languages for each in PHRASES[name].patterns("weak")]
    return len(strong), PatternSet([*strong, *weak])


def _languages(given: Iterable[str] | None) -> tuple[str, ...]:
    if given is None:
        return tuple(PHRASES)
    if isinstance(given, str):
        msg = f"languages is a list; write [{given!r}]"
        raise ConfigError(msg)
    named = tuple(dict.fromkeys(given))
    for each in named:
        if each not in PHRASES:
            known = ", ".join(PHRASES)
            msg = f"there are no phrases for the language {each!r}, but for {known}; use extra for others"
            raise ConfigError(msg)
    return named


def _extra(given: Any) -> "tuple[str | re.Pattern[str], ...]":
    if isinstance(given, str | re.Pattern):
        msg = f"extra is a list of phrases; write [{given!r}]"
        raise ConfigError(msg)
    phrases = tuple(given)
    for each in phrases:
        pattern = isinstance(each, re.Pattern) and isinstance(each.pattern, str) and each.pattern
        if not pattern and not (isinstance(each, str) and each.strip()):
            msg = f"an extra phrase is a text that is not blank, or a compiled pattern of text, not {each!r}"
            raise ConfigError(msg)
    return phrases
