"""Rules: answers by pattern and by question, for nothing, and silence where they do not apply."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade import TextPolicy
from fastcascade.backends.backend import Backend, Instant
from fastcascade.backends.rules import Rule, Rules
from fastcascade.errors import BackendError, ConfigError, PatternError
from fastcascade.messages import Image, Message, Opaque, Reply, Request, Text, Thinking, ToolCall, ToolResult, Usage

RULES: list[tuple[str | re.Pattern[str], Any]] = [
    (r"(?i)reset\s+(my\s+)?password", "Visit the account page."),
    (re.compile("OPENING hours", re.IGNORECASE), Reply("From nine to five.", model="shop", id="r1")),
    (r"order (?P<number>\d+)", lambda params, _: f"Order {params['number']} is under way."),
    (r"order", "Which order?"),
    (r"^secret", lambda _params, _request: None),
    (r"braces", "{name} stays as it is"),
    (r"priced", Reply("dear", cost_usd=0.5)),
]


def ask(text: str, **fields: Any) -> Request:
    """A request of one turn."""
    return Request.of(text, **fields)


CASES = [
    ("How do I RESET  my password?", "Visit the account page."),
    ("reset password", "Visit the account page."),
    ("your opening HOURS?", "From nine to five."),
    ("where is order 42", "Order 42 is under way."),
    ("an order of mine", "Which order?"),
    ("order 7, and reset my password", "Visit the account page."),
    ("secret order", "Which order?"),
    ("secret", None),
    ("braces", "{name} stays as it is"),
    ("something else", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "answer"), CASES)
def test_the_first_pattern_in_order_wins(text: str, answer: str | None) -> None:
    """The first rule that matches anywhere in the turn gives the answer; none gives none."""
    rules = Rules(RULES)
    reply = rules.answer(ask(text))
    assert (reply.text if reply else None) == answer
    assert asyncio.run(rules.complete(ask(text))) == reply


@given(st.lists(st.sampled_from(["a", "b+", "c|d", "^e", "f$", "[gh]"]), min_size=1, max_size=5), st.text("abcdefgh "))
def test_they_find_what_re_finds(patterns: list[str], text: str) -> None:
    """The answer is that of the first pattern that `re` finds in the text."""
    pairs = [(pattern, str(index)) for index, pattern in enumerate(patterns)]
    found = next((answer for pattern, answer in pairs if re.search(pattern, text)), None)
    reply = Rules(pairs).answer(ask(text))
    assert (reply.text if reply else None) == found


def test_they_cost_nothing_and_say_so() -> None:
    """A cost of zero is stated, tokens too, and what a reply states of itself is kept."""
    rules = Rules(RULES)
    backend: Backend = rules
    assert isinstance(backend, Instant)
    assert rules.gives == frozenset() and rules.name == "rules" and rules.free
    plain, own, dear = (rules.answer(ask(text)) for text in ("order", "opening hours", "priced"))
    assert plain == Reply("Which order?", model="rules", usage=Usage(), cost_usd=0.0)
    assert own == Reply("From nine to five.", model="shop", id="r1", usage=Usage(), cost_usd=0.0)
    assert dear is not None and (dear.cost_usd, dear.model) == (0.5, "rules")


TEXT = Text("reset my password")
TURNS: list[tuple[str, tuple[Message, ...], bool]] = [
    ("a text", (Message("user", (TEXT,)),), True),
    ("two texts", (Message("user", (Text("reset my "), Text("password"))),), True),
    ("after other turns", (Message("user", "hello"), Message("assistant", "yes?"), Message("user", (TEXT,))), True),
    ("an earlier turn", (Message("user", (TEXT,)), Message("assistant", "how?"), Message("user", "so?")), False),
    ("a picture", (Message("user", (TEXT, Image(url="https://example.com/a.png"))),), False),
    ("a block of one provider", (Message("user", (TEXT, Opaque("anthropic", {"type": "document"}))),), False),
    (
        "a tool's result",
        (
            Message("user", (TEXT,)),
            Message("assistant", (Thinking("hm"), ToolCall("1", "look"))),
            Message("user", (ToolResult("1", (Text("found"),)),)),
        ),
        False,
    ),
    ("a result with a text", (Message("user", (ToolResult("1", (Text("found"),)), TEXT)),), False),
    ("the model's own turn last", (Message("user", (TEXT,)), Message("assistant", "Well,")), False),
    ("nothing said", (Message("user", ()),), False),
]


@pytest.mark.parametrize(("why", "messages", "applies"), TURNS, ids=[case[0] for case in TURNS])
def test_only_the_last_turn_counts_and_only_when_it_is_text(
    why: str, messages: tuple[Message, ...], applies: bool
) -> None:
    """Rules stay silent where the last turn is anything but the user's text."""
    assert (Rules(RULES).answer(Request(messages)) is not None) is applies


