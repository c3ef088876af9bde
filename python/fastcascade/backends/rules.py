"""Rules: answers to what needs no model. The first pattern in order wins, all of them in one pass; it costs nothing."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from string import Formatter
from typing import Any, Final, TypeAlias

from fastcascade._core import PatternSet, TextPolicy
from fastcascade.backends.failures import scrub
from fastcascade.errors import BackendError, ConfigError, PatternError
from fastcascade.messages import Reply, Request, Text, Usage

__all__ = ["Rule", "Rules"]

Rule: TypeAlias = str | Reply | Callable[[dict[str, str], Request], str | Reply | None]
Patterns: TypeAlias = Mapping[str, Rule] | Mapping[re.Pattern[str], Rule] | Iterable[tuple[str | re.Pattern[str], Rule]]

NO_TOKENS: Final = Usage()
_FIELDS: Final = Formatter()


class Rules:
    """Answers by regular expression, and questions that are asked word for word.

    They look at the last turn alone. They stay silent (None) where that holds a tool's result or a picture: the
    text beside it is not what is asked, so a rule that fits an earlier turn would answer the wrong question. So
    they do where a form of answer is demanded that a text has not: a JSON schema, a tool that must be called.

    Args:
        rules: answers by pattern: a mapping, or pairs in order. A pattern is a text in the dialect of `re`, or
            compiled; it may match anywhere in the turn. An answer is a text, a `Reply`, or a function of the
            pattern's named groups and the request, which may return None for no answer.
        name: what they are called in traces, and the replies' model.
        faq: answers by question, looked up before any pattern. The turn must be the question but for case,
            spacing and the spelling of its characters.
        normalize: how the turn is folded before the patterns see it, and the questions; named groups then hold
            folded text. By default patterns see it as it is, and questions are folded by `TextPolicy()`.
        template: fill `{name}` in the texts of patterns with the named groups. Without it texts are literal.
    """

    free = True
    gives: frozenset[str] = frozenset()

    def __init__(
        self,
        rules: Patterns = (),
        *,
        name: str = "rules",
        faq: Mapping[str, Rule] | None = None,
        normalize: TextPolicy | None = None,
        template: bool = False,
    ) -> None:
        """Compile the patterns, and refuse what could never answer."""
        self.name = name
        pairs: list[tuple[Any, Any]] = list(rules.items() if isinstance(rules, Mapping) else rules)
        if not pairs and not faq:
            msg = f"{name!r} has no rules; give it patterns or a faq"
            raise ConfigError(msg)
        self._patterns = _compiled(name, [pattern for pattern, _ in pairs])
        self._answers: list[Reply | Callable[[dict[str, str], Request], Any]] = []
        for index, (pattern, answer) in enumerate(pairs):
            where = f"rule {index + 1} of {name!r} ({_source(pattern)!r})"
            if template and isinstance(answer, str) and (fields := _fields(where, pattern, answer)):
                self._answers.append(_Template(answer, fields))
            else:
                self._answers.append(self._kept(where, answer))
        self._fold = normalize.normalize if normalize else None
        self._fold_question = (normalize or TextPolicy()).normalize
        self._faq = self._questions(faq or {})

    def answer(self, request: Request, /) -> Reply | None:
        """Answer at once, or None where no rule applies."""
        last = request.messages[-1]
        if last.role != "user" or request.schema is not None or request.tool_choice not in ("auto", "none"):
            return None
        for block in last.content:
            if type(block) is not Text:
                return None
        text = last.text
        if self._faq and (found := self._faq.get(self._fold_question(text))) is not None:
            return found if isinstance(found, Reply) else self._called(found, {}, request)
        if self._fold is not None:
            text = self._fold(text)
        index = self._patterns.first(text)
        if index is None:
            return None
        found = self._answers[index]
        if isinstance(found, Reply):
            return found
        return self._called(found, self._patterns.params(index, text) or {}, request)

    async def complete(self, request: Request, /) -> Reply | None:
        """Answer; nothing is waited for."""
        return self.answer(request)

    def _called(self, function: Any, params: dict[str, str], request: Request) -> Reply | None:
        try:
            answer = function(params, request)
        except BackendError:
            raise
        except Exception as error:
            msg = f"a rule of {self.name!r} raised {type(error).__name__}: {error}"
            raise BackendError("bug", scrub(msg)) from error
        if answer is None:
            return None
        if not isinstance(answer, str | Reply):
            msg = f"a rule of {self.name!r} returned {type(answer).__name__}, not a text, a Reply or None"
            raise BackendError("bug", msg)
        return self._reply(answer)

    def _reply(self, answer: str | Reply) -> Reply:
        if isinstance(answer, str):
            return Reply((Text(answer),), self.name, usage=NO_TOKENS, cost_usd=0.0)
        if answer.model and answer.cost_usd is not None:
            return answer
        cost = 0.0 if answer.cost_usd is None else answer.cost_usd
        return replace(answer, model=answer.model or self.name, cost_usd=cost, usage=answer.usage or NO_TOKENS)

    def _kept(self, where: str, answer: Any) -> Any:
        if isinstance(answer, str | Reply):
            return self._reply(answer)
        if callable(answer):
            return answer
        msg = f"{where}: its answer must be a text, a Reply or a function, not {type(answer).__name__}"
        raise ConfigError(msg)

    def _questions(self, faq: Mapping[str, Rule]) -> dict[str, Any]:
        asked: dict[str, str] = {}
        for question in faq:
            folded = self._fold_question(question)
            if not folded:
                msg = f"a question of {self.name!r} is empty: {question!r}"
                raise ConfigError(msg)
            if folded in asked:
                msg = f"two questions of {self.name!r} are read as one: {asked[folded]!r} and {question!r}"
                raise ConfigError(msg)
            asked[folded] = question
        return {folded: self._kept(f"question {question!r}", faq[question]) for folded, question in asked.items()}

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"Rules({len(self._answers)} patterns, {len(self._faq)} questions, name={self.name!r})"


class _Template:
    """A text with `{name}` in it; a group that took no part in the match is left empty."""

    def __init__(self, text: str, names: frozenset[str]) -> None:
        self._text = text
        self._blank = dict.fromkeys(names, "")

    def __call__(self, params: dict[str, str], _request: Request) -> str:
        return self._text.format_map(self._blank | params)


def _compiled(name: str, patterns: list[Any]) -> PatternSet:
    for index, pattern in enumerate(patterns):
        if not isinstance(pattern, str | re.Pattern):
            msg = f"rule {index + 1} of {name!r}: a pattern must be a text or compiled, not {type(pattern).__name__}"
            raise ConfigError(msg)
    try:
        return PatternSet(patterns)
    except PatternError as error:
        msg = f"rule {error.index + 1} of {name!r}: {error}"
        raise PatternError(msg, error.index, error.pattern, error.position) from error


def _source(pattern: str | re.Pattern[str]) -> str:
    return pattern if isinstance(pattern, str) else pattern.pattern


def _fields(where: str, pattern: str | re.Pattern[str], answer: str) -> frozenset[str]:
    """The groups that a template names; nothing but a plain `{name}` of a group is let through."""
    try:
        parts = list(_FIELDS.parse(answer))
    except ValueError as error:
        msg = f"{where}: its template cannot be read: {error}; write {{{{ and }}}} for braces"
        raise ConfigError(msg) from None
    groups = set(re.compile(pattern).groupindex)
    named = set()
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if spec or conversion or name not in groups:
            known = ", ".join(sorted(groups)) or "none"
            msg = f"{where}: {{{name}}} in its template is no group of the pattern, which has {known}"
            raise ConfigError(msg)
        named.add(name)
    return frozenset(named)