@pytest.mark.parametrize(
    ("fields", "applies"),
    [
        ({}, True),
        ({"tool_choice": "none"}, True),
        ({"tool_choice": "any"}, False),
        ({"tool_choice": "look"}, False),
        ({"schema": {"type": "object"}}, False),
    ],
)
def test_a_demanded_form_is_not_for_them(fields: dict[str, Any], applies: bool) -> None:
    """Where JSON or a tool call is demanded a text would be a wrong answer, so there is none."""
    assert (Rules(RULES).answer(ask("order", **fields)) is not None) is applies


FAQ: dict[str, Rule] = {
    "How do I pay?": "By card.",
    "Straße?": Reply("Main street."),
    "who  am I": lambda _, request: request.user,
}

QUESTIONS = [
    ("How do I pay?", "By card."),
    ("  how do i   PAY? ", "By card."),
    ("How do I pay? Now", None),
    ("STRASSE?", "Main street."),
    ("Who am I", "ann"),
    ("pay", "rule"),
]


@pytest.mark.parametrize(("text", "answer"), QUESTIONS)
def test_questions_asked_word_for_word(text: str, answer: str | None) -> None:
    """A question is found however it is cased and spaced, before any pattern, and as a whole."""
    reply = Rules({"^pay|^How do I pay.$": "rule"}, faq=FAQ).answer(ask(text, user="ann"))
    assert (reply.text if reply else None) == answer


def test_questions_alone() -> None:
    """A set of questions needs no patterns."""
    assert Rules(faq=FAQ).answer(ask("how do I pay")) is None
    assert Rules(faq=FAQ, name="shop").answer(ask("how do I pay?")) == Reply(
        "By card.", model="shop", usage=Usage(), cost_usd=0.0
    )


def test_folding_is_for_matching_alone() -> None:
    """With a policy the patterns see folded text; a function is still given the request as it came."""
    seen: list[str] = []

    def answer(params: dict[str, str], request: Request) -> str:
        seen.append(request.text)
        return params["who"]

    rules = Rules({"^i am (?P<who>.*)$": answer}, normalize=TextPolicy())
    reply = rules.answer(ask("  I  AM Ｊｏ "))
    assert reply is not None and reply.text == "jo"
    assert seen == ["  I  AM Ｊｏ "]
    assert Rules({"^i am (?P<who>.*)$": answer}).answer(ask("I AM Jo")) is None


TEMPLATES = [
    (r"(?P<a>\w+) to (?P<b>\w+)", "{b} from {a}", "home to work", "work from home"),
    (r"(?P<a>x)?y", "[{a}]", "y", "[]"),
    (r"(?P<a>x)", "{{{a}}}", "x", "{x}"),
    (r"(?P<a>.+)", "{a}", "{a.__class__}", "{a.__class__}"),
    (r"(?P<a>x)", "no groups", "x", "no groups"),
    (r"(?P<a>x)", "kept {{so}}", "x", "kept {{so}}"),
]


@pytest.mark.parametrize(("pattern", "template", "text", "answer"), TEMPLATES)
def test_templates_are_filled(pattern: str, template: str, text: str, answer: str) -> None:
    """Named groups stand in for `{name}`; what the user wrote is never read as a template."""
    reply = Rules({pattern: template}, template=True).answer(ask(text))
    assert reply is not None and reply.text == answer


BAD: list[tuple[str, Callable[[], Rules], type[ConfigError], str]] = [
    ("no rules", lambda: Rules({}), ConfigError, "'rules' has no rules"),
    ("malformed", lambda: Rules([("a", "x"), ("(b", "y")], name="shop"), PatternError, r"rule 2 of 'shop': .*\(b"),
    ("look-around", lambda: Rules({"a(?=b)": "x"}), PatternError, "rule 1 of 'rules': .*look-around"),
    ("no pattern", lambda: Rules([(3, "x")]), ConfigError, "rule 1 of 'rules': a pattern must be"),  # type: ignore[list-item]
    ("no answer", lambda: Rules({"a": 3}), ConfigError, r"rule 1 of 'rules' \('a'\): its answer must be"),  # type: ignore[arg-type]
    ("no such group", lambda: Rules({"a": "{b}"}, template=True), ConfigError, "{b} in its template is no group"),
    ("an attribute", lambda: Rules({"(?P<b>a)": "{b.x}"}, template=True), ConfigError, "is no group of the pattern"),
    ("a conversion", lambda: Rules({"(?P<b>a)": "{b!r}"}, template=True), ConfigError, "is no group of the pattern"),
    ("a position", lambda: Rules({"(?P<b>a)": "{}"}, template=True), ConfigError, "is no group of the pattern"),
    ("a brace", lambda: Rules({"a": "{"}, template=True), ConfigError, "its template cannot be read"),
    ("no question", lambda: Rules(faq={"  ": "x"}), ConfigError, "a question of 'rules' is empty"),
    ("twins", lambda: Rules(faq={"Pay?": "x", "pay? ": "y"}), ConfigError, "are read as one: 'Pay\\?' and 'pay\\? '"),
    ("no answer to it", lambda: Rules(faq={"a": 3}), ConfigError, "question 'a': its answer must be"),  # type: ignore[dict-item]
]


@pytest.mark.parametrize(("why", "make", "kind", "message"), BAD, ids=[case[0] for case in BAD])
def test_what_is_wrong_is_named(why: str, make: Callable[[], Rules], kind: type[ConfigError], message: str) -> None:
    """A rule that cannot work is an error when it is built, and the error says which."""
    with pytest.raises(kind, match=message):
        make()


def test_a_pattern_error_keeps_where_it_was() -> None:
    """The index, the pattern and the place in it are there to be read."""
    with pytest.raises(PatternError) as caught:
        Rules([("a", "x"), ("b(?=c)", "y")])
    assert (caught.value.index, caught.value.pattern, caught.value.position) == (1, "b(?=c)", 1)


def raises(error: Exception) -> Callable[[dict[str, str], Request], str]:
    """An answer that raises."""

    def answer(_params: dict[str, str], _request: Request) -> str:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (raises(KeyError("x")), "bug", "a rule of 'rules' raised KeyError: 'x'"),
        (raises(BackendError("overloaded", "later")), "overloaded", "later"),
        (lambda _params, _request: 3, "bug", "a rule of 'rules' returned int, not a text, a Reply or None"),
    ],
)
def test_an_answer_that_fails(answer: Any, kind: str, message: str) -> None:
    """What a rule's function raises is the backend's failure, and no other exception gets out."""
    with pytest.raises(BackendError) as caught:
        Rules({"a": answer}).answer(ask("a"))
    assert (caught.value.failure.kind, caught.value.failure.message) == (kind, message)


def test_how_they_show() -> None:
    """They show how many there are, not what they say."""
    assert repr(Rules(RULES, faq=FAQ)) == "Rules(7 patterns, 3 questions, name='rules')"
